"""The POSIX suite (tests/posix) on a directory of this host, on a FUSE mount and on a kernel's NFS mount.

posix.py PROGRAM local|fuse|nfs|fuse-guest [file|s3 [CASE...]]     (fuse-guest: pailfs itself in the guest, on its older kernel; by hand)
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


def prepare(where):
    """What posix/readonly.c expects."""
    os.mkdir(f"{where}/dir")
    for name in ("file", "dir/in"):
        with open(f"{where}/{name}", "w") as f:
            f.write("text")
    os.chmod(f"{where}/file", 0o666)
    os.symlink("file", f"{where}/link")


def here(case, where, *only):
    done = subprocess.run([PROGRAM, MODE, where, *(only or ONLY)], capture_output=True, text=True, check=False)
    report(case, done.returncode, done.stdout + done.stderr)


def report(case, status, out):
    with open(case.path("posix.log"), "w") as f:
        f.write(out)
    kit.check(status == 0, "\n".join(line for line in out.splitlines() if not line.startswith("ok")))
    slow = sorted(((float(line.split("(")[1].split()[0]), line.split()[1]) for line in out.splitlines() if line.startswith("ok ")),
                  reverse=True)
    case.step(out.splitlines()[-1] + "; slowest: " + ", ".join(f"{name} {time} s" for time, name in slow[:4]))


def local(case):
    """What is demanded of pailfs is what this kernel's own file systems do."""
    where = case.path("tmpfs")
    os.mkdir(where)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "strictatime,mode=777", "tmpfs", where], check=True)
    here(case, where)
    prepare(where)
    subprocess.run(["mount", "-o", "remount,ro", where], check=True)
    here(case, where, "read-only")
    table = subprocess.run([PROGRAM, "--differences"], capture_output=True, text=True, check=True).stdout
    with open(os.path.join(kit.ROOT, "README.md")) as f:
        kit.check(table in f.read(), f"README.md has not this table of what differs:\n{table}")


def fuse(case):
    if KIND == "s3":
        case.network()
    store = stores.store(case, KIND)
    mount = fusemount.Mount(case, store, ["--allow-other"]).start()
    case.step("mounted")
    here(case, mount.dir)
    prepare(mount.dir)
    mount.unmount()
    mount.check_state()
    if KIND == "file":  # what depends on what is believed, with nothing believed
        mount = fusemount.Mount(case, store, ["--allow-other", "--attr-ttl", "0"], name="asking").start()
        too_long(mount)
        here(case, mount.dir, "path_*", "name_*", "rmdir_*", "rename_*", "unlink*", "permission_changes", "time_*", "more_w*")
        mount.unmount()
        mount.check_state()
    mount = fusemount.Mount(case, store, ["--read-only"], name="ro").start()
    here(case, mount.dir, "read-only")
    mount.unmount()


def fuse_guest(case):
    case.network()
    client = guest.Guest(case, mem="512M")
    client.run("""modules=/usr/lib/uml/modules/$(uname -r)/kernel
        busybox insmod $modules/fs/fuse/fuse.ko && busybox insmod $modules/drivers/block/loop.ko
        mkdir /mnt/b /mnt/m && truncate -s 200M /mnt/disk && mkfs.ext4 -q /mnt/disk && mount -o loop /mnt/disk /mnt/b""")
    client.run(f"{kit.BIN} mount --allow-other --state-dir {case.path('state')} --log-file {case.path('pailfs.log')} file:///mnt/b /mnt/m")
    case.step("mounted on Linux " + client.run("uname -r").strip())
    status, out = client.run(" ".join([PROGRAM, "fuse", "/mnt/m", *(f"'{name}'" for name in ONLY)]), 400, check=False)
    report(case, status, out)
    client.run("umount /mnt/m")


def too_long(mount):
    """A directory gets a name with which paths below it are longer than a key can be. Nothing is lost sight of."""
    name = "d" * 200
    below = "/".join([name] * 4) + "/" + "f" * 100
    os.makedirs(mount.path("short", os.path.dirname(below)))
    with open(mount.path("short", below), "w") as f:
        f.write("text")
    mount.flush()
    os.rename(mount.path("short"), mount.path(name))
    kit.wait_for(lambda: mount.status()["export"]["moves"] == 0, "all is moved that can be")
    with open(mount.path(name, below)) as f:
        kit.equal(f.read(), "text", "what is read at a path that is too long for a key")
    kit.wait_for(lambda: mount.status()["export"]["files"] == 1, "that file alone waits for a key")
    os.rename(mount.path(name), mount.path("short"))
    mount.flush()
    with open(mount.path("short", below)) as f:
        kit.equal(f.read(), "text", "what is read after the path is short again")


def nfs(case):
    case.network()
    store = stores.store(case, KIND)
    server = servers.Pailfs(case, store).start()
    client = guest.Guest(case)
    client.mount(server.source, options="nolock")  # there is no NLM
    case.step("mounted")

    def there(*only):
        status, out = client.run(" ".join([PROGRAM, MODE, "/mnt/n", *(f"'{name}'" for name in only)]), 150, check=False)
        report(case, status, out)
    there(*ONLY)
    client.run("cd /mnt/n && mkdir dir && printf text > file && cp file dir/in && chmod 666 file && ln -s file link")
    client.umount()
    server.stop()
    server.check_state()
    server = servers.Pailfs(case, store, ["--read-only"], state="ro").start()
    client.mount(server.source, options="nolock,ro")
    there("read-only")
    client.umount()
    server.stop()


def main():
    with kit.Case(f"posix-{MODE}-{KIND}") as case:
        {"local": local, "fuse": fuse, "fuse-guest": fuse_guest, "nfs": nfs}[MODE](case)


main()
