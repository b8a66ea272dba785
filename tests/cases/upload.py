"""Uploads in parts, cut off: what the store has of a file is not sent again, old and new never mix, and nothing is left
lying in the bucket, while another program's upload there stays.

upload.py file|s3 [ROUNDS [SEED]]
"""
import os
import random
import sqlite3
import struct
import sys
import time

import inject
import kit
import nfs3
import servers
import stores

KIND = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 12
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 20240504
MIB, PART = 1 << 20, 8 << 20
STRANGER = "of-others/big"


def part_count(size):
    return (size + PART - 1) // PART


class Rig:
    """The parts in flight are few with that little memory, so that some are recorded before the kill."""

    def __init__(self, case):
        self.case = case
        self.store = stores.store(case, KIND)
        self.faults = inject.Faults(case.path("faults"))
        self.server = servers.Pailfs(case, self.store, ["--quiet-time", "100ms", "--log-level", "debug", "--memory-limit", "128M"], faults=self.faults)
        self.rng = random.Random(71)
        self.nfs = None

    def start(self, rules=""):
        self.faults.set(rules)
        self.server.start()
        self.nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, self.server.export)

    def dies(self):
        """Waits for a rule to kill it."""
        kit.wait_for(lambda: not self.server.process.alive(), "the kill that the rules say", 90)

    def calls(self, point):
        return self.faults.counts().get("store." + point, {}).get("calls", 0)

    def recorded(self):
        """Parts in the database, by upload. What the dead process wrote last may not be seen, as this must not repair anything."""
        with sqlite3.connect(f"file:{self.server.state}/pailfs.db?mode=ro", uri=True) as db:
            return dict(db.execute("SELECT upload, count(*) FROM part GROUP BY upload").fetchall())

    def rows(self):
        with sqlite3.connect(f"file:{self.server.state}/pailfs.db?mode=ro", uri=True) as db:
            return db.execute("SELECT inode, key FROM upload").fetchall()

    def create(self, name):
        status, handle = self.nfs.create(self.nfs.root, name)
        kit.equal(status, nfs3.OK, "CREATE")
        return handle

    def write(self, handle, offset, data):
        for at in range(0, len(data), MIB):
            kit.equal(self.nfs.write(handle, offset + at, data[at:at + MIB]), nfs3.OK, "WRITE")
        status, _ = self.nfs.nfs(21, nfs3.opaque(handle) + struct.pack(">QI", 0, 0))
        kit.equal(status, nfs3.OK, "COMMIT")

    def file(self, name, size):
        body = bytearray(self.rng.randbytes(size))
        handle = self.create(name)
        self.write(handle, 0, body)
        return handle, body

    def mtime_ns(self, handle):
        status, reply = self.nfs.nfs(1, nfs3.opaque(handle))
        kit.equal(status, nfs3.OK, "GETATTR")
        seconds, nanoseconds = struct.unpack_from(">II", reply.data, reply.at + 68)
        return seconds * 10**9 + nanoseconds

    def bucket_has(self, name, body):
        return self.store.get(name) == body

    def arrives(self, name, body):
        kit.wait_for(lambda: self.idle() and self.bucket_has(name, body), f"{name} in the bucket, whole", 90, 0.2)

    def idle(self):
        return not self.rows()

    def strangers(self):
        """The multipart uploads in the bucket but those of pailfs."""
        if KIND == "file":
            return [n for n in os.listdir(self.store.dir + "/.pailfs-tmp") if n.startswith("m-")]
        return [u["UploadId"] for u in self.store.uploads()]


def begin_strangers(rig):
    """Somebody else's upload to the same bucket, with one part in it."""
    if KIND == "file":
        rig.stranger = "m-" + "ab" * 16
        path = f"{rig.store.dir}/.pailfs-tmp/{rig.stranger}"
        os.makedirs(path)
        with open(path + "/info", "wb") as f:
            f.write(STRANGER.encode() + b"\0")
        return
    begun = rig.store.client.create_multipart_upload(Bucket=stores.BUCKET, Key=STRANGER)
    rig.stranger = begun["UploadId"]
    rig.store.client.upload_part(Bucket=stores.BUCKET, Key=STRANGER, UploadId=rig.stranger, PartNumber=1, Body=b"x" * 1000)


def killed_twice(rig):
    """208 MiB and more; killed after some parts, and again after some more."""
    size = 208 * MIB + 12345
    rig.start("store.mpu_part delay=100ms\nstore.mpu_part nth=11 kill_after")
    _, body = rig.file("large", size)
    rig.dies()
    first = sum(rig.recorded().values())
    kit.check(0 < first < part_count(size), f"{first} parts were recorded")
    before = rig.calls("mpu_part")
    rig.start("store.mpu_part delay=100ms\nstore.mpu_part nth=7 kill_after")
    rig.dies()
    second = sum(rig.recorded().values())
    kit.check(first < second < part_count(size), f"{second} parts after {first}")
    kit.check(rig.calls("mpu_part") - before <= part_count(size) - first, "parts were sent again")
    before = rig.calls("mpu_part")
    rig.start()
    rig.arrives("large", body)
    kit.check(0 < rig.calls("mpu_part") - before <= part_count(size) - second, "parts were sent again")
    kit.equal(rig.calls("mpu_begin"), 1, "uploads that were begun")
    kit.equal(rig.strangers(), [rig.stranger], "uploads in the bucket")
    rig.case.step(f"killed twice: {first}, then {second} of {part_count(size)} parts were there")


def written_between(rig):
    """Other content in some parts, written after the kill: the rest of the upload is used."""
    size = 80 * MIB
    begun = rig.calls("mpu_begin")
    rig.faults.set("store.mpu_part delay=100ms\nstore.mpu_part nth=7 kill_after")
    handle, body = rig.file("changed", size)
    rig.dies()
    recorded = sum(rig.recorded().values())
    rig.start("store.mpu_part,store.mpu_complete delay=2s")  # time to write before the end
    piece = rig.rng.randbytes(3000)
    for at in (100, 5 * PART - 1000):
        rig.write(handle, at, piece)
        body[at:at + len(piece)] = piece
    rig.server.kill()
    again = sum(rig.recorded().values())
    kit.check(again >= recorded, f"{again} parts after {recorded}")
    before = rig.calls("mpu_part")
    rig.start()
    rig.arrives("changed", body)
    # Changed are parts 1, 5 and 6; the store had the others, and sends them as they are.
    kit.check(rig.calls("mpu_part") - before <= part_count(size) - again + 3, "parts that had not changed were sent again")
    kit.equal(rig.calls("mpu_begin") - begun, 1, "uploads that were begun")
    rig.case.step(f"written to between the runs: {again} of {part_count(size)} parts were there")


def written_during(rig):
    """A write while the parts are on their way: the object that appears is one version, then the other."""
    size = 40 * MIB
    rig.faults.set("store.mpu_part delay=300ms")
    parts = rig.calls("mpu_part")
    handle, body = rig.file("during", size)
    kit.wait_for(lambda: rig.calls("mpu_part") > parts, "the upload's begin")
    piece = rig.rng.randbytes(70000)
    rig.write(handle, 2 * PART + 5, piece)
    body[2 * PART + 5:2 * PART + 5 + len(piece)] = piece
    rig.faults.set("")
    rig.arrives("during", body)
    rig.case.step("written to while it was uploaded")


def completion_cut(rig):
    """Killed before and after the completion is carried out."""
    size = 24 * MIB
    for what in ("kill", "kill_after"):
        rig.faults.set(f"store.mpu_complete nth=1 {what}")
        _, body = rig.file(f"end-{what}", size)
        rig.dies()
        parts, begun = rig.calls("mpu_part"), rig.calls("mpu_begin")
        rig.start()
        rig.arrives(f"end-{what}", body)
        kit.equal((rig.calls("mpu_part"), rig.calls("mpu_begin")), (parts, begun), "parts and uploads after the last moment")
    rig.case.step("killed at the completion")


def completion_fenced(rig):
    """A completion may be on the wire, and the content is another meanwhile: that upload is aborted before the next begins."""
    size = 24 * MIB
    rig.faults.set("store.mpu_complete error=EAGAIN")
    complete = rig.calls("mpu_complete")
    handle, body = rig.file("fenced", size)
    kit.wait_for(lambda: rig.calls("mpu_complete") > complete, "the completion")
    rig.server.kill()
    begun, aborted = rig.calls("mpu_begin"), rig.calls("mpu_abort")
    rig.start("store.mpu_complete error=EAGAIN")
    piece = rig.rng.randbytes(5000)
    rig.write(handle, 3, piece)
    body[3:3 + len(piece)] = piece
    kit.wait_for(lambda: rig.calls("mpu_begin") > begun, "the next upload", 60)
    kit.check(rig.calls("mpu_abort") > aborted, "the next upload was begun before the one before it was aborted")
    rig.faults.set("")
    rig.arrives("fenced", body)
    rig.case.step("overwritten with a completion on the wire")


def forgotten_by_the_store(rig):
    """The store has thrown the upload away: once more from the start."""
    size = 40 * MIB
    rig.faults.set("store.mpu_part nth=4 kill_after")
    _, body = rig.file("forgotten", size)
    rig.dies()
    throw_away(rig)
    rig.start()
    rig.arrives("forgotten", body)
    rig.case.step("the store forgot the upload")


def throw_away(rig):
    if KIND == "s3":
        for upload in rig.store.uploads():
            if upload["UploadId"] != rig.stranger:
                rig.store.client.abort_multipart_upload(Bucket=stores.BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        return
    top = rig.store.dir + "/.pailfs-tmp"
    for name in rig.strangers():
        if name != rig.stranger:
            for left in os.listdir(f"{top}/{name}"):
                os.unlink(f"{top}/{name}/{left}")
            os.rmdir(f"{top}/{name}")


def removed(rig):
    """The file is removed while its upload lies half done; the abort fails, and is not forgotten over a kill."""
    rig.faults.set("store.mpu_part nth=4 kill_after")
    rig.file("removed", 40 * MIB)
    rig.dies()
    rig.start("store.mpu_part delay=60s\nstore.mpu_abort error=EAGAIN")
    kit.equal(rig.nfs.remove(rig.nfs.root, "removed"), nfs3.OK, "REMOVE")
    kit.wait_for(lambda: [row for row in rig.rows() if row[0] == 0] or rig.rows(), "the upload's row")
    rig.server.kill()
    kit.equal([key for inode, key in rig.rows()], ["removed"], "uploads to abort")
    rig.start()
    kit.wait_for(rig.idle, "the abort")
    kit.equal(rig.strangers(), [rig.stranger], "uploads in the bucket")
    kit.check("removed" not in rig.store.view(), "the removed file is in the bucket")
    rig.case.step("removed with its upload half done")


def late(rig):
    """An upload of an older version arrives when the store was already asked for it: it is known again, and written over."""
    rig.faults.set("store.put nth=1 error=EAGAIN\nstore.put nth=2 delay=4s")
    puts, old, new = rig.calls("put"), rig.rng.randbytes(5000), rig.rng.randbytes(2000)
    handle = rig.create("late")
    rig.write(handle, 0, old)
    mtime_ns = rig.mtime_ns(handle)
    kit.wait_for(lambda: rig.calls("put") > puts, "the first upload")
    rig.write(handle, 1000, new)
    kit.wait_for(lambda: rig.calls("put") > puts + 1, "the second upload")  # it waits before it is carried out
    rig.store.put("late", old, {"file-permissions": "0100644", "file-mtime": f"{mtime_ns}ns"})
    rig.arrives("late", old[:1000] + new + old[3000:])
    kit.equal([key for key in rig.store.keys() if "conflict" in key], [], "conflicts")
    kit.check("event=flight_late" in rig.server.process.text(), "it was not seen to be late")
    rig.case.step("an older upload was late")


class Shaken:
    """Large files are written to, cut and renamed while anything goes wrong with their uploads; a model says what is right."""

    RULES = (
        "store.mpu_part nth={n} kill", "store.mpu_part nth={n} kill_after", "store.mpu_copy nth={n} kill_after",
        "store.mpu_begin nth=1 kill", "store.mpu_begin nth=1 kill_after", "store.mpu_complete nth=1 kill",
        "store.mpu_complete nth=1 kill_after", "store.mpu_complete nth=1 lose", "store.mpu_complete nth=1 error=EAGAIN",
        "store.mpu_part p=0.3 seed={n} error=EAGAIN", "store.mpu_part nth={n} error=ENOENT", "store.mpu_part nth={n} twice",
        "store.mpu_complete nth=1 error=EINVAL", "store.mpu_abort p=0.5 seed={n} error=EAGAIN",
        "store.mpu_abort nth=1 kill_after", "store.copy nth=1 kill_after", "db.sync nth={n}{n} kill", "store.get nth={n} error=EAGAIN")

    def __init__(self, rig):
        self.rig, self.rng = rig, random.Random(SEED)
        self.files = {}  # name: (handle, bytearray)
        self.deaths = 0

    def again(self, call):
        """call, until it is answered: it is sent again after each death."""
        while True:
            try:
                return call()
            except OSError:
                self.revive()

    def revive(self):
        kit.wait_for(lambda: not self.rig.server.process.alive(), "the death of a server that does not answer")
        self.deaths += 1
        self.rig.faults.set("")
        self.rig.server.start()
        self.rig.nfs.connect()

    def write(self, name):
        handle, body = self.files[name]
        size = self.rng.choice((1, 5000, 300000, 3 * MIB))
        at = self.rng.randrange(len(body) + 1)
        data = self.rng.randbytes(size)
        body[at:at + size] = data
        self.again(lambda: self.rig.write(handle, at, data))

    def truncate(self, name):
        handle, body = self.files[name]
        size = self.rng.choice((len(body), self.rng.randrange(len(body) + 1), 17 * MIB, 30 * MIB))
        del body[size:]
        body.extend(bytes(size - len(body)))
        args = nfs3.opaque(handle) + struct.pack(">4IQ3I", 0, 0, 0, 1, size, 0, 0, 0)
        status = self.again(lambda: self.rig.nfs.nfs(2, args)[0])
        kit.equal(status, nfs3.OK, "SETATTR")

    def rename(self, name):
        to = f"shaken{self.rng.randrange(1000)}"
        if to in self.files:
            return
        root = nfs3.opaque(self.rig.nfs.root)
        self.sent = False

        def call():
            if self.sent:
                reply = self.rig.nfs.send()
            else:
                self.sent = True
                reply = self.rig.nfs.call(100003, 14, root + nfs3.opaque(name.encode()) + root + nfs3.opaque(to.encode()))
            return reply.u32()
        while True:
            status = self.again(call)
            if status != nfs3.JUKEBOX:
                break
            self.sent = False
        kit.equal(status, nfs3.OK, f"RENAME {name} {to}")
        self.files[to] = self.files.pop(name)

    def run(self):
        for i in range(3):
            body = bytearray(self.rng.randbytes(self.rng.randrange(18, 40) * MIB + self.rng.randrange(9999)))
            handle = self.rig.create(f"shaken-{i}")
            self.rig.write(handle, 0, body)
            self.files[f"shaken-{i}"] = (handle, body)
        for _ in range(ROUNDS):
            rules = [self.rng.choice(self.RULES).format(n=self.rng.randrange(1, 6)) for _ in range(2)]
            self.rig.faults.set("\n".join(rules + ["store.mpu_part delay=50ms"]))
            for _ in range(self.rng.randrange(1, 5)):
                self.rng.choice((self.write, self.write, self.truncate, self.rename))(self.rng.choice(sorted(self.files)))
            end = time.monotonic() + self.rng.random() * 2  # a moment for the uploads
            while time.monotonic() < end and self.rig.server.process.alive():
                time.sleep(0.02)
            if not self.rig.server.process.alive():
                self.revive()
        if not self.rig.server.process.alive():
            self.revive()
        self.rig.faults.set("")
        for name, (_, body) in self.files.items():
            self.rig.arrives(name, body)
        kit.equal([key for key in self.rig.store.keys() if "conflict" in key], [], "conflicts")
        self.rig.case.step(f"shaken: {ROUNDS} rounds, {self.deaths} deaths, seed {SEED}")


with kit.Case("upload-" + KIND) as case:
    case.network()
    rig = Rig(case)
    begin_strangers(rig)
    killed_twice(rig)
    written_between(rig)
    written_during(rig)
    completion_cut(rig)
    completion_fenced(rig)
    forgotten_by_the_store(rig)
    removed(rig)
    if KIND == "s3":  # nothing is late where there is no wire
        late(rig)
    shaken = Shaken(rig)
    shaken.run()
    rig.server.stop()
    rig.server.check_state()
    # One whose beginning was answered, but not yet recorded, when the process was killed is nobody's: that cannot be helped.
    log = rig.server.process.text()
    left = [upload for upload in rig.strangers() if upload.removeprefix("m-") in log]
    kit.equal(left, [], "uploads of ours in the bucket at the end")
    kit.check(rig.stranger in rig.strangers(), "somebody else's upload is gone")
    kit.check(len(rig.strangers()) - 1 <= shaken.deaths, "uploads that nobody knows")
