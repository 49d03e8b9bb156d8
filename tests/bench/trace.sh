#!/usr/bin/env bash
# Operations recorded and replayed: the same ones, on this and another engine, at a pace and without one,
# on data loaded anew and on data that are there; damage and contradictions are named.
#   trace.sh PROGRAM WORKLOADS
set -euo pipefail
program=$1 workloads=$2
source "$(dirname "$0")/expect.sh"
small=(--io-backend posix --memory 32MiB --durability memory --drain 1s --dir data --no-probe --quiet)
# The operations of a result's last phase by kind, its name and its digest.
counts() {
    python3 - "$1"/*/run.json "$2" <<'EOF'
import json, sys
run = json.load(open(sys.argv[1]))
phase = run["phases"][-1]
print([(one["operation"], one["service"]["count"]) for one in phase["latency"]], phase["operations"], phase["name"])
assert run["trace"]["mode"] == sys.argv[2] and run["trace"]["operations"] == phase["operations"], run["trace"]
if sys.argv[2] == "replay":
    print(phase["stream_digest"], file=sys.stderr)
    assert not run["correctness"]["values_wrong"] and not run["correctness"]["values_missing"]
EOF
}
same() {
    counts "$1" replay >counts.replay 2>digest.now || failed "$1: run.json is wrong"
    diff counts.record counts.replay || failed "$1: not the operations that were recorded"
    [ ! -e digest ] || diff digest digest.now || failed "$1: another digest"
    cp digest.now digest
}

# All six kinds of operation, in an open loop of two clients.
printf '%s\n' workload=core recordcount=1000 operationcount=3000 readproportion=0.3 updateproportion=0.2 scanproportion=0.1 \
    insertproportion=0.1 readmodifywriteproportion=0.2 deleteproportion=0.1 requestdistribution=zipfian \
    fieldlengthdistribution=uniform fieldcount=2 fieldlength=80 maxscanlength=9 >mixed
expect 0 'recorded  mixed.trace: 3000 operations' mixed --threads 2 --rate 30k --trace-record mixed.trace \
    --results recorded "${small[@]}"
counts recorded record >counts.record || failed "recorded: run.json is wrong"
expect 0 'replayed  mixed.trace: 3000 operations of 2 clients.*at speed 1$' replay mixed.trace \
    --results paced "${small[@]}"
same paced
grep -q '"target_per_second": [1-9]' paced/*/run.json || failed "a paced replay is no open loop"
expect 0 'as fast as possible' replay mixed.trace --speed max --threads 1 --client blocking \
    --results alone "${small[@]}"
same alone
expect 0 'at speed 40$' replay mixed.trace --speed 40 --threads 3 --client managed --results more "${small[@]}"
same more
expect 0 'as fast as possible' --trace mixed.trace --speed 0 --engine null --results null "${small[@]}"

# A closed loop of one blocking client, on data that stay.
rm digest
expect 0 'recorded  b.trace: 2000 operations' "$workloads/workloadb" --records 1k --ops 2k --client blocking \
    --threads 1 --trace-record b.trace --keep --results first "${small[@]}"
counts first record >counts.record || failed "first: run.json is wrong"
expect 0 'sampled records read again at the end: 0 wrong, 0 missing' replay b.trace --speed max --existing \
    --results again "${small[@]}"
same again
grep -q '"name": "load"' again/*/run.json && failed "data that are there were loaded again"
[ -e data/data ] || failed "data that are there were removed"
expect 0 'sampled records read again' "$workloads/workloadc" --records 1k --ops 1k --existing --results third "${small[@]}"
expect 3 'no data in nowhere for --existing' replay b.trace --existing --results partial "${small[@]}" --dir nowhere

# Damage, and what contradicts a trace.
head -c 500 b.trace >cut.trace
expect 4 'cut.trace, byte 500: the file ends inside' replay cut.trace --results none "${small[@]}"
{ head -c 900 b.trace; printf 'x'; tail -c +902 b.trace; } >bad.trace
cmp -s b.trace bad.trace || expect 4 'bad.trace, byte [0-9]*: the block is damaged' replay bad.trace --results none "${small[@]}"
expect 4 'this is no trace' replay "$workloads/workloada" --results none "${small[@]}"
expect 2 'cannot open absent.trace' replay absent.trace --results none "${small[@]}"
expect 2 'usage: kiwidb bench replay FILE' replay
expect 2 'neither max nor a number' replay b.trace --speed fast
expect 2 'no preset, no file' replay b.trace "$workloads/workloada"
expect 2 "'recordcount' cannot be set" replay b.trace --records 5
expect 2 'no --rate' replay b.trace --rate 5
expect 2 '--trace is missing' "$workloads/workloada" --speed 2
expect 2 'is for one workload, not 2' "$workloads/workloada" "$workloads/workloadb" --records 1k --ops 1k --trace-record x.trace
expect 2 'exclude each other' replay b.trace --trace-record x.trace
[ ! -e none ] || failed "a result was left of what was refused"
