#!/usr/bin/env bash
# A report opens from disk in headless Chromium, without console errors, with data in its charts;
# results that are damaged, of another schema or not comparable are refused with the reason.
#   report.sh PROGRAM WORKLOADS
set -euo pipefail
program=$1 workloads=$2
source "$(dirname "$0")/expect.sh"
run() {
    "$program" bench "$workloads/workloada" --records 20k --ops 60k --threads 1 --shards 1 \
        --io-backend posix --durability memory --memory 32MiB --dir data --no-probe -q "$@" >out
    ls -d "$results"/* | tail -n 1
}
results=r1 a=$(run --results r1)
results=r2 b=$(run --results r2)
results=r3 c=$(run --results r3 --seed 7)
results=r4 ladder=$(run --results r4 --ladder --slo p50=10s,max=20s --seconds 20ms)
test -s "$a/report.html"
"$program" bench report "$a" "$b" -o both.html >/dev/null
"$program" bench compare "$a" "$b" >/dev/null
"$program" bench repeat "$a" | grep -q 'kiwidb bench'
"$program" bench merge "$a/latency.hlog" "$b/latency.hlog" >merged.hlog 2>merged
grep -q 'READ.service' merged
grep -q '^answer    workloada:' out || { cat out; echo "a ladder without an answer"; exit 1; }
[ "$(wc -l <"$ladder/ladder.csv")" -ge 4 ] || { echo "a ladder.csv without steps"; exit 1; }
grep -q 'id="ladder-workloada"' "$ladder/report.html" || { echo "no latency-throughput curve"; exit 1; }
grep -q '<circle' "$ladder/report.html" || { echo "a curve without points"; exit 1; }
grep -q '<h2>Ladder of workloada' "$ladder/report.html" || { echo "no table of steps"; exit 1; }
"$program" bench report "$ladder" "$ladder" -o ladders.html >/dev/null
grep -q 'p99.9 (other)' ladders.html || { echo "no second curve"; exit 1; }
expect 3 'stream_digest' compare "$a" "$c"
"$program" bench compare "$a" "$c" --force >/dev/null
expect 3 'No such file' report nowhere
expect 2 'usage' report
cp -r "$a" cut && head -c 2000 "$a/run.json" >cut/run.json
expect 3 'cut/run.json line' report cut
cp -r "$a" other && sed -i 's/"kiwi.bench.run"/"foreign"/' other/run.json
expect 3 "its schema is 'foreign'" report other
cp -r "$a" hlog && sed -i '$ s/HISTF.*/HISTF/' hlog/latency.hlog
expect 3 'latency.hlog line' report hlog
cp -r "$a" series && sed -i '$ s/,[^,]*$//' series/series.csv
expect 3 'series.csv line' report series
# A phase that ends just behind a full second has that second twice.
cp -r "$a" twice && tail -n 1 "$a/series.csv" >>twice/series.csv
"$program" bench report twice >/dev/null

if ! command -v chromium >/dev/null; then
    echo "skipped: chromium is not installed (scripts/setup), so the page itself is not opened"
    exit 0
fi
for page in both.html "$ladder/report.html"; do # both: the charts of one run and more
    timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-background-networking \
        --user-data-dir="$folder/profile" --enable-logging=stderr --dump-dom "file://$(realpath "$page")" \
        >dom.html 2>log
    if grep -E 'CONSOLE.*(rror|efused)' log; then
        echo "$page: errors on the console"
        exit 1
    fi
    grep -q '<table class="sortable">' dom.html || { echo "$page: no table of slowest operations"; exit 1; }
    grep -q '<th><button>latency</button></th>' dom.html || { echo "$page: the table cannot be sorted"; exit 1; }
    for chart in throughput latency percentiles heat cpu memory slowest; do
        grep -q "id=\"$chart\"" dom.html || { echo "$page: no chart $chart"; exit 1; }
    done
    [ "$(grep -c '<path class="line' dom.html)" -ge 8 ] || { echo "$page: charts without lines"; exit 1; }
    [ "$(grep -c '<rect class="heat"' dom.html)" -ge 5 ] || { echo "$page: an empty heat map"; exit 1; }
done
