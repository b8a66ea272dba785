"""The servers under test: pailfs, and nfs-ganesha to check a case, or to compare with."""
import json
import os
import signal
import subprocess

import kit

NFS_PORT = 2049


class Pailfs:
    def __init__(self, case, store, options=(), state="state", export=None, listen="0.0.0.0", squash="none", port=NFS_PORT,
                 faults=None):
        """faults: inject.Faults or power.Power, to run a program in which things go wrong."""
        program = faults.program if faults else kit.BIN
        if not os.access(program, os.X_OK):
            kit.skip(f"{program} is not built")
        self.faults = faults
        self.case, self.store, self.port = case, store, port
        self.export = export or ("/bucket" if store.name == "file" else "/pail")
        self.state = case.path(state)
        self.argv = [program, "serve", "--state-dir", self.state, "--listen", listen, "--allow", "0.0.0.0/0",
                     "--squash", squash, "--shutdown-timeout", "200s", *store.options, *options, f"{store.url}={self.export}"]
        self.source = f"{kit.HOST}:{self.export}"
        os.makedirs(self.state, exist_ok=True)
        self.process = None

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env.update(self.store.env)
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        return env

    def spawn(self):
        env = self.env()
        env.update(self.faults.env if self.faults else {})
        self.process = self.case.process("pailfs", self.argv, env)

    def start(self):
        self.spawn()
        self.process.ready(lambda: kit.port_open(kit.HOST, self.port), "listens")
        return self

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        kit.check(self.process.alive(), "pailfs had ended by itself")
        self.process.stop(signal.SIGKILL)

    def check_state(self, *options):
        """pailfs check, while it does not run: nothing may be wrong with the state. Its counts."""
        done = subprocess.run([kit.BIN, "check", "--json", "--state-dir", self.state, *options], env=self.env(),
                              capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        kit.check(done.returncode == 0 and lines, f"pailfs check: exit status {done.returncode}, {done.stderr}\n" + "\n".join(
            line["text"] for line in lines if line["kind"] == "problem"))
        return lines[-1]

    def stop(self, limit=250):
        """SIGTERM: everything has to be in the store afterwards."""
        kit.equal(self.process.stop(signal.SIGTERM, limit), 0, "exit status of pailfs after SIGTERM")
        for word in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "ThreadSanitizer"):
            kit.check(word not in self.process.text(), f"pailfs: {word}:\n{self.process.tail(60)}")


class Ganesha:
    """nfs-ganesha's VFS export of a directory, NFSv3 over TCP, with an rpcbind of its own."""

    def __init__(self, case, directory, port=NFS_PORT, mount_port=20048):
        self.program = kit.need("ganesha.nfsd", "nfs-ganesha nfs-ganesha-vfs")
        kit.need("rpcbind", "rpcbind")
        self.case, self.dir, self.port, self.mount_port = case, directory, port, mount_port
        self.export = "/bucket"
        self.source = f"{kit.HOST}:{self.export}"
        os.makedirs(directory, exist_ok=True)
        self.process = None

    def start(self):
        for where in ("/run", "/var/lib/nfs"):  # our own: rpcbind's socket, Ganesha's recovery directory
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], check=True)
        os.makedirs("/run/rpcbind")
        os.makedirs("/run/ganesha")
        os.makedirs("/var/lib/nfs/ganesha")
        self.case.process("rpcbind", ["rpcbind", "-w", "-f"]).ready(
            lambda: kit.port_open("127.0.0.1", 111), "listens")
        version = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False).stdout
        # Newer ones end where they may not become an "IO flusher", which is of no use here.
        more = "" if " V4." in version else "allow_set_io_flusher_fail = true;"
        config = self.case.path("ganesha.conf")
        with open(config, "w") as f:
            f.write(f"""
NFS_CORE_PARAM {{ NFS_Port = {self.port}; MNT_Port = {self.mount_port}; Protocols = 3; Enable_NLM = false;
    Enable_RQUOTA = false; Enable_UDP = MOUNT; {more} }}
EXPORT {{ Export_Id = 1; Path = {self.dir}; Pseudo = {self.export}; Tag = bucket; Protocols = 3; Transports = TCP;
    Access_Type = RW; Squash = None; SecType = sys; PrivilegedPort = false; FSAL {{ Name = VFS; }} }}
""")
        self.source = f"{kit.HOST}:{self.dir}"
        self.process = self.case.process("ganesha", [
            self.program, "-F", "-L", self.case.path("ganesha-own.log"), "-f", config, "-N", "NIV_EVENT", "-p", self.case.path("ganesha.pid")])
        self.process.ready(lambda: self._registered(), "listens and has registered", 60)
        return self

    def _registered(self):
        answer = subprocess.run(["rpcinfo", "-p", "127.0.0.1"], capture_output=True, text=True, check=False)
        return " 100005 " in answer.stdout and " 100003 " in answer.stdout and kit.port_open("127.0.0.1", self.port)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.stop(signal.SIGKILL)
