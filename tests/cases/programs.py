"""Real programs work in a mounted bucket, and then the bucket holds what they made.

programs.py file|s3 [STEP...]      (steps: tests/cases/program_steps.py)
"""
import os
import subprocess
import sys

import fusemount
import kit
import stores

KIND = sys.argv[1]
STEPS = sys.argv[2:] or ["git", "rsync", "sqlite", "vim", "tar", "sparse", "copytree", "archive", "deb", "build"]
NEEDED = {"git": "git", "rsync": "rsync", "vim": "vim-tiny", "zip": "zip", "unzip": "unzip", "dpkg-deb": "dpkg", "cmake": "cmake"}


def view(top):
    """What lies below top, as a program sees it."""
    seen = {}
    for at, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(at, name)
            own = os.lstat(path)
            entry = stores.Entry("link" if os.path.islink(path) else "dir" if os.path.isdir(path) else "file", mode=own.st_mode & 0o7777,
                                 uid=own.st_uid, gid=own.st_gid, mtime_ns=own.st_mtime_ns)
            if entry.kind == "link":
                entry.target = os.readlink(path)
            elif entry.kind == "file":
                with open(path, "rb") as f:
                    entry.size, entry.sha = own.st_size, stores.hashlib.file_digest(f, "sha256").hexdigest()
            seen[os.path.relpath(path, top)] = entry
    return seen


def main():
    with kit.Case(f"programs-{KIND}") as case:
        for program, package in NEEDED.items():
            kit.need(program, package)
        case.loopback()
        store = stores.store(case, KIND)
        mount = fusemount.Mount(case, store, ["--commit", "local"]).start()
        for step in STEPS:
            local = case.path("local-" + step)
            os.mkdir(local)
            done = subprocess.run([sys.executable, os.path.join(kit.ROOT, "tests/cases/program_steps.py"), mount.dir, local, step],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=500)
            kit.check(done.returncode == 0, f"{step}:\n{done.stdout[-4000:]}")
            case.step(done.stdout.strip())
        seen = view(mount.dir)
        mount.unmount()
        lines = stores.differences(seen, store.view(), True)
        kit.check(not lines, "in the bucket, compared with what the mount showed:\n" + "\n".join(lines))
        kit.equal(store.uploads_known(), [], "multipart uploads left in the bucket")
        mount.check_state("--store")


main()
