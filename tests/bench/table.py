"""Runs pailfs and nfs-ganesha side by side under the same client and prints the table. Called by tests/bench/run."""
import json
import os
import statistics
import subprocess
import sys

import kit
import servers
import stores

BENCH = os.environ.get("PAILFS_BENCH") or os.path.join(os.path.dirname(kit.BIN), "..", "tests", "bench", "pailfs-bench")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = os.environ.get("SECONDS_PER_ROW", "1")
ONLY = os.environ.get("ROWS", "")
PORT = 12049
CREATES = "CREATE + 4 KiB WRITE and REMOVE"  # as rows.c calls them together
SYNCED = "ganesha+D"
NOTES = """
CREATE + 4 KiB WRITE, N: files per second, with N requests in flight; the WRITE is FILE_SYNC. pailfs answers a CREATE or REMOVE when
it is durable, and each WRITE costs it one sync. Ganesha (VFS) syncs the file for the WRITE (one fsync each), and nothing for CREATE and
REMOVE: so +D is beside it, the same with its directory marked for synchronous changes of names (chattr +D), as durable as pailfs.
CPU of pailfs is with the upload of each file to its store, here a directory on the same disk in which each object is synced, too."""


def drive(name, port, mount_port, export, pid, turn, only):
    """One round against one server: {row: (ops/s, CPU us/op)}."""
    done = subprocess.run([BENCH, "127.0.0.1", str(mount_port), str(port), export, str(pid), SECONDS, f"run{turn}", only],
                          stdout=subprocess.PIPE, text=True, check=False)
    kit.check(done.returncode == 0, f"the client failed against {name}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["row"]: (row["ops_per_s"], row["cpu_us_per_op"]) for row in rows}


def medians(rounds):
    return {row: tuple(statistics.median(r[row][i] for r in rounds) for i in (0, 1)) for row in rounds[0]}


def sync_names(directory, on):
    """Changes of names below are synchronous from now on. False: not on this file system."""
    return subprocess.run(["chattr", "+D" if on else "-D", directory], stderr=subprocess.DEVNULL, check=False).returncode == 0


def start(case, only):
    """{name: (port, mount port, export, pid)} of the servers that are compared."""
    plans = {}
    if "ganesha" in only:
        other = servers.Ganesha(case, case.path("ganesha-export")).start()
        plans["ganesha"] = (servers.NFS_PORT, other.mount_port, other.dir, other.pid)
    if "pailfs" in only:
        ours = servers.Pailfs(case, stores.FileStore(case), ["--nfs-port", str(PORT), "--portmap", "off"], port=PORT)
        ours.start()
        plans["pailfs"] = (PORT, PORT, ours.export, ours.pid)
    return plans


def measure(case, only):
    """The medians of all rounds; SYNCED has only the rows that change names."""
    plans = start(case, only)
    rounds = {name: [] for name in plans}
    for turn in range(ROUNDS):
        for name, plan in plans.items():
            rounds[name].append(drive(name, *plan, turn, ONLY))
            print(f"round {turn + 1} of {ROUNDS}: {name}", file=sys.stderr)
        if "ganesha" in plans and CREATES.find(ONLY) >= 0 and sync_names(plans["ganesha"][2], True):
            rounds.setdefault(SYNCED, []).append(drive(SYNCED, *plans["ganesha"], f"{turn}-synced", "CREATE"))
            sync_names(plans["ganesha"][2], False)
    return {name: medians(of) for name, of in rounds.items()}


def cells(result, names, row):
    return "".join(f" {result[n][row][0]:14.0f} {result[n][row][1]:10.1f}" if row in result[n] else f" {'-':>14} {'-':>10}"
                   for n in names)


def show(raw, result):
    for row in raw:
        print(f"{row['raw']:34} {row['value']:10.1f}")
    names = list(result)
    both = "pailfs" in names and "ganesha" in names
    print(f"\n{'':28}" + "".join(f" {name + ' op/s':>14} {'CPU us/op':>10}" for name in names) + (
        "   CPU pailfs/ganesha" if both else ""))
    for row in result[names[0]]:
        line = f"{row:28}" + cells(result, names, row)
        if both and result["ganesha"][row][1] > 0:
            line += f" {result['pailfs'][row][1] / result['ganesha'][row][1]:20.2f}"
        print(line)
    print(NOTES)
    print("\n" + json.dumps({"raw": {r["raw"]: r["value"] for r in raw}, "rounds": ROUNDS, "median": result}))


def main():
    only = sys.argv[1:] or ["pailfs", "ganesha"]
    with kit.Case("bench") as case:
        case.network()
        raw = [json.loads(line) for line in
               subprocess.run([BENCH, "--raw", case.work], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()]
        result = measure(case, only)
    show(raw, result)


main()
