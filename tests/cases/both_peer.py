"""One client of both.py: does what it is told below a directory, in the case's own process or, as a program, in the guest.

both_peer.py DIRECTORY HOST PORT
"""
import base64
import json
import os
import socket
import sys


class Peer:
    """Answers are what JSON has; bytes as base64. Every read opens the file anew."""

    def __init__(self, top):
        self.top = top

    def do(self, op, *args):
        try:
            return getattr(self, op)(*args)
        except OSError as error:
            return {"errno": error.errno}

    def at(self, name):
        return os.path.join(self.top, name)

    def write(self, name, body):
        """The whole content anew, closed."""
        with open(self.at(name), "wb") as f:
            f.write(base64.b64decode(body))

    def append(self, name, body):
        with open(self.at(name), "ab") as f:
            f.write(base64.b64decode(body))

    def patch(self, name, offset, body):
        with open(self.at(name), "r+b") as f:
            f.seek(offset)
            f.write(base64.b64decode(body))

    def truncate(self, name, size):
        with open(self.at(name), "r+b") as f:
            f.truncate(size)

    def rename(self, name, to):
        os.rename(self.at(name), self.at(to))

    def remove(self, name):
        os.unlink(self.at(name))

    def chmod(self, name, mode):
        os.chmod(self.at(name), mode)

    def mkdir(self, name):
        os.mkdir(self.at(name))

    def read(self, name):
        with open(self.at(name), "rb") as f:
            return {"size": os.fstat(f.fileno()).st_size, "mode": os.fstat(f.fileno()).st_mode & 0o777,
                    "body": base64.b64encode(f.read()).decode()}

    def names(self, name):
        return sorted(os.listdir(self.at(name)))


def main():
    peer = Peer(sys.argv[1])
    with socket.create_connection((sys.argv[2], int(sys.argv[3]))) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for line in sock.makefile("rb"):
            sock.sendall(json.dumps(peer.do(*json.loads(line))).encode() + b"\n")


if __name__ == "__main__":
    main()
