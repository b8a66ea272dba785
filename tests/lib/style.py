"""The rules of HACKING.md that a program can check. style.py ROOT prints every breach; exit status 1 if there is one."""
import os
import re
import subprocess
import sys

FUNCTION_MAX = 70
FILE_MAX = 700
TEST_FILE_MAX = 700
CLANG_FORMAT = 14
ROOMS = ("base", "cloud", "cmd", "db", "fs", "fuse", "nfsd", "rpcgen", "tests")
BANNED = {
    "strcpy": "snprintf or mem_strdup", "strcat": "snprintf", "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "getline",
    "atoi": "strtol with its errors looked at", "atol": "strtol with its errors looked at", "alloca": "mem_alloc",
    "strtok": "strsep or strtok_r", "gmtime": "gmtime_r", "localtime": "localtime_r", "asctime": "strftime", "ctime": "strftime",
    "tmpnam": "mkstemp", "mktemp": "mkstemp",
}
# Tests may poll, with a limit; the program waits for events.
WAITS = re.compile(r"(?<![\w.>])(usleep|sleep|nanosleep)\s*\(")
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")


def sources(root):
    for room in ROOMS:
        for top, _, files in os.walk(os.path.join(root, room)):
            yield from (os.path.join(top, f) for f in sorted(files) if f.endswith((".c", ".h")))


def without_comments(text):
    """Comments and the insides of strings blanked, line numbers kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)


def breaches(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    lines = text.splitlines()
    if path.endswith(".c") and not text.startswith("/*"):
        yield 1, "the first line is not a comment that says what the file is for"
    test = "/tests/" in path
    if len(lines) > (TEST_FILE_MAX if test else FILE_MAX):
        yield len(lines), f"the file has more than {TEST_FILE_MAX if test else FILE_MAX} lines"
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            yield number, "unfinished work does not go into the tree"
    began = 0
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        call = CALL.search(line)
        if call:
            yield number, f"{call.group(1)}: use {BANNED[call.group(1)]}"
        if WAITS.search(line) and not test:
            yield number, "a fixed sleep: wait for the event, with a limit"
        if line.startswith("{"):
            began = number
        elif line.startswith("}") and began:
            if number - began - 1 > FUNCTION_MAX:
                yield began, f"the function has {number - began - 1} lines, more than {FUNCTION_MAX}"
            began = 0


def main():
    root, bad = sys.argv[1], 0
    files = list(sources(root))
    for path in files:
        for number, text in breaches(path):
            print(f"{os.path.relpath(path, root)}:{number}: {text}")
            bad += 1
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=True).stdout
    if f"version {CLANG_FORMAT}." not in version:
        print(f"layout not checked: every version of clang-format has its own idea of it, ours is {CLANG_FORMAT}")
    else:
        done = subprocess.run(["clang-format", "--dry-run", *files], cwd=root, capture_output=True, text=True, check=False)
        for path in sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": warning:" in line}):
            print(f"{os.path.relpath(path, root)}: not laid out as clang-format does it")
            bad += 1
    print(f"{len(files)} files, {bad} breaches")
    sys.exit(1 if bad or not files else 0)


main()
