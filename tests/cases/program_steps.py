"""Real programs in a mounted directory, one step per argument: program_steps.py MOUNT LOCAL STEP...

MOUNT is the file system under test, LOCAL an empty directory of a local disk for what to compare with.
"""
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time

MOUNT, LOCAL = sys.argv[1:3]
ROOT = os.environ["PAILFS_ROOT"]
ENV = dict(os.environ, GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@t", GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@t",
           GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0", HOME=LOCAL, LC_ALL="C.UTF-8")


def sh(command, cwd=MOUNT):
    done = subprocess.run(["bash", "-c", "set -eo pipefail; " + command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, cwd=cwd, env=ENV)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode}: {command}\n{done.stdout[-3000:]}")
    return done.stdout


def check(ok, message):
    if not ok:
        sys.exit(message)


def equal(got, want, what):
    check(got == want, f"{what}: got {got!r:.500}, want {want!r:.500}")


def material(top, files=300):
    """A tree with files of all sizes, links, modes and times; the same each time."""
    rng = random.Random(5)
    dirs = [top]
    os.makedirs(top)
    for i in range(30):
        dirs.append(os.path.join(rng.choice(dirs), f"dir {i}"))
        os.mkdir(dirs[-1])
    for i in range(files):
        path = os.path.join(rng.choice(dirs), f"file{i}")
        with open(path, "wb") as f:
            f.write(rng.randbytes(0 if i % 25 == 0 else int(2 ** rng.uniform(0, 17))))
        os.chmod(path, rng.choice([0o644, 0o755, 0o600, 0o444]))
        os.utime(path, ns=(10 ** 18 + i, 10 ** 18 + i * 1000003))
    os.symlink("file0", os.path.join(top, "link"))
    os.symlink("nowhere at all", os.path.join(top, "dangling"))
    for path in reversed(dirs):
        os.utime(path, ns=(10 ** 18, 10 ** 18 + len(path)))
    return top


def build():
    """pailfs itself, with its sources and its build tree in the mount; then nothing is left to be done."""
    sh(f"mkdir src && git -C {ROOT} ls-files -z -- '*.c' '*.h' '*.x' '*CMakeLists.txt' '*.cmake' ':!tests'"
       f" | tar cf - -C {ROOT} --null -T - | tar xf - -C src")
    sh("cmake -S src -B obj -G Ninja -DCMAKE_BUILD_TYPE=Debug -DPAILFS_TESTS=OFF && cmake --build obj")
    check("pailfs" in sh("obj/cmd/pailfs version"), "the pailfs that was built here does not say its version")
    check("no work to do" in sh("cmake --build obj"), "ninja finds something to do a second time: times are not kept")
    sh("rm -rf src obj")
    equal(os.path.exists(f"{MOUNT}/obj"), False, "obj after rm -rf")


def git():
    sh("git init -q -b main repo && cd repo && git config gc.auto 0 && git config user.name t")
    repo = f"{MOUNT}/repo"
    for commit in range(4):
        for i in range(60):
            with open(f"{repo}/file{i}", "a", encoding="ascii") as f:
                f.write(f"{commit} {i}\n" * (i + 1))
        sh(f"git add -A && git commit -q -m 'commit {commit}'", repo)
    sh("git checkout -q -b side HEAD~2 && echo side > side && git add side && git commit -q -m side && git checkout -q main"
       " && git merge -q -m merged side && git gc -q && git fsck --full --strict", repo)
    equal(sh("git status --porcelain", repo), "", "git status")
    sh("git clone -q repo clone && git clone -q --no-local repo clone2 && diff -r repo/.git/refs/heads repo/.git/refs/heads")
    equal(sh("git rev-parse HEAD", f"{MOUNT}/clone"), sh("git rev-parse HEAD", repo), "HEAD of the clone")
    sh("git worktree add -q ../tree side && git stash list && git reflog", repo)
    equal(open(f"{MOUNT}/tree/side", encoding="ascii").read(), "side\n", "a file of the work tree")


def rsync():
    """The second run transfers nothing, by times and by checksums; with the temporary name and without."""
    source = material(f"{LOCAL}/rsync")
    for options in ("-aH", "-aH --inplace"):
        shutil.rmtree(f"{MOUNT}/rsynced", ignore_errors=True)
        sh(f"rsync {options} {source}/ rsynced/")
        for again in (options, options + " --checksum"):
            equal(sh(f"rsync {again} --itemize-changes {source}/ rsynced/"), "", f"rsync {again} a second time")
    sh(f"diff -r --no-dereference {source} rsynced")
    sh(f"echo more >> {source}/file1 && rm -f {source}/file2 && rsync -aH --delete {source}/ rsynced/"
       f" && diff -r --no-dereference {source} rsynced")


def sqlite_run(mode):
    """Several connections change accounts at the same time; the sum must stay, also for one that was killed."""
    path = f"{MOUNT}/{mode}.db"
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    equal(db.execute(f"pragma journal_mode={mode}").fetchone()[0], mode, "journal_mode")
    db.execute("create table account (id integer primary key, cents integer, noise blob)")
    db.executemany("insert into account values (?, 100, ?)", [(i, os.urandom(2000)) for i in range(200)])

    def transfers(seed):
        rng, mine = random.Random(seed), sqlite3.connect(path, isolation_level=None, timeout=60)
        for i in range(40):
            mine.execute("begin immediate")
            mine.execute("update account set cents = cents - 1, noise = ? where id = ?", (os.urandom(1500), rng.randrange(200)))
            mine.execute("update account set cents = cents + 1 where id = ?", (rng.randrange(200),))
            mine.execute("rollback" if i % 7 == 0 else "commit")
        mine.close()

    workers = [threading.Thread(target=transfers, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    other = subprocess.Popen([sys.executable, "-c", (
        "import sqlite3, sys, time\n"
        f"db = sqlite3.connect({path!r}, isolation_level=None, timeout=60)\n"
        "db.execute('pragma cache_size=5')\n"
        "db.execute('begin immediate')\n"
        "db.execute('update account set cents = 0, noise = randomblob(3000)')\n"
        "print('begun', flush=True)\ntime.sleep(600)\n")], stdout=subprocess.PIPE)
    equal(other.stdout.readline(), b"begun\n", "what the other process says")
    other.kill()  # its journal is hot now, or its frames are without a commit
    other.wait()
    equal(db.execute("select sum(cents), count(*) from account").fetchone(), (20000, 200), "sum after a kill")
    equal(db.execute("pragma integrity_check").fetchone()[0], "ok", "integrity_check")
    db.execute("vacuum")
    db.close()
    left = [name for name in os.listdir(MOUNT) if name.startswith(f"{mode}.db-")]
    equal(left, [], "journals after the last close")


def sqlite():
    sqlite_run("wal")
    sqlite_run("delete")


def vim():
    """As editors save: a backup by rename, a new file, fsync; and vim itself, whatever way it takes."""
    path = f"{MOUNT}/text"
    with open(path, "w", encoding="ascii") as f:
        f.write("first\n")
    os.chmod(path, 0o640)
    for i in range(5):
        os.rename(path, path + "~")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        os.write(fd, f"saved {i}\n".encode())
        os.fsync(fd)
        os.close(fd)
        os.unlink(path + "~")
        with open(path, encoding="ascii") as f:
            equal(f.read(), f"saved {i}\n", "what was saved")
    for copy in ("yes", "no", "auto"):
        sh(f"vim -u NONE -N -es -c 'set writebackup backupcopy={copy}' -c '%s/saved/by vim {copy}, saved/' -c wq text </dev/null")
    with open(path, encoding="ascii") as f:
        equal(f.read(), "by vim yes, by vim no, by vim auto, saved 4\n", "what vim saved")
    equal(oct(os.stat(path).st_mode & 0o7777), "0o640", "mode after vim")
    equal([n for n in os.listdir(MOUNT) if n.startswith((".text", "text")) and n != "text"], [], "what vim left behind")


def tar():
    source = material(f"{LOCAL}/tar")
    sh(f"tar cf all.tar -C {LOCAL} tar && mkdir untar && tar xpf all.tar -C untar && diff -r --no-dereference {source} untar/tar"
       f" && tar df all.tar -C untar && tar rf all.tar -C {LOCAL} tar/link && tar tf all.tar > /dev/null"
       " && tar czf all.tgz -C untar . && gzip -t all.tgz")


def sparse():
    """Holes that cp and tar find or make are zeros again, and the file has its size."""
    local = f"{LOCAL}/sparse"
    with open(local, "wb") as f:
        for at in (0, 700001, 5 << 20, (9 << 20) + 17):
            f.seek(at)
            f.write(os.urandom(70000))
        f.truncate(12 << 20)
    sh(f"cp --sparse=always {local} s1 && cp --sparse=never {local} s2 && cp --sparse=auto s1 s3 && cp --reflink=auto s2 s4"
       f" && tar cSf s.tar s1 && mkdir s5 && tar xSf s.tar -C s5 && rsync --sparse {local} s6"
       f" && for f in s1 s2 s3 s4 s5/s1 s6; do cmp {local} $f; done")


def copytree():
    source = material(f"{LOCAL}/copytree")
    shutil.copytree(source, f"{MOUNT}/copied", symlinks=True)
    sh(f"diff -r --no-dereference {source} copied")
    shutil.move(f"{MOUNT}/copied", f"{MOUNT}/moved")
    sh(f"diff -r --no-dereference {source} moved")
    for top, _dirs, files in os.walk(source):
        for name in files:
            here = os.path.join(top, name)
            there = os.path.join(MOUNT, "moved", os.path.relpath(here, source))
            a, b = os.lstat(here), os.lstat(there)
            equal((oct(b.st_mode), b.st_mtime_ns), (oct(a.st_mode), a.st_mtime_ns), f"mode and mtime of {there}")
    shutil.rmtree(f"{MOUNT}/moved")
    equal(os.path.exists(f"{MOUNT}/moved"), False, "moved after rmtree")


def archive():
    source = material(f"{LOCAL}/zip")
    sh(f"(cd {LOCAL} && zip -q -r -y {MOUNT}/all.zip zip) && zip -q -T all.zip && mkdir unzipped && unzip -q all.zip -d unzipped"
       f" && diff -r --no-dereference {source} unzipped/zip && (cd unzipped && zip -q -r -u -y ../all.zip zip || [ $? = 12 ])")


def deb():
    sh("mkdir -p pkg/DEBIAN pkg/usr/bin && printf 'Package: pail-test\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@t>\\n"
       "Description: test\\n' > pkg/DEBIAN/control && printf '#!/bin/sh\\necho hello\\n' > pkg/usr/bin/pail-test"
       " && chmod 755 pkg/usr/bin/pail-test && dpkg-deb --root-owner-group --build pkg pail-test.deb"
       " && dpkg-deb --info pail-test.deb && dpkg-deb -x pail-test.deb unpacked")
    equal(sh("unpacked/usr/bin/pail-test"), "hello\n", "a program run from the mount")


for step in sys.argv[3:]:
    began = time.monotonic()
    globals()[step]()
    print(f"{step} {time.monotonic() - began:.1f} s", flush=True)
