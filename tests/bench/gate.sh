#!/usr/bin/env bash
# A planted extra allocation or sync per operation fails the gate; no change passes it.
#   gate.sh PROGRAM
set -euo pipefail
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# --update makes the folder of the baseline.
gate() {
    "$program" bench gate --no-callgrind --only put_durable --baseline "$folder/kept/baseline.json" --dir "$folder/data" "$@"
}
expect() {
    local wanted=$1 code=0
    shift
    gate "$@" >"$folder/out" 2>&1 || code=$?
    if [ "$code" -ne "$wanted" ]; then
        cat "$folder/out"
        echo "gate $*: exit $code, expected $wanted"
        exit 1
    fi
}
expect 3
expect 0 --update
expect 0
expect 6 --plant=allocation
grep -q 'allocations.*WORSE' "$folder/out"
expect 6 --plant=sync
grep -q 'syncs.*WORSE' "$folder/out"
expect 2 --plant=nonsense
expect 2 --plnt=sync
grep -q "unknown option 'plnt'; did you mean 'plant'" "$folder/out"
expect 2 --plant
grep -q -- '--plant wants a value' "$folder/out"
echo '{"schema": "another", "version": 1}' >"$folder/kept/baseline.json"
expect 3
echo '{"schema": ' >"$folder/kept/baseline.json"
expect 3
