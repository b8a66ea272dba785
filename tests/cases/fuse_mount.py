"""Mounting as administrators and users do it: into the background, by fstab and mount -a, by systemd's units, without root;
what is refused and how it is said; and the takeover of a mount whose process was killed with files open."""
import contextlib
import errno
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys

import fusemount
import kit
import stores

SBIN, NOBODY = "/usr/local/sbin", pwd.getpwnam("nobody")


class Host:
    """What a host has that pailfs is installed on; the case's own, because it has its own mount namespace."""

    def __init__(self, case, store):
        self.case, self.store = case, store
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | store.env
        # What a sanitizer says of a process in the background.
        self.reports = case.path("report")
        self.env["ASAN_OPTIONS"] = self.env["TSAN_OPTIONS"] = self.env["UBSAN_OPTIONS"] = f"log_path={self.reports}"
        for where in (SBIN, "/var/lib"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], check=True)
        self.program = os.path.join(SBIN, "pailfs")
        shutil.copy(kit.BIN, self.program)
        os.chmod(self.program, 0o755)
        self.logs = {}
        if os.stat("/dev/fuse").st_mode & 0o666 != 0o666:  # as containers have it; one that everybody may open, as hosts have it
            device = os.path.join(SBIN, "fuse")
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(10, 229))
            os.chmod(device, 0o666)
            subprocess.run(["mount", "--bind", device, "/dev/fuse"], check=True)

    def directory(self, name):
        path = self.case.path(name)
        os.makedirs(path, exist_ok=True)
        return path

    def run(self, *argv, status=0, env=None, says="", limit=60):
        done = subprocess.run(argv, env=self.env if env is None else env, capture_output=True, text=True, timeout=limit, check=False)
        out = done.stdout + done.stderr
        kit.check(done.returncode == status, f"{' '.join(argv)}: exit status {done.returncode}, want {status}\n{out}{self.tails()}")
        kit.check(says in out, f"{' '.join(argv)}: says {out!r}, expected {says!r}")
        return out

    def mount(self, directory, *options, status=0, url=None, says="", before=()):
        """pailfs mount, into the background."""
        log = self.logs[directory] = self.case.path(os.path.basename(directory) + ".log")
        return self.run(*before, self.program, "mount", "--log-file", log, *self.store.options, *options, url or self.store.url,
                        directory, status=status, says=says)

    def check_reports(self):
        for path in glob.glob(self.reports + ".*"):
            raise kit.Failed(f"a sanitizer says:\n{read(path).decode(errors='replace')[:3000]}")

    def tails(self):
        return "".join(f"--- {path}\n{''.join(open(path).readlines()[-10:])}" for path in self.logs.values() if os.path.exists(path))


def process_at(directory, before=()):
    """The process id that pailfs status gives."""
    out = subprocess.run([*before, os.path.join(SBIN, "pailfs"), "status", "--json", directory], capture_output=True, text=True, check=False).stdout
    return int(next(line for line in out.splitlines() if '"pid"' in line).split(":")[1].strip(" ,"))


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def write(path, body):
    with open(path, "wb") as f:
        f.write(body)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def fails(numbers, call):
    names = [errno.errorcode[number] for number in numbers]
    try:
        call()
    except OSError as error:
        kit.check(error.errno in numbers, f"expected {names}, got {error}")
        return
    raise kit.Failed(f"expected {names}")


def check_background(case, host):
    """The command ends when files can be used; a second one is refused; unmounting ends the process, and all has arrived."""
    directory = host.directory("back")
    host.mount(directory)
    kit.check(fusemount.is_mounted(directory), "pailfs mount has ended with 0, but nothing is mounted")
    write(os.path.join(directory, "a"), b"one")
    host.mount(directory, status=1, says="mounted there already")
    kit.equal(read(os.path.join(directory, "a")), b"one", "a, after a second mount was refused")
    pid = process_at(directory)
    log = host.logs[directory]
    os.rename(log, log + ".1")
    os.kill(pid, signal.SIGHUP)  # as logrotate does it
    kit.wait_for(lambda: os.path.exists(log), "a new log file after SIGHUP")
    host.run(kit.BIN, "flush", "--wait", os.path.join(directory, "a"), says="in the bucket")
    host.run(kit.BIN, "flush", "--wait", "--mount", directory, "/a", says="in the bucket")
    host.run(kit.BIN, "flush", os.path.join(directory, "none"), status=2)
    host.run("fusermount3", "-u", directory)
    kit.wait_for(lambda: gone(pid), "the end of the process after fusermount3 -u")
    kit.equal(host.store.get("a"), b"one", "the object a")
    kit.check("event=stopped" in read(log).decode(), "the new log file does not say that it stopped")
    host.run(kit.BIN, "status", directory, status=3)
    case.step("background, refusal, status and flush by path, fusermount3 -u")
    for how in ("umount", "TERM"):
        host.mount(directory, "--commit", "local", "--quiet-time", "100s")
        pid = process_at(directory)
        write(os.path.join(directory, how), how.encode())
        if how == "umount":
            host.run("umount", directory)
            host.mount(directory)  # waits for the one before
            kit.equal(read(os.path.join(directory, how)), how.encode(), "a file, mounted again at once")
            pid = process_at(directory)
        os.kill(pid, signal.SIGTERM)
        kit.wait_for(lambda p=pid: gone(p), f"the end of the process after {how}")
        kit.check(not fusemount.is_mounted(directory), f"still mounted after {how}")
        kit.equal(host.store.get(how), how.encode(), f"the object written before {how}")
    case.step("umount and mount again at once, SIGTERM: all is sent")


def check_errors(case, host):
    directory = host.directory("wrong")
    write(case.path("file"), b"")
    host.mount(directory, url="file:///nonexistent/bucket", status=1, says="/nonexistent/bucket")
    host.mount(case.path("file"), status=2, says="expected a directory")
    host.mount(case.path("nothing"), status=2, says="expected a directory")
    host.mount(directory, "--no-such-option", status=2, says="no-such-option")
    host.mount(directory, "-o", "no_such_option", status=2, says="such")
    host.mount(directory, "--log-file", "/nonexistent/log", status=1, says="/nonexistent/log")
    state = case.path("busy")
    with open(case.path("lock.log"), "w") as log:
        holder = subprocess.Popen([kit.BIN, "mount", "-f", "-s", state, *host.store.options, host.store.url, host.directory("other")],
                                  env=host.env, stdout=log, stderr=log)
    try:
        kit.wait_for(lambda: fusemount.is_mounted(case.path("other")), "a mount in the foreground")
        host.mount(directory, "-s", state, "--shutdown-timeout", "0", status=1, says=f"process {holder.pid}")
    finally:
        holder.terminate()
    kit.equal(holder.wait(60), 0, "exit status of a mount in the foreground")
    kit.check(not fusemount.is_mounted(directory), "something that was refused is mounted")
    case.step("errors: said, and with an exit status")


def check_fstab(case, host):
    """mount -a, with an environment that has no PATH, as an init script may."""
    one, two, three = (host.directory(name) for name in ("tab one", "tab2", "tab3"))
    more = "".join(f",{word}" for word in fstab_words(host.store))
    table = case.path("fstab")
    lines = [f"{host.store.url} {one.replace(' ', chr(92) + '040')} fuse.pailfs _netdev,nofail,allow_other,uid=1234,gid=4321,"
             f"umask=027,noatime,x-systemd.automount,log_file={case.path('tab.log')},state_dir={case.path('st1')}{more} 0 0",
             f"{host.store.url} {two} fuse.pailfs ro,nosuid,nodev,noexec,log_file={case.path('tab.log')},state_dir={case.path('st2')}{more} 0 0"]
    write(table, "\n".join(lines).encode() + b"\n")
    goofys = case.path("fstab-goofys")  # as goofys's users have it
    write(goofys, f"pailfs#{stores.BUCKET} {three} fuse _netdev,allow_other,--file-mode=0666,--dir-mode=0777,"
                  f"--state-dir={case.path('st3')}{more} 0 0\n".encode())
    host.store.put("plain", b"by others")
    host.logs["tab"] = case.path("tab.log")
    env = {k: v for k, v in host.env.items() if k.startswith(("AWS_", "ASAN", "UBSAN", "TSAN"))}
    host.run("/usr/bin/mount", "-a", "-T", table, env=env)
    host.run("/usr/bin/mount", "-a", "-T", table, env=env)  # what is mounted is left alone
    if host.store.name == "s3":
        host.run("/usr/bin/mount", "-a", "-T", goofys, env=env)
        host.run("/usr/bin/mount", "-a", "-T", goofys, env=env)
    options = fusemount.mounted(one)[3].split(",")
    for word in ("rw", "noatime", "allow_other", "default_permissions"):
        kit.check(word in options, f"{word} is not in {options}")
    kit.equal(fusemount.mounted(one)[0], host.store.url, "the source in /proc/mounts")
    found = os.stat(os.path.join(one, "plain"))
    if host.store.name == "s3":  # a file has an owner and a mode of its own
        kit.equal((found.st_uid, found.st_gid, found.st_mode & 0o777), (1234, 4321, 0o640), "owner, group and mode by fstab")
    options = fusemount.mounted(two)[3].split(",")
    for word in ("ro", "nosuid", "nodev", "noexec"):
        kit.check(word in options, f"{word} is not in {options}")
    fails([errno.EROFS], lambda: write(os.path.join(two, "x"), b""))
    if host.store.name == "s3":
        kit.equal(os.stat(os.path.join(three, "plain")).st_mode & 0o777, 0o666, "the mode by goofys's option")
    pid = process_at(one)
    os.kill(pid, signal.SIGKILL)
    kit.wait_for(lambda: gone(pid), "the end of a process that was killed")
    host.run("/usr/bin/mount", "-T", table, one, env=env)  # takes the dead mount's place
    kit.equal(read(os.path.join(one, "plain")), b"by others", "a file after a takeover by mount(8)")
    pids = []
    for where, state in ((one, "st1"), (two, "st2")) + (((three, "st3"),) if host.store.name == "s3" else ()):
        pids.append(process_at(where))
        host.run("umount", where)
    kit.wait_for(lambda: all(gone(pid) for pid in pids), "the end of the processes")
    helper = os.path.join(SBIN, "mount.fuse.pailfs")  # as mount(8) runs it where it is linked into /sbin
    os.symlink(host.program, helper)
    log = host.logs[one] = case.path("tab.log")
    host.run(helper, host.store.url, one, "-sn", "-o", f"rw,nodev,log_file={log},state_dir={case.path('st1')}{more}", "-t", "fuse.pailfs")
    pid = process_at(one)
    with open(os.path.join(one, "held"), "wb", buffering=0) as held:
        held.write(b"held")
        os.kill(pid, signal.SIGTERM)  # busy or not
        kit.wait_for(lambda: gone(pid), "the end of the process while a file is open")
        kit.check(not fusemount.is_mounted(one), "still mounted after SIGTERM while a file was open")
        fails(fusemount.DEAD, lambda: held.write(b"more"))
        with contextlib.suppress(OSError):
            held.close()
    kit.equal(host.store.get("held"), b"held", "the object of a file that was open")
    case.step("mount -a, mount.fuse.pailfs, SIGTERM while it is busy")


def fstab_words(store):
    """The options of a store as fstab has them."""
    words, options = [], list(store.options)
    while options:
        name = options.pop(0).lstrip("-")
        words.append(name if name in ("path-style",) else f"{name}={options.pop(0)}")
    return words


def check_units(case, host):
    if not shutil.which("systemd-analyze"):
        case.step("units: skipped, systemd-analyze is not installed (package systemd)")
        return
    deploy = os.path.join(kit.ROOT, "deploy")
    units = [f"{deploy}/systemd/pailfs-mount@srv-media.service", f"{deploy}/systemd/srv-media.mount", f"{deploy}/pailfs.service"]
    script = f'mount -t tmpfs tmpfs /usr/local/bin && cp {host.program} /usr/local/bin/ && exec systemd-analyze verify --man=no "$@"'
    out = host.run("unshare", "--mount", "sh", "-c", script, "sh", *units)
    kit.equal(out, "", "what systemd-analyze verify says")
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ready.bind(case.path("n"))
    directory = host.directory("unit")
    with open(case.path("unit.log"), "w") as log:
        process = subprocess.Popen([host.program, "mount", "-f", "-s", case.path("st-unit"), *host.store.options, host.store.url,
                                    directory], env=host.env | {"NOTIFY_SOCKET": case.path("n")}, stdout=log, stderr=log)
    ready.settimeout(60)
    kit.equal(ready.recv(100), b"READY=1", "what the service manager is told")
    kit.check(fusemount.is_mounted(directory), "READY=1 before it was mounted")
    process.terminate()
    kit.equal(ready.recv(100), b"STOPPING=1", "what the service manager is told")
    kit.equal(process.wait(60), 0, "exit status")
    case.step("systemd: units verified, READY when mounted")


def check_user(case, host):
    """nobody mounts for itself; for others only if fuse.conf lets it."""
    home = host.directory("home")
    mine, bucket = host.directory("home/mnt"), host.directory("home/bucket")
    foreign = host.directory("foreign")
    os.chmod(home, 0o755)
    for path in (home, mine, bucket):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    become = ("setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups", "env", f"HOME={home}")
    log = ("--log-file", f"{home}/log")  # the last one counts
    url = None if host.store.name == "s3" else f"file://{bucket}"
    conf = case.path("fuse.conf")
    write(conf, b"# user_allow_other\n")
    subprocess.run(["mount", "--bind", conf, "/etc/fuse.conf"], check=True)
    host.mount(mine, *log, "-o", "allow_other", url=url, status=1, says="user_allow_other", before=become)
    host.mount(foreign, *log, url=url, status=1, says="may write to", before=become)
    for words in ((), ("-o", "allow_other")):
        host.mount(mine, *log, *words, url=url, before=become)
        host.run(*become, "sh", "-c", f"echo mine >{mine}/f && cat {mine}/f", says="mine")
        if words:
            kit.equal(read(f"{mine}/f"), b"mine\n", "root reads it where others may")
        else:
            fails([errno.EACCES], lambda: read(f"{mine}/f"))
        kit.equal(f"user_id={NOBODY.pw_uid}" in fusemount.mounted(mine)[3], True, "user_id in /proc/mounts")
        host.run(*become, host.program, "flush", "--wait", mine, says="in the bucket")
        pid = process_at(mine, become)
        os.kill(pid, signal.SIGKILL)
        kit.wait_for(lambda p=pid: gone(p), "the end of nobody's process, which was killed")
        host.mount(mine, *log, *words, url=url, before=become)
        host.run(*become, "cat", f"{mine}/f", says="mine")
        host.run(*become, "fusermount3", "-u", mine)
        write(conf, b"user_allow_other\n")
    check_user_line(case, host, become[:-1], home, mine, url or host.store.url)
    case.step("nobody mounts, with and without user_allow_other, and by a line of fstab")


def check_user_line(case, host, become, home, mine, url):
    """A line with "user": mount(8) and mount.fuse3 leave hardly anything of the environment, nor a HOME that is the user's."""
    own = {"/etc/passwd": re.sub("^nobody:.*$", f"nobody:x:{NOBODY.pw_uid}:{NOBODY.pw_gid}::{home}:/bin/sh", open("/etc/passwd").read(),
                                 flags=re.M),
           "/etc/fstab": f"{url} {mine} fuse.pailfs user,noauto,_netdev,log_file={home}/log"
                         + "".join(f",{word}" for word in fstab_words(host.store)) + " 0 0\n"}
    for path, text in own.items():
        if not os.path.exists(path):
            return
        write(case.path(os.path.basename(path)), text.encode())
        subprocess.run(["mount", "--bind", case.path(os.path.basename(path)), path], check=True)
    if host.store.name == "s3":  # where the user's credentials are
        os.makedirs(f"{home}/.aws")
        write(f"{home}/.aws/credentials", f"[default]\naws_access_key_id={stores.KEY}\naws_secret_access_key={stores.SECRET}\n".encode())
    env = {k: v for k, v in host.env.items() if not k.startswith("AWS_")}
    host.run(*become, "mount", mine, env=env)
    host.run(*become, "cat", f"{mine}/f", says="mine")
    host.run(*become, "umount", mine, env=env)
    kit.check(not fusemount.is_mounted(mine), "still mounted after a user's umount")


def check_takeover(case, host):
    """Killed with files open: the mount is dead, and the next pailfs mount lives in its place."""
    directory = host.directory("over")
    path = lambda name: os.path.join(directory, name)
    state = ("-s", case.path("st-over"))
    host.mount(directory, *state, "--commit", "local", "--quiet-time", "100s")  # nothing of it is in the bucket
    os.mkdir(path("d"))
    closed = {f"d/closed{i}": os.urandom(1 + i * 70001) for i in range(8)}
    for name, body in closed.items():
        write(path(name), body)
    synced = open(path("d/synced"), "wb", buffering=0)
    synced.write(b"synced" * 10000)
    os.fsync(synced.fileno())
    reader, listing = open(path("d/closed7"), "rb", buffering=0), os.open(path("d"), os.O_RDONLY)
    reader.read(10)
    unsynced = open(path("d/unsynced"), "wb", buffering=0)
    unsynced.write(b"u" * 1000)
    pid = process_at(directory)
    os.kill(pid, signal.SIGKILL)
    kit.wait_for(lambda: gone(pid), "the end of a killed process")
    fails(fusemount.DEAD, lambda: os.listdir(directory))
    host.run(kit.BIN, "status", *state, status=3)
    host.mount(directory, *state)
    kit.equal(len([line for line in open("/proc/self/mounts") if f" {directory} " in line]), 1, "mounts at the place")
    for name, body in closed.items():
        kit.check(read(path(name)) == body, f"{name}, which was closed, is not what was written")
    kit.equal(read(path("d/synced")), b"synced" * 10000, "what fsync had answered")
    for file in (synced, unsynced):
        fails(fusemount.DEAD, lambda f=file: f.write(b"more"))
    fails(fusemount.DEAD, lambda: os.stat("x", dir_fd=listing))
    for file in (synced, unsynced):
        fails(fusemount.DEAD, file.close)
    reader.close()
    os.close(listing)
    write(path("d/new"), b"new")
    with open(path("d/synced"), "ab") as f:
        f.write(b"!")
    host.run(kit.BIN, "flush", "--wait", directory, says="in the bucket")
    kit.equal(host.store.get("d/synced"), b"synced" * 10000 + b"!", "the object of a file written on after the takeover")
    kit.equal(host.store.get("d/new"), b"new", "an object made after the takeover")
    for name, body in closed.items():
        kit.check(host.store.get(name) == body, f"the object {name} is not what was written")
    pid = process_at(directory)
    host.run("fusermount3", "-u", directory)
    kit.wait_for(lambda: gone(pid), "the end of the process")
    host.run(kit.BIN, "check", "--store", *state, *host.store.options)
    case.step("takeover after kill -9 with files open")


def main():
    kind = sys.argv[1]
    with kit.Case("fuse-mount-" + kind) as case:
        kit.need("fusermount3", "fuse3")
        if not os.path.exists("/dev/fuse"):
            kit.skip("no /dev/fuse here")
        case.network()
        store = stores.FileStore(case) if kind == "file" else stores.S3Store(case)
        host = Host(case, store)
        for step in (check_background, check_errors, check_fstab, check_units, check_user, check_takeover):
            step(case, host)
            host.check_reports()
        kit.equal(os.listdir("/var/lib/pailfs/mounts/at"), [], "links to mounts after all have ended")


main()
