"""One process serves NFS and FUSE: what is closed on one is seen by the next open on the other, both ways, in a loop of 1,000.

both.py file|s3 [ROUNDS [SEED]]. Three clients take turns: a Linux kernel's NFS client, and two FUSE mounts of the same export.
After each change (content of the same size, longer, shorter, at an offset, a new file, a rename, one over another file, a
removal, a mode) the two others open what was changed, and compare.
"""
import base64
import json
import os
import random
import socket
import subprocess
import sys

import both_peer
import fusemount
import guest
import kit
import servers
import stores

KIND = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
ENOENT = {"errno": 2}
NAMES = 12


class Remote:
    """A Peer in the guest."""

    def __init__(self, client, where):
        listener = socket.create_server((kit.HOST, 0))
        listener.settimeout(60)
        self.command = client.start(f"exec python3 {kit.ROOT}/tests/cases/both_peer.py {where} {kit.HOST} {listener.getsockname()[1]}",
                                    600)
        self.sock, _ = listener.accept()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(60)
        self.file = self.sock.makefile("rb")
        listener.close()

    def do(self, *args):
        self.sock.sendall(json.dumps(args).encode() + b"\n")
        return json.loads(self.file.readline())

    def end(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.command.wait(60)


def coded(body):
    return base64.b64encode(body).decode()


class Loop:
    def __init__(self, peers):
        self.peers, self.rng, self.model, self.modes, self.counts = peers, random.Random(SEED), {}, {}, {}

    def body(self):
        return self.rng.randbytes(self.rng.choice((0, 1, 100, 4096, 5000, 70000)))

    def write(self, peer, name):
        if name in self.model and self.rng.random() < 0.5:  # the same size: only the time tells
            self.model[name] = self.rng.randbytes(len(self.model[name]))
        else:
            self.model[name] = self.body()
            self.modes.setdefault(name, None)
        return peer.do("write", name, coded(self.model[name])), [name]

    def append(self, peer, name):
        more = self.body()
        self.model[name] += more
        return peer.do("append", name, coded(more)), [name]

    def patch(self, peer, name):
        old = self.model[name]
        at, more = self.rng.randrange(len(old) + 10000), self.body()
        if more:
            old += bytes(max(0, at - len(old)))
            self.model[name] = old[:at] + more + old[at + len(more):]
        return peer.do("patch", name, at, coded(more)), [name]

    def truncate(self, peer, name):
        size = self.rng.randrange(len(self.model[name]) + 3000)
        self.model[name] = self.model[name][:size] + bytes(max(0, size - len(self.model[name])))
        return peer.do("truncate", name, size), [name]

    def rename(self, peer, name):
        to = f"f{self.rng.randrange(NAMES)}"
        if to == name:
            return None, [name]
        self.model[to], self.modes[to] = self.model.pop(name), self.modes.pop(name)
        return peer.do("rename", name, to), [name, to]

    def remove(self, peer, name):
        del self.model[name], self.modes[name]
        return peer.do("remove", name), [name]

    def chmod(self, peer, name):
        self.modes[name] = self.rng.choice((0o600, 0o644, 0o666, 0o755))
        return peer.do("chmod", name, self.modes[name]), [name]

    def turn(self, number):
        writer = self.peers[number % len(self.peers)]
        name = f"f{self.rng.randrange(NAMES)}"
        call = self.write
        if name in self.model:
            call = self.rng.choice((self.write, self.write, self.append, self.patch, self.truncate, self.rename, self.rename, self.remove,
                                    self.chmod))
        answer, touched = call(writer[1], name)
        what = f"turn {number}: {call.__name__} of {name} by {writer[0]}"
        kit.equal(answer, None, what)
        self.counts[call.__name__] = self.counts.get(call.__name__, 0) + 1
        touched.append(f"f{self.rng.randrange(NAMES)}")
        for who, peer in self.peers:
            for name in touched:
                self.compare(peer, name, f"{what}: {name} as {who} sees it")
            if number % 8 == 0:
                kit.equal(peer.do("names", ""), sorted(self.model), f"{what}: names as {who} sees them")

    def compare(self, peer, name, what):
        got = peer.do("read", name)
        if name not in self.model:
            kit.equal(got, ENOENT, what)
            return
        want = self.model[name]
        kit.check("body" in got, f"{what}: got {got}, want {len(want)} bytes")
        body = base64.b64decode(got["body"])
        if body != want:
            at = next((i for i, (a, b) in enumerate(zip(body, want)) if a != b), min(len(body), len(want)))
            raise kit.Failed(f"{what}: got {len(body)} bytes, want {len(want)}; the first difference is at {at}")
        kit.equal(got["size"], len(want), f"{what}: st_size")
        if self.modes[name] is not None:
            kit.equal(oct(got["mode"]), oct(self.modes[name]), f"{what}: mode")


def main():
    with kit.Case("both-" + KIND) as case:
        kit.need("fusermount3", "fuse3")
        case.network()
        store = stores.store(case, KIND)
        mounts = [case.path("m1"), case.path("m2")]
        options = []
        for path in mounts:
            os.mkdir(path)
            case.exit.callback(fusemount.clean, path)
            options += ["--fuse", path]
        server = servers.Pailfs(case, store, options).start()
        kit.wait_for(lambda: "event=ready" in server.process.text(), "event=ready")
        for path in mounts:
            kit.check(fusemount.is_mounted(path), f"{path} is not mounted")
        os.chmod(mounts[0], 0o777)
        client = guest.Guest(case, mem="256M")
        # A client may believe a directory for acdirmin seconds, names that are not there too: that is its own choice.
        client.mount(server.source, options="nolock,acdirmin=0,acdirmax=0")
        remote = Remote(client, "/mnt/n")
        case.step("mounted three times")
        loop = Loop([("NFS", remote), ("FUSE 1", both_peer.Peer(mounts[0])), ("FUSE 2", both_peer.Peer(mounts[1]))])
        for number in range(ROUNDS):
            loop.turn(number)
        case.step(f"{ROUNDS} turns: {loop.counts}")
        server.kill()
        server.start()  # over two dead mounts
        kit.wait_for(lambda: server.process.text().count("event=ready") == 2, "event=ready after a kill")
        for number in range(ROUNDS, ROUNDS + 60):
            loop.turn(number)
        case.step("60 turns after a kill")
        subprocess.run(["umount", mounts[1]], check=True)  # NFS and the other mount go on
        loop.peers.pop()
        for number in range(ROUNDS + 60, ROUNDS + 80):
            loop.turn(number)
        remote.end()
        client.umount()
        server.stop()
        for path in mounts:
            kit.check(not fusemount.is_mounted(path), f"{path} is still mounted")
        for name, body in loop.model.items():
            kit.check(store.get(name) == body, f"the object {name} is not what was written last")
        kit.equal(sorted(store.keys()), sorted(loop.model), "objects")
        server.check_state("--store", *store.options)


main()
