"""A directory with many objects is renamed while the store takes 20 ms for each request: the rename is one answer, the
content follows by copies, many at a time; the tree is right whenever somebody looks, also across two kill -9; in the
end the bucket holds exactly the new keys.

drain.py file|s3 [COUNT]
"""
import os
import sys
import threading
import time

import inject
import kit
import nfs3
import servers
import stores

KIND = sys.argv[1]
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
DIRS = 20
IN_FLIGHT = 32


def fill(store):
    """The objects, directly in the bucket: {directory: names}."""
    top = store.dir if KIND == "file" else os.path.join(store.dir, stores.BUCKET)
    tree = {"": {"a"}, "a": set()}
    for d in range(DIRS):
        path = f"a/d{d}" if d % 2 == 0 else f"a/d{d - 1}/e{d}"
        parent, name = path.rsplit("/", 1)
        tree[parent].add(name)
        tree[path] = set()
        os.mkdir(os.path.join(top, path)) if os.path.isdir(os.path.join(top, parent)) else os.makedirs(os.path.join(top, path))
        for i in range(COUNT // DIRS):
            name = f"f{i}"
            with open(os.path.join(top, path, name), "wb") as f:
                f.write(path.encode())
            tree[path].add(name)
    return tree


class Reader:
    """Walks the tree all the time and finds what is there, nothing else, under the one name or the other."""

    def __init__(self, server):
        self.server, self.walks, self.problem = server, 0, None
        self.tree, self.top = None, None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def patient(self, proc, args):
        """One call to its end, whatever happens to the server meanwhile."""
        end = time.monotonic() + 90
        while True:
            try:
                reply = self.nfs.call(100003, proc, args)
                status = reply.u32()
                if status != nfs3.JUKEBOX:
                    return status, reply
            except OSError:
                self.reconnect(end)
            kit.check(time.monotonic() < end, f"procedure {proc} is not answered")
            time.sleep(0.05)

    def reconnect(self, end):
        while True:
            try:
                return self.nfs.connect()
            except OSError:
                kit.check(time.monotonic() < end, "the server does not come back")
                time.sleep(0.05)

    def start(self, tree):
        self.tree = tree
        self.nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, self.server.export, limit=60)
        self.nfs.nfs = self.patient
        self.walk(self.nfs.root, "")
        self.thread.start()

    def walk(self, handle, path):
        if path:
            names, want = set(self.nfs.names(handle)), self.tree[path]
        else:
            names, want = set(self.nfs.names(handle)), self.tree[""]
            names = {"a" if name == "b" else name for name in names}
        kit.equal((sorted(names - want)[:10], sorted(want - names)[:10]), ([], []), f"names too many and missing in /{path}")
        for name in sorted(want):
            inner = f"{path}/{name}".lstrip("/")
            if inner not in self.tree:
                continue
            status, child = self.nfs.lookup(handle, name)
            if not path and status == nfs3.NOENT:
                status, child = self.nfs.lookup(handle, "b")
            kit.equal(status, nfs3.OK, f"LOOKUP /{inner}")
            self.walk(child, inner)
        if not path:
            self.walks += 1

    def run(self):
        try:
            while not self.ended.is_set():
                self.walk(self.nfs.root, "")
        except BaseException as error:  # told by the main thread
            self.problem = error

    def check(self):
        if self.problem:
            raise self.problem

    def stop(self):
        self.ended.set()
        self.thread.join(120)
        self.check()


def bucket(store):
    """What is in the bucket: files and directories."""
    top = store.dir if KIND == "file" else os.path.join(store.dir, stores.BUCKET)
    seen = set()
    for where, dirs, files in os.walk(top):
        dirs[:] = [d for d in dirs if not d.startswith(".")]
        seen.update(os.path.relpath(os.path.join(where, name), top) for name in dirs + files)
    return seen


def main():
    with kit.Case(f"drain-{KIND}") as case:
        case.network()
        store = stores.store(case, KIND)
        tree = fill(store)
        want = {("b" + path[1:] if path else "") + "/" + name for path, names in tree.items() for name in names if path}
        want = {path.lstrip("/") for path in want} | {"b"}
        case.step(f"{COUNT} objects in {DIRS} directories")
        faults = inject.Faults(case.path("faults"))
        faults.set("store.* delay=20ms\n")
        server = servers.Pailfs(case, store, ["--quiet-time", "200ms", "--log-level", "debug"], faults=faults).start()
        reader = Reader(server)
        reader.start(tree)
        case.step("listed")
        client = nfs3.Client(kit.HOST, servers.NFS_PORT, server.export)
        client.lookup(client.root, "a")
        client.lookup(client.root, "b")
        began = time.monotonic()
        kit.equal(client.rename(client.root, "a", client.root, "b"), nfs3.OK, "RENAME a b")
        took = time.monotonic() - began
        kit.check(took < 5, f"RENAME took {took:.1f} s")
        case.step(f"RENAME answered in {took * 1000:.1f} ms")
        began = time.monotonic()

        def copied(share):
            def probe():
                reader.check()
                return faults.counts().get("store.copy", {}).get("calls", 0) >= COUNT * share
            return probe
        for share in (0.2, 0.6):
            kit.wait_for(copied(share), f"{share:.0%} are copied", 300)
            server.kill()
            server.start()

        def moved():
            reader.check()
            return copied(1)() and bucket(store) == want
        kit.wait_for(moved, "the bucket holds exactly the new keys", 300, 0.5)
        took = time.monotonic() - began
        walks = reader.walks
        reader.stop()
        counts = faults.counts()
        copies, deletes = counts["store.copy"], counts["store.delete"]
        case.step(f"moved in {took:.1f} s with two crashes, {copies['calls']} copies, {copies['in_flight_max']} at a time at most, "
                  f"{deletes['calls']} requests for {deletes['keys']} deletions; {walks} walks meanwhile")
        kit.check(copies["in_flight_max"] >= IN_FLIGHT, f"only {copies['in_flight_max']} copies at a time")
        kit.check(deletes["calls"] <= deletes["keys"] / 20, f"{deletes['calls']} requests for {deletes['keys']} deletions")
        kit.check(walks > 0, "nobody looked")
        server.stop()
        case.step("stopped")
        kit.equal(bucket(store) == want, True, "the bucket holds exactly the new keys after the end")


main()
