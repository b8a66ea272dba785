"""Other buckets below paths of one that is served: over FUSE on this host and over the kernel's NFS client, in one process.

submount.py file|s3. What the configuration mounts and what "pailfs submount" adds and removes while programs use it; a store that is
down at first; what was written when the gateway was killed.
"""
import errno
import json
import os
import random
import subprocess
import sys
import threading

import fusemount
import guest
import kit
import servers
import stores

KIND = sys.argv[1]
ROUNDS = 8  # of adding and removing under load
LOAD_FILES = 6
DOWN_PORT = 17497


class Other:
    """A bucket beside the store's, and how it is seen without pailfs."""

    def __init__(self, case, store, name):
        self.store, self.name = store, name
        self.dir = case.path("other-" + name) if store.name == "file" else os.path.join(store.dir, name)
        self.url = "file://" + self.dir if store.name == "file" else "s3://" + name
        self.make = lambda: os.mkdir(self.dir)

    def get(self, key):
        if self.store.name == "file":
            try:
                with open(os.path.join(self.dir, key), "rb") as f:
                    return f.read()
            except FileNotFoundError:
                return None
        try:
            return self.store.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except self.store.client.exceptions.NoSuchKey:
            return None

    def put(self, key, body):
        if self.store.name == "file":
            with open(os.path.join(self.dir, key), "wb") as f:
                f.write(body)
        else:
            self.store.client.put_object(Bucket=self.name, Key=key, Body=body)


class World:
    def __init__(self, case):
        self.case = case
        self.store = stores.store(case, KIND)
        self.buckets = {name: Other(case, self.store, name) for name in ("first", "second", "third", "later")}
        for name in ("first", "second", "third"):
            self.buckets[name].make()
        self.mnt = case.path("mnt")
        os.mkdir(self.mnt)
        case.exit.callback(fusemount.clean, self.mnt)
        self.export = "/bucket" if KIND == "file" else "/pail"
        self.server = servers.Pailfs(case, self.store, [
            "--attr-ttl", "0", "--fuse", self.mnt, "--submount", f"{self.export}/in/config={self.buckets['first'].url}"])
        self.env = self.server.env()

    def path(self, *parts):
        return os.path.join(self.mnt, *parts)

    def start(self):
        seen = len(self.server.process.text()) if self.server.process else 0
        self.server.start()
        kit.wait_for(lambda: "event=ready" in self.server.process.text()[seen:], "event=ready")

    def submount(self, *args, status=0):
        done = subprocess.run([kit.BIN, "submount", args[0], "--state-dir", self.server.state, *args[1:]], env=self.env, text=True,
                              capture_output=True, timeout=120, check=False)
        kit.check(status in (None, done.returncode),
                  f"pailfs submount {' '.join(args)}: exit status {done.returncode}, want {status}\n{done.stdout}{done.stderr}")
        return done

    def list(self):
        return {one["path"]: one for one in json.loads(self.submount("list", "--json").stdout)["submounts"]}


def write(path, body):
    with open(path, "wb") as f:
        f.write(body)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def fails(number, call, *args):
    try:
        call(*args)
    except OSError as error:
        kit.equal(errno.errorcode[error.errno], errno.errorcode[number], f"{call.__name__} {args}")
        return
    raise kit.Failed(f"{call.__name__} {args} did not fail")


def check_fuse(case, world):
    config = world.path("in", "config")
    kit.equal(os.listdir(world.path("in")), ["config"], "the way to a sub-mount")
    write(os.path.join(config, "a"), b"in first")
    kit.equal(world.buckets["first"].get("a"), b"in first", "a file in the sub-mount's bucket")
    write(world.path("top"), b"in the top")
    fails(errno.EXDEV, os.rename, world.path("top"), os.path.join(config, "top"))
    fails(errno.EBUSY, os.rmdir, config)
    fails(errno.EBUSY, os.rename, world.path("in"), world.path("out"))
    kit.equal(os.stat(os.path.join(config, "..")).st_ino, os.stat(world.path("in")).st_ino, "..")
    subprocess.run(["mv", world.path("top"), os.path.join(config, "moved")], check=True)
    kit.equal(world.buckets["first"].get("moved"), b"in the top", "a file that mv copied into the sub-mount")
    kit.wait_for(lambda: world.store.get("top") is None, "what mv took away")
    # At run time, over something that is there.
    os.mkdir(world.path("dir"))
    write(world.path("dir", "hidden"), b"hidden")
    world.buckets["second"].put("shown", b"shown")
    world.submount("add", f"{world.export}/dir", world.buckets["second"].url)
    kit.equal(os.listdir(world.path("dir")), ["shown"], "what the sub-mount shows")
    write(world.path("dir", "new"), b"new")
    kit.equal(world.buckets["second"].get("new"), b"new", "a file in the second bucket")
    world.submount("add", f"{world.export}/dir", world.buckets["third"].url, status=1)
    world.submount("add", f"{world.export}/elsewhere", world.buckets["second"].url, status=1)
    world.submount("add", f"{world.export}/elsewhere", "nonsense", status=1)
    kit.equal(sorted(world.list()), [f"{world.export}/dir", f"{world.export}/in/config"], "pailfs submount list")
    with open(world.path("dir", "new"), "rb"):
        world.submount("remove", f"{world.export}/dir", status=1)
    status = json.loads(subprocess.run([kit.BIN, "status", "--json", "--state-dir", world.server.state], env=world.env, text=True,
                                       capture_output=True, timeout=60, check=False).stdout)
    kit.equal([e["name"] for e in status["exports"]], [world.export, f"{world.export}/dir", f"{world.export}/in/config"],
              "exports in the status")
    case.step("a configured and an added sub-mount over FUSE")


def check_nfs(case, world, client):
    client.mount(world.server.source, options="nolock,noac")
    n = "/mnt/n"
    kit.equal(client.run(f"ls {n}/in {n}/dir").split(), [f"{n}/dir:", "new", "shown", f"{n}/in:", "config"], "ls in the guest")
    kit.equal(client.run(f"cat {n}/in/config/a"), "in first", "cat in the guest")
    client.run(f"echo by nfs > {n}/in/config/n; mkdir {n}/in/config/d; mv {n}/in/config/n {n}/in/config/d/m; sync")
    kit.equal(read(world.path("in", "config", "d", "m")), b"by nfs\n", "over FUSE what NFS wrote")
    write(world.path("in", "config", "f"), b"by fuse")
    kit.equal(client.run(f"cat {n}/in/config/f"), "by fuse", "over NFS what FUSE wrote")
    kit.equal(client.run(f"cd {n}/in/config/d && cd .. && pwd -P && cd ../.. && pwd -P").split(), [f"{n}/in/config", n], "pwd")
    kit.check(client.run(f"stat -c %d {n}") != client.run(f"stat -c %d {n}/in/config"), "the sub-mount is the same device")
    kit.check(client.run(f"df --output=target {n}/in/config").split()[-1] == f"{n}/in/config", "df does not know the sub-mount")
    client.run(f"mv {n}/in/config/f {n}/f; sync {n}/f")
    kit.equal(read(world.path("f")), b"by fuse", "what mv copied out of the sub-mount")
    kit.check(client.run(f"rmdir {n}/in/config", check=False)[0] != 0, "rmdir of a mount point")
    # A path below reaches it; so does a handle, but only while it is mounted.
    client.mount(f"{world.server.source}/dir", where="/mnt/d", options="nolock,noac")
    kit.equal(client.run("ls /mnt/d").split(), ["new", "shown"], "mounted by its path")
    world.submount("remove", f"{world.export}/dir")
    rc, out = client.run("ls /mnt/d", check=False)
    kit.check(rc != 0 and "Stale" in out, f"a handle of what is not mounted any more: {out}")
    kit.wait_for(lambda: client.run(f"ls {n}/dir", check=False)[1].split() == ["hidden"], "what was hidden, in the guest", 20, 0.5)
    kit.equal(os.listdir(world.path("dir")), ["hidden"], "what was hidden, over FUSE")
    world.submount("add", f"{world.export}/dir", world.buckets["second"].url)
    kit.equal(client.run("ls /mnt/d").split(), ["new", "shown"], "the same handle when it is back")
    client.umount("/mnt/d")
    client.umount(n)
    case.step("the same over NFS")


class Load:
    """Programs at work in a directory; what they may be told when it is taken away is no failure."""

    def __init__(self, path, seed, may_go=False):
        self.path, self.rng, self.may_go = path, random.Random(seed), may_go
        self.stop, self.failure, self.turns, self.refused = threading.Event(), None, 0, 0
        self.model = {}
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def turn(self):
        name = os.path.join(self.path, f"load{self.rng.randrange(LOAD_FILES)}")
        if self.rng.random() < 0.5:
            body = self.rng.randbytes(self.rng.choice((10, 5000, 100000)))
            self.model.pop(name, None)  # until it is known to be there
            write(name, body)
            self.model[name] = body
        elif name in self.model:
            kit.equal(read(name), self.model[name], name)

    def run(self):
        try:
            while not self.stop.is_set():
                try:
                    self.turn()
                except OSError as error:
                    if not self.may_go:
                        raise
                    self.refused += 1
                    kit.check(error.errno in (errno.ESTALE, errno.ENOENT, errno.EIO, errno.EAGAIN), f"{self.path}: {error}")
                self.turns += 1
        except (kit.Failed, OSError) as error:
            self.failure = error

    def end(self):
        self.stop.set()
        self.thread.join(60)
        kit.check(not self.thread.is_alive(), f"{self.path}: it hangs")
        kit.check(self.failure is None, f"{self.path}: {self.failure}")
        kit.check(self.turns > 0, f"{self.path}: nothing was done")


def check_load(case, world):
    where = world.path("loaded")
    os.mkdir(where)
    os.mkdir(world.path("busy"))
    loads = [Load(world.path("busy"), 1), Load(world.path("in", "config"), 2)]
    for number in range(ROUNDS):
        path = f"{world.export}/loaded/deep/place"
        world.submount("add", path, world.buckets["third"].url)
        inside = Load(world.path("loaded", "deep", "place"), 100 + number, may_go=True)
        kit.wait_for(lambda: inside.turns > 5 or inside.failure, "load in the sub-mount")  # pylint: disable=cell-var-from-loop
        if number % 2:  # with whatever is under way
            while world.submount("remove", "--force", path, status=None).returncode:
                pass
            inside.end()
        else:
            inside.end()
            world.submount("remove", path)
            for name, body in inside.model.items():
                kit.equal(world.buckets["third"].get(os.path.basename(name)), body, "what was waited for")
        kit.equal(os.listdir(where), [], "the way to what is not mounted any more")
    turns = [load.turns for load in loads]
    for load in loads:
        load.end()
        for name, body in load.model.items():
            kit.equal(read(name), body, name)
    case.step(f"added and removed {ROUNDS} times, beside {turns} turns of load")


def check_later(case, world):
    later = world.buckets["later"]
    done = world.submount("add", f"{world.export}/later", later.url)
    kit.check("mount.err" in done.stderr, f"no word about a bucket that is not there: {done.stderr}")
    kit.equal(os.listdir(world.path("later")), ["mount.err"], "in the place of a bucket that is not there")
    kit.check(len(read(world.path("later", "mount.err"))) > 20, "mount.err says nothing")
    fails(errno.EROFS, write, world.path("later", "x"), b"x")
    kit.check(world.list()[f"{world.export}/later"]["error"], "no error in the list")
    later.make()
    later.put("there", b"there")
    kit.wait_for(lambda: os.listdir(world.path("later")) == ["there"], "the bucket when it is there", 60, 0.2)
    kit.equal(read(world.path("later", "there")), b"there", "its file")
    case.step("a bucket that came later")


def check_down(case, world):
    """S3 only: a server that is not up yet."""
    directory = case.path("s3-down")
    os.makedirs(os.path.join(directory, "down"))
    path = f"{world.export}/down"
    world.submount("add", "-o", f"endpoint=http://127.0.0.1:{DOWN_PORT}", path, "s3://down")
    kit.equal(os.listdir(world.path("down")), ["mount.err"], "in the place of a server that is down")
    argv = [world.store.program, "--access", stores.KEY, "--secret", stores.SECRET, "--port", f"127.0.0.1:{DOWN_PORT}", "--quiet",
            "--keep-alive", "posix", directory]
    case.process("versitygw-down", argv).ready(lambda: kit.port_open("127.0.0.1", DOWN_PORT), "listens")
    kit.wait_for(lambda: os.listdir(world.path("down")) == [], "its bucket when it is up", 60, 0.2)
    write(world.path("down", "up"), b"up")
    kit.check(os.path.exists(os.path.join(directory, "down", "up")), "a file in it")
    world.submount("remove", path)
    case.step("a server that was down")


def check_flush(case, world):
    """What is flushed of an export is what is below it too."""
    with open(world.path("in", "config", "late"), "wb") as f:
        f.write(b"late")
        f.flush()
        os.fsync(f.fileno())
        subprocess.run([kit.BIN, "flush", "--wait", "--timeout", "30s", "--state-dir", world.server.state, world.export],
                       env=world.env, timeout=60, check=True, capture_output=True)
        kit.equal(world.buckets["first"].get("late"), b"late", "a file of a sub-mount after a flush of its export")
    if os.access("/usr/bin/nfs-ls", os.X_OK):
        done = subprocess.run(["nfs-ls", f"nfs://{kit.HOST}{world.export}/in/config?version=3"], capture_output=True, text=True,
                              timeout=60, check=False)
        kit.check("late" in done.stdout, f"libnfs: {done.stdout}{done.stderr}")
    case.step("flush and libnfs")


def check_killed(case, world):
    """What was acknowledged goes to the sub-mount's bucket without anybody asking, also after a kill; handles stay."""
    path = world.path("later", "kept")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"kept")
    os.fsync(fd)
    world.server.kill()
    subprocess.run(["umount", "-l", world.mnt], check=False)
    fails(errno.ENOTCONN, os.close, fd)
    world.start()
    kit.equal(sorted(world.list()), [f"{world.export}/dir", f"{world.export}/in/config", f"{world.export}/later"],
              "sub-mounts after a restart")
    kit.equal(read(path), b"kept", "what was synced before the kill")
    kit.wait_for(lambda: world.buckets["later"].get("kept") == b"kept", "it in its bucket", 30)
    case.step("killed and started again")


def main():
    with kit.Case("submount-" + KIND) as case:
        kit.need("fusermount3", "fuse3")
        case.network()
        world = World(case)
        world.start()
        check_fuse(case, world)
        client = guest.Guest(case)
        check_nfs(case, world, client)
        check_load(case, world)
        check_flush(case, world)
        check_later(case, world)
        if KIND == "s3":
            check_down(case, world)
        check_killed(case, world)
        world.server.stop()
        world.server.check_state()


if __name__ == "__main__":
    main()
