"""Files that are open on a mount while their names go, and names that change places: what a program that has them open sees, what the
bucket has meanwhile, and that a killed process leaves nothing of them.

fuse_unlinked.py file|s3
"""
import ctypes
import os
import sys

import fusemount
import kit
import stores

EXCHANGE, NOREPLACE = 2, 1
BIG = 3 << 20
LIBC = ctypes.CDLL(None, use_errno=True)


def renameat2(old, new, flags):
    at_fdcwd = -100
    if LIBC.renameat2(at_fdcwd, old.encode(), at_fdcwd, new.encode(), flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), old)


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def objects(store):
    return sorted(key for key in store.keys() if not key.endswith("/"))


def used(fd, data):
    """What still holds for a file without a name."""
    kit.equal(os.fstat(fd).st_nlink, 0, "links of an open file that was removed")
    kit.check(os.pread(fd, len(data) + 1, 0) == data, "an open file that was removed has other bytes")
    os.pwrite(fd, b"more", len(data))
    os.fsync(fd)
    kit.check(os.pread(fd, len(data) + 10, 0) == data + b"more", "what was written to it after that")
    os.ftruncate(fd, len(data))
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    kit.check(os.read(again, 10) == data[:10], "opened anew through /proc")
    os.close(again)


def names_go(case, mount, store):
    big = os.urandom(BIG)
    os.mkdir(mount.path("d"))
    for name, data in (("d/gone", big), ("over", b"old"), ("again", b"before")):
        put(mount.path(name), data)
    mount.unmount()  # nothing of it is cached when it is needed
    mount.start()
    fds = {name: os.open(mount.path(name), os.O_RDWR) for name in ("d/gone", "over", "again")}
    os.remove(mount.path("d/gone"))
    os.rmdir(mount.path("d"))
    put(mount.path("new"), b"new")
    os.rename(mount.path("new"), mount.path("over"))
    os.remove(mount.path("again"))
    put(mount.path("again"), b"after")
    kit.equal(sorted(os.listdir(mount.dir)), ["again", "over"], "names")
    used(fds["d/gone"], big)
    used(fds["over"], b"old")
    used(fds["again"], b"before")
    mount.flush()
    kit.equal([n for n in objects(store) if n != "d/gone"], ["again", "over"], "the bucket")
    kit.equal(get(mount.path("again")), b"after", "the name that is used again")
    for fd in fds.values():
        os.close(fd)
    mount.unmount()
    kit.equal(objects(store), ["again", "over"], "the bucket after the last close")
    case.step("used without a name, and gone with the last close")


def places_change(case, mount, store):
    mount.start()
    os.mkdir(mount.path("dir"))
    put(mount.path("dir", "f"), b"below")
    with open(mount.path("over"), "rb") as held:
        renameat2(mount.path("over"), mount.path("dir"), EXCHANGE)
        kit.equal(held.read(), b"new", "an open file that changed places")
    kit.equal((get(mount.path("over", "f")), get(mount.path("dir"))), (b"below", b"new"), "after the exchange")
    try:
        renameat2(mount.path("again"), mount.path("dir"), NOREPLACE)
        kit.check(False, "RENAME_NOREPLACE replaced a file")
    except FileExistsError:
        pass
    mount.unmount()
    kit.equal(objects(store), ["again", "dir", "over/f"], "the bucket")
    mount.start()
    renameat2(mount.path("dir"), mount.path("over"), EXCHANGE)
    mount.unmount()
    kit.equal(objects(store), ["again", "dir/f", "over"], "the bucket")
    case.step("exchanged, and back")


def killed(case, mount, store):
    mount.start()
    put(mount.path("stays"), b"stays")
    fds = [os.open(mount.path("over"), os.O_RDWR), os.open(mount.path("tmp"), os.O_RDWR | os.O_CREAT)]
    os.write(fds[1], b"never seen" * 1000)
    os.remove(mount.path("over"))
    os.remove(mount.path("tmp"))
    os.fsync(fds[1])
    os.write(fds[0], b"changed")
    os.fsync(fds[0])
    mount.kill()
    for fd in fds:
        try:
            os.close(fd)
        except OSError as e:
            kit.check(e.errno in fusemount.DEAD, f"close: {e}")
    mount.check_state()
    mount.start()
    kit.equal(sorted(os.listdir(mount.dir)), ["again", "dir", "stays"], "names after a kill")
    mount.unmount()
    mount.check_state("--store")
    kit.equal(objects(store), ["again", "dir/f", "stays"], "the bucket after a kill")
    case.step("nothing is left of them after a kill")


def main():
    with kit.Case("fuse-unlinked-" + sys.argv[1]) as case:
        case.network()
        store = stores.store(case, sys.argv[1])
        mount = fusemount.Mount(case, store).start()
        names_go(case, mount, store)
        places_change(case, mount, store)
        killed(case, mount, store)


main()
