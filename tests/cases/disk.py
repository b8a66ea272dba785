"""The state directory's disk is full, read-only, damaged, or somebody took a file away. Each start says what is wrong,
keeps what it can read, and never guesses; nothing in the bucket is harmed.

disk.py [STEP...]      STEP: full, refused, damaged, lost; all of them without
"""
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import threading

import inject
import kit
import nfs3
import servers
import stores

NOSPC, ROFS, IO, FILE_SYNC = 28, 30, 5, nfs3.FILE_SYNC
PIECE = 65536
LATER = (nfs3.JUKEBOX, NOSPC)


def body(name, size=3 * PIECE):
    return hashlib.shake_128(name.encode()).digest(size)


class Disk:
    """A gateway with a state directory of its own for each step, on one bucket directory each."""

    def __init__(self, case, name):
        self.case, self.name = case, name
        case.step(name)
        self.state = case.path(name, "state")
        os.makedirs(self.state)
        self.bucket = stores.FileStore(case, sub=name)
        self.bucket.put("old", b"was here before")
        self.nfs = None
        self.faults = inject.Faults(case.path(name, "faults"))
        self.written = {}

    def server(self, *options, quiet="1000s"):
        return servers.Pailfs(self.case, self.bucket, ["--quiet-time", quiet, "--request-deadline", "2s", "--shutdown-timeout", "60s",
                                                       "--attr-ttl", "1h", *options],
                              state=os.path.join(self.name, "state"), export="/b", faults=self.faults)

    def start(self, *options, quiet="1000s"):
        self.gateway = self.server(*options, quiet=quiet).start()
        self.nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, "/b")
        return self.gateway

    def refused(self, *words, options=()):
        """A start that has to fail, with these words in what it says, and without a change."""
        before = self.fingerprint()
        server = self.server(*options)
        done = subprocess.run(server.argv, capture_output=True, text=True, timeout=60, check=False)
        kit.equal(done.returncode, 1, f"exit status of a start that must be refused: {done.stderr}")
        for word in words:
            kit.check(word in done.stderr, f"{word!r} is not in what the start said: {done.stderr}")
        kit.equal(self.fingerprint(), before, "the stage after a start that was refused")
        self.check_bucket()

    def fingerprint(self):
        found = {}
        for path in sorted(glob.glob(self.state + "/stage*/*")):
            with open(path, "rb") as f:
                found[path] = hashlib.file_digest(f, "sha256").hexdigest()
        return found

    def write(self, name, data=None):
        """Durable when it returns."""
        data = body(name) if data is None else data
        status, handle = self.nfs.create(self.nfs.root, name)
        kit.equal(status, nfs3.OK, f"CREATE {name}")
        kit.equal(self.nfs.write(handle, 0, data, FILE_SYNC), nfs3.OK, f"WRITE {name}")
        self.written[name] = data
        return handle

    def overwrite(self, name, offset, data):
        """Of a file whose upload fails: that is told once."""
        status, handle = self.nfs.lookup(self.nfs.root, name)
        kit.equal(status, nfs3.OK, f"LOOKUP {name}")
        status = self.nfs.write(handle, offset, data, FILE_SYNC)
        if status == IO:
            status = self.nfs.write(handle, offset, data, FILE_SYNC)
        kit.equal(status, nfs3.OK, f"WRITE over {name}")

    def read(self, name, offset=0, size=3 * PIECE):
        status, handle = self.nfs.lookup(self.nfs.root, name)
        kit.equal(status, nfs3.OK, f"LOOKUP {name}")
        return self.nfs.read(handle, offset, size)

    def check_bucket(self, *without):
        """Nothing is in the bucket that is not a whole file."""
        kit.equal(self.bucket.get("old"), b"was here before", "an object that nobody touched")
        for key in self.bucket.keys():
            if key != "old":
                kit.check(key in self.written and key not in without, f"{key} is in the bucket")
                kit.equal(self.bucket.get(key) == self.written[key], True, f"{key} in the bucket is whole")

    def finish(self, *options):
        """All that was acknowledged gets to the bucket."""
        self.start(*options, quiet="1s")
        self.gateway.stop()
        for name, data in self.written.items():
            kit.equal(self.bucket.get(name) == data, True, f"{name} in the bucket at the end")
        self.check_bucket()

    def refuses(self):
        """The disk does not take what the database writes."""
        lines = [line for line in self.gateway.process.text().splitlines() if "event=db_write_" in line]
        return lines and "db_write_failed" in lines[-1]

    def segments(self):
        return sorted(glob.glob(self.state + "/stage/*.seg"))

    def find(self, data):
        """Where these bytes lie in the stage."""
        for path in self.segments():
            with open(path, "rb") as f:
                at = f.read().find(data)
            if at >= 0:
                return path, at
        raise kit.Failed("the bytes are not in the stage")

    def flip(self, data):
        path, at = self.find(data)
        with open(path, "r+b") as f:
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 1]))


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def umount(path):
    subprocess.run(["umount", path], check=True)


def full(case):
    """A small disk that is full: clients are told to wait or that there is no space, and all goes on when there is."""
    d = Disk(case, "full")
    mount("-t", "tmpfs", "-o", "size=48m", "tmpfs", d.state)
    d.start(quiet="1s")
    first = d.write("first")
    # By clients alone, when nothing can be uploaded: the stage leaves the rest of the disk to the database.
    handles = [d.write(f"filler{i}", b"") for i in range(12)]
    d.faults.set("store.* error=EAGAIN")
    count, status = 0, nfs3.OK
    while status == nfs3.OK:
        name, at = f"filler{count // 4}", count % 4 << 20
        status = d.nfs.write(handles[count // 4], at, body(f"b{count}", 1 << 20))
        if status == nfs3.OK:
            d.written[name] += body(f"b{count}", 1 << 20)
            count += 1
    kit.equal(status, nfs3.JUKEBOX, "status of a WRITE to a full stage")
    kit.check(count > 30, f"the disk was full after {count} MiB")
    for handle in handles:
        kit.equal(d.nfs.commit(handle), nfs3.OK, "COMMIT of what was taken")
    d.faults.set("store.* error=EACCES")
    kit.wait_for(lambda: d.nfs.write(handles[-1], 0, body("more", 1 << 20)) == NOSPC, "WRITE when the store refuses for good", 60)
    kit.equal(d.nfs.truncate(first, PIECE), nfs3.OK, "SETATTR while the stage is full")
    d.written["first"] = body("first")[:PIECE]
    case.step(f"the stage was full after {count} MiB")
    d.faults.set("")

    kit.wait_for(lambda: d.bucket.get(name) == d.written[name] and not d.segments(), "room again by uploads", 60)

    # By others: there is no room for the database either. What it was given is answered when there is room again.
    with open(d.state + "/others", "wb") as f:
        fill(f)
        kept = Creates()
        kit.wait_for(lambda: kept.done() or fill(f) or d.refuses(), "the database refused", 60)
        for what, call in (("CREATE", lambda: d.nfs.create(d.nfs.root, "no")[0]), ("MKDIR", lambda: d.nfs.mkdir(d.nfs.root, "nodir")[0]),
                           ("WRITE", lambda: d.nfs.write(first, 0, b"x" * 5000, FILE_SYNC)),
                           ("REMOVE", lambda: d.nfs.remove(d.nfs.root, "old"))):
            kit.check((status := call()) in LATER, f"{what} on a full disk: status {status}")
        status, data = d.read("first")
        kit.equal((status, data == d.written["first"]), (nfs3.OK, True), "READ on a full disk")
        kit.check(d.gateway.process.alive(), "the gateway died of a full disk")
    kept.enough = True
    os.unlink(d.state + "/others")
    kit.wait_for(lambda: d.nfs.create(d.nfs.root, "after")[0] == nfs3.OK, "CREATE when there is space again", 60)
    kit.wait_for(kept.done, "the answers that were held back", 60)
    kit.check(kept.names, "nothing was created")
    case.step(f"{len(kept.names)} files were made before the disk was full")
    d.written.update({name: b"" for name in ("after", *kept.names)})
    d.gateway.kill()
    d.finish()
    kit.equal(d.bucket.get("no"), None, "what was refused")
    umount(d.state)


def fill(f):
    """All of the disk."""
    try:
        while True:
            os.write(f.fileno(), bytes(4096))
    except OSError:
        pass


class Creates(threading.Thread):
    """Makes files until it is told that there is no room."""

    def __init__(self):
        super().__init__(daemon=True)
        self.names = []
        self.enough = False
        self.nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, "/b")
        self.start()

    def run(self):
        while not self.enough and self.nfs.create(self.nfs.root, f"c{len(self.names)}")[0] == nfs3.OK:
            self.names.append(f"c{len(self.names)}")

    def done(self):
        return not self.is_alive()


def refused(case):
    """Starts that must not be: each says why."""
    d = Disk(case, "refused")
    d.start()
    d.write("one")
    d.refused("in use by another pailfs", f"process {d.gateway.pid}")
    d.gateway.kill()

    mount("--bind", d.state, d.state)
    mount("-o", "remount,bind,ro", d.state)
    d.refused("Read-only file system", d.state)
    umount(d.state)
    db = d.state + "/pailfs.db"
    mount("--bind", db, db)
    mount("-o", "remount,bind,ro", db)
    d.refused("pailfs.db", "cannot be")
    umount(db)

    case.step("the database is gone")
    for path in glob.glob(db + "*"):
        shutil.move(path, case.path(os.path.basename(path)))
    d.refused("pailfs.db is missing", "put the database back")
    kit.check(not os.path.exists(db), "a start that was refused made a database")
    with open(db, "wb"):
        pass
    d.refused("pailfs.db is new", "put the database back")
    for path in glob.glob(db + "*"):
        os.unlink(path)
    for path in glob.glob(case.path("pailfs.db*")):
        shutil.move(path, d.state)

    case.step("the database is damaged")
    d.start()
    d.write("two")
    d.gateway.kill()
    for path in glob.glob(db + "*"):
        shutil.copy(path, case.path(os.path.basename(path)))
    for path in (db, db + "-wal"):
        if os.path.exists(path):
            with open(path, "r+b") as f:
                size = os.path.getsize(path)
                f.seek(0)
                f.write(os.urandom(min(size, 20000)))
    d.refused("pailfs.db", "damaged", "nothing was changed")
    for path in glob.glob(db + "*"):
        os.unlink(path)
    for path in glob.glob(case.path("pailfs.db*")):
        shutil.move(path, d.state)
    d.finish()


def damaged(case):
    """Flipped bytes: that file reads EIO and is not uploaded, all others are; the export is read-only until that is accepted."""
    d = Disk(case, "damaged")
    d.start()
    for name in ("sound", "flipped", "headless", "removed", "cut"):
        d.write(name)
    d.gateway.kill()
    d.flip(body("flipped")[PIECE + 100:PIECE + 1000])
    d.flip(body("removed")[:500])
    d.flip(body("cut")[2 * PIECE + 5:2 * PIECE + 600])
    path, at = d.find(body("headless")[:500])
    with open(path, "r+b") as f:
        f.seek(at - 20)
        f.write(bytes(10))
    sick = ("flipped", "headless", "removed", "cut")

    d.start(quiet="1s")
    log = d.gateway.process.text()
    for name in sick:
        kit.check(f'event=stage_damage name="{name}"' in log, f"the log does not tell of {name}")
    kit.check("access=ro" in log, "the log does not say read-only")
    kit.equal(d.read("sound"), (nfs3.OK, d.written["sound"]), "READ of a sound file")
    kit.equal(d.read("flipped", 0, PIECE), (nfs3.OK, d.written["flipped"][:PIECE]), "READ of the sound part")
    for name, offset in (("flipped", PIECE), ("flipped", PIECE + 50000), ("headless", 7), ("removed", 0), ("cut", 2 * PIECE)):
        kit.equal(d.read(name, offset, 100)[0], IO, f"READ of {name} at {offset}")
    kit.equal(d.nfs.create(d.nfs.root, "new")[0], ROFS, "CREATE on a damaged export")
    kit.equal(d.nfs.write(d.nfs.lookup(d.nfs.root, "sound")[1], 0, b"x"), ROFS, "WRITE on a damaged export")
    kit.wait_for(lambda: d.bucket.get("sound") == d.written["sound"], "the sound file in the bucket")
    d.check_bucket(*sick)
    d.gateway.kill()

    case.step("accepted")
    d.start("--accept-damage", quiet="1s")
    kit.equal(d.read("headless", 0, 100)[0], IO, "READ of a damaged file")
    d.overwrite("flipped", PIECE, d.written["flipped"][PIECE:2 * PIECE])
    d.written["headless"] = body("again")
    d.overwrite("headless", 0, body("again"))
    kit.equal(d.nfs.remove(d.nfs.root, "removed"), nfs3.OK, "REMOVE")
    del d.written["removed"]
    d.written["cut"] = d.written["cut"][:PIECE + 17]
    kit.equal(d.nfs.truncate(d.nfs.lookup(d.nfs.root, "cut")[1], PIECE + 17), nfs3.OK, "SETATTR size")
    for name, data in d.written.items():
        kit.wait_for(lambda n=name, b=data: d.bucket.get(n) == b, f"{name} in the bucket", 90)
    d.gateway.stop()
    d.check_bucket()
    d.finish()  # nothing is damaged now


def lost(case):
    """A stage file is missing, another too short."""
    d = Disk(case, "lost")
    d.start()
    for name in ("a", "b", "c"):
        d.write(name)
    d.gateway.kill()
    path, at = d.find(body("c")[PIECE:PIECE + 500])
    whole = case.path("whole")
    shutil.copy(path, whole)
    os.truncate(path, at + 10)
    d.start(quiet="1s")
    kit.equal(d.read("c", 0, PIECE), (nfs3.OK, body("c")[:PIECE]), "READ before the end of the stage file")
    kit.equal(d.read("c", PIECE, 100)[0], IO, "READ behind it")
    kit.equal(d.nfs.mkdir(d.nfs.root, "no")[0], ROFS, "MKDIR")
    kit.wait_for(lambda: d.bucket.get("a") == d.written["a"], "a sound file in the bucket")
    d.check_bucket("c")
    d.gateway.kill()
    os.unlink(path)
    d.start(quiet="1s")
    kit.check("the stage file is missing" in d.gateway.process.text(), "the log does not say what is missing")
    kit.equal(d.read("c", 0, 100)[0], IO, "READ of what is missing")
    d.check_bucket("c")
    d.gateway.kill()

    # It is found again.
    shutil.copy(whole, path)
    d.finish()


STEPS = {step.__name__: step for step in (full, refused, damaged, lost)}

with kit.Case("disk") as the_case:
    the_case.network()
    for step in sys.argv[1:] or STEPS:
        STEPS[step](the_case)
