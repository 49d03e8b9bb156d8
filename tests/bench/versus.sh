#!/usr/bin/env bash
# Engines of this build run side by side, round after round; what is wrong is named, an interrupted
# run and one on a full disk leave a partial table.
#   versus.sh PROGRAM WORKLOADS SCHEMA
set -euo pipefail
program=$1 workloads=$2 schema=$3
checker=$(realpath "$(dirname "$0")/schema_check.py")
source "$(dirname "$0")/expect.sh"
small=(--records 2k --ops 2k --value-bytes 100 --threads 1 --io-backend posix --memory 32MiB
       --durability memory --drain 1s --dir data --no-probe)

# Everything that is installed, without naming it: what is not there is skipped.
expect 0 '^load ' versus --rounds 2 --results all "${small[@]}" "$workloads/workloada"
run=$(ls -d all/*)
[ -s "$run/report.html" ] && [ -s "$run/versus.json" ] || failed "no report in $run"
grep -q '<table id="versus"' "$run/report.html" || failed "no table in the report"
[ ! -e data ] || failed "data were left behind"
mv out whole # what follows writes others
mv error skips
for engine in rocksdb leveldb lmdb wiredtiger; do
    if grep -q "^kiwidb bench versus: $engine is not in this build.*skipped" skips; then
        echo "skipped: $engine is not in this build"
        expect 2 "engine '$engine' is not in this build" versus --engines "kiwi,$engine" --results none \
            "${small[@]}" "$workloads/workloada"
    else
        grep -q "^$engine  " whole || failed "no settings of $engine"
        [ -s "$run/1-$engine/run.json" ] && [ -s "$run/2-$engine/run.json" ] || failed "no run of $engine"
        [ -s "$run/kiwi-$engine.html" ] || failed "no overlaid report of $engine"
        grep -q 'is_partial' "$run/versus.json" && failed "a phase in versus.json is raw"
    fi
done
grep -q '^kiwi  ' whole && grep -q 'READ p99' whole || failed "no table"

expect 2 'ladder is for one engine' versus --ladder --slo p99=1ms --engines kiwi,null --results none \
    "$workloads/workloada"

# Named engines, the same twice, as one document; the driver's own engine among them.
expect 0 '"kiwi.bench.versus"' versus --engines=kiwi,null,null --rounds=1 --results named --json --client blocking \
    "${small[@]}" "$workloads/workloadc"
python3 "$checker" "$schema" out || failed "versus.json is not as its schema says"
python3 - out <<'EOF' || failed "versus.json is not what was asked for"
import json, sys
document = json.load(open(sys.argv[1]))
assert document["verdict"] == "complete" and document["rounds"] == 1
assert [engine["label"] for engine in document["engines"]] == ["kiwi", "null", "null.2"]
assert [phase["name"] for phase in document["phases"]] == ["load", "workloadc"]
assert len(document["blocks"]) == 3 and all(block["exit_code"] == 0 for block in document["blocks"])
kiwi, null, again = document["phases"][1]["engines"]
assert kiwi["throughput_per_second"]["median"] == kiwi["throughput_per_second"]["rounds"][0] > 0
assert "first_over_this" not in kiwi
ratio = null["first_over_this"]
assert ratio["low"] == ratio["middle"] == ratio["high"]
rates = [one["throughput_per_second"]["median"] for one in (kiwi, null)]
assert abs(ratio["middle"] / (rates[0] / rates[1]) - 1) < 1e-9
assert kiwi["p99_ns"]["READ"]["median"] > 0
EOF

# Memory limited by a control group, where that is permitted: said in table, document and page.
expect 0 'nothing enforced it: --memory-cap off' versus --memory-cap off --engines kiwi --rounds 1 --results free \
    "${small[@]}" "$workloads/workloadc"
expect 2 "none of auto, on, off" versus --memory-cap of --engines kiwi "${small[@]}" "$workloads/workloadc"
code=0
"$program" bench versus --memory-cap on --engines kiwi,null --rounds 1 --results capped "${small[@]}" \
    "$workloads/workloadc" >out 2>error || code=$?
if [ "$code" -eq 3 ] && grep -q -- '--memory-cap on: ' error; then
    echo "skipped: no memory cap is permitted here: $(cat error)"
else
    [ "$code" -eq 0 ] || failed "capped: exit $code, expected 0"
    grep -q 'in a control group of 81.0 MiB, page cache included' out || failed "capped: the table does not say so"
    grep -q '^  with page cache' out || failed "capped: no row of memory with page cache"
    grep -q 'in a control group of 81.0 MiB' capped/*/report.html || failed "capped: the page does not say so"
    python3 - capped/*/versus.json <<'EOF' || failed "capped: versus.json is wrong"
import json, sys
document = json.load(open(sys.argv[1]))
cap = document["memory_cap"]
assert cap["is_enforced"] and cap["memory_bytes"] == 32 << 20 and cap["allowance_bytes"] == 49 << 20, cap
for engine in document["engines"]:
    assert 0 < engine["group_peak_bytes"] <= 81 << 20, engine
EOF
fi

expect 2 "did you mean 'kiwi'" versus --engines kiwy,null "${small[@]}" "$workloads/workloada"
expect 2 'an empty name' versus --engines kiwi, "${small[@]}" "$workloads/workloada"
expect 2 'write --engines' versus --engine kiwi "${small[@]}" "$workloads/workloada"
expect 2 'from 1 to 64' versus --rounds 65 "${small[@]}" "$workloads/workloada"
expect 2 "did you mean '--memory'" versus --memry 1GiB "$workloads/workloada"
expect 2 'no workload file' versus --engines null
mkdir taken && touch taken/something
expect 3 'choose another --dir' versus --engines null "${small[@]}" --dir taken "$workloads/workloada"

# Ctrl-C during a run of many rounds, when the first blocks are done.
mkfifo lines
"$program" bench versus --engines null,kiwi --rounds 64 --results cut "${small[@]}" "$workloads/workloada" \
    >out 2>lines &
versus=$!
exec 3<lines
while read -r line <&3; do
    case "$line" in "round 1 of 64  kiwi"*) break ;; esac
done
kill -INT "$versus"
cat <&3 >error
code=0
wait "$versus" || code=$?
[ "$code" -eq 130 ] || failed "interrupted: exit $code, expected 130"
grep -q '^PARTIAL' out && grep -q '^load ' out || failed "interrupted: no partial table"
grep -q '"verdict": "partial"' cut/*/versus.json || failed "interrupted: versus.json is not partial"
[ ! -e data ] || failed "interrupted: data were left behind"

# A rival whose process is killed leaves; the others go on to the last round.
mkfifo more
"$program" bench versus --engines kiwi,null --rounds 2 --results left "${small[@]}" --ops 1G --seconds 300ms --warm-up 0 \
    "$workloads/workloadc" >out 2>more &
versus=$!
exec 3<more
while read -r line <&3; do
    case "$line" in "round 1 of 2  kiwi"*) break ;; esac
done
block=
while [ -z "$block" ] && kill -0 "$versus"; do
    block=$(cat "/proc/$versus/task/$versus/children")
done
kill -KILL $block
cat <&3 >error
code=0
wait "$versus" || code=$?
[ "$code" -eq 3 ] || failed "a killed rival: exit $code, expected 3"
grep -q 'null is left out from here on' error || failed "a killed rival: nothing says so"
grep -q '^PARTIAL' out && grep -q '^load ' out || failed "a killed rival: no partial table"
[ -s left/*/2-kiwi/run.json ] || failed "a killed rival: the other did not go on"
grep -q '"verdict": "partial"' left/*/versus.json || failed "a killed rival: versus.json is not partial"

# A disk that is full: of 8 MiB, for a log alone of 16.
cat >full.sh <<'EOF'
mount -t tmpfs -o size=8m none "$1" || exit 99
shift
exec "$@"
EOF
mkdir small
code=0
unshare --mount --map-root-user bash full.sh small "$program" bench versus --engines null,kiwi --rounds 2 \
    --results full "${small[@]}" --dir small/data "$workloads/workloada" >out 2>error || code=$?
if [ "$code" -eq 99 ] || { [ "$code" -eq 1 ] && grep -q '^unshare' error; }; then
    echo "skipped: no small file system can be mounted here"
    exit 0
fi
[ "$code" -eq 3 ] || failed "full disk: exit $code, expected 3"
grep -q '^PARTIAL' out && grep -q '^load ' out || failed "full disk: no partial table"
