"""A configuration file with an export and two mounts of one process: what each says of its bucket is what its requests have,
and nobody else's; owners, modes and read-only are its own; the command line wins. Looked at where the store is."""
import asyncio
import errno
import os
import re
import subprocess

import faults
import fusemount
import kit
import stores

PORT, PROXY = 42061, 42062
REQUEST = re.compile(rb"(HEAD|GET|PUT|POST|DELETE) (/\S*) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)+)\r\n")


class Recorder(faults.Faults):
    """A proxy that keeps what the gateway sends."""

    def __init__(self, port, target):
        self.sent = []
        super().__init__(port, target)

    async def _forward(self, reader, writer, spoil):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.sent.append(mine := bytearray())

        async def pump(source, sink, kept):
            while data := await source.read(65536):
                kept += data
                sink.write(data)
                await sink.drain()
            sink.close()
        await asyncio.gather(pump(reader, there_writer, mine), pump(there_reader, writer, bytearray()))

    def requests(self, prefix):
        """(method, path, headers) of those that are about keys or listings below prefix."""
        for sent in self.sent:
            for method, path, headers in REQUEST.findall(bytes(sent)):
                if f"/{stores.BUCKET}/{prefix}/" in path.decode() or f"prefix={prefix}%2F" in path.decode():
                    lines = headers.decode().lower().splitlines()
                    yield method.decode(), path.decode(), dict(line.split(": ", 1) for line in lines)


def configuration(case):
    return f"""
[pailfs]
state-dir = {case.path("state")}
nfs-port = {PORT}
portmap = off
shutdown-timeout = 200s

[defaults]
endpoint = http://127.0.0.1:{PROXY}
region = us-east-1
passwd-file = {case.path("passwd")}
use_path_request_style = yes          ; as s3fs calls it
file-mode = 0640

[export /pail]
url = s3://{stores.BUCKET}/zero

[mount {case.path("one")}]
url = s3://{stores.BUCKET}/one
storage-class = STANDARD_IA
cold-min-size = 10
requester-pays = yes
use-content-type = yes
list-type = 1
uid = 1234
file-mode = 0600

[mount {case.path("two")}]
url = s3://{stores.BUCKET}/two
read-only = yes
umask = 077
"""


def check_requests(recorder):
    one = list(recorder.requests("one"))
    puts = {path.rsplit("/", 1)[1]: headers for method, path, headers in one if method == "PUT"}
    kit.equal(puts["large.html"].get("x-amz-storage-class"), "standard_ia", "class of an object of the first")
    kit.equal(puts["small.html"].get("x-amz-storage-class"), None, "class of a small one")
    kit.equal(puts["large.html"].get("content-type"), "text/html", "type of an object of the first")
    for method, path, headers in one:
        kit.equal(headers.get("x-amz-request-payer"), "requester", f"who pays for {method} {path}")
        kit.check("list-type=2" not in path, f"{path}: a listing of the second version")
    kit.check(any("prefix=one%2F" in path for _, path, _ in one), "nothing was listed in the first")
    zero, two = list(recorder.requests("zero")), list(recorder.requests("two"))
    kit.check(any("list-type=2" in path for _, path, _ in two), "nothing was listed in the second")
    kit.check(any(method == "PUT" and path.endswith("/large.html") for method, path, _ in zero), "nothing was put by the export")
    kit.check(all(method in ("GET", "HEAD") for method, _, _ in two), f"a change of what is read-only: {two}")
    for method, path, headers in zero + two:
        kit.check(headers.get("x-amz-storage-class") != "standard_ia", f"the other's class in {method} {path}")
        kit.check("x-amz-request-payer" not in headers, f"the other pays for {method} {path}")
        kit.check(headers.get("content-type") != "text/html", f"a type in {method} {path}")


def main(case):
    case.loopback()
    kit.need("nfs-cp", "libnfs-utils")
    store = stores.S3Store(case)
    recorder = Recorder(PROXY, store.port)
    for name in ("one", "two"):
        os.mkdir(case.path(name))
        case.exit.callback(fusemount.clean, case.path(name))
        store.put(f"{name}/there", b"by others")
    with open(case.path("pailfs.conf"), "w", encoding="ascii") as f:
        f.write(configuration(case))
    with open(os.open(case.path("passwd"), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        f.write(f"# as s3fs has it\nother:no:keys\n{stores.KEY}:{stores.SECRET}\n")
    env = {k: v for k, v in (os.environ | store.env).items() if k not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    server = case.process("pailfs", [kit.BIN, "serve", "-c", case.path("pailfs.conf"), "--insecure-ports", "--squash", "none",
                                     "--gid", "4321"], env)
    server.ready(lambda: "event=ready" in server.text(), "is ready")
    case.step("serves an export and two mounts by a configuration file")

    for name, size in (("small.html", 9), ("large.html", 10)):
        with open(case.path("one", name), "wb") as f:
            f.write(b"x" * size)
    for name, want in (("one", (1234, 4321, 0o600)), ("two", (os.geteuid(), 4321, 0o600))):
        found = os.stat(case.path(name, "there"))
        kit.equal((found.st_uid, found.st_gid, found.st_mode & 0o777), want, f"owner, group and mode in {name}")
        kit.check("there" in os.listdir(case.path(name)), f"{name} is not listed")
    try:
        with open(case.path("two", "new"), "wb"):
            pass
        raise kit.Failed("a file was made in what is read-only")
    except OSError as err:
        kit.equal(err.errno, errno.EROFS, "errno of a change in what is read-only")
    subprocess.run(["nfs-cp", case.path("one", "large.html"), f"nfs://127.0.0.1/pail/large.html?nfsport={PORT}&mountport={PORT}"],
                   check=True, timeout=60, capture_output=True)
    subprocess.run([kit.BIN, "flush", "--wait", "--timeout", "60s", "--state-dir", case.path("state")], check=True, timeout=90)
    kit.equal(store.get("zero/large.html"), b"x" * 10, "what was copied to the export")
    check_requests(recorder)
    kit.equal(server.stop(), 0, "exit status")
    case.step("each has its own options, and the requests that follow from them")


if __name__ == "__main__":
    with kit.Case("options") as this:
        main(this)
