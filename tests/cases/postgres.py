"""A PostgreSQL database in a mounted bucket: initdb, pgbench, a kill of the server in the middle, checksums of every page.

postgres.py file|s3 [SECONDS]      By hand (target postgres-fuse): it takes a minute or two, and wants the package postgresql.
"""
import glob
import os
import shutil
import subprocess
import sys

import fusemount
import kit
import stores

KIND = sys.argv[1]
SECONDS = sys.argv[2] if len(sys.argv) > 2 else "20"


def main():
    with kit.Case(f"postgres-{KIND}") as case:
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            kit.skip("PostgreSQL is not installed (package postgresql)")
        case.loopback()
        store = stores.store(case, KIND)
        mount = fusemount.Mount(case, store, ["--commit", "local", "--allow-other"]).start()
        data, socket = mount.path("data"), case.path("socket")
        for directory in (data, socket):
            os.mkdir(directory)
            shutil.chown(directory, "postgres", "postgres")
        os.chmod(case.work, 0o755)

        def run(program, *args, limit=600):
            argv = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", f"{found[-1]}/{program}", *args]
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=limit,
                                  cwd="/", env={"PGHOST": socket, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGUSER": "postgres"})
            kit.check(done.returncode == 0, f"{program} {' '.join(args)}: exit status {done.returncode}\n{done.stdout[-3000:]}")
            return done.stdout

        def start():
            run("pg_ctl", "-D", data, "-w", "-t", "120", "-l", case.path("socket", "log"), "-o", f"-c listen_addresses= -k {socket}", "start")

        run("initdb", "-D", data, "--data-checksums", "-A", "trust", "-U", "postgres")
        case.step("initdb")
        start()
        run("pgbench", "-i", "-q", "-s", "5", "postgres")
        case.step("filled")
        out = run("pgbench", "-c", "4", "-j", "2", "-T", SECONDS, "postgres")
        case.step(next(line for line in out.splitlines() if line.startswith("tps")))
        run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")  # as a kill: what was committed is in the log alone
        start()
        total = run("psql", "-Atc", "select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)"
                    " and (select sum(delta) from pgbench_history) = (select sum(tbalance) from pgbench_tellers)", "postgres")
        kit.equal(total.strip(), "t", "the sums agree after recovery")
        run("psql", "-c", "vacuum full", "postgres")
        run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
        run("pg_checksums", "--check", "-D", data)
        case.step("checked")
        mount.unmount()
        mount.start()  # another process, from what is in the bucket and its state
        run("pg_checksums", "--check", "-D", data)
        start()
        run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
        mount.unmount()
        mount.check_state("--store")


main()
