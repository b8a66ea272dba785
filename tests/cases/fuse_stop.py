"""SIGTERM while programs use a mount and the store says nothing: pailfs ends when its time is over, and nothing is lost.

fuse_stop.py
"""
import contextlib
import os
import signal
import subprocess

import fusemount
import kit
import stores

TIMEOUT = "3s"


def waits_in_fuse(process):
    """A reader that waits for the mount sleeps in a system call of it."""
    with open(f"/proc/{process.pid}/syscall") as f:
        return f.read().split()[0] in ("0", "17")  # read, pread64


def main():
    with kit.Case("fuse-stop") as case:
        case.loopback()
        store = stores.S3Store(case)
        store.put("there", b"x" * 100000)
        mount = fusemount.Mount(case, store)
        mount.argv[mount.argv.index("--shutdown-timeout") + 1] = TIMEOUT
        for turn in range(2):
            mount.start()
            own = os.open(mount.path(f"own{turn}"), os.O_RDWR | os.O_CREAT, 0o600)
            os.write(own, b"body")
            os.fsync(own)
            os.stat(mount.path("there"))
            store.pause()
            readers = [subprocess.Popen(["cat", mount.path("there")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                       for _ in range(3)]
            kit.wait_for(lambda: all(waits_in_fuse(reader) for reader in readers), "readers that wait")
            kit.equal(mount.process.stop(signal.SIGTERM, 60), 0, "exit status of pailfs")
            kit.check(not fusemount.is_mounted(mount.dir), "it is still mounted")
            kit.check(all(reader.wait(30) != 0 for reader in readers), "a reader that waited got no error")
            try:
                os.pwrite(own, b"x", 0)
            except OSError:
                pass
            else:
                kit.check(False, "a write after the end of pailfs was taken")
            with contextlib.suppress(OSError):
                os.close(own)
            store.resume()
            mount.check_state()
            case.step("stopped")
        mount.start()
        mount.flush()
        kit.equal([store.get(f"own{turn}") for turn in range(2)], [b"body"] * 2, "what was synced, in the bucket")
        mount.unmount()


main()
