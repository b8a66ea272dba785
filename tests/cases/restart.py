"""The gateway is killed and restarted under a client that copies, lists and holds files open: nobody notices.

restart.py file|s3
"""
import os
import random
import subprocess
import sys

import guest
import kit
import servers
import stores

KIND = sys.argv[1]
LISTED = 12000 if KIND == "file" else 3000


def make_tree(top, rng, count=1200):
    for i in range(count):
        where = os.path.join(top, f"d{i % 30}", f"e{i % 3}")
        os.makedirs(where, exist_ok=True)
        with open(os.path.join(where, f"f{i}"), "wb") as f:
            f.write(rng.randbytes(rng.choice((0, 100, 5000, 40000, 300000))))


def hashes(view, prefix):
    return {path: entry.sha for path, entry in view.items() if path.startswith(prefix) and entry.kind == "file"}


def main():
    with kit.Case(f"restart-{KIND}") as case:
        case.network()
        tree, signs = case.path("tree"), case.path("signs")
        make_tree(tree, random.Random(1))
        os.mkdir(signs)
        store = stores.store(case, KIND)
        if KIND == "file":
            os.mkdir(store.dir + "/listed")
            for i in range(LISTED):
                open(f"{store.dir}/listed/name-{i:06d}", "w").close()
        else:
            for i in range(LISTED):
                store.put(f"listed/name-{i:06d}", b"")
        server = servers.Pailfs(case, store).start()
        client = guest.Guest(case, mem="256M")
        client.mount(server.source, options="nolock,timeo=50")
        case.step("mounted")

        listing = client.start(f"python3 {kit.ROOT}/tests/cases/restart_guest.py list /mnt/n/listed {signs}", 280)
        holding = client.start(f"python3 {kit.ROOT}/tests/cases/restart_guest.py hold /mnt/n {signs}", 280)
        for sign in ("listing", "held"):
            kit.wait_for(lambda s=sign: os.path.exists(f"{signs}/{s}") or listing.done() or holding.done(), sign)
        # fsync at the end, so that the client's cache is not where the data is when the copy is called done.
        copy = client.start(f"cp -r {tree} /mnt/n/copy && sync /mnt/n/copy", 280)
        big = client.start(f"dd if=/dev/zero bs=64k count=1600 conv=fsync of=/mnt/n/zeroes", 280)
        for turn, (how, files) in enumerate((("kill", 100), ("term", 400), ("kill", 800))):
            kit.wait_for(lambda n=files: copy.done() or
                         int(client.run("find /mnt/n/copy -type f 2>/dev/null | wc -l")) >= n, f"{files} files copied", 120, 0.3)
            kit.check(not copy.done() or turn > 0, "the copy had ended before the first restart")
            if how == "kill":
                server.kill()
            else:
                server.stop()
            case.step(f"{how} after {files} files{' (the copy was done)' if copy.done() else ''}")
            server.start()
        open(f"{signs}/go", "w").close()
        copy.wait(300)
        case.step("copied")
        big.wait(300)
        holding.wait(300)
        kit.equal(listing.wait(300).strip(), str(LISTED), "names listed")
        client.drop_caches()
        client.run(f"diff -r {tree} /mnt/n/copy", 200)
        kit.equal(client.run("stat -c %s /mnt/n/zeroes").strip(), str(1600 * 65536), "size of the large file")
        client.run("cmp -n 104857600 /dev/zero /mnt/n/zeroes")
        case.step("compared")
        client.umount()
        server.stop()
        local = subprocess.run(["find", ".", "-type", "f", "-exec", "sha256sum", "{}", "+"], cwd=tree, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        want = {"copy/" + line[66:].removeprefix("./"): line[:64] for line in local.splitlines()}
        kit.equal(hashes(store.view(), "copy/") == want, True, "the bucket has what was copied")
        kit.equal(store.uploads_known(), [], "multipart uploads left in the bucket")


main()
