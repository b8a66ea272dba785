"""What goofys and s3fs try with a mounted bucket, by the names of their list, the ones goofys leaves out too.

fuse_test.py file|s3 [TEST...]

Each is done with the programs that people use (cp, mv, touch, shell redirections), in a directory of its own; what it leaves must be
in the bucket afterwards, byte for byte, and be seen by a mount that has no past.
"""
import hashlib
import os
import subprocess
import sys

import fusemount
import kit
import stores

KIND, ONLY = sys.argv[1], sys.argv[2:]
TEXT = "A line of text.\n"
MIB = 1 << 20


def sh(command, status=0):
    """In bash, in the current directory; its output."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    kit.check((done.returncode == 0) == (status == 0), f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def put(path, text=TEXT):
    with open(path, "w") as f:
        f.write(text)


def expect(path, want):
    with open(path, "rb") as f:
        got = f.read()
    kit.check(got == (want if isinstance(want, bytes) else want.encode()), f"{path}: {len(got)} bytes {got[:60]!r}, want {want[:60]!r}")


def sha(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def append_file():
    with open("file", "w") as f:
        for i in range(1000):
            f.write(f"{i} {TEXT}")
    expect("file", "".join(f"{i} {TEXT}" for i in range(1000)))
    sh("for i in 1 2 3; do echo line $i; done > stream")
    expect("stream", "line 1\nline 2\nline 3\n")


def truncate_file():
    put("file")
    sh("> file")
    kit.equal(os.path.getsize("file"), 0, "size after a redirection of nothing")
    put("other", TEXT * 10)
    sh("truncate -s 5 other")
    expect("other", TEXT[:5])


def truncate_empty_file():
    sh("touch file")
    sh("truncate -s 1000 file")
    expect("file", bytes(1000))


def mv_file():
    put("file")
    sh("mv file moved")
    kit.check(not os.path.exists("file"), "the old name is there")
    expect("moved", TEXT)
    put("target", "to be replaced")
    sh("mv moved target")
    expect("target", TEXT)


def mv_directory():
    os.mkdir("dir")
    sh("mv dir empty && test -d empty && test ! -e dir")
    os.makedirs("full/below")
    put("full/file")
    put("full/below/file", "below")
    sh("mv full moved")
    kit.check(not os.path.exists("full"), "the old name is there")
    expect("moved/file", TEXT)
    expect("moved/below/file", "below")
    sh("mv moved empty/")
    expect("empty/moved/below/file", "below")


def redirects():
    sh("echo ABCDEF > file")
    expect("file", "ABCDEF\n")
    sh("echo XYZ > file")
    expect("file", "XYZ\n")
    sh("echo 123456 >> file")
    expect("file", "XYZ\n123456\n")
    sh("echo x | tee -a file file2 > file3; cat < file >> file2")
    expect("file2", "x\nXYZ\n123456\nx\n")
    expect("file3", "x\n")


def mkdir_rmdir():
    os.mkdir("dir")
    kit.check(os.path.isdir("dir"), "no directory")
    sh("mkdir dir 2>/dev/null", status=1)
    os.rmdir("dir")
    kit.check(not os.path.exists("dir"), "the directory is there")
    sh("mkdir -p a/b/c && rmdir -p a/b/c")
    kit.equal(os.listdir("."), [], "what is left")


def chmod():
    put("file")
    before = os.stat("file").st_mode
    sh("chmod 777 file")
    kit.check(before != os.stat("file").st_mode, "chmod did nothing")
    sh("chmod 640 file")
    kit.equal(sh("stat -c %a file"), "640\n", "mode")
    os.mkdir("dir")
    sh("chmod 2750 dir")
    kit.equal(sh("stat -c %a dir"), "2750\n", "mode of a directory")


def chown():
    put("file")
    sh("chown 1000:1001 file")
    kit.equal(sh("stat -c %u:%g file"), "1000:1001\n", "owner")
    expect("file", TEXT)


def list():  # pylint: disable=redefined-builtin
    put("file")
    os.mkdir("dir")
    kit.equal(sorted(os.listdir(".")), ["dir", "file"], "names")
    kit.equal(sh("ls -1F"), "dir/\nfile\n", "ls")
    kit.equal(sh("find . | sort"), ".\n./dir\n./file\n", "find")


def remove_nonempty_directory():
    os.mkdir("dir")
    put("dir/file")
    sh("rmdir dir 2>/dev/null", status=1)
    expect("dir/file", TEXT)


def rename_before_close():
    with open("file", "w") as f:
        f.write("foo")
        os.rename("file", "renamed")
        f.write("bar")
    kit.check(not os.path.exists("file"), "the old name is there")
    expect("renamed", "foobar")
    sh("(echo foo; mv renamed again; echo bar) > redirected && mv redirected renamed")
    expect("renamed", "foo\nbar\n")


def multipart_upload():
    sh("head -c 25M /dev/urandom > ../../big && cp ../../big upload && cmp ../../big upload")
    kit.equal(os.path.getsize("upload"), 25 * MIB, "size")


def multipart_copy():
    sh("head -c 25M /dev/urandom > ../../big && cp ../../big source && mv source target && cmp ../../big target")
    sh("cp target copy && cmp copy ../../big")
    # One byte in the middle: all else is copied inside the store, where it can do that.
    sh("for f in ../../big copy; do printf x | dd of=$f bs=1 seek=13000000 conv=notrunc status=none; done; cmp copy ../../big")


def special_characters():
    for name in ("special", "sp?cial", "sp*cial", "'quoted'", "sp ace", "am&per", "per%cent%41", "pl+us", "com,ma", "ha#sh", "at@", "eq=ual",
                 "dollar$", "back\\slash", "col:on", "Umläut-日本", "[br]{ac}"):
        put(name, name)
        expect(name, name)
        kit.equal(sh('ls "$PWD/"' + "'" + name.replace("'", "'\\''") + "'"), f"{os.getcwd()}/{name}\n", "ls of a name")
    kit.equal(len(os.listdir(".")), 17, "number of names")
    sh("ls 'spe?ial' 2>/dev/null", status=1)
    for name in os.listdir("."):
        os.mkdir("dir-" + name)
        os.rename(name, f"dir-{name}/{name}")
        expect(f"dir-{name}/{name}", name)


def symlink():
    put("target", "contents of the target")
    os.symlink("target", "link")
    kit.equal(os.readlink("link"), "target", "target of the link")
    expect("link", "contents of the target")
    os.unlink("target")
    kit.check(os.path.islink("link") and not os.path.exists("link"), "a link to nothing")
    sh("cat link 2>/dev/null", status=1)
    put("target", "again")
    expect("link", "again")


def extended_attributes():
    put("file")
    os.setxattr("file", "user.key1", b"value1")
    os.setxattr("file", "user.key2", b"value2")
    kit.equal(os.getxattr("file", "user.key1"), b"value1", "first value")
    kit.equal(os.getxattr("file", "user.key2"), b"value2", "second value")
    kit.check({"user.key1", "user.key2"} <= set(os.listxattr("file")), "not both are listed")
    os.removexattr("file", "user.key1")
    kit.check("user.key1" not in os.listxattr("file"), "a removed one is listed")
    kit.equal(os.getxattr("file", "user.key2"), b"value2", "what the other is then")


def mtime_file():
    put("file")
    sh("touch -d '2011-11-11 11:11:11 UTC' file && cp -p file copy && touch -r file other")
    for name in ("file", "copy", "other"):
        kit.equal(int(os.stat(name).st_mtime), 1321009871, f"mtime of {name}")


def rm_rf_dir():
    os.makedirs("dir/dir1/dir2")
    for where in ("dir", "dir/dir1", "dir/dir1/dir2"):
        for i in range(10):
            put(f"{where}/file{i}")
    sh("rm -rf dir")
    kit.check(not os.path.exists("dir"), "the directory is there")


def write_after_seek_ahead():
    sh("dd if=/dev/zero of=file seek=1 count=1 bs=1024 status=none")
    expect("file", bytes(2048))
    with open("sparse", "wb") as f:
        f.seek(MIB)
        f.write(b"end")
        f.seek(10)
        f.write(b"start")
    kit.equal(os.path.getsize("sparse"), MIB + 3, "size")
    with open("sparse", "rb") as f:
        got = f.read()
    kit.check(got == bytes(10) + b"start" + bytes(MIB - 15) + b"end", "content")


TESTS = [append_file, truncate_file, truncate_empty_file, mv_file, mv_directory, redirects, mkdir_rmdir, chmod, chown, list,
         remove_nonempty_directory, rename_before_close, multipart_upload, multipart_copy, special_characters, symlink,
         extended_attributes, mtime_file, rm_rf_dir, write_after_seek_ahead]


def snapshot(top):
    """What a mount shows, in the form of stores.view()."""
    seen = {}
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(where, name)
            st = os.lstat(path)
            entry = stores.Entry("link" if os.path.islink(path) else "dir" if os.path.isdir(path) else "file", mode=st.st_mode & 0o7777)
            entry.uid, entry.gid, entry.mtime_ns = st.st_uid, st.st_gid, st.st_mtime_ns
            if entry.kind == "link":
                entry.target = os.readlink(path)
            elif entry.kind == "file":
                entry.size, entry.sha = st.st_size, sha(path)
            seen[os.path.relpath(path, top)] = entry
    return seen


def compare(want, got, what):
    lines = stores.differences(want, got)
    kit.check(not lines, f"{what}:\n" + "\n".join(lines))


def main():
    with kit.Case(f"fuse-test-{KIND}") as case:
        case.network()
        store = stores.store(case, KIND)
        mount = fusemount.Mount(case, store).start()
        for test in TESTS:
            if ONLY and test.__name__ not in ONLY:
                continue
            where = mount.path(test.__name__)
            os.mkdir(where)
            os.chdir(where)
            try:
                test()
            finally:
                os.chdir("/")
            case.step(test.__name__)
        seen = snapshot(mount.dir)
        mount.unmount()
        compare(seen, store.view(), "in the bucket, compared with what the mount showed")
        fresh = fusemount.Mount(case, store, name="fresh").start()
        compare(seen, snapshot(fresh.dir), "through a mount without a past, compared with before")
        fresh.unmount()
        kit.equal(store.uploads(), [], "multipart uploads left in the bucket")


main()
