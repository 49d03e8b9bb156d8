#!/usr/bin/env python3
"""Every test that README.md's "What we promise" names is there.

promises.py SOURCE BUILD: each `name` must be a test of BUILD, each part behind its colon a function of
SOURCE's tests.
"""
import pathlib
import re
import sys

source, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
text = (source / "README.md").read_text()
section = text.split("## What we promise", 1)[1].split("\n## ", 1)[0]
rows = [line for line in section.splitlines() if line.startswith("|")][2:]
tests = set()
for path in build.rglob("CTestTestfile.cmake"): # asking ctest would overwrite the log of the run
    tests.update(re.findall(r"^add_test\(\[?=*\[?(\w+)", path.read_text(), re.M))
functions = set()
for path in (source / "tests").rglob("*.c"):
    functions.update(re.findall(r"^static void (\w+)\(void \*\*state\)", path.read_text(), re.M))
missing = []
for row in rows:
    shown = row.rstrip("|").rsplit("|", 1)[1]
    for item in shown.split(";"):
        name = re.search(r"`([^`]+)`", item)
        if name is None or name.group(1) not in tests:
            missing.append(f"no test in: {item.strip()}")
        for part in item.split(":", 1)[1].split(",") if ":" in item else []:
            if part.strip() not in functions:
                missing.append(f"no function {part.strip()}")
print(f"{len(rows)} promises")
print("\n".join(missing))
sys.exit(1 if missing or len(rows) < 10 else 0)
