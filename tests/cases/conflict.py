"""Two gateways, one bucket: both change the same object. One version wins, the other is not lost, and nobody is told what is not so.

conflict.py file|s3

Nothing goes to the bucket by itself here (quiet time of an hour): "pailfs flush" says which gateway comes first.
"""
import os
import random
import re
import sys

import gateway
import inject
import kit
import nfs3
import stores

KIND = sys.argv[1]
OPTIONS = ["--quiet-time", "1h", "--attr-ttl", "0s"]
NAME = r"\.conflict-[^/]+-\d{8}T\d{6}\.\d{3}Z"
EIO = 5


class Pair:
    def __init__(self, case):
        self.case = case
        case.network()
        self.store = stores.store(case, KIND)
        self.faults = inject.Faults(case.path("faults"))
        self.a = gateway.Gateway(case, self.store, "a", 2049, OPTIONS, self.faults)
        self.b = gateway.Gateway(case, self.store, "b", 2050, OPTIONS)

    def begin(self, name, files):
        """A directory with these files, in the bucket and known to both."""
        self.case.step(name)
        self.a.mkdir(name)
        for file, body in files.items():
            self.a.write(f"{name}/{file}", body)
        self.a.flush("/" + name)
        for file, body in files.items():
            kit.equal(self.b.handle(f"{name}/{file}")[0], nfs3.OK, "the other gateway sees it")
        return self.a.metric("conflicts_total"), self.b.metric("conflicts_total")

    def bucket(self, top):
        """{name below top: bytes}, without markers of directories."""
        keys = [key for key in self.store.keys() if key.startswith(top + "/") and not key.endswith("/")]
        return {key[len(top) + 1:]: self.store.get(key) for key in keys}

    def check(self, top, want, copies=()):
        """The bucket, and both gateways, show want and conflict copies with these (name, bytes)."""
        seen = self.bucket(top)
        found = {name: seen.pop(name) for name in list(seen) if re.search(NAME + "$", name)}
        kit.equal(seen, want, f"{top} in the bucket")
        kit.equal(sorted((re.sub(NAME + "$", "", name), body) for name, body in found.items()), sorted(copies), "conflict copies")
        everything = want | found
        inside = {}  # {directory: names in it}
        for name in everything:
            while name:
                inside.setdefault(os.path.dirname(name), set()).add(os.path.basename(name))
                name = os.path.dirname(name)
        for gate in (self.a, self.b):
            for directory, names in inside.items():
                kit.wait_for(lambda g=gate, d=directory, n=names: g.names(f"{top}/{d}".rstrip("/")) == sorted(n),
                             f"names in {top}/{directory}: {sorted(names)}", 20)
            for name, body in everything.items():
                kit.equal(gate.read(f"{top}/{name}") == body, True, f"{name} through a gateway")
        return sorted(found)


def both_write(p, top, files, name="x"):
    """Both overwrite it; a comes first."""
    p.begin(top, files)
    p.a.write(f"{top}/{name}", b"by a")
    handle = p.b.write(f"{top}/{name}", b"by b")
    p.a.flush("/" + top)
    p.b.flush("/" + top)
    kit.equal(p.b.nfs.commit(handle), nfs3.OK, "COMMIT of what is beside the winner")
    kit.equal(p.b.body(handle), b"by b", "what was open stays what it was")
    return p.check(top, {**files, name: b"by a"}, [(name, b"by b")])


def said(p, before, copy):
    """Log, metrics and status tell of it."""
    kit.equal((p.a.metric("conflicts_total"), p.b.metric("conflicts_total")), (before[0], before[1] + 1), "counted")
    last = p.b.status()["export"]["last_conflicts"][0]
    kit.equal((last["what"], last["path"], last["kept_as"]),
              ("write", f"{p.b.server.export}/new/x", f"{p.b.server.export}/new/{copy}"), "the last conflict")
    kit.check("/new/" + copy in p.b.run("status").stdout, "the table names it")
    kit.check(f'event=conflict path="/new/x" kept_as="/new/{copy}"' in p.b.server.process.text(), "the log names it")


def writes(p):
    before = p.a.metric("conflicts_total"), p.b.metric("conflicts_total")
    copy, = both_write(p, "new", {})
    said(p, before, copy)
    both_write(p, "old", {"x": b"as it was", "y": b"not touched"})

    before = p.begin("same", {"x": b"as it was"})
    for gate in (p.a, p.b):
        gate.write("same/x", b"the same bytes")
    p.a.flush("/same")
    p.b.flush("/same")
    p.check("same", {"x": b"the same bytes"})
    kit.equal((p.a.metric("conflicts_total"), p.b.metric("conflicts_total")), before, "no conflict: nothing would be lost")

    p.begin("row", {"x": b"0"})
    for number in range(3):
        p.a.write("row/x", b"a%d" % number)
        p.b.write("row/x", b"b%d" % number)
        p.a.flush("/row")
        p.b.flush("/row")
    p.check("row", {"x": b"a2"}, [("x", b"b%d" % number) for number in range(3)])


def parts(p):
    """b changes some bytes of an object that a replaces: of the old one it has what it has read, or it has lost it."""
    noise = random.Random(1)
    old, new = noise.randbytes(3000000), noise.randbytes(2000000)
    for top, warm in (("warm", True), ("cold", False)):
        p.begin(top, {"x": old})
        if warm:
            kit.equal(p.b.read(top + "/x") == old, True, "read before")
        handle = p.b.ok(p.b.handle(top + "/x"))
        p.b.patch(handle, 1000000, b"patch")
        p.a.write(top + "/x", new)
        p.a.flush("/" + top)
        p.b.flush("/" + top)
        whole = old if warm else bytes(len(old))
        p.check(top, {"x": new}, [("x", whole[:1000000] + b"patch" + whole[1000005:])])
        kit.equal([p.b.nfs.commit(handle) for _ in range(2)], [nfs3.OK if warm else EIO, nfs3.OK], "COMMIT tells a loss, once")


    # Sent by parts; the same amount, so that size and name do not tell them apart.
    p.begin("large", {"x": b"as it was"})
    ours, theirs = noise.randbytes(20 << 20), noise.randbytes(20 << 20)
    p.b.write("large/x", ours)
    p.a.write("large/x", theirs)
    p.a.flush("/large")
    p.b.flush("/large")
    p.check("large", {"x": theirs}, [("x", ours)])
    kit.equal(p.store.uploads(), [], "multipart uploads left")


def removals(p):
    before = p.begin("removed", {"x": b"as it was", "keep": b""})
    p.a.remove("removed/x")  # goes to the bucket below, after the other's write
    p.faults.set("store.delete stall")
    p.b.write("removed/x", b"by b")
    p.b.flush("/removed")
    p.faults.set("")
    p.a.flush("/removed")
    p.check("removed", {"x": b"by b", "keep": b""})
    kit.equal(p.a.metric("conflicts_total"), before[0] + 1, "a deletion that did not happen is counted")

    before = p.begin("again", {"x": b"as it was", "keep": b""})
    p.b.write("again/x", b"by b")
    p.a.remove("again/x")
    p.a.flush("/again")
    kit.equal(p.bucket("again"), {"keep": b""}, "removed")
    p.b.flush("/again")
    p.check("again", {"x": b"by b", "keep": b""})


def renames(p):
    before = p.begin("moved", {"x": b"as it was", "keep": b""})
    p.a.rename("moved/x", "moved/y")
    handle = p.a.ok(p.a.handle("moved/y"))
    p.b.write("moved/x", b"by b")
    p.b.flush("/moved")
    p.a.flush("/moved")
    p.check("moved", {"x": b"by b", "keep": b""})
    kit.equal(p.a.nfs.getattr(handle)[0], nfs3.STALE, "the handle of what is nowhere any more")
    kit.equal(p.a.metric("conflicts_total"), before[0] + 1, "a rename that did not happen is counted")

    p.begin("late", {"x": b"as it was", "keep": b""})
    p.b.write("late/x", b"by b")
    p.a.rename("late/x", "late/y")
    p.a.flush("/late")
    p.b.flush("/late")
    p.check("late", {"x": b"by b", "y": b"as it was", "keep": b""})

    # The new name is taken by the other one.
    p.begin("taken", {"x": b"as it was", "keep": b""})
    p.a.rename("taken/x", "taken/y")
    p.b.write("taken/y", b"by b")
    p.b.flush("/taken")
    p.a.flush("/taken")
    p.check("taken", {"y": b"by b", "keep": b""}, [("y", b"as it was")])


def in_flight(p):
    """While an upload of a waits for the store, b replaces the object and a renames or removes the file."""
    for what in ("renamed", "removed"):
        top = "flight-" + what
        p.begin(top, {"x": b"as it was", "keep": b""})
        p.a.write(top + "/x", b"by a")
        p.b.write(top + "/x", b"by b")
        p.faults.set("store.put key=*/x stall")
        p.a.run("flush", f"{p.a.server.export}/{top}", status=1)
        kit.wait_for(lambda: p.faults.counts()["store.put"]["in_flight"] > 0, "the upload waits")
        p.b.flush("/" + top)
        if what == "renamed":
            p.a.rename(top + "/x", top + "/y")
        else:
            p.a.remove(top + "/x")
        p.faults.set("")
        p.a.flush("/" + top)
        p.check(top, {"x": b"by b", "keep": b"", **({"y": b"by a"} if what == "renamed" else {})})


def drains(p):
    """a renames a directory, and its copies hang while b writes below the old name and below the new one."""
    p.begin("drain", {"keep": b""})
    files = {name: name.encode() for name in ("f1", "f2", "f3", "f4")}
    p.a.mkdir("drain/d")
    for name, body in files.items():
        p.a.write("drain/d/" + name, body)
    p.a.flush("/drain")
    for name in files:
        p.b.read("drain/d/" + name)
    p.faults.set("store.copy stall")
    p.a.rename("drain/d", "drain/e")
    kit.equal(p.a.names("drain/e"), sorted(files), "seen under the new name at once")
    p.b.write("drain/d/f1", b"by b")
    directory, name = p.b.split("drain/e")
    kit.check(p.b.nfs.mkdir(directory, name)[0] in (nfs3.OK, nfs3.EXIST), "MKDIR; a real directory may be there already")
    p.b.write("drain/e/f2", b"by b")
    p.b.flush("/drain")
    p.faults.set("")
    p.a.flush("/drain")
    p.check("drain", {"keep": b"", "d/f1": b"by b", "e/f2": b"by b", "e/f3": b"f3", "e/f4": b"f4"}, [("e/f2", b"f2")])


def unconditional(p):
    """A store that knows no conditions: a HEAD just before, and no PUT when it shows another version."""
    p.a.server.stop()
    p.faults.set("caps cond_put=0 cond_copy=0 cond_delete=0")
    p.a.server.start()
    p.a.connect()
    p.begin("plain", {"x": b"as it was", "y": b"as it was", "z": b"as it was", "keep": b""})
    p.a.write("plain/x", b"by a")
    p.b.write("plain/x", b"by b")
    p.b.write("plain/y", b"by b")
    p.faults.set("caps cond_put=0 cond_copy=0 cond_delete=0\nstore.delete stall")
    p.a.remove("plain/y")
    p.b.flush("/plain")
    before = p.faults.counts()
    p.a.flush("/plain/x", status=None)
    after = p.faults.counts()
    kit.check(after["store.head"]["calls"] > before["store.head"]["calls"], "a HEAD before the PUT")
    kit.equal(after["store.put"]["calls"] - before["store.put"]["calls"], 1, "PUTs: of the conflict copy alone")
    p.faults.set("caps cond_put=0 cond_copy=0 cond_delete=0")
    p.a.flush("/plain")
    p.check("plain", {"x": b"by b", "y": b"by b", "z": b"as it was", "keep": b""}, [("x", b"by a")])


def main():
    with kit.Case(f"conflict-{KIND}") as case:
        p = Pair(case)
        for part in (writes, parts, removals, renames, in_flight, drains, unconditional):
            part(p)
        p.a.server.stop()
        p.b.server.stop()


main()
