"""A pailfs mounted by FUSE in a case: start, wait until mounted, unmount, kill, take over; on any store of stores.py.

    mount = fusemount.Mount(case, store).start()
    open(mount.path("a"), "w")
    mount.unmount()               # waits until the process has drained and ended

The case has a mount namespace of its own: what is forgotten goes with it.
"""
import errno
import json
import os
import signal
import subprocess

import kit


DEAD = (errno.ENOTCONN, errno.ECONNABORTED)  # what a mount whose process has died says; the second while the kernel clears up


def mounted(directory):
    """The line of /proc/self/mounts of the uppermost file system at directory, in words; None if there is none."""
    found = None
    with open("/proc/self/mounts") as f:
        for line in f:
            words = line.split()
            if words[1].encode().decode("unicode_escape").encode("latin-1").decode() == directory:
                found = words
    return found


def is_mounted(directory):
    words = mounted(directory)
    return words is not None and words[2] == "fuse.pailfs"


def clean(directory):
    """For a case's end, however it ends."""
    if is_mounted(directory):
        subprocess.run(["umount", "-l", directory], check=False)


class Mount:
    def __init__(self, case, store, options=(), name="mnt", state=None, faults=None):
        """options: of "pailfs mount". name: of the directory it is mounted on, below the case's work directory."""
        program = faults.program if faults else kit.BIN
        if not os.access(program, os.X_OK):
            kit.skip(f"{program} is not built")
        if not os.path.exists("/dev/fuse"):
            kit.skip("no /dev/fuse here")
        self.case, self.store, self.faults = case, store, faults
        self.dir = case.path(name)
        self.state = case.path(state or "state-" + name)
        os.makedirs(self.dir, exist_ok=True)
        self.log_name = "pailfs-" + name
        self.argv = [program, "mount", "-f", "--state-dir", self.state, "--shutdown-timeout", "200s", *store.options, *options,
                     store.url, self.dir]
        self.process = None
        case.exit.callback(clean, self.dir)

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env.update(self.store.env)
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        return env

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def spawn(self):
        env = self.env()
        env.update(self.faults.env if self.faults else {})
        self.process = self.case.process(self.log_name, self.argv, env)

    def ready(self):
        """A dead mount of before may still be there: what counts is what the process says."""
        return self.process.text()[self.seen:].find("event=ready") >= 0

    def start(self, limit=30.0):
        path = self.case.path(self.log_name + ".log")
        self.seen = os.path.getsize(path) if os.path.exists(path) else 0
        self.spawn()
        self.process.ready(self.ready, "is mounted", limit)
        return self

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        """SIGKILL; the mount stays, dead."""
        kit.check(self.process.alive(), "pailfs had ended by itself")
        self.process.stop(signal.SIGKILL)

    def stop(self, limit=250, number=signal.SIGTERM):
        """SIGTERM: unmounts, and everything has to be in the store afterwards."""
        kit.equal(self.process.stop(number, limit), 0, "exit status of pailfs after SIGTERM")
        self._ended()

    def unmount(self, limit=250):
        subprocess.run(["fusermount3", "-u", self.dir], check=True)
        kit.equal(self.process.child.wait(limit), 0, "exit status of pailfs after an unmount")
        self._ended()

    def _ended(self):
        kit.check(not is_mounted(self.dir), f"{self.dir} is still mounted")
        for word in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "ThreadSanitizer"):
            kit.check(word not in self.process.text(), f"pailfs: {word}:\n{self.process.tail(60)}")

    def run(self, command, *args, status=None, limit=120):
        """pailfs COMMAND --state-dir ... ARGS; the finished process. status: what its exit status has to be."""
        done = subprocess.run([kit.BIN, command, "--state-dir", self.state, *args], env=self.env(), capture_output=True, text=True,
                              timeout=limit, check=False)
        if status is not None:
            kit.check(done.returncode == status,
                      f"pailfs {command} {' '.join(args)}: exit status {done.returncode}, want {status}\n{done.stdout}{done.stderr}")
        return done

    def flush(self, path="", status=0, limit=60):
        """Waits until what is at or below path of the mount is in the bucket."""
        return self.run("flush", "--wait", "--timeout", f"{limit}s", self.dir + path, status=status)

    def status(self):
        answer = json.loads(self.run("status", "--json").stdout)
        answer["export"] = answer["exports"][0]
        return answer

    def check_state(self, *options):
        """pailfs check, while it does not run: nothing may be wrong with the state."""
        self.run("check", *options, status=0)
