"""A User-mode Linux guest with the kernel's own NFS client, driven command by command through its agent."""
import json
import os
import queue
import shlex
import socket
import sys
import threading

import kit
from kit import Failed, ROOT

BOOT_LIMIT = 60


class Command:
    """A command under way in the guest."""

    def __init__(self, guest, number, sh):
        self.guest, self.number, self.sh = guest, number, sh
        self.reply = queue.Queue()
        self.result = None

    def done(self):
        return self.result is not None or not self.reply.empty()

    def wait(self, limit, check=True):
        if self.result is None:
            try:
                self.result = self.reply.get(timeout=limit)
            except queue.Empty:
                raise Failed(f"the guest did not answer within {limit} s: {self.sh:.300}") from None
        rc, out = self.result
        if check and rc != 0:
            raise Failed(f"in the guest, exit status {rc}: {self.sh:.400}\n{out[-3000:]}")
        return out if check else (rc, out)


class Guest:
    def __init__(self, case, mem="384M"):
        self.case = case
        uml = kit.need("linux.uml", "user-mode-linux")
        kit.need("mount.nfs", "nfs-common")
        kit.need("busybox", "busybox-static")
        if not os.path.exists("/dev/net/tun"):
            kit.skip("no /dev/net/tun on this machine")
        listener = socket.create_server((kit.HOST, 0))
        listener.settimeout(BOOT_LIMIT)
        scratch = case.path("guest")
        os.makedirs(scratch, exist_ok=True)
        lib = os.path.join(ROOT, "tests", "lib")
        # The guest's root is our own file system as we see it; its kernel wants tmpfs for its memory.
        self.process = case.process("guest", [
            uml, f"mem={mem}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={lib}/guest-init",
            "vec0:transport=tap,ifname=tap0,depth=128,gro=1", "con=null", "con0=fd:0,fd:1",
            f"PAILFS_PY={os.path.realpath(sys.executable)}", f"PAILFS_AGENT={lib}/guest-agent.py",
            f"PAILFS_PORT={listener.getsockname()[1]}", f"PAILFS_SCRATCH={scratch}"],
            env=dict(os.environ, TMPDIR="/dev/shm"))
        try:
            self.sock, _ = listener.accept()
        except TimeoutError:
            raise Failed(f"the guest did not boot within {BOOT_LIMIT} s:\n{self.process.tail()}") from None
        finally:
            listener.close()
        self.sock.settimeout(None)
        self.next = 1
        self.commands = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.sock.makefile("rb"):
            answer = json.loads(line)
            self.commands.pop(answer["id"]).reply.put((answer["rc"], answer["out"]))

    def start(self, sh, limit=120):
        """Begin a shell command; returns a Command to wait for."""
        command = Command(self, self.next, sh)
        self.commands[self.next] = command
        self.next += 1
        self.sock.sendall(json.dumps({"id": command.number, "sh": sh, "timeout": limit}).encode() + b"\n")
        command.limit = limit
        return command

    def run(self, sh, limit=120, check=True):
        """Run a shell command to its end. With check it must succeed, and its output is returned; else (rc, output)."""
        return self.start(sh, limit).wait(limit + 20, check)

    def script(self, name, *args, limit=300, check=True):
        """Run a Python file of tests/cases in the guest."""
        argv = [os.path.realpath(sys.executable), os.path.join(ROOT, "tests", "cases", name), *map(str, args)]
        return self.run("exec " + shlex.join(argv), limit, check)

    def client_daemons(self):
        """What a distribution starts before an NFSv3 mount with locks."""
        self.run("rpcbind -w && rpc.statd --no-notify")

    def mount(self, source, where="/mnt/n", options=None, limit=60):
        option = f"-o {options}" if options else ""
        self.run(f"mkdir -p {where} && timeout {limit} mount -t nfs {option} {source} {where}", limit + 10)

    def umount(self, where="/mnt/n", limit=90):
        self.run(f"timeout {limit} umount {where}", limit + 10)

    def drop_caches(self):
        self.run("sync; echo 3 > /proc/sys/vm/drop_caches")
