"""A small NFSv3 client over one TCP connection, for cases that have to see the status of a single call."""
import random
import socket
import struct

OK, NOENT, EXIST, STALE, JUKEBOX = 0, 2, 17, 70, 10008
UNSTABLE, FILE_SYNC = 0, 2


class Reply:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u32(self):
        self.at += 4
        return struct.unpack_from(">I", self.data, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from(">Q", self.data, self.at - 8)[0]

    def opaque(self):
        size = self.u32()
        self.at += (size + 3) & ~3
        return self.data[self.at - ((size + 3) & ~3):][:size]

    def fattr(self):
        """Only what cases look at."""
        kind, mode, _, uid, gid, size = struct.unpack_from(">5IQ", self.data, self.at)
        self.at += 84
        return {"type": kind, "mode": mode, "uid": uid, "gid": gid, "size": size}

    def post_attr(self):
        return self.fattr() if self.u32() else None

    def wcc(self):
        if self.u32():
            self.at += 24
        return self.post_attr()


def opaque(data):
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


class Client:
    def __init__(self, host, port, export, limit=90):
        self.where, self.limit = (host, port), limit
        self.sock = None
        self.xid = random.randrange(1 << 31)
        self.last = b""
        self.connect()
        reply = self.call(100005, 1, opaque(export.encode()))
        if reply.u32() != 0:
            raise OSError(f"MNT of {export} was refused")
        self.root = reply.opaque()

    def connect(self):
        """From a reserved port, as a kernel client does it. Again after the server was away; calls keep their xid."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None
        for own in range(1000, 900, -1):
            sock = socket.socket()
            try:
                sock.bind(("0.0.0.0", own))
                sock.settimeout(self.limit)
                sock.connect(self.where)
                self.sock = sock
                break
            except OSError:
                sock.close()
        if self.sock is None:
            raise OSError("no reserved port is free, or nobody listens")

    def call(self, prog, proc, args):
        self.xid += 1
        cred = struct.pack(">I", 0) + opaque(b"case") + struct.pack(">3I", 0, 0, 0)
        head = struct.pack(">6I", self.xid, 0, 2, prog, 3, proc) + struct.pack(">I", 1) + opaque(cred) + bytes(8)
        self.last = struct.pack(">I", 0x80000000 | len(head + args)) + head + args
        return self.send()

    def send(self):
        """The last call; once more, with the same xid, when no reply came."""
        self.sock.sendall(self.last)
        reply = Reply(self._record())
        if reply.u32() != self.xid:
            raise OSError("a reply to another call")
        if (reply.u32(), reply.u32()) != (1, 0):
            raise OSError("the call was refused")
        reply.u32()
        reply.opaque()
        if reply.u32() != 0:
            raise OSError("the call was not understood")
        return reply

    def _exactly(self, size):
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return bytes(data)

    def _record(self):
        data, last = b"", False
        while not last:
            mark = struct.unpack(">I", self._exactly(4))[0]
            last = bool(mark & 0x80000000)
            data += self._exactly(mark & 0x7fffffff)
        return data

    def nfs(self, proc, args):
        reply = self.call(100003, proc, args)
        return reply.u32(), reply

    def getattr(self, handle):
        status, reply = self.nfs(1, opaque(handle))
        return status, reply.fattr() if status == OK else None

    def lookup(self, directory, name):
        status, reply = self.nfs(3, opaque(directory) + opaque(name.encode()))
        return status, reply.opaque() if status == OK else None

    def read(self, handle, offset, size):
        status, reply = self.nfs(6, opaque(handle) + struct.pack(">QI", offset, size))
        if status != OK:
            return status, None
        reply.post_attr()
        reply.u32()
        reply.u32()
        return status, reply.opaque()

    def write(self, handle, offset, data, stable=UNSTABLE):
        return self.nfs(7, opaque(handle) + struct.pack(">QII", offset, len(data), stable) + opaque(data))[0]

    def create(self, directory, name):
        status, reply = self.nfs(8, opaque(directory) + opaque(name.encode()) + struct.pack(">3I", 0, 1, 0o644) + bytes(20))
        return status, reply.opaque() if status == OK and reply.u32() else None

    def mkdir(self, directory, name):
        status, reply = self.nfs(9, opaque(directory) + opaque(name.encode()) + struct.pack(">2I", 1, 0o755) + bytes(20))
        return status, reply.opaque() if status == OK and reply.u32() else None

    def remove(self, directory, name):
        return self.nfs(12, opaque(directory) + opaque(name.encode()))[0]

    def rmdir(self, directory, name):
        return self.nfs(13, opaque(directory) + opaque(name.encode()))[0]

    def rename(self, directory, name, to_directory, to_name):
        return self.nfs(14, opaque(directory) + opaque(name.encode()) + opaque(to_directory) + opaque(to_name.encode()))[0]

    def truncate(self, handle, size):
        return self.nfs(2, opaque(handle) + struct.pack(">4IQ3I", 0, 0, 0, 1, size, 0, 0, 0))[0]

    def names(self, directory):
        """Of all pages of READDIR, without "." and ".."."""
        found, cookie, verf = [], 0, bytes(8)
        while True:
            status, reply = self.nfs(16, opaque(directory) + struct.pack(">Q", cookie) + verf + struct.pack(">I", 8192))
            if status != OK:
                raise OSError(f"READDIR: NFS status {status}")
            reply.post_attr()
            reply.at += 8
            verf = reply.data[reply.at - 8:reply.at]
            while reply.u32():
                reply.u64()
                found.append(reply.opaque().decode())
                cookie = reply.u64()
            if reply.u32():
                return [name for name in found if name not in (".", "..")]

    def commit(self, handle):
        return self.nfs(21, opaque(handle) + bytes(12))[0]
