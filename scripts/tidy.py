#!/usr/bin/env python3
"""The house rules that a tool can check: the ladder of rooms, banned calls, sizes, READMEs, names.

    scripts/tidy.py              checks the tree, prints every finding, exits 1 when there is one
    scripts/tidy.py --symbols B  checks the room archives of build folder B: no file, time, thread or
                                 randomness call outside io/
    scripts/tidy.py --self-test  shows that each check can fail
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE_ENDINGS = (".c", ".h")

# Calls that only io/ may make. Programs (app, bench, tests, examples) are not part of the library.
SYSTEM_SYMBOLS = re.compile(
    r"^(open|openat|close|read|write|pread|pwrite|preadv|pwritev2?|fopen|fread|fwrite|fclose|fsync|"
    r"fdatasync|ftruncate|fallocate|unlink|unlinkat|rename|renameat|mkdir|opendir|readdir|stat|fstat|"
    r"mmap|munmap|madvise|ioctl|socket|poll|epoll_\w+|eventfd|clock_gettime|gettimeofday|time|"
    r"nanosleep|clock_nanosleep|usleep|sleep|rand|random|getrandom|srand|pthread_\w+|sched_\w+|syscall|"
    r"fork|io_uring_\w+|futex)(@.*)?$")

BANNED_CALLS = {
    "malloc": "memory_allocate", "calloc": "memory_allocate_zeroed", "realloc": "memory_resize",
    "free": "memory_free", "strcpy": "memcpy with a size", "strcat": "snprintf",
    "sprintf": "snprintf", "rand": "io_random", "usleep": "a timeout of io_queue_poll",
    "alloca": "an array or the heap",
}
ENGINE = ("core", "io", "cache", "compact")
FILE_LINES_MAX = 900
LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 100


def ladder_read(text):
    rungs = {}
    for number, line in enumerate(l for l in text.splitlines() if l.strip() and not l.startswith("#")):
        for room in line.split():
            rungs[room] = number
    return rungs


def room_of(path, rungs):
    best = None
    for room in rungs:
        if path.startswith(room + "/") and (best is None or len(room) > len(best)):
            best = room
    return best


def include_finding(path, target, rungs):
    """None, or why the file at path may not include target (both from the root)."""
    here = room_of(path, rungs)
    there = room_of(target, rungs)
    if here is None or there is None or here == there:
        return None
    if here == "app" and there not in ("include/kiwi",):
        return f"app sees include/kiwi only, not {there}"
    if path.startswith("bench/micro/"):
        return None
    if here == "bench" and there not in ("include/kiwi", "workloads", "core/base"):
        return f"bench sees include/kiwi, workloads and core/base only, not {there}"
    if rungs[there] >= rungs[here]:
        return f"{here} (rung {rungs[here]}) may not include {there} (rung {rungs[there]})"
    return None


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def call_findings(path, text):
    findings = []
    code = strip_comments(text)
    for name, instead in BANNED_CALLS.items():
        # memory.c is the door; the simulated machine must not notice failing allocations of tests.
        if (name in ("malloc", "calloc", "realloc", "free")
                and path in ("core/base/memory.c", "io/simulated_disk.c")):
            continue
        for match in re.finditer(rf"(?<![\w.>]){name}\s*\(", code):
            line = code.count("\n", 0, match.start()) + 1
            findings.append(f"{path}:{line}: {name}: use {instead}")
    if "volatile" in code and "asm" not in code:
        findings.append(f"{path}: volatile is no tool between threads: use io/mailbox.h")
    return findings


def size_findings(path, text):
    findings = []
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        findings.append(f"{path}: {len(lines)} lines, at most {FILE_LINES_MAX}: split by subject")
    for number, line in enumerate(lines, 1):
        if len(line.expandtabs(8)) > LINE_COLUMNS_MAX and "http" not in line:
            findings.append(f"{path}:{number}: {len(line)} columns, at most {LINE_COLUMNS_MAX}")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start > FUNCTION_LINES_MAX:
                findings.append(f"{path}:{start}: a function of {number - start} lines, at most {FUNCTION_LINES_MAX}")
            start = None
    return findings


def word_findings(path, text):
    findings = []
    for match in re.finditer(r"\b(TODO|FIXME|XXX|HACK)\b(?!\s*\(#\d+\))", text):
        line = text.count("\n", 0, match.start()) + 1
        findings.append(f"{path}:{line}: {match.group(1)} without an issue number")
    name = os.path.basename(path)
    if re.search(r"(^|_)(util|utils|helper|helpers|manager|misc|common)(_|\.)", name):
        findings.append(f"{path}: this file name says nothing")
    return findings


def file_findings(path, text, rungs):
    findings = []
    for match in re.finditer(r'^#include [<"]([^>"]+)[>"]', text, flags=re.M):
        target = match.group(1)
        if target.startswith("kiwi/"):
            target = "include/" + target
        why = include_finding(path, target, rungs)
        if why:
            line = text.count("\n", 0, match.start()) + 1
            findings.append(f"{path}:{line}: {why}")
    if path.split("/")[0] in ENGINE:
        findings += call_findings(path, text)
    if path.endswith(".h") and "#pragma once" not in text:
        findings.append(f"{path}: a header without #pragma once")
    return findings + size_findings(path, text) + word_findings(path, text)


def tree_files():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [os.path.relpath(os.path.join(folder, name), ROOT)
                 for folder, _, files in os.walk(ROOT) if "/build" not in folder for name in files]
    return [n for n in names if os.path.exists(os.path.join(ROOT, n))]


def source_read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def tree_findings():
    with open(os.path.join(ROOT, "scripts/layers.txt")) as file:
        rungs = ladder_read(file.read())
    findings = []
    names = tree_files()
    for name in names:
        if not name.endswith(SOURCE_ENDINGS):
            continue
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            findings += file_findings(name, file.read(), rungs)
    with open(os.path.join(ROOT, "tests/mutations/list"), encoding="utf-8") as file:
        findings += mutation_findings(file.read(), source_read)
    for room in rungs:
        if room != "include/kiwi" and any(n.startswith(room + "/") and n.endswith(".c") for n in names):
            if room + "/README.md" not in names:
                findings.append(f"{room}: no README.md")
    return findings


def mutation_findings(text, source_of):
    """A planted bug of scripts/mutate stands on a line that is there once."""
    findings = []
    for name, path, before in re.findall(r"^name: (.*)\nfile: (.*)\nbefore: (.*)$", text, re.MULTILINE):
        count = source_of(path).split("\n").count(before)
        if count != 1:
            findings.append(f"tests/mutations/list: '{name}': its line is {count} times in {path}")
    return findings


def symbol_findings(build):
    findings = []
    for folder, _, files in os.walk(build):
        for name in files:
            match = re.match(r"libroom_(\w+)\.a$", name)
            if not match or match.group(1) in ("io", "workloads", "bench", "app"):
                continue
            listed = subprocess.run(["nm", "-u", os.path.join(folder, name)], capture_output=True, text=True)
            for line in listed.stdout.splitlines():
                words = line.split()
                if len(words) == 2 and words[0] == "U" and SYSTEM_SYMBOLS.match(words[1]):
                    findings.append(f"room {match.group(1)} calls {words[1]}: only io/ may")
    return findings


def self_test():
    rungs = ladder_read("# ladder\ninclude/kiwi\ncore/base\nio\ncore/shard\napp bench\n")
    checks = [
        include_finding("io/x.c", "core/shard/shard.h", rungs),
        include_finding("app/x.c", "core/base/base.h", rungs),
        include_finding("bench/x.c", "io/io.h", rungs),
        call_findings("core/x.c", "void f(void) { free(p); }"),
        call_findings("core/x.c", "x = sprintf(a);"),
        size_findings("x.c", "x" * 101),
        size_findings("x.c", "\n" * 901),
        size_findings("x.c", "{\n" + "\n" * 101 + "}\n"),
        word_findings("x.c", "/* TO" + "DO */"),
        word_findings("io/" + "util.c", ""),
        SYSTEM_SYMBOLS.match("pthread_create@GLIBC_2.34"),
        mutation_findings("name: n\nfile: f\nbefore:  a;\nafter:  b;\n", lambda path: "c;\n"),
        mutation_findings("name: n\nfile: f\nbefore:  a;\nafter:  b;\n", lambda path: " a;\n a;\n"),
    ]
    silent = [
        include_finding("core/shard/x.c", "io/io.h", rungs),
        include_finding("io/x.c", "io/io.h", rungs),
        call_findings("core/x.c", "memory_free(p); x->free(y); /* free(z) */"),
        size_findings("x.c", "short\n"),
        mutation_findings("name: n\nfile: f\nbefore:  a;\nafter:  b;\n", lambda path: "x\n a;\n"),
    ]
    bad = [i for i, c in enumerate(checks) if not c] + [100 + i for i, c in enumerate(silent) if c]
    print("self-test:", "failed " + str(bad) if bad else "every check can fail, none cries wolf")
    return 1 if bad else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    findings = symbol_findings(sys.argv[2]) if sys.argv[1:2] == ["--symbols"] else tree_findings()
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
