"""pailfs check as its users call it: refused while a gateway runs, clean after a kill, the state untouched by it, the bucket compared
with one listing, exit statuses and JSON.

check.py file|s3
"""
import hashlib
import json
import os
import subprocess
import sys

import kit
import nfs3
import servers
import stores

KIND = sys.argv[1]


def run(server, *options):
    return subprocess.run([kit.BIN, "check", *options], env=server.env(), capture_output=True, text=True, check=False)


def picture(directory):
    """Every name in the directory, with size and bytes."""
    seen = {}
    for top, dirs, files in os.walk(directory):
        for name in dirs:
            seen[os.path.join(top, name)] = ""
        for name in files:
            path = os.path.join(top, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    seen[path] = hashlib.file_digest(f, "sha256").hexdigest()
    return seen


def put(nfs, name, body):
    status, handle = nfs.create(nfs.root, name)
    kit.equal(status, nfs3.OK, f"CREATE {name}")
    kit.equal(nfs.write(handle, 0, body, nfs3.FILE_SYNC), nfs3.OK, f"WRITE {name}")


def main():
    with kit.Case(f"check-{KIND}") as case:
        case.network()
        store = stores.store(case, KIND)
        server = servers.Pailfs(case, store, ["--quiet-time", "50ms"])
        state = ["--state-dir", server.state]
        done = run(server, *state)
        kit.equal((done.returncode, "holds no state" in done.stderr), (1, True), f"without a state: {done.stderr}")

        server.start()
        nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, server.export)
        for i in range(5):
            put(nfs, f"f{i}", b"in the bucket" * i)
        kit.wait_for(lambda: len(list(store.keys())) == 5, "five files are in the bucket")
        done = run(server, *state)
        kit.equal((done.returncode, "stop it first" in done.stderr, done.stdout), (1, True, ""), f"while it runs: {done.stderr}")
        server.stop()

        server = servers.Pailfs(case, store, ["--quiet-time", "1h"]).start()
        nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, server.export)
        put(nfs, "late", b"only in the stage")
        server.kill()
        before = picture(server.state)
        counts = server.check_state("--store")
        kit.equal(picture(server.state), before, "the state directory after the check")
        kit.equal([counts[name] for name in ("files", "dirty", "dirty_bytes", "objects", "matched", "unknown")], [6, 1, 17, 5, 5, 0],
                  "files, dirty ones, their bytes, objects, as the state says, unknown")

        store.delete("f1")
        store.put("f2", b"by somebody else")
        store.put("new", b"by somebody else")
        done = run(server, *state, "--store")
        lines = done.stdout.splitlines()
        kit.equal(done.returncode, 1, "exit status with an object gone and one replaced")
        kit.equal(sorted(line.split('"')[1] for line in lines if line.startswith("problem: ")), ["f1", "f2"],
                  "files with a problem: " + done.stdout)
        kit.equal((len([line for line in lines if line.startswith("note: ") and '"new"' in line]), lines[-1].startswith("2 problems: ")),
                  (1, True), "a note, and the summary: " + done.stdout)
        done = run(server, *state, "--store", "--json")
        kinds = [json.loads(line)["kind"] for line in done.stdout.splitlines()]
        kit.equal((done.returncode, sorted(kinds)), (1, ["note", "problem", "problem", "summary"]), "kinds of JSON lines")
        kit.equal(picture(server.state), before, "the state directory after the checks")

        for wrong in (["--bogus"], ["file:///x"], ["--state-dir"], ["--path-style", "--virtual-style"]):
            done = run(server, *wrong)
            kit.equal((done.returncode, len(done.stderr.splitlines())), (2, 1), f"pailfs check {wrong}: {done.stderr}")
        case.step("ten looks at a state directory, which is as it was")


main()
