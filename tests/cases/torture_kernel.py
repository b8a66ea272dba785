"""The torture over the kernel's own client: processes change a tree with system calls, which must have the results they always
have, while the gateway is killed again and again. Then the tree, the bucket and the state directory are looked at.

torture_kernel.py file|s3 [KILLS]      PAILFS_SEED repeats the processes' calls
"""
import json
import os
import random
import subprocess
import sys
import time

import guest
import kit
import servers
import stores

KIND = sys.argv[1]
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 30
SEED = int(os.environ.get("PAILFS_SEED") or time.time_ns() // 1000000 % 1000000)
WORKERS = 3
CALLS = 15       # that have to end between two kills
SLOW_S = 100     # then what was reached is enough, if it is half


def total(signs):
    count = 0
    for number in range(WORKERS):
        try:
            with open(f"{signs}/count.{number}") as f:
                count += int(f.read() or 0)
        except FileNotFoundError:
            pass
    return count


def failure(signs):
    if os.path.exists(f"{signs}/failed"):
        with open(f"{signs}/failed") as f:
            return f.read()
    return ""


def kill_and_start(server, rng):
    server.kill()
    while rng.random() < 0.3:  # and again before it is up
        server.process = server.case.process("pailfs", server.argv, server.env())
        time.sleep(rng.uniform(0.02, 0.4))
        server.kill()
    server.start()


def torture(case, server, work, signs):
    rng, seen, kills, end = random.Random(SEED), 0, 0, time.monotonic() + SLOW_S
    while kills < KILLS and time.monotonic() < end:
        kit.wait_for(lambda n=seen: total(signs) >= n + CALLS or work.done(), "calls that end after a kill", 90, 0.02)
        kit.check(not work.done(), f"a process has ended: {failure(signs)}")
        seen = total(signs)
        time.sleep(rng.uniform(0, 0.3))
        kill_and_start(server, rng)
        kills += 1
    kit.check(kills >= KILLS // 2, f"only {kills} kills in {SLOW_S} s")
    with open(f"{signs}/stop", "w"):
        pass
    work.wait(150, check=False)
    kit.check(not failure(signs), failure(signs))
    case.step(f"{total(signs)} calls over {kills} kills")


def main():
    with kit.Case(f"torture-kernel-{KIND}") as case:
        case.step(f"PAILFS_SEED={SEED}")
        case.network()
        signs = case.path("signs")
        os.mkdir(signs)
        store = stores.store(case, KIND)
        server = servers.Pailfs(case, store, ["--quiet-time", "100ms", "--log-level", "debug"]).start()
        client = guest.Guest(case, mem="256M")
        client.mount(server.source, options="nolock,timeo=30")
        script = f"exec python3 {kit.ROOT}/tests/cases/torture_guest.py"
        work = client.start(f"{script} work /mnt/n {signs} {SEED} {WORKERS}", 400)
        torture(case, server, work, signs)
        client.run("sync", 120)
        client.drop_caches()
        status, text = client.run(f"{script} verify /mnt/n {signs} {WORKERS}", 200, check=False)
        kit.check(status == 0, f"through the mount:\n{text}")
        client.umount()
        server.stop()
        want = {}
        for number in range(WORKERS):
            with open(f"{signs}/want.{number}") as f:
                for kind, path, mode, size, sha, target in json.load(f):
                    want[path] = stores.Entry(kind, size, sha, target, mode)
        wrong = stores.differences(want, store.view())
        kit.check(not wrong, "the bucket:\n  " + "\n  ".join(wrong))
        check = subprocess.run([kit.BIN, "check", "--state-dir", case.path("state"), "--store",
                                *(["--path-style"] if KIND == "s3" else [])], env=server.env(), capture_output=True, text=True,
                               timeout=120, check=False)
        kit.equal(check.returncode, 0, f"exit status of pailfs check:\n{check.stdout[-3000:]}")
        case.step(f"tree and bucket hold exactly the {len(want)} names")


main()
