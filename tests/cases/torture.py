"""The torture: several clients change a tree, the gateway is killed again and again, and in the end the bucket and the
state directory have to be what the clients were told. The clients are libnfs/torture*.c; here are the store and the
comparison, which knows nothing of pailfs.

torture.py file|s3 DRIVER [KILLS [ROUNDS [CLIENTS [power]]]]     PAILFS_SEED repeats a run
power: each kill is a power loss, which takes with it what the gateway has not synced
"""
import os
import re
import subprocess
import sys
import time

import kit
import power
import stores

KIND, DRIVER = sys.argv[1], sys.argv[2]
KILLS, ROUNDS, CLIENTS = (int(sys.argv[i]) if len(sys.argv) > i else n for i, n in ((3, 110), (4, 4), (5, 4)))
POWER = sys.argv[6:7] == ["power"]
SEED = int(os.environ.get("PAILFS_SEED") or time.time_ns() // 1000000 % 1000000)
PORT = 20490
LIMIT = 280


def wanted(path):
    """What the clients believe."""
    want = {}
    with open(path) as f:
        for line in f:
            kind, mode, uid, gid, mtime, size, sha, name, target = line.rstrip("\n").split("\t")
            want[name] = stores.Entry(kind, int(size) if kind == "file" else 0, sha, target, int(mode), int(uid), int(gid),
                                      int(mtime))
    return want


def compare(case, store):
    want, got = wanted(case.path("want")), store.view()
    wrong = stores.differences(want, got)
    kit.check(not wrong, "the bucket (after a shutdown that says all is in it):\n  " + "\n  ".join(wrong))
    # A kill while the reply that tells an upload's id is on its way leaves one that nobody knows, without a part.
    left = [u["Key"] for u in store.uploads()
            if store.client.list_parts(Bucket=stores.BUCKET, Key=u["Key"], UploadId=u["UploadId"]).get("Parts")]
    kit.equal([key for key in left if not key.startswith(".pailfs-probe-")], [], "multipart uploads left in the bucket")
    return len(want)


def check_state(case, store, env):
    """pailfs check, with the bucket too."""
    for more in ([], ["--store", *(["--path-style"] if KIND == "s3" else [])]):
        done = subprocess.run([kit.BIN, "check", "--state-dir", case.path("state"), *more], env=env, capture_output=True,
                              text=True, timeout=120, check=False)
        kit.equal(done.returncode, 0, f"exit status of pailfs check {' '.join(more[:1])}:\n{done.stdout[-2000:]}"
                                      f"{done.stderr[-2000:]}\n")


def has_check(env):
    done = subprocess.run([kit.BIN, "help"], env=env, capture_output=True, text=True, check=False)
    return re.search(r"^\s*check\b", done.stdout, re.M) is not None


def no_reports(case):
    """Sanitizers, asserts; and what is only said when somebody else writes to the bucket."""
    with open(case.path("pailfs.log"), errors="replace") as f:
        for line in f:
            for word in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "ThreadSanitizer", "Assertion",
                         "event=conflict ", "event=removed_by_others ", "event=drain_left "):
                kit.check(word not in line, f"pailfs says: {line}")


def tail(case):
    for name, lines in (("trace", 12), ("pailfs.log", 8)):
        if os.path.exists(case.path(name)):
            done = subprocess.run(["tail", "-n", str(lines), case.path(name)], capture_output=True, text=True, check=False)
            print(f"--- {case.path(name)} ends:\n{done.stdout}", flush=True)


def torture(case, store, env, program):
    argv = [DRIVER, SEED, CLIENTS, KILLS, ROUNDS, PORT, "/pail", case.work, *program, "serve", "--state-dir", case.path("state"),
            "--nfs-port", PORT, "--portmap", "off", "--listen", "127.0.0.1", "--allow", "127.0.0.0/8", "--insecure-ports",
            "--squash", "none", "--shutdown-timeout", "40s", "--memory-limit", "32M", "--log-level", "debug", *store.options,
            f"{store.url}=/pail"]
    driver = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)
    checks = has_check(env)
    try:
        for line in driver.stdout:
            line = line.strip()
            if line != "compare":
                case.step(line)
                continue
            names = compare(case, store)
            if checks:
                check_state(case, store, env)
            case.step(f"the bucket holds exactly the {names} names" + (", and pailfs check finds nothing" if checks else ""))
            driver.stdin.write("good\n")
            driver.stdin.flush()
        kit.equal(driver.wait(20), 0, "exit status of the clients")
    finally:
        driver.kill()
        driver.wait()


def main():
    with kit.Case(f"torture-{KIND}{'-power' if POWER else ''}") as case:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        case.step(f"PAILFS_SEED={SEED} {KILLS} kills, {CLIENTS} clients")
        store = stores.store(case, KIND)
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env.update(store.env)
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        program = [kit.BIN]
        if POWER:
            loss = power.Power(case.path("side"), case.path("state"))
            env.update(loss.env)
            program = loss.start_argv(SEED)
        try:
            torture(case, store, env, program)
            no_reports(case)
        except BaseException:
            tail(case)
            print(f"replay: PAILFS_SEED={SEED}", flush=True)
            raise


main()
