"""What the tests of goofys's checklist stand on: a mount for each set of options, and for each test a directory of its own with
the fixture that goofys's tests have.

A test is a function of a module here whose name is that of the goofys test. @options("--x") says with which options it wants its
mount, @only("s3") that it makes sense on one store alone. It gets a Test.
"""
import contextlib
import json
import os
import random
import stat
import subprocess
import urllib.parse

import fusemount
import kit
import stores

FIXTURE = ["file1", "file2", "dir1/file3", "dir2/dir3/", "dir2/dir3/file4", "dir4/", "dir4/file5", "empty_dir/", "empty_dir2/", "zero"]
AT_ONCE = ("--attr-ttl", "0")


def options(*words, prefix=None):
    def mark(function):
        function.options, function.prefix = words, prefix
        return function
    return mark


def only(kind):
    def mark(function):
        function.only = kind
        return function
    return mark


def equal(got, want, what=""):
    kit.equal(got, want, what)


def check(ok, message):
    kit.check(ok, message)


class raises(contextlib.AbstractContextManager):
    """with raises(errno.ENOENT): ..."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def __exit__(self, kind, error, trace):
        if isinstance(error, OSError) and error.errno in self.numbers:
            return True
        if kind is None or isinstance(error, OSError):
            raise kit.Failed(f"got {error!r}, want {[os.strerror(n) for n in self.numbers]}")
        return False


class World:
    """One store, and the mounts of it that were wanted so far."""

    def __init__(self, case, kind):
        self.case, self.kind = case, kind
        self.store = stores.store(case, kind)
        self.mounts = {}
        if kind == "s3":
            self._publish()

    def _publish(self):
        """Those without credentials may list and read, but not what is called secret."""
        bucket = f"arn:aws:s3:::{stores.BUCKET}"
        statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [bucket, bucket + "/*"]}
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": bucket + "/TestRead403/secret"}
        self.store.client.put_bucket_policy(Bucket=stores.BUCKET, Policy=json.dumps({"Version": "2012-10-17",
                                                                                     "Statement": [statement, deny]}))

    def mount(self, words, prefix):
        key = (words, prefix)
        if key not in self.mounts:
            name = f"mnt{len(self.mounts)}"
            made = fusemount.Mount(self.case, self.store, words, name=name)
            if prefix:
                if self.kind == "file":
                    os.makedirs(os.path.join(self.store.dir, prefix.strip("/")), exist_ok=True)
                made.argv[-2] = f"{self.store.url}/{prefix}"
            self.mounts[key] = made.start()
        return self.mounts[key]

    def end(self):
        for mount in self.mounts.values():
            mount.unmount()
            mount.check_state()


class Test:
    def __init__(self, world, function):
        words, prefix = getattr(function, "options", AT_ONCE), getattr(function, "prefix", None)
        self.kind, self.store, self.case = world.kind, world.store, world.case
        self.name = function.__name__
        self.random = random.Random(self.name)
        if not prefix:  # where tests share a bucket, each has a directory
            if "--no-implicit-dir" in words:
                self.put("")  # or the test's own directory would not be there
            for key in FIXTURE:
                self.put(key, b"" if key == "zero" else key.encode())
        self.mount = world.mount(words, prefix)
        self.dir = self.mount.path() if prefix else self.mount.path(self.name)

    # --- through the mount ---

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def ls(self, *parts):
        return sorted(os.listdir(self.path(*parts)))

    def read(self, *parts):
        with open(self.path(*parts), "rb") as f:
            return f.read()

    def write(self, name, body):
        with open(self.path(name), "wb") as f:
            f.write(body)

    def flushed(self):
        """What was done is in the bucket."""
        self.mount.flush()

    # --- in the bucket, past pailfs ---

    def key(self, key):
        return f"{self.name}/{key}"

    def put(self, key, body=b"", meta=None):
        if self.kind == "file" and (key.endswith("/") or not key):
            os.makedirs(os.path.join(self.store.dir, self.key(key)), exist_ok=True)
            return
        if meta is None and key and not key.endswith("/"):
            meta = {"name": urllib.parse.quote(key) + "%2b/%23%25%00"}  # goofys has "+/#%00" in its values
        self.store.put(self.key(key), b"" if key.endswith("/") else body, meta)

    def get(self, key):
        return self.store.get(self.key(key))

    def delete(self, key):
        if self.kind == "file" and key.endswith("/"):
            os.rmdir(os.path.join(self.store.dir, self.key(key)))
        else:
            self.store.delete(self.key(key))

    def keys(self, prefix=""):
        start = self.key(prefix)
        return sorted(key[len(self.name) + 1:] for key in self.store.keys() if key.startswith(start))

    def head(self, key):
        return self.store.client.head_object(Bucket=stores.BUCKET, Key=self.key(key))

    def noise(self, size):
        return self.random.randbytes(size)


def sh(command, cwd):
    done = subprocess.run(["bash", "-c", "set -eo pipefail; " + command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, cwd=cwd)
    kit.check(done.returncode == 0, f"exit status {done.returncode}: {command}\n{done.stdout[-2000:]}")
    return done.stdout


def is_dir(path):
    return stat.S_ISDIR(os.stat(path).st_mode)
