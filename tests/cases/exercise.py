"""The data exerciser on a mount, and then the bucket holds what the mount showed: byte for byte, name for name.

exercise.py fuse|nfs file|s3 PROGRAM [SECONDS [WORKERS [small]]]

PROGRAM is tests/exercise's. With "small" memory and stage are as small as can be, and files together much larger: everything is
evicted, uploaded and fetched again all the time. PAILFS_SEED repeats a run's steps.
"""
import hashlib
import os
import random
import subprocess
import sys

import fusemount
import guest
import kit
import servers
import stores

FRONT, KIND, PROGRAM = sys.argv[1:4]
SECONDS = int(sys.argv[4]) if len(sys.argv) > 4 else 20
WORKERS = int(sys.argv[5]) if len(sys.argv) > 5 else 4
SMALL = "small" in sys.argv[6:]
SEED = int(os.environ.get("PAILFS_SEED") or random.randrange(10 ** 6))
# A file of each worker may be open without a name, and stays in the stage: 16M is not enough for four.
OPTIONS = ["--memory-limit", "16M", "--stage-limit", "32M"] if SMALL else []


def arguments(where):
    # Large enough together to fill what is small several times over.
    size = (4 << 20) if SMALL else (2 << 20)
    return [PROGRAM, "-s", str(SEED), "-t", str(SECONDS), "-w", str(WORKERS), "-b", str(size), "-d", where]


def shas(top):
    seen = {}
    for name in sorted(os.listdir(top)):
        with open(os.path.join(top, name), "rb") as f:
            seen[name] = hashlib.file_digest(f, "sha256").hexdigest()
    return seen


def on_fuse(case, store):
    mount = fusemount.Mount(case, store, OPTIONS).start()
    done = subprocess.run(arguments(mount.dir), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=SECONDS * 4 + 300)
    kit.check(done.returncode == 0, done.stdout[-6000:])
    case.step(done.stdout.strip().replace("\n", ", "))
    seen = shas(mount.dir)
    mount.unmount()
    mount.check_state("--store")
    mount.start()
    kit.equal(shas(mount.dir), seen, "what another process of pailfs shows")
    mount.unmount()
    return seen


def on_nfs(case, store):
    server = servers.Pailfs(case, store, OPTIONS).start()
    client = guest.Guest(case)
    client.mount(server.source, options="nolock")
    case.step(client.run(" ".join([*arguments("/mnt/n"), "-l"]), limit=SECONDS * 4 + 300).strip().replace("\n", ", "))
    lines = client.run("cd /mnt/n && sha256sum *").splitlines()
    seen = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines}
    client.umount()
    server.stop()
    server.check_state("--store")
    return seen


def main():
    with kit.Case(f"exercise-{FRONT}-{KIND}{'-small' if SMALL else ''}") as case:
        if not os.access(PROGRAM, os.X_OK):
            kit.skip(f"{PROGRAM} is not built")
        case.step(f"seed {SEED}")
        if FRONT == "nfs":
            case.network()
        else:
            case.loopback()
        store = stores.store(case, KIND)
        seen = (on_fuse if FRONT == "fuse" else on_nfs)(case, store)
        kit.check(len(seen) > WORKERS, f"too few files are left: {sorted(seen)}")
        kit.equal({path: entry.sha for path, entry in store.view().items()}, seen, "in the bucket")
        kit.equal(store.uploads_known(), [], "multipart uploads left in the bucket")


main()
