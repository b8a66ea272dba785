"""Runs in the guest: what programs do with a file system, one step per command-line argument.

client_steps.py MOUNT EXPECT SOURCE STEP...   (SOURCE: material made by client.py on a local disk)

Every step does the same to MOUNT (NFS) and to EXPECT (a local directory), and compares; at the end client.py
compares the whole of both, and what is in the bucket.
"""
import filecmp
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time

MOUNT, EXPECT, SOURCE = sys.argv[1:4]
BOTH = (MOUNT, EXPECT)


def sh(command, **more):
    done = subprocess.run(["bash", "-c", "set -eo pipefail; " + command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode}: {command}\n{done.stdout[-3000:]}")
    return done.stdout


def drop_caches():
    sh("sync; echo 3 > /proc/sys/vm/drop_caches")


def equal(got, want, what):
    if got != want:
        sys.exit(f"{what}: got {got!r:.500}, want {want!r:.500}")


def same_bytes(name):
    drop_caches()
    if not filecmp.cmp(os.path.join(MOUNT, name), os.path.join(EXPECT, name), shallow=False):
        sys.exit(f"{name} differs: " + subprocess.run(
            ["cmp", os.path.join(MOUNT, name), os.path.join(EXPECT, name)], capture_output=True, text=True, check=False).stdout)


def tree():
    for top in BOTH:
        sh(f"cp -a {SOURCE}/tree {top}/tree")
    sh(f"diff -r {SOURCE}/tree {MOUNT}/tree")
    drop_caches()
    sh(f"diff -r {SOURCE}/tree {MOUNT}/tree")


def tar():
    sh(f"tar cf {MOUNT}/tree.tar -C {MOUNT} tree && mkdir {MOUNT}/untar && tar xf {MOUNT}/tree.tar -C {MOUNT}/untar")
    sh(f"diff -r {SOURCE}/tree {MOUNT}/untar/tree")
    shutil.copy(f"{MOUNT}/tree.tar", f"{EXPECT}/tree.tar")
    # rm -rf of the tree that just arrived: some of its objects are on their way to the store.
    sh(f"rm -rf {MOUNT}/untar")
    equal(os.path.exists(f"{MOUNT}/untar"), False, "untar after rm -rf")


def git():
    env = dict(os.environ, GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@t", GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@t",
               GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0")
    work = f"{MOUNT}/clone"
    sh(f"git -c safe.directory='*' clone -q --no-local {SOURCE}/repo {work}", env=env)
    sh("git config gc.auto 0 && echo more >> file0 && mkdir new && echo x > new/x && git add -A && git commit -qm more"
       " && git gc -q && git fsck --full --strict && git status --porcelain", cwd=work, env=env)
    equal(sh("git status --porcelain", cwd=work, env=env), "", "git status")
    drop_caches()
    sh("git fsck --full --strict && git log --stat > /dev/null", cwd=work, env=env)
    sh(f"cp -a {work} {EXPECT}/clone")


def sqlite():
    """With POSIX locks of the client's own (nolock): the gateway has no lock manager yet."""
    path = f"{MOUNT}/test.db"
    db = sqlite3.connect(path, isolation_level=None)
    equal(db.execute("pragma journal_mode=delete").fetchone()[0], "delete", "journal_mode")
    db.execute("create table t (id integer primary key, body blob)")
    rng = random.Random(7)
    for i in range(1000):
        db.execute("begin immediate")
        db.execute("insert into t (body) values (?)", (rng.randbytes(rng.randrange(10, 1500)),))
        if i % 7 == 0:
            db.execute("delete from t where id = ?", (rng.randrange(1, i + 2),))
        db.execute("rollback" if i % 50 == 49 else "commit")
    equal(db.execute("pragma integrity_check").fetchall(), [("ok",)], "integrity_check")
    rows = db.execute("select count(*), sum(length(body)) from t").fetchone()
    db.close()
    drop_caches()
    db = sqlite3.connect(path)
    equal(db.execute("pragma integrity_check").fetchall(), [("ok",)], "integrity_check after reopening")
    equal(db.execute("select count(*), sum(length(body)) from t").fetchone(), rows, "rows after reopening")
    db.close()
    shutil.copy(path, f"{EXPECT}/test.db")


def big():
    sh(f"dd if={SOURCE}/big of={MOUNT}/big bs=1M conv=fsync")
    drop_caches()
    sh(f"cmp {SOURCE}/big {MOUNT}/big")
    os.link(f"{SOURCE}/big", f"{EXPECT}/big")


def overwrite():
    """Random 4 KiB pieces over a file that is whole in the store already, or on its way."""
    size = 300 << 20
    for top in BOTH:
        sh(f"head -c {size} {SOURCE}/big > {top}/over && sync {top}/over")
    rng = random.Random(11)
    files = [os.open(f"{top}/over", os.O_RDWR) for top in BOTH]
    for i in range(1500):
        offset = rng.randrange(0, size - 4096)
        if i % 3 == 0:
            offset &= ~4095
        piece = rng.randbytes(4096)
        for fd in files:
            equal(os.pwrite(fd, piece, offset), 4096, "pwrite")
        if i % 97 == 0:
            os.fsync(files[0])
            offset = rng.randrange(0, size - 4096)
            equal(os.pread(files[0], 4096, offset), os.pread(files[1], 4096, offset), f"bytes at {offset}")
    for fd in files:
        os.fsync(fd)
        os.close(fd)
    same_bytes("over")


def append():
    rng = random.Random(13)
    for i in range(400):
        line = rng.randbytes(rng.randrange(1, 3000))
        for top in BOTH:
            with open(f"{top}/appended", "ab") as f:
                f.write(line)
    same_bytes("appended")


def truncate():
    rng = random.Random(17)
    for top in BOTH:
        with open(f"{top}/trunc", "wb") as f:
            f.write(random.Random(17).randbytes(1 << 20))
    for i in range(120):
        size = rng.choice([0, 1, 4095, 4096, 4097, rng.randrange(0, 1 << 20), rng.randrange(0, 8 << 20)])
        write = rng.randbytes(rng.randrange(1, 20000)) if i % 2 else b""
        where = rng.randrange(0, size + 1)
        for top in BOTH:
            os.truncate(f"{top}/trunc", size)
            with open(f"{top}/trunc", "r+b") as f:
                f.seek(where)
                f.write(write)
        equal(os.path.getsize(f"{MOUNT}/trunc"), os.path.getsize(f"{EXPECT}/trunc"), "size")
        if i % 10 == 0:
            same_bytes("trunc")
    same_bytes("trunc")
    for top in BOTH:
        with open(f"{top}/hole", "wb") as f:
            f.truncate(3 << 20)
            f.seek(2 << 20)
            f.write(b"end of a hole")
    same_bytes("hole")


def rename():
    for top in BOTH:
        os.mkdir(f"{top}/many")
        for i in range(1000):
            with open(f"{top}/many/f{i:04d}", "w") as f:
                f.write(f"file {i}\n" * (i % 50))
        os.rename(f"{top}/many/f0001", f"{top}/many/renamed")
        os.rename(f"{top}/many/f0002", f"{top}/moved-up")
        os.rename(f"{top}/many/f0003", f"{top}/many/f0004")  # over another
        os.rename(f"{top}/many", f"{top}/more")
        with open(f"{top}/more/late", "w") as f:
            f.write("written after the rename\n")
        os.mkdir(f"{top}/many")                              # the name is free again
        with open(f"{top}/many/f0005", "w") as f:
            f.write("another f0005\n")
    sh(f"diff -r {EXPECT}/more {MOUNT}/more && diff -r {EXPECT}/many {MOUNT}/many")
    drop_caches()
    sh(f"diff -r {EXPECT}/more {MOUNT}/more")
    for top in BOTH:
        os.mkdir(f"{top}/deep")
        os.rename(f"{top}/more", f"{top}/deep/more")
        os.rename(f"{top}/deep", f"{top}/deeper")
    drop_caches()
    sh(f"diff -r {EXPECT}/deeper {MOUNT}/deeper")
    for bad, good in ((f"{MOUNT}/deeper", f"{MOUNT}/deeper/more/inside"), (f"{MOUNT}/many", f"{MOUNT}/deeper")):
        try:
            os.rename(bad, good)
        except OSError:
            continue
        sys.exit(f"rename of {bad} to {good} did not fail")


def removal():
    """rm -rf of 500 files in 50 directories, and a file that is removed while open."""
    for top in BOTH:
        for i in range(50):
            os.makedirs(f"{top}/gone/d{i}/e")
            for j in range(10):
                with open(f"{top}/gone/d{i}/f{j}", "w") as f:
                    f.write("x" * j)
        sh(f"rm -rf {top}/gone")
        os.mkdir(f"{top}/gone")
        with open(f"{top}/gone/back", "w") as f:
            f.write("back")
        with open(f"{top}/gone/open", "w+") as f:
            f.write("still here")
            f.flush()
            os.unlink(f"{top}/gone/open")
            f.seek(0)
            equal(f.read(), "still here", "a removed open file")
        os.mkdir(f"{top}/empty")
    equal(sorted(os.listdir(f"{MOUNT}/gone")), ["back"], "after rm -rf and again")
    try:
        os.rmdir(f"{MOUNT}/gone")
    except OSError:
        return
    sys.exit("rmdir of a directory that is not empty did not fail")


def links():
    for top in BOTH:
        os.mkdir(f"{top}/links")
        with open(f"{top}/linked", "w") as f:
            f.write("at the end of a link")
        for i, target in enumerate(["../linked", "nowhere", "/etc/hostname", "x" * 900, "ü ß/ + % # &"]):
            os.symlink(target, f"{top}/links/l{i}")
        os.rename(f"{top}/links/l1", f"{top}/links/dangling")
        os.unlink(f"{top}/links/l2")
    drop_caches()
    for name in os.listdir(f"{EXPECT}/links"):
        equal(os.readlink(f"{MOUNT}/links/{name}"), os.readlink(f"{EXPECT}/links/{name}"), f"link {name}")
    with open(f"{MOUNT}/links/l0", "rb") as f, open(f"{EXPECT}/linked", "rb") as g:
        equal(f.read(), g.read(), "a file through a link")


def meta():
    for top in BOTH:
        os.mkdir(f"{top}/meta")
        os.mkdir(f"{top}/meta/dir")
        for i in range(8):
            with open(f"{top}/meta/m{i}", "w") as f:
                f.write(f"{i}")
        os.chmod(f"{top}/meta/m0", 0o600)
        os.chmod(f"{top}/meta/m1", 0o4755)
        os.chmod(f"{top}/meta/dir", 0o1770)
        os.chown(f"{top}/meta/m2", 1234, 2345)
        os.chown(f"{top}/meta/dir", 1000, 1000)
        os.utime(f"{top}/meta/m3", ns=(1000000000123456789, 1100000000987654321))
        os.utime(f"{top}/meta/m4", ns=(0, 0))
        sh(f"touch -d 2001-02-03T04:05:06.5Z {top}/meta/m5 && chmod 0 {top}/meta/m6 && chown 5:6 {top}/meta/m6")
    # Changes to files that have been in the store for a while: metadata without data.
    time.sleep(3)
    for top in BOTH:
        os.chmod(f"{top}/meta/m7", 0o640)
        os.utime(f"{top}/meta/m7", ns=(5, 1234567890123456789))
        os.chmod(f"{top}/meta/dir", 0o1750)
    drop_caches()
    for name in ("m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "dir"):
        a, b = os.stat(f"{MOUNT}/meta/{name}"), os.stat(f"{EXPECT}/meta/{name}")
        equal((oct(a.st_mode), a.st_uid, a.st_gid), (oct(b.st_mode), b.st_uid, b.st_gid), f"attributes of {name}")
    # Not from EXPECT: hostfs keeps whole seconds only.
    for name, want in (("m3", 1100000000987654321), ("m4", 0), ("m5", 981173106500000000), ("m7", 1234567890123456789)):
        equal(os.stat(f"{MOUNT}/meta/{name}").st_mtime_ns, want, f"mtime of {name}")


def names():
    odd = ["plain", "with space", " lead", "trail ", "plus+plus", "per%20cent%", "hash#tag", "amp&ersand", "ques?tion", "star*",
           "quote'\"", "back\\slash", "new\nline", "semi;colon", "eq=ual", "colon:at@", "comma,tilde~", "ünïcödé", "日本語", "🦆", "é",
           "x" * 255, "ä" * 127 + "y", "<xml>&amp;", "-dash", ".hidden", "...", "a..b", "$HOME", "[br]{ace}|"]
    for top in BOTH:
        os.mkdir(f"{top}/names")
        for name in odd:
            with open(f"{top}/names/{name}", "w", encoding="utf-8") as f:
                f.write(name)
            os.mkdir(f"{top}/names/{name[:100]}.d")
            with open(f"{top}/names/{name[:100]}.d/{name}", "w", encoding="utf-8") as f:
                f.write("in " + name)
    drop_caches()
    equal(sorted(os.listdir(f"{MOUNT}/names")), sorted(os.listdir(f"{EXPECT}/names")), "names")
    sh(f"diff -r {EXPECT}/names {MOUNT}/names")
    try:
        open(f"{MOUNT}/names/" + "z" * 256, "w").close()
    except OSError as error:
        equal(error.errno, 36, "errno of a name too long")
    else:
        sys.exit("a name of 256 bytes was taken")


for step in sys.argv[4:]:
    began = time.monotonic()
    globals()[step]()
    print(f"{step} {time.monotonic() - began:.1f} s")
