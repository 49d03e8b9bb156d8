#!/usr/bin/env bash
# SIGINT and SIGTERM end a run on the real engine in order: every client model, in the load and in
# the run, leaves a report that says PARTIAL and exits with 130 or 143; so does a ladder, with the steps
# it has done.
#   signals.sh PROGRAM WORKLOADS
set -euo pipefail
program=$1 workloads=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
die() {
    kill -KILL "$bench" 2>/dev/null || true
    cat out err
    echo "$*"
    exit 1
}
# ended SIGNAL EXIT CLIENT PHASE: starts a run that would take hours and ends it in that phase.
ended() {
    local signal=$1 wanted=$2 client=$3 phase=$4 code=0 line='' records=5k
    [ "$phase" = run ] || records=900M
    rm -rf out err results
    exec 3< <(exec "$program" bench "$workloads/workloada" --no-probe --client "$client" --threads 2 --shards 2 \
        --records "$records" --ops 900G --warm-up 0 --memory 32MiB --durability process --dir data \
        --results results -q 2>err)
    bench=$!
    : >out
    if [ "$phase" = run ]; then
        # The table of the load is printed as it ends.
        until [[ $line = load:* ]]; do
            IFS= read -r -t 60 -u 3 line || die "$client: the load did not end"
            echo "$line" >>out
        done
    else
        # The shards are there: from here on it loads, or is about to.
        until [ -e data/data/shard-01/wal ]; do
            kill -0 "$bench" || die "$client: ended too early"
            [ "$SECONDS" -lt 300 ] || die "$client: no shards"
        done
    fi
    kill -s "$signal" "$bench"
    while true; do
        IFS= read -r -t 60 -u 3 line || { [ $? -lt 128 ] || die "$client: does not end on $signal"; break; }
        echo "$line" >>out
    done
    exec 3<&-
    wait "$bench" || code=$?
    [ "$code" -eq "$wanted" ] || die "$client, $phase: exit $code after $signal, expected $wanted"
    grep -q 'PARTIAL' out || die "$client, $phase: the report does not say PARTIAL"
    grep -q '"verdict": "partial"' results/*/run.json || die "$client, $phase: run.json does not say partial"
    [ ! -e data ] || die "$client, $phase: the data were left behind"
}
for client in blocking attached managed; do
    ended INT 130 "$client" run
    ended TERM 143 "$client" run
done
ended INT 130 attached load
ended TERM 143 blocking load

rm -rf out err results
code=0 line=''
exec 3< <(exec "$program" bench "$workloads/workloadb" --ladder --slo p99=10s --seconds 300ms --threads 1 \
    --shards 1 --records 5k --client blocking --memory 32MiB --durability process --dir data --results results \
    -q 2>err)
bench=$!
: >out
# The row of the closed loop, and one of a step; a dozen more would follow.
until [[ $line = *closed\ loop ]]; do
    IFS= read -r -t 60 -u 3 line || die "ladder: no closed loop"
    echo "$line" >>out
done
IFS= read -r -t 60 -u 3 line || die "ladder: no step"
echo "$line" >>out
kill -s INT "$bench"
while true; do
    IFS= read -r -t 60 -u 3 line || { [ $? -lt 128 ] || die "ladder: does not end on INT"; break; }
    echo "$line" >>out
done
exec 3<&-
wait "$bench" || code=$?
[ "$code" -eq 130 ] || die "ladder: exit $code after INT, expected 130"
grep -q '^answer    workloadb: ' out || die "ladder: no answer so far"
grep -q 'the ladder was cut short' out || die "ladder: the answer does not say that it is partial"
grep -q '^PARTIAL' out || die "ladder: the report does not say PARTIAL"
[ "$(wc -l <results/*/ladder.csv)" -ge 3 ] || die "ladder: no steps in ladder.csv"
grep -q '"is_complete": false' results/*/run.json || die "ladder: run.json does not say that it is partial"
