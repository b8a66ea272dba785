"""goofys's checklist: contents, open files, metadata, rights."""
import concurrent.futures
import errno
import hashlib
import os
import shutil
import subprocess

from goofys.world import AT_ONCE, check, equal, only, options, raises, sh


def TestReadFiles(t):
    for name in ("file1", "file2", "dir1/file3", "dir2/dir3/file4", "dir4/file5"):
        equal(t.read(name), name.encode(), name)
    equal(t.read("zero"), b"", "zero")


def TestReadOffset(t):
    with open(t.path("file1"), "rb") as f:
        for i in range(6):
            f.seek(i)
            equal(f.read(3), b"file1"[i:i + 3], f"at {i}")
        f.seek(100)
        equal(f.read(3), b"", "past the end")


def TestReadRandom(t):
    body = t.noise(21 << 20)
    t.put("random", body)
    with open(t.path("random"), "rb", buffering=0) as f:
        for _ in range(10):
            at = t.random.randrange(len(body))
            want = body[at:at + (5 << 20) + 1]
            f.seek(at)
            got = b""
            while len(got) < len(want):
                got += f.read(len(want) - len(got))
            check(got == want, f"bytes at {at}")


def TestCreateFiles(t):
    t.write("testCreateFile", b"")
    t.write("testCreateFile2", b"a")
    t.flushed()
    equal((t.get("testCreateFile"), t.get("testCreateFile2")), (b"", b"a"), "objects")
    with open(t.path("testCreateFile2"), "r+b") as f:
        os.fsync(f.fileno())
    t.flushed()
    equal(t.get("testCreateFile2"), b"a", "after a flush of nothing")


def write_pieces(t, name, size, piece=128 << 10):
    body = t.noise(size)
    with open(t.path(name), "wb", buffering=0) as f:
        for at in range(0, size, piece):
            f.write(body[at:at + piece])
    return body


def TestWriteLargeFile(t):
    for i, size in enumerate((20 << 20, (20 << 20) + 1, 21 << 20)):
        body = write_pieces(t, f"large{i}", size)
        check(t.get(f"large{i}") == body, f"the object of {size} bytes, after close")
        with open(t.path(f"large{i}"), "rb", buffering=0) as f:
            check(b"".join(iter(lambda: f.read(4096), b"")) == body, f"{size} bytes read in small pieces")


def TestWriteReallyLargeFile(t):
    size, piece = (512 << 20) + 1, 1 << 20
    block, want = t.noise(piece), hashlib.sha256()
    with open(t.path("huge"), "wb", buffering=0) as f:
        for at in range(0, size, piece):
            part = at.to_bytes(8, "big") + block[8:size - at]
            want.update(part[:size - at])
            f.write(part[:size - at])
    with open(t.path("huge"), "rb") as f:
        equal(hashlib.file_digest(f, "sha256").hexdigest(), want.hexdigest(), "checksum")
    equal(os.stat(t.path("huge")).st_size, size, "size")
    os.unlink(t.path("huge"))


@options("--uploads", "1", *AT_ONCE)
def TestWriteReplicatorThrottle(t):
    body = write_pieces(t, "throttled", 21 << 20)
    check(t.get("throttled") == body, "the object")


@options("--memory-limit", "16M", "--stage-limit", "32M", *AT_ONCE)
def TestReadWriteMinimumMemory(t):
    body = write_pieces(t, "small memory", 21 << 20)
    check(t.read("small memory") == body, "content")


def TestWriteManyFilesFile(t):
    bodies = {f"many{i}": t.noise(300000 + i) for i in range(21)}
    with concurrent.futures.ThreadPoolExecutor(21) as pool:
        list(pool.map(lambda item: t.write(*item), bodies.items()))
    for name, body in bodies.items():
        check(t.get(name) == body, f"object {name}")


def TestIssue231(t):
    """Many md5sums of one large file at the same time."""
    body = t.noise(16 << 20)
    t.put("shared", body)
    out = sh("for i in $(seq 20); do md5sum shared & done; wait", t.dir)
    equal(set(out.split("\n")[:-1]), {f"{hashlib.md5(body).hexdigest()}  shared"}, "checksums")


def TestIssue64(t):
    """Many transfers at once."""
    body = t.noise(3 << 20)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda i: t.write(f"c{i}", body), range(10)))
        same = list(pool.map(lambda i: t.read(f"c{i % 10}") == body, range(60)))
    check(all(same), "a transfer gave other bytes")


def TestWriteSyncWriteFuse(t):
    with open(t.path("TestWriteSyncWrite"), "wb", buffering=0) as f:
        f.write(b"first ")
        os.fsync(f.fileno())
        f.write(b"second")
    equal(t.get("TestWriteSyncWrite"), b"first second", "object")


def TestWriteSeekWriteFuse(t):
    with open(t.path("seek"), "wb", buffering=0) as f:
        f.write(b"x" * 100)
        f.seek(1000)
        f.write(b"later")
        f.seek(10)
        f.write(b"back")
    want = b"x" * 10 + b"back" + b"x" * 86 + bytes(900) + b"later"
    equal((t.read("seek"), t.get("seek")), (want, want), "content and object")


def TestClientForkExec(t):
    """A child that inherits the descriptor and closes it does no harm to what follows."""
    for name in ("forkexec", "file1"):
        fd = os.open(t.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.set_inheritable(fd, True)
        os.write(fd, b"before ")
        subprocess.run(["/bin/true"], close_fds=False, check=True)
        os.write(fd, b"after")
        os.close(fd)
        equal(t.get(name), b"before after", f"object {name}")


def TestPythonCopyTree(t):
    shutil.copytree(t.path("dir2"), t.path("dir5"))
    equal(t.read("dir5/dir3/file4"), b"dir2/dir3/file4", "the copy")


def TestCreateRenameBeforeCloseFuse(t):
    fd = os.open(t.path("newfile"), os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"hello")
    os.rename(t.path("newfile"), t.path("renamed"))
    os.write(fd, b" world")
    os.close(fd)
    t.flushed()
    equal((t.get("renamed"), t.get("newfile")), (b"hello world", None), "objects")


def TestRenameBeforeCloseFuse(t):
    with open(t.path("file1"), "r+b", buffering=0) as f:
        f.write(b"FILE")
        os.rename(t.path("file1"), t.path("renamed"))
    t.flushed()
    equal((t.get("renamed"), t.get("file1")), (b"FILE1", None), "objects")


@options()
def TestWriteListFlush(t):
    with open(t.path("dir1/unflushed"), "wb", buffering=0) as f:
        f.write(b"foo")
        equal(t.ls("dir1"), ["file3", "unflushed"], "a file that is not closed yet")
    t.flushed()
    equal(t.ls("dir1"), ["file3", "unflushed"], "after the close")


def TestWriteUnlinkFlush(t):
    with open(t.path("short"), "wb", buffering=0) as f:
        f.write(b"foo")
        os.unlink(t.path("short"))
        f.write(b"bar")
    t.flushed()
    equal(t.get("short"), None, "object of a file that was removed before its close")
    check("short" not in t.ls(), "it is listed")


def TestReadExternalChangesFuse(t):
    equal(t.read("file1"), b"file1", "at first")
    t.put("file1", b"file1-other")
    equal(t.read("file1"), b"file1-other", "after a change by others")
    equal(t.read("file1"), b"file1-other", "again, from the page cache")


def TestReadMyOwnWriteFuse(t):
    with open(t.path("file1"), "r+b", buffering=0) as f:
        f.truncate(0)
        f.write(b"mine, longer than before")
        f.seek(0)
        equal(f.read(), b"mine, longer than before", "by the same descriptor")
        equal(t.read("file1"), b"mine, longer than before", "by another")
    equal(t.read("file1"), b"mine, longer than before", "after the close")


def TestReadMyOwnWriteWithExternalChangesFuse(t):
    """Others change what is being written: both versions stay, ours under a conflict name."""
    with open(t.path("file1"), "r+b", buffering=0) as f:
        f.write(b"MINE!")
        t.put("file1", b"theirs")
        f.seek(0)
        equal(f.read(), b"MINE!", "our bytes")
    t.flushed()
    equal(t.read("file1"), b"theirs", "the name")
    ours = [name for name in t.ls() if name.startswith("file1.conflict-")]
    equal([t.read(name) for name in ours], [b"MINE!"], "our version")


def TestReadMyOwnNewFileFuse(t):
    with open(t.path("filex"), "w+b", buffering=0) as f:
        f.write(b"filex")
        equal(t.read("filex"), b"filex", "before the close")
    equal(t.read("filex"), b"filex", "after the close")


def TestChmod(t):
    os.chmod(t.path("file1"), 0o777)
    equal(os.stat(t.path("file1")).st_mode & 0o777, 0o777, "the mode, which is real here")


# --- metadata ---

def TestXAttrGet(t):
    equal(os.getxattr(t.path("file1"), "user.name"), b"file1+/#%\0", "metadata of others")
    prefix = t.kind + "."
    # goofys lists the store's too; here only what a copy can keep, or cp -a and rsync -X would fail on them.
    equal(os.listxattr(t.path("file1")), ["user.name"], "names")
    check(len(os.getxattr(t.path("file1"), prefix + "etag")) > 0, "no etag")
    with raises(errno.ENODATA):
        os.getxattr(t.path("file1"), "user.nothing")
    with raises(errno.EPERM, errno.EOPNOTSUPP):
        os.setxattr(t.path("file1"), prefix + "etag", b"x")


@options()
@only("s3")
def TestXAttrGetCached(t):
    want = os.getxattr(t.path("file1"), "user.name")
    t.store.pause()
    try:
        equal(os.getxattr(t.path("file1"), "user.name"), want, "while the store does not answer")
    finally:
        t.store.resume()


def TestXAttrCopied(t):
    os.rename(t.path("file1"), t.path("file0"))
    equal(os.getxattr(t.path("file0"), "user.name"), b"file1+/#%\0", "after a rename")


def TestXAttrRemove(t):
    os.removexattr(t.path("file1"), "user.name")
    with raises(errno.ENODATA):
        os.getxattr(t.path("file1"), "user.name")
    with raises(errno.ENODATA):
        os.removexattr(t.path("file1"), "user.name")
    t.flushed()
    if t.kind == "s3":
        check("name" not in t.head("file1")["Metadata"], "it is still with the object")


def TestXAttrSet(t):
    path = t.path("file1")
    os.setxattr(path, "user.bar", b"hello", os.XATTR_CREATE)
    with raises(errno.EEXIST):
        os.setxattr(path, "user.bar", b"hello", os.XATTR_CREATE)
    binary = bytes(range(256))
    os.setxattr(path, "user.bar", binary, os.XATTR_REPLACE)
    equal(os.getxattr(path, "user.bar"), binary, "any bytes")
    with raises(errno.ENODATA):
        os.setxattr(path, "user.baz", b"x", os.XATTR_REPLACE)
    t.flushed()
    equal((os.getxattr(path, "user.bar"), t.read("file1")), (binary, b"file1"), "when it is in the bucket")


def TestXAttrFuse(t):
    """Through the kernel: sizes are asked for first, and a buffer may be too small."""
    equal(sh("getfattr --only-values -n user.name file2 | head -c 5", t.dir), "file2", "getfattr")
    sh("setfattr -n user.long -v $(head -c 1500 /dev/zero | tr '\\0' x) file2", t.dir)
    equal(len(os.getxattr(t.path("file2"), "user.long")), 1500, "a long value")
    with raises(errno.E2BIG, errno.ENOSPC, errno.ERANGE):
        os.setxattr(t.path("file2"), "user.longer", b"x" * 60000)


@only("s3")
@options("--use-content-type", *AT_ONCE)
def TestPutMimeType(t):
    for name, kind in (("testPutMimeType.jpg", "image/jpeg"), ("page.html", "text/html")):
        t.write(name, b"x")
        equal(t.head(name)["ContentType"], kind, name)
    os.rename(t.path("page.html"), t.path("page2.html"))
    t.flushed()
    equal(t.head("page2.html")["ContentType"], "text/html", "after a rename")


# --- rights ---

@only("s3")
@options("--unsigned", *AT_ONCE)
def TestWriteAnonymous(t):
    """Without rights: close says so, and the name does not stay. (A mount that may only read is read-only.)"""
    with raises(errno.EACCES, errno.EROFS, errno.EPERM):
        with open(t.path("test"), "wb", buffering=0) as f:
            f.write(b"x")
    with raises(errno.ENOENT):
        os.stat(t.path("test"))
    equal(t.read("file1"), b"file1", "reading is allowed")


@only("s3")
@options("--unsigned", *AT_ONCE)
def TestRead403(t):
    """Each read says so, also after another file could be read."""
    t.put("secret", b"x" * 100000)
    for _ in range(3):
        with raises(errno.EACCES):
            t.read("secret")
        equal(t.read("file1"), b"file1", "a file that may be read")


# --- goofys's benchmarks, small, as tests ---

def TestBenchLs(t):
    for i in range(1000):
        t.put(f"ls/file{i}", b"")
    equal(sh("ls -1 --color=always ls | wc -l", t.dir).strip(), "1000", "names")


def TestBenchCreate(t):
    sh("mkdir create && cd create && for i in $(seq 100); do echo $i > file$i; done && [ $(ls | wc -l) = 100 ] && rm file*", t.dir)
    equal(t.ls("create"), [], "after rm")


def TestBenchCreateParallel(t):
    sh("mkdir cpar && cd cpar && (for i in $(seq 100); do echo $i > file$i & done; wait) && [ $(ls | wc -l) = 100 ]"
       " && (for i in $(seq 100); do rm file$i & done; wait)", t.dir)
    equal(t.ls("cpar"), [], "after rm")


def TestBenchIO(t):
    sh("head -c 30000000 /dev/urandom | tee >(md5sum > /tmp/$$.md5) | dd of=largefile bs=1MB 2>/dev/null"
       " && [ \"$(md5sum < largefile)\" = \"$(cat /tmp/$$.md5)\" ] && rm /tmp/$$.md5 && dd if=largefile bs=1 count=1 of=/dev/null 2>&1", t.dir)


def TestBenchFindTree(t):
    sh("for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do mkdir -p find/$i/$j; done; done;"
       " for k in 1 2 3 4 5 6 7 8 9; do for d in find/*/*; do touch $d/f$k; done; done", t.dir)
    equal(sh("find find | wc -l", t.dir).strip(), "820", "entries")


