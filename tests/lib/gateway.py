"""One gateway as cases that look at what it says see it: its NFS client, "pailfs status" and "pailfs flush"."""
import json
import subprocess

import kit
import nfs3
import servers


class Gateway:
    def __init__(self, case, store, name, port, options=(), faults=None):
        self.state = case.path("state-" + name)
        self.server = servers.Pailfs(
            case, store, ["--nfs-port", str(port), "--portmap", "off", *options], state="state-" + name, port=port, faults=faults)
        self.server.start()
        self.nfs = None
        self.connect()

    def connect(self):
        self.nfs = nfs3.Client(kit.HOST, self.server.port, self.server.export)

    def run(self, command, *args, status=None, limit=120):
        """pailfs COMMAND --state-dir ... ARGS; the finished process. status: what its exit status has to be."""
        done = subprocess.run([kit.BIN, command, "--state-dir", self.state, *args], capture_output=True, text=True, timeout=limit,
                              check=False)
        if status is not None:
            kit.check(done.returncode == status,
                      f"pailfs {command} {' '.join(args)}: exit status {done.returncode}, want {status}\n{done.stdout}{done.stderr}")
        return done

    def flush(self, path="", status=0, limit=60):
        """Waits until what is at or below path in the export is in the bucket."""
        return self.run("flush", "--wait", "--timeout", f"{limit}s", self.server.export + path, status=status)

    def status(self):
        """The answer about the process, with that about its one export as "export"."""
        answer = json.loads(self.run("status", "--json").stdout)
        answer["export"] = answer["exports"][0]
        return answer

    def metric(self, name):
        text = subprocess.run(["curl", "-sS", "--fail", "--unix-socket", "control", "http://localhost/metrics"], cwd=self.state,
                              capture_output=True, text=True, timeout=60, check=True).stdout
        for line in text.splitlines():
            if line.startswith(f"pailfs_{name}{{") or line.startswith(f"pailfs_{name} "):
                return int(line.rsplit(" ", 1)[1])
        raise kit.Failed(f"no metric pailfs_{name}")

    # --- files ---

    def ok(self, answer):
        if isinstance(answer, int):
            kit.equal(answer, nfs3.OK, "NFS status")
            return None
        kit.equal(answer[0], nfs3.OK, "NFS status")
        return answer[1]

    def handle(self, path):
        """NFS status and handle."""
        at = self.nfs.root
        for name in path.split("/"):
            status, at = self.nfs.lookup(at, name)
            if status != nfs3.OK:
                return status, None
        return nfs3.OK, at

    def split(self, path):
        top, _, name = path.rpartition("/")
        return (self.ok(self.handle(top)) if top else self.nfs.root), name

    def mkdir(self, path):
        directory, name = self.split(path)
        return self.ok(self.nfs.mkdir(directory, name))

    def write(self, path, body):
        """All of it, committed; not in the bucket by that. The handle."""
        directory, name = self.split(path)
        handle = self.ok(self.nfs.create(directory, name))
        self.ok(self.nfs.truncate(handle, 0))
        self.patch(handle, 0, body)
        return handle

    def patch(self, handle, offset, body):
        for at in range(0, len(body), 1 << 20):
            self.ok(self.nfs.write(handle, offset + at, body[at:at + (1 << 20)]))
        self.ok(self.nfs.commit(handle))

    def read(self, path):
        """The bytes; the NFS status if there is no such name."""
        status, handle = self.handle(path)
        return self.body(handle) if status == nfs3.OK else status

    def body(self, handle):
        data = b""
        while True:
            status, more = self.nfs.read(handle, len(data), 1 << 20)
            kit.equal(status, nfs3.OK, "READ")
            data += more
            if len(more) < 1 << 20:
                return data

    def remove(self, path):
        directory, name = self.split(path)
        self.ok(self.nfs.remove(directory, name))

    def rename(self, path, to):
        (directory, name), (to_directory, to_name) = self.split(path), self.split(to)
        self.ok(self.nfs.rename(directory, name, to_directory, to_name))

    def names(self, path):
        return sorted(self.nfs.names(self.ok(self.handle(path))))
