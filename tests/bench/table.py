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


def drive(name, port, mount_port, export, pid, turn):
    """One round against one server: {row: (ops/s, CPU us/op)}."""
    done = subprocess.run([BENCH, "127.0.0.1", str(mount_port), str(port), export, str(pid), SECONDS, f"run{turn}", ONLY],
                          stdout=subprocess.PIPE, text=True, check=False)
    kit.check(done.returncode == 0, f"the client failed against {name}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["row"]: (row["ops_per_s"], row["cpu_us_per_op"]) for row in rows}


def medians(rounds):
    return {row: tuple(statistics.median(r[row][i] for r in rounds) for i in (0, 1)) for row in rounds[0]}


def main():
    only = sys.argv[1:] or ["pailfs", "ganesha"]
    with kit.Case("bench") as case:
        case.network()
        raw = [json.loads(line) for line in
               subprocess.run([BENCH, "--raw", case.work], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()]
        plans = {}
        if "ganesha" in only:
            other = servers.Ganesha(case, case.path("ganesha-export")).start()
            plans["ganesha"] = (servers.NFS_PORT, other.mount_port, other.dir, other.pid)
        if "pailfs" in only:
            ours = servers.Pailfs(case, stores.FileStore(case), ["--nfs-port", str(PORT), "--portmap", "off"], port=PORT)
            ours.start()
            plans["pailfs"] = (PORT, PORT, ours.export, ours.pid)
        rounds = {name: [] for name in plans}
        for turn in range(ROUNDS):
            for name, plan in plans.items():
                rounds[name].append(drive(name, *plan, turn))
                print(f"round {turn + 1} of {ROUNDS}: {name}", file=sys.stderr)
        result = {name: medians(of) for name, of in rounds.items()}

    for row in raw:
        print(f"{row['raw']:28} {row['value']:10.1f}")
    names = list(result)
    print(f"\n{'':28}" + "".join(f" {name + ' op/s':>14} {'CPU us/op':>10}" for name in names) + (
        "   CPU pailfs/ganesha" if len(names) == 2 else ""))
    for row in result[names[0]]:
        line = f"{row:28}" + "".join(f" {result[n][row][0]:14.0f} {result[n][row][1]:10.1f}" for n in names)
        if len(names) == 2 and result["ganesha"][row][1] > 0:
            line += f" {result['pailfs'][row][1] / result['ganesha'][row][1]:20.2f}"
        print(line)
    print("\n" + json.dumps({"raw": {r["raw"]: r["value"] for r in raw}, "rounds": ROUNDS, "median": result}))


main()
