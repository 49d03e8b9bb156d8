#!/usr/bin/env bash
# Installs the build folder $1 into a fresh prefix and builds the examples against it twice, with
# pkg-config and with find_package; runs them; checks that the archive shows kiwi_* symbols only.
set -euo pipefail
build=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
archive=$(find "$scratch/prefix" -name libkiwi.a)
strangers=$(nm --defined-only --extern-only "$archive" | awk 'NF == 3 && $3 !~ /^kiwi_/ {print $3}')
if [ -n "$strangers" ]; then
    echo "symbols that are not kiwi_*: $strangers" >&2
    exit 1
fi
[ "$(nm --defined-only --extern-only "$archive" | grep -c ' T kiwi_')" -ge 30 ]

# The prefix of the installation counts, not the one of the configuration; and it may be moved.
mv "$scratch/prefix" "$scratch/moved"
export PKG_CONFIG_PATH="$(dirname "$(find "$scratch/moved" -name kiwi.pc)")"
for example in embed event_loop; do
    ${CC:-cc} -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror "$source/examples/$example.c" \
        $(pkg-config --cflags --libs kiwi) -o "$scratch/$example"
    "$scratch/$example" "$scratch/db-$example"
done

mkdir "$scratch/project"
cp "$source/examples/embed.c" "$scratch/project/"
cat >"$scratch/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(foreign C)
find_package(Kiwi REQUIRED)
add_executable(embed embed.c)
target_link_libraries(embed PRIVATE Kiwi::kiwi)
CMAKE
cmake -G Ninja -S "$scratch/project" -B "$scratch/project/build" -DCMAKE_PREFIX_PATH="$scratch/moved" >/dev/null
cmake --build "$scratch/project/build" >/dev/null
output=$("$scratch/project/build/embed" "$scratch/db-cmake")
echo "$output"
grep -q '^a kiwi is green$' <<<"$output"
grep -q '^fruit/plum = blue$' <<<"$output"
