"""The two stores that cases serve: a directory, and an S3 server; and what an independent reader sees in them.

A view is {path: Entry}. It is taken with boto3, or by looking at the directory, never through pailfs.
"""
import concurrent.futures
import dataclasses
import hashlib
import os
import shutil
import signal
import stat

import kit

KEY, SECRET, PORT, BUCKET = "pailfs-test", "pailfs-test-secret", 17480, "pail"


@dataclasses.dataclass
class Entry:
    kind: str            # "file", "dir", "link"
    size: int = 0
    sha: str = ""        # of a file
    target: str = ""     # of a link
    mode: int = -1       # permission bits; -1: the object says nothing
    uid: int = -1
    gid: int = -1
    mtime_ns: int = -1


def entry_of(meta, is_dir, body_sha, size, body):
    """An object as AWS DataSync would restore it."""
    mode = int(meta["file-permissions"], 8) if "file-permissions" in meta else -1
    entry = Entry("dir" if is_dir else "file", mode=mode & 0o7777 if mode >= 0 else -1)
    entry.uid = int(meta.get("file-owner", -1))
    entry.gid = int(meta.get("file-group", -1))
    mtime = meta.get("file-mtime")
    if mtime:
        entry.mtime_ns = int(mtime[:-2]) if mtime.endswith("ns") else int(mtime) * 1000000
    if mode >= 0 and stat.S_ISLNK(mode):
        entry.kind, entry.target = "link", body().decode()
    elif not is_dir:
        entry.size, entry.sha = size, body_sha()
    return entry


class FileStore:
    name = "file"

    def __init__(self, case, sub=""):
        self.dir = case.path(sub, "bucket")
        os.makedirs(self.dir)
        self.url = "file://" + self.dir
        self.options, self.env = [], {}

    def put(self, key, body, meta=None):
        """As another program would: a new file that takes the name."""
        path = os.path.join(self.dir, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".part", "wb") as f:
            f.write(body)
        for name, value in (meta or {}).items():
            os.setxattr(path + ".part", "user.pailfs." + name, value.encode())
        os.rename(path + ".part", path)

    def get(self, key):
        try:
            with open(os.path.join(self.dir, key), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def delete(self, key):
        os.unlink(os.path.join(self.dir, key))

    def keys(self):
        for top, dirs, files in os.walk(self.dir):
            if top == self.dir:
                dirs[:] = [d for d in dirs if not d.startswith(".pailfs")]
            for name in files:
                yield os.path.relpath(os.path.join(top, name), self.dir)

    def uploads(self):
        return []

    def uploads_known(self):
        return []

    @staticmethod
    def _meta(path):
        """The file's own mode, owner, group and time, unless an xattr says what could not be put there."""
        own = os.lstat(path)
        meta = {"file-permissions": oct(own.st_mode)[2:], "file-owner": str(own.st_uid), "file-group": str(own.st_gid),
                "file-mtime": f"{own.st_mtime_ns}ns"}
        for name in os.listxattr(path, follow_symlinks=False):
            if name.startswith("user.pailfs."):
                value = os.getxattr(path, name, follow_symlinks=False).decode()
                name = name.removeprefix("user.pailfs.")
                if name == "file-mtime":  # true until somebody modifies the file
                    value, _, of = value.partition("@")
                    if int(of, 16) != own.st_mtime_ns:
                        continue
                meta[name] = value
        return meta

    def _entry(self, path):
        meta = self._meta(path)
        if os.path.islink(path):
            return entry_of(meta, False, None, 0, lambda: os.readlink(path).encode())
        if os.path.isdir(path):
            return entry_of(meta, True, None, 0, None)

        def sha():
            with open(path, "rb") as f:
                return hashlib.file_digest(f, "sha256").hexdigest()

        def body():
            with open(path, "rb") as f:
                return f.read()
        return entry_of(meta, False, sha, os.path.getsize(path), body)

    def view(self):
        seen = {}
        for top, dirs, files in os.walk(self.dir):
            if top == self.dir:
                dirs[:] = [d for d in dirs if not d.startswith(".pailfs")]
            for name in dirs + files:
                path = os.path.join(top, name)
                seen[os.path.relpath(path, self.dir)] = self._entry(path)
        return seen


class S3Store:
    """versitygw over a directory, and boto3 to look at it from outside."""
    name = "s3"

    def __init__(self, case, port=PORT, endpoint_port=None):
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            kit.skip("boto3 is not installed (tests/run installs it)")
        self.program = next((p for p in (os.path.join(kit.TOOLS, "versitygw"), shutil.which("versitygw") or "",
                                         os.path.expanduser("~/go/bin/versitygw")) if os.access(p, os.X_OK)), None)
        if not self.program:
            kit.skip("versitygw is not installed (tests/run installs it)")
        self.case, self.port = case, port
        self.dir = case.path("s3")
        os.makedirs(os.path.join(self.dir, BUCKET))
        self.url = f"s3://{BUCKET}"
        self.options = ["--endpoint", f"http://127.0.0.1:{endpoint_port or port}", "--region", "us-east-1", "--path-style"]
        self.env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_CONFIG_FILE": "/nonexistent",
                    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
        self.process = None
        self.start()
        self.client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3}, max_pool_connections=16))

    def start(self):
        argv = [self.program, "--access", KEY, "--secret", SECRET, "--port", f"127.0.0.1:{self.port}", "--quiet",
                "--keep-alive", "posix", self.dir]
        self.process = self.case.process("versitygw", argv)
        self.process.ready(lambda: kit.port_open("127.0.0.1", self.port), "listens")

    def kill(self):
        self.process.stop(signal.SIGKILL)

    def pause(self):
        self.process.send(signal.SIGSTOP)

    def resume(self):
        self.process.send(signal.SIGCONT)

    def put(self, key, body, meta=None):
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=meta or {})

    def get(self, key):
        try:
            return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def delete(self, key):
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def keys(self):
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for item in page.get("Contents", []):
                yield item["Key"]

    def uploads(self):
        """Multipart uploads that nobody finished."""
        return self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads") or []

    def uploads_known(self):
        """Without those that have no part: a kill while the reply with an upload's id is on its way leaves one that nobody knows."""
        return [u for u in self.uploads()
                if self.client.list_parts(Bucket=BUCKET, Key=u["Key"], UploadId=u["UploadId"]).get("Parts")]

    def _entry(self, key):
        answer = self.client.get_object(Bucket=BUCKET, Key=key)
        body = answer["Body"]

        def sha():
            digest = hashlib.sha256()
            for chunk in body.iter_chunks(1 << 20):
                digest.update(chunk)
            return digest.hexdigest()
        try:
            return entry_of(answer["Metadata"], key.endswith("/"), sha, answer["ContentLength"], body.read)
        finally:
            body.close()

    def view(self):
        keys = list(self.keys())
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            entries = list(pool.map(self._entry, keys))
        seen = {key.rstrip("/"): entry for key, entry in zip(keys, entries)}
        for key in keys:  # directories without a marker
            parent = os.path.dirname(key.rstrip("/"))
            while parent and parent not in seen:
                seen[parent] = Entry("dir")
                parent = os.path.dirname(parent)
        return seen


def store(case, kind, **more):
    return {"file": FileStore, "s3": S3Store}[kind](case, **more)


def differences(want, got, mtimes=True):
    """Of two views; -1 in either side says nothing. At most twenty lines."""
    lines = []
    for path in sorted(set(want) | set(got)):
        a, b = want.get(path), got.get(path)
        if a is None or b is None:
            lines.append(f"{path!r}: {'not expected' if a is None else 'missing'}")
            continue
        for field in ("kind", "size", "sha", "target", "mode", "uid", "gid", "mtime_ns"):
            x, y = getattr(a, field), getattr(b, field)
            if x == y or (x == -1 or y == -1) or (field == "mtime_ns" and (not mtimes or a.kind != "file")):
                continue
            if field == "mode" and a.kind == "link":
                continue
            lines.append(f"{path!r}: {field} is {y!r}, want {x!r}")
    return lines[:20] + ([f"... {len(lines) - 20} more"] if len(lines) > 20 else [])
