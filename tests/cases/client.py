"""A real client mounts without options, and real programs work in there; then the bucket holds exactly their files.

client.py file|s3|ganesha [STEP...]     (ganesha: checks the case itself against another server)
"""
import json
import os
import random
import subprocess
import sys

import guest
import kit
import servers
import stores

KIND = sys.argv[1]
LOCKED = ["tree", "tar", "git", "big", "overwrite", "append", "truncate", "rename", "removal", "links", "meta", "names"]
STEPS = sys.argv[2:] or LOCKED[:3] + ["sqlite"] + LOCKED[3:]
SEED = 20240501


def make_tree(top, rng, count=2100):
    """Shaped like a source tree: many small files, some large, directories of different depth."""
    dirs = [top]
    os.mkdir(top)
    for i in range(120):
        made = os.path.join(rng.choice(dirs[:30]), f"d{i}")
        os.mkdir(made)
        dirs.append(made)
    for i in range(count):
        size = 0 if i % 100 == 0 else int(2 ** rng.uniform(0, 17))
        path = os.path.join(rng.choice(dirs), f"file{i}.{rng.choice('ch')}")
        with open(path, "wb") as f:
            f.write(rng.randbytes(size))
        if i % 40 == 0:
            os.chmod(path, 0o755)
        os.utime(path, (10 ** 9, 10 ** 9 + i))  # whole seconds: not every hostfs keeps more


def make_repo(top, rng):
    env = dict(os.environ, GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@t", GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@t",
               GIT_AUTHOR_DATE="1700000000 +0000", GIT_COMMITTER_DATE="1700000000 +0000", GIT_CONFIG_NOSYSTEM="1")
    os.mkdir(top)
    subprocess.run(["git", "init", "-q", "-b", "main", top], check=True, env=env)
    for commit in range(5):
        for i in range(commit, 300, commit + 1):
            where = os.path.join(top, f"s{i % 12}" if i else "")
            os.makedirs(where, exist_ok=True)
            with open(os.path.join(where, f"file{i}"), "ab") as f:
                f.write(rng.randbytes(rng.randrange(1, 5000)).hex().encode() + b"\n")
        subprocess.run(["git", "-C", top, "add", "-A"], check=True, env=env)
        subprocess.run(["git", "-C", top, "commit", "-q", "-m", f"commit {commit}"], check=True, env=env)


def load_manifest(client, top, out):
    client.script("manifest.py", top, out, limit=600)
    with open(out) as f:
        return {path: stores.Entry(**entry) for path, entry in json.load(f).items()}


def compare(want, got, what, mtimes=True):
    lines = stores.differences(want, got, mtimes)
    kit.check(not lines, f"{what}:\n" + "\n".join(lines))


def main():
    with kit.Case(f"client-{KIND}") as case:
        rng = random.Random(SEED)
        source, expect = case.path("source"), case.path("expect")
        os.mkdir(source)
        os.mkdir(expect)
        make_tree(source + "/tree", rng)
        make_repo(source + "/repo", rng)
        with open("/dev/urandom", "rb") as noise, open(source + "/big", "wb") as f:
            for _ in range(1024 if KIND != "s3" else 320):
                f.write(noise.read(1 << 20))
        case.step("material made")

        case.network()
        store = stores.store(case, "file" if KIND == "ganesha" else KIND)
        if KIND == "ganesha":
            server = servers.Ganesha(case, store.dir).start()
        else:
            server = servers.Pailfs(case, store).start()
        client = guest.Guest(case)
        client.client_daemons()
        # Ganesha's NFSACL answers EIO here, which would be cp's error.
        client.mount(server.source, options="noacl" if KIND == "ganesha" else None)
        case.step("mounted without options: " + client.run("mount | grep ' /mnt/n '").strip())
        for step in STEPS:
            where = "/mnt/n"
            if step == "sqlite":
                where = "/mnt/nolock"
                client.mount(server.source, where, "nolock")
            case.step(client.script("client_steps.py", where, expect, source, step, limit=600).strip())
            if step == "sqlite":
                client.umount(where)

        local = load_manifest(client, expect, case.path("expect.json"))
        for path, entry in local.items():  # the times of these are of no meaning: made twice, one after the other
            if not path.startswith("tree/"):
                entry.mtime_ns = -1
        client.umount()
        client.mount(server.source)
        seen = load_manifest(client, "/mnt/n", case.path("seen.json"))
        compare(local, seen, "through NFS, compared with the local copy")
        client.umount()
        case.step("compared with the local copy")
        if KIND == "ganesha":
            return
        server.stop(300)
        case.step("stopped")
        compare(seen, store.view(), "in the bucket, compared with what NFS showed")
        kit.equal(store.uploads(), [], "multipart uploads left in the bucket")
        case.step("compared with the bucket")

        # A gateway that has never seen this bucket: all that lasts has to come from the objects.
        fresh = servers.Pailfs(case, store, state="state2").start()
        client.mount(fresh.source)
        again = load_manifest(client, "/mnt/n", case.path("again.json"))
        compare(seen, again, "through a gateway without a past, compared with before")
        client.umount()
        fresh.stop()


main()
