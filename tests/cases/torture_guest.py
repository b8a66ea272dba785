"""The part of torture_kernel.py that runs in the guest: processes that change a tree through the kernel's own client.

torture_guest.py work TOP SIGNS SEED WORKERS    until SIGNS/stop is there; what the tree must be goes to SIGNS/want.N
torture_guest.py verify TOP SIGNS WORKERS       compares TOP with that
"""
import errno
import hashlib
import json
import os
import random
import sys
import traceback

SIZES = (1, 700, 5000, 40000, 200000)


class Dir(dict):
    mode = 0o755


class File:
    def __init__(self):
        self.body, self.mode = bytearray(), 0o644


class Worker:
    """One process: a directory of its own, in which it believes every system call."""

    def __init__(self, top, signs, number, seed):
        self.top, self.signs, self.number = os.path.join(top, f"w{number}"), signs, number
        self.rng = random.Random(seed * 100 + number)
        self.root, self.count, self.log = Dir(), 0, None
        os.mkdir(self.top, 0o755)

    def walk(self, node, path=""):
        for name, child in node.items():
            yield node, name, child, f"{path}{name}"
            if isinstance(child, Dir):
                yield from self.walk(child, f"{path}{name}/")

    def entries(self, kind=object):
        return [e for e in self.walk(self.root) if isinstance(e[2], kind)]

    def place(self):
        """A directory, and a name in it that may be taken."""
        dirs = [(self.root, "")] + [(child, path + "/") for _, _, child, path in self.entries(Dir) if path.count("/") < 5]
        where, path = self.rng.choice(dirs)
        name = f"n{self.rng.randrange(6)}"
        return where, name, path + name

    def full(self, path):
        return os.path.join(self.top, path)

    def expect(self, number, call, *args):
        try:
            call(*args)
        except OSError as error:
            if error.errno == number:
                return
            raise
        raise AssertionError(f"{call.__name__}{args} did not fail with {errno.errorcode[number]}")

    def do_create(self):
        where, name, path = self.place()
        if name in where:
            self.expect(errno.EEXIST, os.open, self.full(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            return
        node = where[name] = File()
        with open(os.open(self.full(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "wb") as f:
            node.body += self.rng.randbytes(self.rng.choice(SIZES))
            f.write(node.body)
            if self.rng.random() < 0.5:
                f.flush()
                os.fsync(f.fileno())

    def do_mkdir(self):
        where, name, path = self.place()
        if name in where:
            self.expect(errno.EEXIST, os.mkdir, self.full(path))
        else:
            os.mkdir(self.full(path), 0o755)
            where[name] = Dir()

    def do_symlink(self):
        where, name, path = self.place()
        target = f"to/{self.rng.randrange(1000)}"
        if name in where:
            self.expect(errno.EEXIST, os.symlink, target, self.full(path))
        else:
            os.symlink(target, self.full(path))
            where[name] = target

    def do_write(self):
        files = self.entries(File)
        if not files:
            return
        _, _, node, path = self.rng.choice(files)
        at = self.rng.choice((0, len(node.body), self.rng.randrange(len(node.body) + 1)))
        data = self.rng.randbytes(self.rng.choice(SIZES))
        node.body[at:at + len(data)] = data
        with open(self.full(path), "r+b", buffering=0) as f:
            f.seek(at)
            f.write(data)
            if self.rng.random() < 0.4:
                os.fsync(f.fileno())

    def do_truncate(self):
        files = self.entries(File)
        if not files:
            return
        _, _, node, path = self.rng.choice(files)
        size = self.rng.choice((0, len(node.body) // 2, len(node.body) + 3000))
        os.truncate(self.full(path), size)
        node.body = node.body[:size].ljust(size, b"\0")

    def do_chmod(self):
        entries = self.entries((Dir, File))
        if entries:
            _, _, node, path = self.rng.choice(entries)
            node.mode = 0o700 + self.rng.randrange(64)
            os.chmod(self.full(path), node.mode)

    def do_remove(self):
        entries = self.entries()
        if not entries:
            return
        where, name, node, path = self.rng.choice(entries)
        if isinstance(node, Dir) and node:
            self.expect(errno.ENOTEMPTY, os.rmdir, self.full(path))
            return
        (os.rmdir if isinstance(node, Dir) else os.unlink)(self.full(path))
        del where[name]

    def do_rename(self):
        entries = self.entries()
        if not entries:
            return
        where, name, node, path = self.rng.choice(entries)
        to, to_name, to_path = self.place()
        old = to.get(to_name)
        if old is node or f"{to_path}/".startswith(f"{path}/") or path.startswith(f"{to_path}/"):
            return
        if old is not None and isinstance(old, Dir) != isinstance(node, Dir):
            self.expect(errno.EISDIR if isinstance(old, Dir) else errno.ENOTDIR, os.rename, self.full(path), self.full(to_path))
            return
        if isinstance(old, Dir) and old:
            self.expect(errno.ENOTEMPTY, os.rename, self.full(path), self.full(to_path))
            return
        os.rename(self.full(path), self.full(to_path))
        del where[name]
        to[to_name] = node

    def do_read(self):
        where, _, path = self.place()
        path = os.path.dirname(path)
        names = sorted(name for name in os.listdir(self.full(path)) if name != "log")
        if names != sorted(where):
            raise AssertionError(f"{path or '/'} lists {names}, want {sorted(where)}")
        files = self.entries(File)
        if files:
            _, _, node, path = self.rng.choice(files)
            self.same(node, path)

    def same(self, node, path):
        with open(self.full(path), "rb") as f:
            body = f.read()
        if body != node.body:
            at = next((i for i, (x, y) in enumerate(zip(body, node.body)) if x != y), min(len(body), len(node.body)))
            raise AssertionError(f"{path}: {len(body)} bytes, want {len(node.body)}; different from byte {at}")

    def do_log(self):
        """A file that stays open from one crash to the next."""
        if self.log is None:
            self.log = (open(self.full("log"), "ab", buffering=0), File())
        f, node = self.log
        data = self.rng.randbytes(300)
        f.write(data)
        node.body += data

    def work(self):
        changes = ([self.do_create] * 5 + [self.do_write] * 5 + [self.do_rename] * 6 + [self.do_mkdir] * 2 + [self.do_read] * 2 +
                   [self.do_truncate, self.do_chmod, self.do_symlink, self.do_log])
        while not os.path.exists(f"{self.signs}/stop"):
            many = len(self.entries()) > 60
            self.rng.choice(changes + [self.do_remove] * (20 if many else 4))()
            self.count += 1
            if self.count % 5 == 0:
                with open(f"{self.signs}/count.{self.number}", "w") as f:
                    f.write(str(self.count))
        if self.log:
            os.fsync(self.log[0].fileno())
            self.log[0].close()
            self.root["log"] = self.log[1]
        want = [("dir", f"w{self.number}", 0o755, 0, "", "")]
        for _, _, node, path in self.walk(self.root):
            path = f"w{self.number}/{path}"
            if isinstance(node, Dir):
                want.append(("dir", path, node.mode, 0, "", ""))
            elif isinstance(node, File):
                want.append(("file", path, node.mode, len(node.body), hashlib.sha256(node.body).hexdigest(), ""))
            else:
                want.append(("link", path, -1, 0, "", node))
        with open(f"{self.signs}/want.{self.number}", "w") as f:
            json.dump(want, f)


def work(top, signs, seed, workers):
    children = []
    for number in range(workers):
        pid = os.fork()
        if pid == 0:
            try:
                Worker(top, signs, number, seed).work()
            except BaseException:
                with open(f"{signs}/failed", "a") as f:
                    f.write(f"process {number}: {traceback.format_exc()}\n")
                os._exit(1)
            os._exit(0)
        children.append(pid)
    return 1 if any(os.waitpid(pid, 0)[1] for pid in children) else 0


def verify(top, signs, workers):
    wrong, want = [], []
    for number in range(workers):
        with open(f"{signs}/want.{number}") as f:
            want += json.load(f)
    paths = {path for _, path, *_ in want}
    for kind, path, mode, size, sha, target in want:
        full = os.path.join(top, path)
        try:
            if kind == "dir":
                more = [n for n in os.listdir(full) if f"{path}/{n}" not in paths]
                wrong += [f"{path}/{n} is too many" for n in more]
            elif kind == "link":
                if os.readlink(full) != target:
                    wrong.append(f"{path}: points to {os.readlink(full)}")
            else:
                with open(full, "rb") as f:
                    body = f.read()
                if hashlib.sha256(body).hexdigest() != sha:
                    wrong.append(f"{path}: other bytes, {len(body)} of {size}")
            if mode >= 0 and os.lstat(full).st_mode & 0o7777 != mode:
                wrong.append(f"{path}: mode {os.lstat(full).st_mode:o}, want {mode:o}")
        except OSError as error:
            wrong.append(f"{path}: {error}")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if sys.argv[1] == "work":
    sys.exit(work(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
sys.exit(verify(sys.argv[2], sys.argv[3], int(sys.argv[4])))
