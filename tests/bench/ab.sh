#!/usr/bin/env bash
# Two programs compared leave a folder: verdict, samples and a page with its charts; what was measured
# before an interruption or a failure stays. Programs that print what they are told make verdicts certain.
#   ab.sh PROGRAM SCHEMA
set -euo pipefail
program=$1 schema=$2
checker=$(realpath "$(dirname "$0")/schema_check.py")
source "$(dirname "$0")/expect.sh"
small=(workloada --engine null --records 1k --ops 100k --threads 1 --no-probe)

# says NAME MILLISECONDS [COMMIT]: a program that prints a run of as many milliseconds, after it did what the
# file before.NAME says.
says() {
    cat >"$1" <<EOF
#!/usr/bin/env bash
echo "\$0 \$*" >>'$folder/calls'
seconds=$2
[ ! -e '$folder/before.$1' ] || . '$folder/before.$1'
echo '{"build": {"commit": "${3:-}", "version": "9.8"}, "machine": {"load_average_before": 0.5}, "phases": [
  {"kind": "load", "operations": 7, "seconds": 7},
  {"kind": "run", "operations": 1000000, "seconds": '\$seconds', "usage": {"cpu_user_seconds": '\$seconds',
   "cpu_system_seconds": 0.25, "stolen_seconds": 0.5, "foreign_cores": 0.25, "involuntary_switches": 3}}]}'
EOF
    chmod +x "$1"
}
# whole DIR VERDICT SAMPLES: the only folder in DIR has all files, as their schema says; its path is $run.
whole() {
    run=$(ls -d "$1"/*)
    python3 "$checker" "$schema" "$run/verdict.json" "$run/samples.ndjson" sample \
        || failed "$run: verdict or samples are not as their schema says"
    grep -q "\"verdict\": \"$2\"" "$run/verdict.json" || failed "$run: the verdict is not $2"
    [ "$(wc -l <"$run/samples.ndjson")" -eq "$3" ] || failed "$run: not $3 samples"
    grep -q "\"samples\": $3," "$run/verdict.json" || failed "$run: verdict.json does not count $3 samples"
    grep -q "class=\"verdict[a-z ]*\">$2<" "$run/report.html" || failed "$run: the page does not say $2"
    [ "$(tail -n 1 out)" = "results   $run" ] || failed "$run: the last line does not name it"
}
# charted PAIRS SAMPLES: the page of $run has a dot for each pair of both, and for each sample.
charted() {
    grep -q '<figure id="pairs">' "$run/report.html" || failed "$run: no chart of pairs"
    grep -q '<pre class="data".*>line,pair,value' "$run/report.html" || failed "$run: a chart without data"
    [ "$(grep -o '<circle' "$run/report.html" | wc -l)" -eq $((2 * $1 + $2)) ] || failed "$run: dots are missing"
    [ "$(grep -c "^candidate,[0-9]*,[-0-9.e]*$" "$run/report.html")" -ge "$1" ] || failed "$run: data are missing"
    grep -q '^gate,' "$run/report.html" || failed "$run: no gate in the chart"
}

# The same program twice, as it is: where the folder goes when nothing is said.
expect 0 '^verdict   ' ab "$program" "$program" --gate 50 -- "${small[@]}"
verdict=$(sed -n 's/^verdict   //p' out)
whole results/ab "$verdict" "$(wc -l <results/ab/*/samples.ndjson)"
charted "$(($(wc -l <"$run/samples.ndjson") / 3))" "$(wc -l <"$run/samples.ndjson")"
machine=$(basename "$run" | cut -d- -f4)
[ -s "results/machines/$machine.json" ] || failed "nothing is kept of the machine $machine"
grep -qE '"commit": "([0-9a-f]{40}|unknown)"' "$run/verdict.json" || failed "no commit of the program"

# Slower beyond doubt, twice.
says base 1 aaaaaaaabbbbbbbbccccccccddddddddeeeeeeee
says slow 1.5 1111111122222222333333334444444455555555
expect 6 '^verdict   slower, confirmed' ab ./base ./slow --results=slower -- "a b" "it's"
whole slower slower 60
charted 20 60
case $(basename "$run") in *Z-aaaaaaaa-11111111-"$machine") ;; *) failed "$run: not named by commits and machine" ;; esac
grep -q '>The candidate is slower, in two sessions: +40.00 % CPU' "$run/report.html" || failed "$run: no sentence"
grep -q 'second session' "$run/report.html" || failed "$run: its chart has no second session"
[ ! -e machines ] || failed "a machine is kept beside a folder that is not called ab"
python3 - "$run" <<'EOF' || failed "what is in $run is not what was measured"
import json, shlex, sys
document = json.load(open(sys.argv[1] + "/verdict.json"))
assert shlex.split(document["command"]) == ["kiwidb", "bench", "ab", "./base", "./slow", "--results=slower", "--", "a b", "it's"]
assert document["arguments"] == ["a b", "it's"] and document["exit_code"] == 6
assert document["base"]["program"] == "./base" and document["candidate"]["commit"].startswith("11111111")
assert document["metric"] == "cpu" and document["gate_percent"] == 3
assert [session["pairs"] for session in document["sessions"]] == [10, 10]
for session in document["sessions"]:
    (look,) = session["looks"]
    # 1.75 over 1.25 s: against base and canary, which are alike.
    assert abs(look["change_percent"] - 40) < 1e-6 and look["canary_percent"] == 0, look
    assert look["decision"] == "slower" and look["pairs"] == 10
assert abs(document["smallest_detectable_percent"] - 3) < 1e-6
samples = [json.loads(line) for line in open(sys.argv[1] + "/samples.ndjson")]
assert [(one["session"], one["triple"], one["order"]) for one in samples] == \
    [(session, triple, order) for session in (1, 2) for triple in range(1, 11) for order in range(3)]
for at in range(0, 60, 3):
    assert sorted(one["arm"] for one in samples[at:at + 3]) == ["base", "canary", "candidate"]
for one in samples:
    wall = 1.5 if one["arm"] == "candidate" else 1
    assert one["wall_seconds"] == wall and one["cpu_user_seconds"] == wall and one["cpu_system_seconds"] == 0.25
    assert one["operations"] == 1000000 and abs(one["ns_per_operation"] - 1000 * (wall + 0.25)) < 1e-6
    assert one["stolen_seconds"] == 0.5 and one["foreign_cores"] == 0.25 and one["involuntary_switches"] == 3
    assert one["load_average_before"] == 0.5 and one["process_seconds"] > 0 and one["start_seconds"] > 1.7e9
EOF

# Not slower; wall time.
expect 0 '^verdict   pass' ab ./slow ./base --wall --results pass -- x
whole pass pass 30
grep -q 'The candidate is faster: -33.33 % wall time' "$run/report.html" || failed "$run: no sentence"
grep -q '"metric": "wall"' "$run/verdict.json" || failed "$run: not by wall time"

# The canary says that it is another one; a program that does not name its commit.
says odd 1
echo '[[ $0 != *canary ]] || seconds=1.1' >before.odd
expect 0 '^verdict   unstable' ab ./odd ./odd --results unstable -- x
whole unstable unstable 120
case $(basename "$run") in *Z-unknown-unknown-*) ;; *) failed "$run: commits that nobody told" ;; esac
grep -q 'too unsteady' "$run/report.html" || failed "$run: no sentence"

# Slower in one session only.
says late 1.5
echo '[ "$(grep -c ^./late calls)" -le 11 ] || seconds=1' >before.late
expect 0 '^verdict   undecided: slower once, then pass' ab ./base ./late --results once -- x
whole once undecided 60
grep -q 'Slower in the first session only' "$run/report.html" || failed "$run: no sentence"

# One that fails in its fifth sample.
says weak 1
echo '[ "$(grep -c ^./weak calls)" -le 5 ] || exit 9' >before.weak
expect 3 'weak bench ended with exit code 9' ab ./base ./weak --results failed -- x
whole failed failed "$(wc -l <failed/*/samples.ndjson)"
[ "$(grep -c '"candidate"' "$run/samples.ndjson")" -eq 4 ] || failed "$run: not the samples that were there"
grep -q '"stopped_by": ".*exit code 9' "$run/verdict.json" || failed "$run: nothing says why"
grep -q 'Failed after 4 pairs: .*exit code 9' "$run/report.html" || failed "$run: no sentence"
charted 4 "$(wc -l <"$run/samples.ndjson")"

# Ctrl-C in the third triple, whose candidate would never end by itself.
says stuck 1
mkfifo never
echo '[ "$(grep -c ^./stuck calls)" -le 3 ] || { echo >stuck.now; read -r line <never; }' >before.stuck
"$program" bench ab ./base ./stuck --results cut -- x >out 2>error &
ab=$!
until [ -e stuck.now ]; do
    kill -0 "$ab" || failed "interrupted: it ended too early"
done
kill -INT "$ab"
code=0
wait "$ab" || code=$?
[ "$code" -eq 130 ] || failed "interrupted: exit $code, expected 130"
whole cut interrupted "$(wc -l <cut/*/samples.ndjson)"
[ "$(grep -c '"candidate"' "$run/samples.ndjson")" -eq 2 ] || failed "$run: not the samples that were there"
grep -q '"exit_code": 130' "$run/verdict.json" || failed "$run: not the exit code"
grep -q 'Interrupted after 2 pairs' "$run/report.html" || failed "$run: no sentence"
charted 2 "$(wc -l <"$run/samples.ndjson")"

# A folder that cannot be made is told before a program runs.
: >calls
: >file
for results in file /dev/null/ab; do
    expect 3 "$results" ab ./base ./slow --results "$results" -- x
done
[ ! -s calls ] || failed "programs ran although there was no place for results"
expect 3 'absent cannot be started' ab ./base ./absent --results none -- x
expect 3 'cannot copy ./absent' ab ./absent ./base --results none -- x
[ -z "$(ls none)" ] || failed "a result of what never ran"
expect 2 "did you mean 'results'" ab ./base ./slow --resluts none -- x
expect 2 'wants the name of a folder' ab ./base ./slow --results= -- x
expect 2 'two programs, then --' ab ./base ./slow

if ! command -v chromium >/dev/null; then
    echo "skipped: chromium is not installed (scripts/setup), so the page itself is not opened"
    exit 0
fi
timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-background-networking \
    --user-data-dir="$folder/profile" --enable-logging=stderr --dump-dom "file://$(realpath slower/*/report.html)" \
    >dom.html 2>log
if grep -E 'CONSOLE.*(rror|efused)' log; then
    failed "errors on the console of the page"
fi
grep -q '<figure id="pairs">' dom.html || failed "no chart of pairs in the page as it is shown"
