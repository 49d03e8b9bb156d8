#!/usr/bin/env bash
# A disk that fills up while `kiwidb bench` loads: exit 3, the file and the reason named, and a report
# of what was done until then that says it is partial. The disk is a small tmpfs in a mount
# namespace of its own, so nothing is left behind; it needs no root where the host lets a user have
# namespaces.
#   full_disk.sh PROGRAM WORKLOADS
set -euo pipefail
program=$1 workloads=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir disk
if ! unshare --mount --map-root-user mount -t tmpfs -o size=1m tmpfs "$folder/disk" 2>refused; then
    echo "skipped: this host gives no mount namespace for a small disk ($(head -n 1 refused))"
    exit 77
fi
# full SIZE ARGUMENTS: loads more than fits.
full() {
    local size=$1 code=0
    shift
    rm -rf results
    unshare --mount --map-root-user sh -c 'mount -t tmpfs -o size="$1" tmpfs disk && shift && exec "$@"' sh "$size" \
        timeout -s KILL 100 "$program" bench "$workloads/workloada" --no-probe --threads 2 --shards 2 --records 2M --memory 32MiB \
        --durability process --dir disk/data --results results -q "$@" >out 2>err || code=$?
    if [ "$code" -ne 3 ] || ! grep -q 'disk/data/.*No space left on device' err || ! grep -q '^PARTIAL' out \
        || ! grep -q '"verdict": "partial"' results/*/run.json || grep -q '\.c:.*\.c:' out err; then
        cat out err
        echo "$* on $size: exit $code, expected 3 with a partial report"
        exit 1
    fi
}
full 24m                   # no room for the logs: refused before the first operation
for client in attached blocking managed; do
    full 120m --client "$client"
done
full 120m --io-backend posix
grep -q 'stopped by: INSERT of record' out
