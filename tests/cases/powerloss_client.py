"""The client of powerloss.py: it changes a tree at random, believes every reply, and sends again what got none. Afterwards it knows
what has to be there."""
import random
import threading
import time

import kit
import nfs3
import servers


class Node:
    """What the client was told about one file or directory."""

    def __init__(self, handle, is_dir):
        self.handle, self.is_dir = handle, is_dir
        self.names, self.body = {}, b""


class Session:
    """One client that believes every reply. A call that gets none is sent again, unchanged, after the restart."""

    def __init__(self, case, server, seed, files_max=100000):
        self.case, self.server, self.files_max = case, server, files_max
        self.rng = random.Random(seed)
        self.nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, server.export, limit=30)
        self.root = Node(self.nfs.root, True)
        self.ops, self.resent, self.counter = 0, 0, 0
        self.down = threading.Event()  # set by the killer
        self.up = threading.Event()

    def again(self, proc, why):
        """Waits for the new server and sends the last call once more."""
        kit.check(self.down.wait(10), f"procedure {proc} got no reply although nobody killed the server: {why!r}")
        kit.check(self.up.wait(60), "the server did not come back")
        self.down.clear()
        self.up.clear()
        self.resent += 1
        self.nfs.connect()
        return self.nfs.send()

    def status(self, proc, args):
        """One call to its end, JUKEBOX and crashes included."""
        end = time.monotonic() + 90
        while True:
            try:
                reply = self.nfs.call(100003, proc, args)
            except OSError as error:
                reply = self.again(proc, error)
            status = reply.u32()
            if status != nfs3.JUKEBOX:
                return status, reply
            kit.check(time.monotonic() < end, f"procedure {proc} is told to come back for ever")
            time.sleep(0.2)

    def all(self, want_dir):
        found, queue = [], [self.root]
        while queue:
            node = queue.pop()
            for name, child in node.names.items():
                if child.is_dir == want_dir:
                    found.append((node, name, child))
                if child.is_dir:
                    queue.append(child)
        return found

    def directory(self):
        return self.rng.choice([self.root] + [child for _, _, child in self.all(True)])

    def fresh_name(self):
        self.counter += 1
        return f"n{self.counter}"

    # The changes. Each runs with a client whose nfs() goes through status().

    def do_create(self):
        if len(self.all(False)) >= self.files_max:
            self.do_remove()
            return
        parent, name = self.directory(), self.fresh_name()
        status, handle = self.nfs.create(parent.handle, name)
        kit.equal(status, nfs3.OK, f"CREATE {name}")
        parent.names[name] = Node(handle, False)

    def do_mkdir(self):
        parent, name = self.directory(), self.fresh_name()
        status, handle = self.nfs.mkdir(parent.handle, name)
        kit.equal(status, nfs3.OK, f"MKDIR {name}")
        parent.names[name] = Node(handle, True)

    def do_write(self):
        """UNSTABLE and COMMIT: all of it again if the server went in between, as a client does it."""
        files = self.all(False)
        if not files:
            return
        _, name, node = self.rng.choice(files)
        offset = self.rng.randrange(0, len(node.body) + 1)
        data = self.rng.randbytes(self.rng.choice((10, 1000, 30000, 200000)))
        while True:
            before = self.resent
            for at in range(0, len(data), 65536):
                kit.equal(self.nfs.write(node.handle, offset + at, data[at:at + 65536]), nfs3.OK, f"WRITE {name}")
            kit.equal(self.nfs.commit(node.handle), nfs3.OK, f"COMMIT {name}")
            if self.resent == before:
                break
        node.body = node.body[:offset] + data + node.body[offset + len(data):]

    def do_sync_write(self):
        files = self.all(False)
        if not files:
            return
        _, name, node = self.rng.choice(files)
        data = self.rng.randbytes(self.rng.randrange(1, 5000))
        kit.equal(self.nfs.write(node.handle, 0, data, nfs3.FILE_SYNC), nfs3.OK, f"FILE_SYNC WRITE {name}")
        node.body = data + node.body[len(data):]

    def do_truncate(self):
        files = self.all(False)
        if not files:
            return
        _, name, node = self.rng.choice(files)
        size = self.rng.choice((0, len(node.body) // 2, len(node.body) + 100))
        kit.equal(self.nfs.truncate(node.handle, size), nfs3.OK, f"SETATTR {name}")
        node.body = node.body[:size].ljust(size, b"\0")

    def do_remove(self):
        files = self.all(False)
        if len(files) < 20:
            return
        parent, name, _ = self.rng.choice(files)
        kit.equal(self.nfs.remove(parent.handle, name), nfs3.OK, f"REMOVE {name}")
        del parent.names[name]

    def do_rmdir(self):
        empty = [entry for entry in self.all(True) if not entry[2].names]
        if not empty:
            return
        parent, name, _ = self.rng.choice(empty)
        kit.equal(self.nfs.rmdir(parent.handle, name), nfs3.OK, f"RMDIR {name}")
        del parent.names[name]

    def do_rename(self):
        entries = self.all(False) + self.all(True)
        if not entries:
            return
        parent, name, node = self.rng.choice(entries)
        inside = set()
        queue = [node]
        while queue:
            inner = queue.pop()
            inside.add(id(inner))
            queue += inner.names.values()
        to = self.directory()
        if id(to) in inside:
            return
        files = [n for n, child in to.names.items() if not child.is_dir and child is not node]
        over = self.rng.choice(files) if files and not node.is_dir and self.rng.random() < 0.3 else None
        to_name = over or self.fresh_name()
        kit.equal(self.nfs.rename(parent.handle, name, to.handle, to_name), nfs3.OK, f"RENAME {name} {to_name}")
        del parent.names[name]
        to.names[to_name] = node

    def work(self, stop):
        self.nfs.nfs = self.status
        changes = [self.do_create] * 4 + [self.do_write] * 5 + [self.do_sync_write] * 2 + [
            self.do_mkdir, self.do_truncate, self.do_remove, self.do_remove, self.do_rmdir, self.do_rename, self.do_rename]
        while not stop.is_set():
            self.rng.choice(changes)()
            self.ops += 1

    def verify(self):
        """All that the client was told is true, and nothing else is there."""
        queue = [("", self.root)]
        while queue:
            path, node = queue.pop()
            if not node.is_dir:
                status, attr = self.nfs.getattr(node.handle)
                kit.equal(status, nfs3.OK, f"GETATTR {path}")
                kit.equal(attr["size"], len(node.body), f"size of {path}")
                body = b""
                while len(body) < len(node.body):
                    status, data = self.nfs.read(node.handle, len(body), 1 << 20)
                    kit.equal(status, nfs3.OK, f"READ {path}")
                    kit.check(data, f"READ {path} gives nothing at {len(body)} of {len(node.body)}")
                    body += data
                first = next((i for i, (x, y) in enumerate(zip(body, node.body)) if x != y), None)
                kit.check(body == node.body, f"bytes of {path} ({len(node.body)} long) differ from {first}")
                continue
            names = self.nfs.names(node.handle)
            kit.equal((sorted(set(names) - set(node.names)), sorted(set(node.names) - set(names)), len(names)),
                      ([], [], len(node.names)), f"names in {path or '/'} that are too many, missing, all")
            for name, child in node.names.items():
                status, handle = self.nfs.lookup(node.handle, name)
                kit.equal((status, handle == child.handle), (nfs3.OK, True), f"LOOKUP {path}/{name}: status, same handle")
                queue.append((f"{path}/{name}", child))


def model(node, path=""):
    for name, child in node.names.items():
        yield path + name, child
        if child.is_dir:
            yield from model(child, path + name + "/")
