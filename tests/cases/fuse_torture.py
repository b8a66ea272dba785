"""A FUSE mount that is killed again and again, also while it starts, under programs that know what they were told: what was
answered is there after each takeover, what was under way is as before or as after, and in the end the bucket has it all.

fuse_torture.py file|s3 [ROUNDS [SEED]]. The seed chooses what is done and when it is killed, but time is not chosen by it.
"""
import os
import random
import sys
import threading
import time

import fusemount
import kit
import stores

KIND = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 24
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
WRITERS, NAMES = 4, 10


class Writer:
    """One program in a directory of its own. files: what was answered; doing: the call under way, as (names, how it may be)."""

    def __init__(self, top, number):
        self.top, self.rng = os.path.join(top, f"w{number}"), random.Random(SEED * 100 + number)
        self.files, self.doing, self.error, self.calls, self.thread = {}, None, None, 0, None

    def at(self, name):
        return os.path.join(self.top, name)

    def go(self):
        self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while True:
                self.step()
                self.calls += 1
        except OSError as error:
            self.error = error

    def names(self):
        name = f"f{self.rng.randrange(NAMES)}"
        return name, name in self.files

    def step(self):
        name, known = self.names()
        call = self.rng.choice((self.append, self.cut, self.rename, self.remove, self.put)) if known else self.put
        call(name)
        self.doing = None

    def body(self):
        return self.rng.randbytes(self.rng.choice((1, 300, 5000, 40000, 200000)))

    def put(self, name):
        body = self.body()
        self.doing = {name}, None  # whatever may be read of it
        with open(self.at(name), "wb") as f:
            f.write(body)
        self.files[name] = body

    def append(self, name):
        """Safe by fsync, before it is closed."""
        more = self.body()
        self.doing = {name}, None
        fd = os.open(self.at(name), os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, more)
            os.fsync(fd)
            self.files[name] += more
            self.doing = set(), None
        finally:
            os.close(fd)

    def cut(self, name):
        size = self.rng.randrange(len(self.files[name]) + 1)
        self.doing = {name}, [{name: self.files[name]}, {name: self.files[name][:size]}]
        os.truncate(self.at(name), size)
        self.files[name] = self.files[name][:size]

    def rename(self, name):
        to = f"f{self.rng.randrange(NAMES)}"
        if to == name:
            return
        before = {n: self.files[n] for n in (name, to) if n in self.files}
        self.doing = {name, to}, [before, {to: self.files[name]}]
        os.rename(self.at(name), self.at(to))
        self.files[to] = self.files.pop(name)

    def remove(self, name):
        self.doing = {name}, [{name: self.files[name]}, {}]
        os.unlink(self.at(name))
        del self.files[name]

    def verify(self):
        """After a takeover: files becomes what is there."""
        seen = {}
        for name in os.listdir(self.top):
            with open(self.at(name), "rb") as f:
                seen[name] = f.read()
        names, ways = self.doing or (set(), None)
        part = {name: seen[name] for name in names if name in seen}
        if ways is not None and part not in ways:
            raise kit.Failed(f"{self.top}: a call on {sorted(names)} was under way; they are {sizes(part)}, "
                             f"which is none of {[sizes(way) for way in ways]}")
        want = {name: body for name, body in self.files.items() if name not in names}
        have = {name: body for name, body in seen.items() if name not in names}
        for name in want.keys() | have.keys():
            kit.check(have.get(name) == want.get(name), f"{self.at(name)}: {sizes(have).get(name)} bytes, not the {sizes(want).get(name)} "
                                                        "that were answered for, or other ones")
        self.files, self.doing = seen, None


def sizes(files):
    return {name: len(body) for name, body in files.items()}


def main():
    with kit.Case("fuse-torture-" + KIND) as case:
        kit.need("fusermount3", "fuse3")
        case.network()
        store = stores.store(case, KIND)
        rng = random.Random(SEED)
        mount = fusemount.Mount(case, store, ["--quiet-time", "50ms"])
        argv = mount.argv
        writers = [Writer(mount.dir, number) for number in range(WRITERS)]
        mount.start()
        for writer in writers:
            os.mkdir(writer.top)
        for number in range(ROUNDS):
            for writer in writers:
                writer.go()
            time.sleep(rng.uniform(0.02, 0.5))  # how far they get is the point of it
            mount.kill()
            for writer in writers:
                writer.thread.join(60)
                kit.check(not writer.thread.is_alive(), f"{writer.top}: a call has not ended with the process")
                kit.check(writer.error.errno in fusemount.DEAD, f"{writer.top}: {writer.error} before the kill")
            mount.argv = argv[:-2] + ["--commit", ("local", "close", "store")[number % 3]] + argv[-2:]
            if number % 4 == 3:
                mount.spawn()
                time.sleep(rng.uniform(0, 0.3))
                mount.kill()
            mount.start(60)
            for writer in writers:
                writer.verify()
        case.step(f"{ROUNDS} kills, {sum(writer.calls for writer in writers)} calls")
        mount.flush()
        mount.unmount()
        want = {f"{os.path.basename(w.top)}/{name}": body for w in writers for name, body in w.files.items()}
        kit.equal(sorted(key for key in store.keys() if not key.endswith("/")), sorted(want), "objects")
        for key, body in want.items():
            kit.check(store.get(key) == body, f"the object {key} is not the file")
        mount.check_state("--store", *store.options)


main()
