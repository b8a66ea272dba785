"""pailfs status, pailfs flush and the control socket: what they say is so, under load, while the store is away, and across a kill."""
import json
import os
import signal
import stat
import subprocess
import threading

import gateway
import inject
import kit
import nfs3
import servers
import stores

LATER = ["--quiet-time", "1h", "--attr-ttl", "1h"]


def curl(gate, *args):
    """HTTP status, headers and body."""
    done = subprocess.run(["curl", "-sS", "-i", "--unix-socket", "control", *args], cwd=gate.state, capture_output=True, text=True,
                          timeout=60, check=True)
    head, _, body = done.stdout.partition("\n\n")
    return int(head.split()[1]), head, body


def quiet(gate, store):
    """Nothing happens by itself: what is missing is counted right, and each flush sends what it is about."""
    kit.check("everything is in the bucket" in gate.run("status", status=0).stdout, "said plainly")
    body = b"x" * 70000
    gate.mkdir("d")
    gate.flush("/d")
    for name in ("d/one", "d/two", "three"):
        gate.write(name, body)
    gate.run("status", status=1)
    status = gate.status()["export"]
    kit.equal((status["in_bucket"], status["files"], status["bytes"], status["deletes"], status["moves"]),
              (False, 3, 3 * len(body), 0, 0), "missing")
    kit.equal([file["path"].rsplit("/", 1)[1] for file in status["oldest"]], ["one", "two", "three"], "oldest first")
    kit.equal(status["oldest"][0]["size"], len(body), "size")
    kit.equal(gate.metric("pending_files"), 3, "metric")
    gate.flush("/d/two")
    kit.equal([store.get(key) == body for key in ("d/one", "d/two", "three")], [False, True, False], "one file")
    gate.flush("/d")
    kit.equal([store.get(key) == body for key in ("d/one", "three")], [True, False], "one directory")
    kit.check("1 files" in gate.run("flush", gate.server.export, status=1).stdout, "without --wait it is on its way")
    gate.run("flush", "--wait", status=0)
    kit.equal(store.get("three") == body, True, "everything")
    kit.check("is in the bucket" in gate.run("flush", status=0).stdout, "nothing to do")
    gate.run("flush", gate.server.export + "/nowhere", status=2)
    gate.run("flush", "/no-such-export", status=2)


def http(gate):
    mode = os.lstat(gate.state + "/control").st_mode
    kit.equal((stat.S_ISSOCK(mode), stat.S_IMODE(mode)), (True, 0o600), "the socket's mode")
    for want, args in ((404, ["http://x/"]), (404, ["http://x/status/more"]), (405, ["http://x/flush"]),
                       (405, ["-X", "DELETE", "http://x/status"]), (400, ["-d", "path=/pail", "http://x/flush"]),
                       (400, ["-X", "POST", "http://x/flush?paht=/pail"]), (400, ["-X", "POST", "http://x/flush?mark=now"]),
                       (400, ["-X", "POST", "http://x/flush?path=/pail/a%ffb"]), (404, ["-X", "POST", "http://x/flush?path=/other"]),
                       (409, ["-X", "POST", "http://x/flush?mark=1-2-3"]), (431, ["-H", "X: " + "y" * 40000, "http://x/status"])):
        status, head, body = curl(gate, *args)
        kit.equal(status, want, " ".join(args)[:100])
        if want != 431:
            kit.check('"error": "' in body, f"no sentence for {args}: {head!r} {body!r}")
        kit.check(want != 405 or "Allow: " in head, "Allow")
    status, head, body = curl(gate, "http://x/metrics")
    kit.check(status == 200 and "text/plain; version=0.0.4" in head, "metrics")
    kinds = [line.split()[2:] for line in body.splitlines() if line.startswith("# TYPE")]
    names = {line.split("{")[0].split(" ")[0] for line in body.splitlines() if not line.startswith("#")}
    kit.equal(names, {name for name, _ in kinds}, "every metric has a type")
    kit.check(all(kind == "counter" for name, kind in kinds if name.endswith("_total")), "totals are counters")
    child = os.fork()
    if child == 0:  # somebody else's process
        os.setgroups([])
        os.setuid(65534)
        try:
            import socket
            socket.socket(socket.AF_UNIX).connect(gate.state + "/control")
        except PermissionError:
            os._exit(0)
        finally:
            os._exit(1)
    kit.equal(os.waitpid(child, 0)[1], 0, "somebody else is refused")


def moves(gate, store, faults):
    """Renames and removals are told while they wait, and waited for."""
    gate.mkdir("m")
    gate.mkdir("m/a")
    for i in range(40):
        gate.write(f"m/a/f{i}", b"%d" % i)
    gate.flush("/m")
    faults.set("store.copy stall\nstore.delete stall\nstore.list key=m/a/ stall")  # the look into the old place
    gate.rename("m/a", "m/b")
    gate.remove("m/b/f0")
    status = kit.wait_for(lambda: (lambda s: s if s["moves"] and s["deletes"] else None)(gate.status()["export"]), "the rename is told")
    kit.equal([(m["path"], m["from"]) for m in status["moving"]], [("/pail/m/b/", "/pail/m/a/")], "what moves where")
    table = gate.run("status", status=1).stdout
    kit.check("/pail/m/a/ to /pail/m/b/" in table, table)
    gate.run("flush", "--timeout", "1s", "/pail/m", status=1)
    faults.set("")
    gate.flush("/m")
    kit.equal(sorted(key for key in store.keys() if key.startswith("m/") and not key.endswith("/")),
              sorted(f"m/b/f{i}" for i in range(1, 40)), "the new names and nothing else, once flush has said so")


def load(gate):
    """Answers are whole and quick while clients write, and what comes later does not keep a flush waiting."""
    stop, trouble = threading.Event(), []

    def write(number):
        try:
            nfs = nfs3.Client(kit.HOST, gate.server.port, gate.server.export)
            directory = nfs.mkdir(nfs.root, f"load{number}")[1]
            count = 0
            while not stop.is_set():
                handle = nfs.create(directory, f"f{count}")[1]
                kit.equal(nfs.write(handle, 0, b"y" * 5000, nfs3.FILE_SYNC), nfs3.OK, "WRITE")
                if count % 3 == 2:
                    kit.equal(nfs.remove(directory, f"f{count - 1}"), nfs3.OK, "REMOVE")
                count += 1
        except Exception as error:  # pylint: disable=broad-except
            trouble.append(error)
    writers = [threading.Thread(target=write, args=(i,)) for i in range(3)]
    for writer in writers:
        writer.start()
    try:
        for i in range(6):
            status = gate.status()
            export = status["export"]
            kit.check(len(export["oldest"]) <= 10 and export["files"] >= len(export["oldest"]), "bounded")
            kit.check(status["nfs"]["connections"] >= 1, "connections")
            gate.metric("pending_bytes")
            gate.flush(f"/load{i % 3}")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    if trouble:
        raise trouble[0]
    gate.run("flush", "--wait", "--timeout", "60s", status=0)
    kit.equal(gate.status()["in_bucket"], True, "all of it")
    kit.check(gate.metric("uploads_total") > 0 and gate.metric("nfs_calls_total") > 0, "counters")


def refused(gate, store, faults):
    """A file that the store refuses is named, and keeps no other waiting."""
    faults.set("store.put key=bad* error=EACCES")
    gate.write("bad", b"refused")
    gate.write("good", b"taken")
    done = gate.run("flush", "--timeout", "2s", status=1)
    kit.check("/pail/bad: Permission denied" in done.stderr and "/pail/good" not in done.stderr, done.stderr)
    kit.equal(store.get("good"), b"taken", "the others are not kept waiting")
    export = gate.status()["export"]
    kit.equal((export["failing"], export["failed"][0]["path"], export["failed"][0]["error"]),
              (1, "/pail/bad", "Permission denied"), "status names it")
    kit.equal((export["errors"][0]["what"], export["errors"][0]["key"]), ("upload", "bad"), "last error")
    kit.check("/pail/bad" in gate.run("status", status=1).stdout, "the table names it")
    faults.set("")
    gate.flush()


def away(gate, store):
    """So is a store that does not answer."""
    gate.write("waits", b"until the store is back")
    store.kill()
    done = gate.run("flush", "--timeout", "2s", status=1)
    kit.check("no request to the store has succeeded since" in done.stderr, done.stderr)
    kit.equal(gate.status()["export"]["store"]["answering"], False, "the store does not answer")
    kit.equal(gate.metric("store_failing"), 1, "metric")
    kit.check(curl(gate, "-X", "POST", "http://x/flush?path=/pail/unknown/name")[0] == 503, "a path that only the store knows")
    store.start()
    gate.flush()
    kit.equal(gate.status()["export"]["store"]["answering"], True, "the store answers again")


def restarts(gate, faults):
    """A killed gateway, its socket left behind; and one that is asked while it stops."""
    gate.write("before", b"the kill")
    gate.server.kill()
    kit.check(os.path.exists(gate.state + "/control"), "the socket is left behind")
    for command in ("status", "flush"):
        kit.check("no gateway is running" in gate.run(command, status=3).stderr, "a sentence")
    gate.server.start()
    gate.connect()
    kit.equal(gate.status()["export"]["files"], 1, "after the restart it is known")
    faults.set("store.put stall")
    gate.server.process.send(signal.SIGTERM)
    kit.wait_for(lambda: "event=stopping" in gate.server.process.text(), "it stops")
    kit.equal(gate.status()["export"]["files"], 1, "it can be asked while it stops")
    faults.set("")
    kit.equal(gate.server.process.child.wait(60), 0, "exit status")
    kit.check(not os.path.exists(gate.state + "/control"), "the socket is gone")
    gate.run("status", status=3)


def other(case, store):
    """A Unix socket's address has 108 bytes; this state directory's path has more."""
    name = "/".join(["a-directory-with-a-long-name"] * 6)
    gate = gateway.Gateway(case, store, name, servers.NFS_PORT, LATER)
    kit.check(len(gate.state) > 150, "a long path")
    gate.run("status", status=0)
    gate.write("long", b"path")
    gate.run("flush", "--wait", status=0)
    away(gate, store)
    gate.server.stop()


def main():
    with kit.Case("status") as case:
        case.network()
        store = stores.store(case, "s3")
        faults = inject.Faults(case.path("faults"))
        gate = gateway.Gateway(case, store, "s", servers.NFS_PORT, LATER, faults)
        for name, part in (("quiet", lambda: quiet(gate, store)), ("http", lambda: http(gate)),
                           ("moves", lambda: moves(gate, store, faults)), ("load", lambda: load(gate)),
                           ("refused", lambda: refused(gate, store, faults)), ("restarts", lambda: restarts(gate, faults)),
                           ("other", lambda: other(case, store))):
            case.step(name)
            part()


main()
