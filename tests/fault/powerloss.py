#!/usr/bin/env python3
"""After a kill of pailfs-powerloss: makes of its state directory what a power loss would have left.

powerloss.py SIDE [--seed N] [--check PAILFS] [--start PROGRAM ARGS...]

SIDE is the directory PAILFS_POWERLOSS of the process (see powerloss.c). Without a seed everything that was not synced is taken
back; with one, a part of it that the seed chooses has reached the disk all the same: some pages of some writes, some of the
names. Prints what was taken back and ends the record, so that the next process begins a new one.
"""
import argparse
import ctypes
import os
import random
import signal
import struct
import subprocess
import sys

HEAD = struct.Struct("<IIQQQQQ")
MAGIC = 0x4C525750
OPEN, CREATE, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, MKDIR, RMDIR, SYNC_DIR = range(1, 11)
PAGE = 4096


class Change:
    """One that was not synced: of the bytes of a file (old) or of the names of a directory."""

    def __init__(self, kind, off=0, size=0, length=0, old=b"", path="", to="", kept=0):
        self.kind, self.off, self.size, self.length, self.old = kind, off, size, length, old
        self.path, self.to, self.kept = path, to, kept
        self.new, self.new_size = b"", 0


def records(side):
    """The log; a record that the kill cut off has had no call. A process that did not come far has none."""
    try:
        with open(os.path.join(side, "log"), "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return
    at = 0
    while at + HEAD.size <= len(data):
        magic, kind, file, off, size, length, count = HEAD.unpack_from(data, at)
        if magic != MAGIC:
            sys.exit(f"powerloss: the log is damaged at {at}")
        if at + HEAD.size + count > len(data):
            break
        at += HEAD.size + count
        yield kind, file, off, size, length, data[at - count:at]


class State:
    """What the records say: where each file is, and what of it and of each directory was not synced."""

    def __init__(self, side):
        self.side = side
        self.at = {}        # path -> file
        self.path = {}      # file -> path, or that of the link that was kept
        self.alias = {}     # file numbers of a later process -> of an earlier one
        self.content = {}   # file -> changes
        self.names = []     # changes, in order
        self.syncs = 0
        for record in records(side):
            self.add(*record)

    def kept(self, number):
        return os.path.join(self.side, f"kept-{number}")

    def add(self, kind, file, off, size, length, data):
        file = self.alias.get(file, file)
        if kind == OPEN and data.decode() in self.at:
            self.alias[file] = self.at[data.decode()]
        elif kind in (OPEN, CREATE):
            self.at[data.decode()], self.path[file], self.content[file] = file, data.decode(), []
            if kind == CREATE:
                self.names.append(Change(kind, path=data.decode()))
        elif kind in (WRITE, TRUNCATE):
            self.content[file].append(Change(kind, off, size, length, data))
        elif kind == SYNC:
            self.content[file] = []
            self.syncs += 1
        elif kind == UNLINK:
            self.gone(data.decode(), off)
            self.names.append(Change(kind, path=data.decode(), kept=off))
        elif kind == RENAME:
            self.rename(*data.decode().split("\0"), off)
        elif kind in (MKDIR, RMDIR):
            self.names.append(Change(kind, path=data.decode()))
        elif kind == SYNC_DIR:
            self.names = [c for c in self.names if data.decode() not in (os.path.dirname(c.path), os.path.dirname(c.to))]
            self.syncs += 1

    def gone(self, path, kept):
        if path in self.at:
            self.path[self.at.pop(path)] = self.kept(kept)

    def rename(self, path, to, kept):
        if kept:
            self.gone(to, kept)
        if path in self.at:
            self.at[to] = self.at.pop(path)
            self.path[self.at[to]] = to
        self.names.append(Change(RENAME, path=path, to=to, kept=kept))


def undo_content(f, changes):
    """Backwards; what is taken back is remembered, so that some of it can be done again."""
    for c in reversed(changes):
        c.new_size = os.fstat(f.fileno()).st_size
        if c.kind == WRITE:
            f.seek(c.off)
            c.new = f.read(min(c.length, max(0, c.new_size - c.off)))
        f.truncate(c.size)
        f.seek(c.off)
        f.write(c.old)


def redo_content(f, changes, rng):
    """What reached the disk although nobody asked for it."""
    share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    for c in changes:
        if c.kind == TRUNCATE:
            if rng.random() < share:
                f.truncate(c.off)
            continue
        at = c.off
        while at < c.off + len(c.new):
            end = min(c.off + len(c.new), at // PAGE * PAGE + PAGE)
            if rng.random() < share:
                f.seek(at)
                f.write(c.new[at - c.off:end - c.off])
            at = end


def undo_names(state, changes):
    for c in reversed(changes):
        if c.kind == CREATE:
            if os.path.lexists(c.path):
                os.unlink(c.path)
        elif c.kind == UNLINK:
            if not os.path.lexists(c.path):
                os.link(state.kept(c.kept), c.path)
        elif c.kind == RENAME:
            if os.path.lexists(c.to) and not os.path.lexists(c.path):
                os.rename(c.to, c.path)
            if c.kept and not os.path.lexists(c.to):
                os.link(state.kept(c.kept), c.to)
        elif c.kind == MKDIR:
            if os.path.lexists(c.path):
                os.rmdir(c.path)
        elif not os.path.lexists(c.path):
            os.mkdir(c.path, 0o700)


def lose(side, seed=None):
    """Carries it out; the numbers of changes of bytes and of names that were not synced, and of syncs."""
    state = State(side)
    rng = random.Random(seed) if seed is not None else None
    count = 0
    for file, changes in sorted(state.content.items()):
        if not changes or not os.path.exists(state.path[file]):
            continue
        count += len(changes)
        with open(state.path[file], "r+b", buffering=0) as f:
            undo_content(f, changes)
            if rng:
                redo_content(f, changes, rng)
    # Names reach the disk in order.
    undo_names(state, state.names[rng.randint(0, len(state.names)) if rng else 0:])
    names = len(state.names)
    # The log first: without it the rest means nothing, and a kill on the way lets all of it be done again.
    for name in sorted(os.listdir(side), reverse=True):
        if name == "log" or name.startswith("kept-"):
            os.unlink(os.path.join(side, name))
    return count, names, state.syncs


def turn_of(side):
    """How often this was called."""
    path = os.path.join(side, "turns")
    with open(path, "ab") as f:
        f.write(b".")
    return os.path.getsize(path)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def check(program, state):
    """What was left must pass, unless there is nothing yet."""
    done = subprocess.run([program, "check", "--state-dir", state], capture_output=True, text=True, check=False,
                          preexec_fn=die_with_parent)
    if done.returncode != 0 and "holds no state" not in done.stderr:
        sys.exit(f"powerloss: after a power loss pailfs check says: {done.stdout}{done.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--check", metavar="PAILFS", help="run its check on what is left")
    parser.add_argument("--start", nargs=argparse.REMAINDER, metavar="PROGRAM",
                        help="become this program; of each two times with a seed, one takes everything back")
    args = parser.parse_args()
    if args.start and args.seed is not None:
        turn = turn_of(args.side)
        args.seed = args.seed + turn if turn % 2 else None
    print("%d changes of bytes and %d of names were not synced; there were %d syncs" % lose(args.side, args.seed), flush=True)
    if args.check:
        check(args.check, os.environ["PAILFS_POWERLOSS_STATE"])
    if args.start:
        os.execv(args.start[0], args.start)


if __name__ == "__main__":
    main()
