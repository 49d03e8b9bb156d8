# For `source`: a folder of its own, and runs of `kiwidb bench` that must end as told. Needs $program.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
failed() {
    cat out error whole skips 2>/dev/null || true
    echo "$*"
    exit 1
}
# expect EXIT TEXT ARGUMENTS: `kiwidb bench ARGUMENTS` ends with EXIT and says TEXT.
expect() {
    local wanted=$1 text=$2 code=0
    shift 2
    "$program" bench "$@" >out 2>error || code=$?
    [ "$code" -eq "$wanted" ] || failed "$*: exit $code, expected $wanted"
    grep -q -- "$text" out error || failed "$*: no '$text'"
}
