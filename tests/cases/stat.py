"""What is known of one file: extended attributes on a mount as real programs use them, the same as object metadata in the bucket,
"pailfs stat" for a mount and for an NFS export, and forgetting what is believed of the store."""
import ctypes
import errno
import json
import os
import subprocess
import sys

import fusemount
import gateway
import kit
import servers
import stores

BINARY = b"all bytes: \0\n=%\xff\xc3\xa4 "
REFUSED = [("security.x", errno.ENOTSUP), ("trusted.x", errno.ENOTSUP), ("x.y", errno.ENOTSUP), ("pailfs.state", errno.EPERM)]


def fails(want, call, *args):
    try:
        call(*args)
    except OSError as err:
        kit.equal(errno.errorcode[err.errno], errno.errorcode[want], f"{call.__name__}{args[1:]}")
        return
    raise kit.Failed(f"{call.__name__}{args} did not fail")


def metadata(store, key):
    if isinstance(store, stores.S3Store):
        return store.client.head_object(Bucket=stores.BUCKET, Key=key)["Metadata"]
    return store._meta(os.path.join(store.dir, key))


def ask(*args, status=0):
    done = subprocess.run([kit.BIN, "stat", *args], capture_output=True, text=True, timeout=60, check=False)
    kit.equal(done.returncode, status, f"pailfs stat {' '.join(args)}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout) if "--json" in args and status == 0 else done.stdout + done.stderr


def set_and_get(mount, store):
    path = mount.path("f")
    with open(path, "wb") as f:
        f.write(b"content")
        os.setxattr(f.fileno(), "user.open", b"while open")
    kit.equal(os.getxattr(path, "user.open"), b"while open", "set while it was open")
    for name, value in (("user.binary", BINARY), ("user.Camel=Case", "ä".encode()), ("user.empty", b""), ("user.void", b""), ("user.mode", b"0644")):
        os.setxattr(path, name, value)
        kit.equal(os.getxattr(path, name), value, name)
    kit.equal(sorted(os.listxattr(path)), ["user.Camel=Case", "user.binary", "user.empty", "user.mode", "user.open", "user.void"], "listed")
    fails(errno.EEXIST, os.setxattr, path, "user.binary", b"", os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, path, "user.none", b"", os.XATTR_REPLACE)
    fails(errno.ENODATA, os.getxattr, path, "user.none")
    fails(errno.E2BIG, os.setxattr, path, "user.large", b"x" * 5000)
    for name, want in REFUSED:
        fails(want, os.setxattr, path, name, b"x")
    fails(errno.ENOTSUP, os.getxattr, path, "system.posix_acl_access")
    os.removexattr(path, "user.empty")
    fails(errno.ENODATA, os.removexattr, path, "user.empty")
    subprocess.run([kit.BIN, "flush", "--wait", mount.dir], check=True, capture_output=True, timeout=60)
    meta = metadata(store, "f")
    kit.equal((meta["binary"], meta["%43amel%3d%43ase"], meta["%6dode"], meta["open"]),
              ("all bytes: %00%0A=%25%FF%C3%A4%20", "%C3%A4", "0644", "while open"), "in the bucket")
    os.rename(path, mount.path("g"))
    with open(mount.path("g"), "ab") as f:
        f.write(b" and more")
    os.mkdir(mount.path("d"))
    os.setxattr(mount.path("d"), "user.of-a-directory", b"yes")
    os.symlink("g", mount.path("l"))
    fails(errno.EPERM, lambda p: os.setxattr(p, "user.x", b"", follow_symlinks=False), mount.path("l"))


def kept(mount, store):
    kit.equal(os.getxattr(mount.path("g"), "user.binary"), BINARY, "after rename, append and restart")
    kit.equal(os.getxattr(mount.path("g"), "user.void"), b"", "an empty one")
    kit.equal(os.getxattr(mount.path("d"), "user.of-a-directory"), b"yes", "of a directory")
    kit.equal(store.get("g"), b"content and more", "the object")
    kit.equal(metadata(store, "g")["binary"], "all bytes: %00%0A=%25%FF%C3%A4%20", "its metadata")


def facts(mount, store, space):
    path = mount.path("g")
    etag = os.getxattr(path, space + ".etag").decode()
    kit.check(etag.startswith('"') and etag.endswith('"') and len(etag) > 4, etag)
    kit.equal(os.getxattr(path, "pailfs.state"), b"clean", "state")
    kit.equal(os.getxattr(path, "pailfs.key"), b"g", "key")
    kit.equal(os.getxattr(path, "pailfs.source").decode(), store.url + "/g", "source")
    shown = ask("--json", path)
    kit.equal((shown["type"], shown["size"], shown["facts"]["pailfs.state"], shown["facts"][space + ".etag"]),
              ("file", 16, "clean", etag.strip('"')), "pailfs stat")
    kit.equal((shown["xattrs"]["user.open"], shown["xattrs"]["user.binary"]), ("while open", "0x" + BINARY.hex()), "its attributes")
    if space == "s3":
        kit.equal(os.getxattr(path, "s3.storage-class"), b"STANDARD", "class")
        head = store.client.head_object(Bucket=stores.BUCKET, Key="g")
        kit.equal(etag, head["ETag"], "the store's own")
        kit.equal(shown["facts"]["s3.last-modified"], head["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"), "last modified")
    kit.check("pailfs.state           clean" in ask(path), "for people")
    kit.equal(ask("--json", mount.path("d"))["type"], "directory", "of a directory")
    kit.check("No such file" in ask(mount.path("nothing"), status=1), "of nothing")
    text = subprocess.run(["getfattr", "--only-values", "-n", "pailfs.state", path], capture_output=True, text=True, check=False)
    kit.check(text.returncode != 0 or text.stdout == "clean", text.stdout + text.stderr)


def refresh(mount, store):
    """Believed for an hour, until somebody says so: by a name that the kernel lets through."""
    for name in (".invalidate", "pailfs.invalidate"):
        key = name.replace(".", "-").strip("-")
        os.listdir(mount.dir)
        fails(errno.ENOENT, os.stat, mount.path(key))
        store.put(key, b"by others", {"seen": "here 100%"})
        store.put("h-" + key, b"old")
        kit.equal(os.path.exists(mount.path(key)), False, "believed not to be there")
        os.setxattr(mount.dir, name, b"")
        # The kernel is told a moment later: while setxattr runs it holds the lock that forgetting names needs.
        kit.wait_for(lambda path=mount.path(key): os.path.exists(path), "a name after " + name)
        kit.equal(open(mount.path(key), "rb").read(), b"by others", "after " + name)
        kit.equal(os.getxattr(mount.path(key), "user.seen"), b"here 100%", "as they wrote it")
        store.put(key, b"by others, again")
        kit.equal(os.stat(mount.path(key)).st_size, 9, "believed to be as it was")
        os.setxattr(mount.path(key), name, b"")
        kit.wait_for(lambda path=mount.path(key): open(path, "rb").read() == b"by others, again", "the content of one file")
    store.put("last", b"one")
    kit.equal(ask("--json", "--refresh", mount.path("last"))["size"], 3, "pailfs stat --refresh")
    kit.wait_for(lambda: os.path.exists(mount.path("last")), "so the mount sees it, too")
    kit.equal(os.stat(mount.path("last")).st_size, 3, "its size there")


def copies(mount, store):
    """The store copies a whole object; holes are found until they are in the bucket, where there are none."""
    body = os.urandom(3 << 20)
    with open(mount.path("whole"), "wb") as f:
        f.write(body)
    with open(mount.path("whole"), "rb") as source, open(mount.path("copy"), "wb") as target:
        kit.equal(os.copy_file_range(source.fileno(), target.fileno(), len(body)), len(body), "copied")
        kit.equal(store.get("copy") == body, True, "it is there before anything is closed")
        kit.equal(os.getxattr(mount.path("copy"), "pailfs.state"), b"clean", "and is all of it")
    kit.equal(open(mount.path("copy"), "rb").read() == body, True, "read back")
    with open(mount.path("copy"), "r+b") as f:
        punch_and_keep_size = 3
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.fallocate(f.fileno(), punch_and_keep_size, ctypes.c_int64(4096), ctypes.c_int64(1 << 20))
        kit.equal(failed, 0, f"fallocate: {ctypes.get_errno()}")
        kit.equal((os.lseek(f.fileno(), 0, os.SEEK_HOLE), os.lseek(f.fileno(), 4096, os.SEEK_DATA)), (4096, 4096 + (1 << 20)), "a hole")
    want = body[:4096] + bytes(1 << 20) + body[4096 + (1 << 20):]
    kit.equal(store.get("copy") == want, True, "zeros in the bucket")
    kit.equal(store.get("whole") == body, True, "the source is as it was")


def nfs(case, store):
    gate = gateway.Gateway(case, store, "n", servers.NFS_PORT, ["--attr-ttl", "1h", "--quiet-time", "1h"])
    export = gate.server.export
    gate.write("nfs", b"by NFS")
    shown = json.loads(gate.run("stat", "--json", export + "/nfs", status=0).stdout)
    kit.equal((shown["path"], shown["size"], shown["facts"]["pailfs.state"], shown["facts"]["pailfs.staged"]),
              (export + "/nfs", 6, "dirty", "6"), "not in the bucket yet")
    gate.flush("/nfs")
    kit.equal(json.loads(gate.run("stat", "--json", export + "/nfs", status=0).stdout)["facts"]["pailfs.state"], "clean", "then it is")
    kit.equal(json.loads(gate.run("stat", "--json", export + "/g", status=0).stdout)["xattrs"]["user.open"], "while open", "of the mount")
    kit.equal(gate.read("later"), 2, "NOENT")
    store.put("later", b"x")
    kit.equal(gate.read("later"), 2, "believed")
    gate.run("stat", export + "/later", status=1)
    gate.run("stat", "--refresh", export + "/later", status=0)
    kit.equal(gate.read("later"), b"x", "refreshed")
    gate.run("stat", "/no-such-export/x", status=1)
    gate.run("stat", status=2)
    gate.run("stat", export + "/../x", status=1)
    gate.run("status", status=0)
    gate.server.stop()
    gate.run("stat", export, status=3)


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "file"
    with kit.Case("stat-" + kind) as case:
        case.network()
        store = stores.store(case, kind)
        mount = fusemount.Mount(case, store, ["--attr-ttl", "1h"]).start()
        case.step("set and get")
        set_and_get(mount, store)
        case.step("kept over a restart")
        mount.unmount()
        mount.start()
        kept(mount, store)
        case.step("facts")
        facts(mount, store, kind)
        case.step("refresh")
        refresh(mount, store)
        case.step("copies and holes")
        copies(mount, store)
        mount.unmount()
        case.step("NFS")
        nfs(case, store)


main()
