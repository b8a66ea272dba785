"""A large file takes the place of one that was renamed away, and its upload with it the deletion of the old object. Killed when the
store has made the object and pailfs does not know: the file is there afterwards, and in every listing.

absorbed.py file|s3
"""
import sys

import inject
import kit
import nfs3
import servers
import stores

KIND = sys.argv[1]
MIB = 1 << 20


def put(nfs, name, body):
    status, handle = nfs.create(nfs.root, name)
    kit.equal(status, nfs3.OK, f"CREATE {name}")
    for at in range(0, len(body), MIB):
        kit.equal(nfs.write(handle, at, body[at:at + MIB]), nfs3.OK, f"WRITE {name}")
    kit.equal(nfs.commit(handle), nfs3.OK, f"COMMIT {name}")
    return handle


def main():
    with kit.Case(f"absorbed-{KIND}") as case:
        case.network()
        store = stores.store(case, KIND)
        faults = inject.Faults(case.path("faults"))
        options = ["--quiet-time", "50ms", "--attr-ttl", "0", "--log-level", "debug"]
        server = servers.Pailfs(case, store, options, faults=faults).start()
        nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, server.export)
        put(nfs, "name", b"old")
        kit.wait_for(lambda: store.get("name") == b"old", "the old file is in the bucket")

        faults.set("store.delete error=EAGAIN\nstore.mpu_complete nth=1 kill_after")
        kit.equal(nfs.rename(nfs.root, "name", nfs.root, "away"), nfs3.OK, "RENAME")
        body = b"new" * (8 * MIB)
        handle = put(nfs, "name", body)
        kit.wait_for(lambda: not server.process.alive(), "the kill at the completion", 60)
        server.check_state("--store")

        faults.set("store.delete error=EAGAIN")
        server.start()
        nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, server.export)
        kit.wait_for(lambda: "event=flight " in server.process.text(), "somebody looks what became of the upload", 60)
        kit.equal(sorted(nfs.names(nfs.root)), ["away", "name"], "names after the kill")
        status, attr = nfs.getattr(handle)
        kit.equal((status, attr and attr["size"]), (nfs3.OK, len(body)), "the handle of the new file")
        faults.set("")
        server.stop()
        counts = server.check_state("--store")
        kit.equal((counts["dirty"], counts["intents"], counts["unknown"]), (0, 0, 0), "files to upload, deletions, unknown objects")
        kit.equal((store.get("away"), store.get("name") == body), (b"old", True), "both objects")


main()
