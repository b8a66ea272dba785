"""The POSIX suite (tests/posix) on a directory of this host, on a FUSE mount and on a kernel's NFS mount.

posix.py PROGRAM local|fuse|nfs [file|s3 [CASE...]]
"""
import os
import subprocess
import sys

import fusemount
import guest
import kit
import servers
import stores

PROGRAM, MODE = os.path.realpath(sys.argv[1]), sys.argv[2]
KIND = sys.argv[3] if len(sys.argv) > 3 else "file"
ONLY = sys.argv[4:]
if KIND == "s3":  # versitygw lists these as U+FFFD
    ONLY.append("-name_control_bytes")


def local(case):
    """What is demanded of pailfs is what this kernel's own file systems do."""
    where = case.path("tmpfs")
    os.mkdir(where)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "strictatime,mode=777", "tmpfs", where], check=True)
    here(case, where)
    table = subprocess.run([PROGRAM, "--differences"], capture_output=True, text=True, check=True).stdout
    with open(os.path.join(kit.ROOT, "README.md")) as f:
        kit.check(table in f.read(), f"README.md has not this table of what differs:\n{table}")


def here(case, where):
    done = subprocess.run([PROGRAM, MODE, where, *ONLY], capture_output=True, text=True, check=False)
    report(case, done.returncode, done.stdout + done.stderr)


def report(case, status, out):
    with open(case.path("posix.log"), "w") as f:
        f.write(out)
    kit.check(status == 0, "\n".join(line for line in out.splitlines() if not line.startswith("ok")))
    slow = sorted(((float(line.split("(")[1].split()[0]), line.split()[1]) for line in out.splitlines() if line.startswith("ok ")), reverse=True)
    case.step(out.splitlines()[-1] + "; slowest: " + ", ".join(f"{name} {time} s" for time, name in slow[:4]))


def nfs(case):
    case.network()
    store = stores.store(case, KIND)
    server = servers.Pailfs(case, store, ["--commit", "local"]).start()
    client = guest.Guest(case)
    client.mount(server.source, options="nolock")  # there is no NLM
    case.step("mounted")
    status, out = client.run(" ".join([PROGRAM, MODE, "/mnt/n", *(f"'{name}'" for name in ONLY)]), 120, check=False)
    report(case, status, out)
    client.umount()
    server.stop()
    server.check_state()


def fuse(case):
    if KIND == "s3":
        case.network()
    mount = fusemount.Mount(case, stores.store(case, KIND), ["--allow-other"]).start()
    case.step("mounted")
    here(case, mount.dir)
    mount.unmount()
    mount.check_state()


def main():
    with kit.Case(f"posix-{MODE}-{KIND}") as case:
        {"local": local, "fuse": fuse, "nfs": nfs}[MODE](case)


main()
