"""goofys's checklist: names, directories, removal and renaming."""
import errno
import os
import shutil
import subprocess
import threading

from goofys.world import check, equal, is_dir, only, options, raises, sh


def TestSetup(t):
    equal(t.ls(), ["dir1", "dir2", "dir4", "empty_dir", "empty_dir2", "file1", "file2", "zero"], "the fixture")


def TestGetRootInode(t):
    equal(os.stat(t.mount.dir).st_ino, os.stat(t.mount.path(".")).st_ino, "the root's inode")
    check(os.path.ismount(t.mount.dir), "the root is no mount point")


def TestGetRootAttributes(t):
    root = os.stat(t.mount.dir)
    check(is_dir(t.mount.dir) and root.st_nlink >= 1 and root.st_mtime > 0, f"attributes of the root: {root}")


def TestLookUpInode(t):
    for name in ("file1", "zero", "dir1/file3", "dir2/dir3/file4"):
        check(os.path.isfile(t.path(name)), f"{name} is no file")
    for name in ("dir1", "dir2", "dir2/dir3", "dir4", "empty_dir"):
        check(is_dir(t.path(name)), f"{name} is no directory")
    for name in ("fileNotFound", "dir1/nothing", "dir2/dir3/nothing/below", "nodir/file"):
        with raises(errno.ENOENT):
            os.stat(t.path(name))
    with raises(errno.ENOTDIR):
        os.stat(t.path("file1", "below"))


def TestGetInodeAttributes(t):
    equal(os.stat(t.path("file1")).st_size, len("file1"), "size of file1")
    equal(os.stat(t.path("zero")).st_size, 0, "size of zero")


def TestReadDir(t):
    equal(t.ls("dir1"), ["file3"], "dir1")
    equal(t.ls("dir2"), ["dir3"], "dir2")
    equal(t.ls("dir2", "dir3"), ["file4"], "dir2/dir3")
    equal(t.ls("dir4"), ["file5"], "dir4")
    equal(t.ls("empty_dir"), [], "empty_dir")


def TestReadDirWithExternalChanges(t):
    t.ls()
    t.put("file3", b"new")
    t.put("dir9/file", b"new")
    t.delete("file1")
    t.delete("dir1/file3")
    if t.kind == "file":
        t.delete("dir1/")  # a directory of its own; on S3 it was there only by its file
    equal(t.ls(), ["dir2", "dir4", "dir9", "empty_dir", "empty_dir2", "file2", "file3", "zero"], "after changes by others")
    equal(t.read("file3"), b"new", "a file that others made")


@options()
@only("s3")
def TestReadDirCacheLookup(t):
    """After a listing the store is not asked which names there are, nor twice for attributes: it may be gone."""
    names = t.ls()
    for name in names:
        os.stat(t.path(name))  # attributes are with the objects: the first look asks
    t.store.pause()
    try:
        for name in names:
            os.stat(t.path(name))
        with raises(errno.ENOENT):
            os.stat(t.path("not in the listing"))
    finally:
        t.store.resume()


@options()
def TestReadDirCached(t):
    first = t.ls("dir2")
    equal([t.ls("dir2") for _ in range(3)], [first] * 3, "listings from the cache")
    with os.scandir(t.dir) as entries:
        kinds = {entry.name: entry.is_dir() for entry in entries}
    equal(kinds, {"dir1": True, "dir2": True, "dir4": True, "empty_dir": True, "empty_dir2": True, "file1": False, "file2": False,
                  "zero": False}, "kinds in the listing")


def TestReadDirLookUp(t):
    """Listings and lookups at the same time."""
    wrong = []

    def look(job):
        try:
            for i in range(60):
                if job % 2:
                    os.stat(t.path(("file1", "dir1", "dir2/dir3")[i % 3]))
                elif len(os.listdir(t.dir)) != 8:
                    wrong.append(os.listdir(t.dir))
        except OSError as error:
            wrong.append(error)

    jobs = [threading.Thread(target=look, args=(i,)) for i in range(8)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    equal(wrong, [], "listings and lookups")


def TestConcurrentRefDeref(t):
    """Lookups while the kernel forgets the same names."""
    script = "for i in $(seq 60); do stat file1 dir2/dir3/file4 empty_dir >/dev/null; done"
    jobs = [subprocess.Popen(["bash", "-c", script], cwd=t.dir) for _ in range(4)]
    while any(job.poll() is None for job in jobs):
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
            f.write("2")
    equal([job.wait() for job in jobs], [0] * 4, "exit status")


def TestReadDirLarge(t):
    want = []
    for i in range(1003):
        key = f"big/{i:04d}" + ("/inside" if i % 100 == 0 else "")
        t.put(key, b"x")
        want.append(f"{i:04d}")
    equal(t.ls("big"), want, "1003 entries")


def TestBackendListPagination(t):
    for i in range(1001):
        t.put(f"many/{i}", b"")
    equal(len(set(os.listdir(t.path("many")))), 1001, "entries of a directory beyond one page")


def TestReadDirDash(t):
    """'-' comes before '/' in the store's order, "2019" and "2019/" are apart there."""
    want = ["2019"]
    t.put("dash/2019/inside", b"x")
    for i in range(1100):
        t.put(f"dash/2019-{i:04d}", b"x")
        want.append(f"2019-{i:04d}")
        if i % 10 == 0:
            t.put(f"dash/2019{i:04d}", b"x")
            want.append(f"2019{i:04d}")
    equal(t.ls("dash"), sorted(want), "names around a directory's")
    check(is_dir(t.path("dash/2019")), "2019 is no directory")


@only("s3")
def TestSlurpFileAndDir(t):
    """A key that is both an object and a prefix is the directory. (This store cannot hold both: the order makes one fail.)"""
    t.put("both/fileAndDir-/inside", b"x")
    try:
        t.put("both/fileAndDir-", b"object")
    except t.store.client.exceptions.ClientError:
        pass
    for _ in range(2):
        equal(t.ls("both"), ["fileAndDir-"], "the name, once")
        check(is_dir(t.path("both/fileAndDir-")), "it is no directory")


def TestIssue474(t):
    """A listing that is too old is made again, and loses nothing."""
    for i in range(3):
        t.put(f"later/d{i}/file", b"x")
    for _ in range(3):
        equal(sh("find later -type f | sort", t.dir).split(), [f"later/d{i}/file" for i in range(3)], "find")


def TestIssue156(t):
    """A name that is not UTF-8."""
    path = os.fsencode(t.dir) + b"/\xae\x8a-"
    with raises(errno.EINVAL, errno.EILSEQ, errno.ENOENT):
        os.stat(path)
    with raises(errno.EINVAL, errno.EILSEQ):
        open(path, "wb").close()


def TestIssue162(t):
    t.put("dir1/l├â┬Âr 006.jpg", b"foo")
    os.rename(t.path("dir1/l├â┬Âr 006.jpg"), t.path("dir1/myfile.jpg"))
    equal(t.ls("dir1"), ["file3", "myfile.jpg"], "after the rename")
    equal(t.read("dir1/myfile.jpg"), b"foo", "content")


def TestIssue326(t):
    for name in ("folder@name.something", "folder#1#"):
        os.mkdir(t.path(name))
        t.write(name + "/file", name.encode())
    t.flushed()
    equal([n for n in t.ls() if n.startswith("folder")], ["folder#1#", "folder@name.something"], "names with @ and #")
    equal(t.get("folder#1#/file"), b"folder#1#", "object")


def TestRenameWithSpecialChar(t):
    t.put("foo+", b"plus")
    os.rename(t.path("foo+"), t.path("foo"))
    t.flushed()
    equal((t.get("foo"), t.get("foo+")), (b"plus", None), "objects after the rename")


def TestMkDir(t):
    os.mkdir(t.path("new_dir"))
    t.write("new_dir/file", b"new_dir/file")
    equal(t.ls("new_dir"), ["file"], "new_dir")
    with raises(errno.EEXIST):
        os.mkdir(t.path("new_dir"))
    t.flushed()
    equal(t.get("new_dir/file"), b"new_dir/file", "object")


def TestRmDir(t):
    for name in ("dir1", "dir2", "dir4"):
        with raises(errno.ENOTEMPTY):
            os.rmdir(t.path(name))
    os.rmdir(t.path("empty_dir"))
    with raises(errno.ENOENT):
        os.stat(t.path("empty_dir"))
    with raises(errno.ENOTDIR):
        os.rmdir(t.path("file1"))
    t.flushed()
    check("empty_dir/" not in t.keys(), "the marker is still there")


def TestUnlink(t):
    os.unlink(t.path("file1"))
    with raises(errno.ENOENT):
        os.stat(t.path("file1"))
    t.flushed()
    equal(t.get("file1"), None, "object")


def TestRenameDir(t):
    inode = os.stat(t.path("dir2")).st_ino
    with raises(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(t.path("empty_dir"), t.path("dir1"))
    os.rename(t.path("empty_dir"), t.path("dir9"))
    os.rename(t.path("dir2"), t.path("empty_dir2"))
    equal(os.stat(t.path("empty_dir2")).st_ino, inode, "inode of a renamed directory")
    equal(t.read("empty_dir2/dir3/file4"), b"dir2/dir3/file4", "content below")
    for name in ("dir2", "dir2/dir3", "dir2/dir3/file4", "empty_dir"):
        with raises(errno.ENOENT):
            os.stat(t.path(name))
    t.flushed()
    equal((t.get("empty_dir2/dir3/file4"), t.get("dir2/dir3/file4")), (b"dir2/dir3/file4", None), "objects")


def TestRename(t):
    with raises(errno.ENOTDIR):
        os.rename(t.path("empty_dir"), t.path("file1"))
    with raises(errno.EISDIR):
        os.rename(t.path("file1"), t.path("empty_dir"))
    with raises(errno.ENOENT):
        os.rename(t.path("fileNotFound"), t.path("anything"))
    os.rename(t.path("file1"), t.path("new_file"))
    os.rename(t.path("file2"), t.path("dir2/dir3/file2"))
    large = t.noise(20 << 20)
    t.write("multi", large)
    t.flushed()
    os.rename(t.path("multi"), t.path("dir4/multi"))
    t.flushed()
    equal((t.get("new_file"), t.get("file1")), (b"file1", None), "a renamed object")
    equal((t.get("dir2/dir3/file2"), t.get("file2")), (b"file2", None), "one that went to another directory")
    check(t.get("dir4/multi") == large and t.get("multi") is None, "a large object after its rename")


def TestRenameToExisting(t):
    os.rename(t.path("file1"), t.path("file2"))
    equal((t.read("file2"), t.ls()[-2:]), (b"file1", ["file2", "zero"]), "after the rename")
    t.flushed()
    equal((t.get("file2"), t.get("file1")), (b"file1", None), "objects")


@options()
def TestRenameCache(t):
    t.ls()
    for name in ("file1", "dir1", "dir2/dir3"):
        os.stat(t.path(name))
    os.rename(t.path("file1"), t.path("dir1/moved"))
    os.rename(t.path("dir1"), t.path("dir2/dir1"))
    equal((t.ls(), t.ls("dir2"), t.ls("dir2/dir1")),
          (["dir2", "dir4", "empty_dir", "empty_dir2", "file2", "zero"], ["dir1", "dir3"], ["file3", "moved"]), "listings")
    for gone in ("file1", "dir1", "dir1/moved"):
        with raises(errno.ENOENT):
            os.stat(t.path(gone))


def TestRenameOverwrite(t):
    for i in range(3):
        t.write("new", f"content {i}".encode())
        os.rename(t.path("new"), t.path("file1"))
        equal(t.read("file1"), f"content {i}".encode(), "what was renamed over it")


def TestRenamePreserveMetadata(t):
    name = os.getxattr(t.path("file1"), "user.name")
    os.rename(t.path("file1"), t.path("new_file"))
    equal(os.getxattr(t.path("new_file"), "user.name"), name, "metadata after a rename")
    t.flushed()
    if t.kind == "s3":
        equal(t.head("new_file")["Metadata"].get("name"), "file1%2b/%23%25%00", "metadata of the object")


def TestRenameLarge(t):
    size = 21 << 20
    large = t.noise(size)
    t.write("large_file", large)
    t.flushed()
    os.rename(t.path("large_file"), t.path("large_file2"))
    check(t.read("large_file2") == large, "content after the rename")
    t.flushed()
    check(t.get("large_file2") == large and t.get("large_file") is None, "objects after the rename")


def TestIssue69Fuse(t):
    """An implicit directory whose last file was removed may be looked at."""
    os.chdir(t.path("dir1"))
    try:
        os.stat("file3")
        os.unlink("file3")
        os.stat(".")
        equal(os.listdir("."), [], "what is left")
    finally:
        os.chdir("/")


def TestRmdirWithDiropen(t):
    for i in range(2):
        os.makedirs(t.path(f"dir2/dir{i + 4}/sub"))
        t.write(f"dir2/dir{i + 4}/test", b"x")
    fd = os.open(t.path("dir2/dir4"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        shutil.rmtree(t.path("dir2/dir4"))
        equal(t.ls("dir2"), ["dir3", "dir5"], "the parent's listing")
    finally:
        os.close(fd)
    equal(t.ls("dir2"), ["dir3", "dir5"], "after the close")


def TestRmImplicitDir(t):
    os.chdir(t.path("dir2"))
    try:
        shutil.rmtree(t.path("dir2"))
    finally:
        os.chdir("/")
    with raises(errno.ENOENT):
        os.stat(t.path("dir2"))
    equal("dir2" in t.ls(), False, "dir2 in the listing")


def TestDirMtimeCreate(t):
    before = os.stat(t.path("dir1")).st_mtime_ns
    t.write("dir1/foo", b"")
    check(os.stat(t.path("dir1")).st_mtime_ns > before, "the directory's mtime did not grow")


def TestDirMTime(t):
    os.mkdir(t.path("dir_new"))
    made = os.stat(t.path("dir_new")).st_mtime_ns
    os.mkdir(t.path("dir_new/sub"))
    after = os.stat(t.path("dir_new")).st_mtime_ns
    check(after > made, "mkdir below does not show in mtime")
    equal(os.stat(t.path("dir_new")).st_mtime_ns, after, "mtime, asked again")


@options()
def TestDirMtimeLs(t):
    """A listing does not make a directory's time go back."""
    before = os.stat(t.path("dir1")).st_mtime_ns
    t.ls("dir1")
    check(os.stat(t.path("dir1")).st_mtime_ns >= before, "mtime went back")


TestDirMTimeNoTTL = options("--attr-ttl", "0")(lambda t: TestDirMTime(t))
TestDirMTimeNoTTL.__name__ = "TestDirMTimeNoTTL"


@options("--attr-ttl", "0", prefix="prefixed/dir2///")
def TestBucketPrefixSlash(t):
    t.write("file", b"below the prefix")
    t.flushed()
    equal(t.store.get("prefixed/dir2/file"), b"below the prefix", "object")


@options("--cheap", "--attr-ttl", "0")
def TestCheap(t):
    TestLookUpInode(t)
    TestReadDir(t)
    large = t.noise(20 << 20)
    t.write("large", large)
    check(t.read("large") == large, "a large file")


@only("s3")
@options("--no-implicit-dir", "--attr-ttl", "0")
def TestExplicitDir(t):
    with raises(errno.ENOENT):
        os.stat(t.path("dir1"))
    check(is_dir(t.path("dir4")), "a directory with a marker is not there")


@only("s3")
@options("--no-implicit-dir", "--cheap", "--attr-ttl", "0")
def TestExplicitDirAndCheap(t):
    TestExplicitDir(t)
    t.write("dir4/more", b"more")
    t.flushed()
    equal(t.get("dir4/more"), b"more", "object")
