"""The store fails every request for a long time (ten minutes of tries, at one a second instead of one a minute) while
clients write until the stage is full: they are told to come back, and when the store does, every byte arrives."""
import hashlib
import threading
import time

import inject
import kit
import nfs3
import servers
import stores

CLIENTS, FILES, STAGE = 6, 8, 32  # MiB
TRIES = 10
LATER_MAX_S = 100


def body(client, number):
    """Small ones, and large ones that go by parts."""
    size = (number * 700001 + client * 4099) if number % 4 else 17 << 20
    return hashlib.shake_128(f"{client}/{number}".encode()).digest(size)


class Writer(threading.Thread):
    """A client that comes back when it is told to."""

    def __init__(self, directory, number):
        super().__init__(daemon=True)
        self.number, self.directory = number, directory
        self.nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, "/b")
        self.later, self.error, self.sent = 0, None, 0
        self.start()

    def ok(self, call):
        end = time.monotonic() + LATER_MAX_S
        while (status := call()) != nfs3.OK:
            if status != nfs3.JUKEBOX:
                raise kit.Failed(f"client {self.number}: NFS status {status}")
            kit.check(time.monotonic() < end, f"client {self.number} is told to come back for ever")
            self.later += 1
            time.sleep(0.3)

    def one(self, name, data):
        handle = []

        def create():
            status, got = self.nfs.create(self.directory, name)
            handle[:] = [got]
            return status
        self.ok(create)
        for at in range(0, len(data), 1 << 20):
            self.ok(lambda o=at: self.nfs.write(handle[0], o, data[o:o + (1 << 20)]))
            self.sent += len(data[at:at + (1 << 20)])
        self.ok(lambda: self.nfs.commit(handle[0]))

    def run(self):
        try:
            for number in range(FILES):
                self.one(f"f{self.number}-{number}", body(self.number, number))
        except (OSError, kit.Failed) as error:
            self.error = error


def main():
    with kit.Case("away") as case:
        case.network()
        bucket = stores.FileStore(case)
        faults = inject.Faults(case.path("faults"))
        gateway = servers.Pailfs(case, bucket, ["--stage-limit", f"{STAGE}M", "--retry-max", "1s", "--quiet-time", "100ms",
                                                "--request-deadline", "2s"], export="/b", faults=faults).start()
        nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, "/b")
        status, directory = nfs.mkdir(nfs.root, "d")
        kit.equal(status, nfs3.OK, "MKDIR")
        nfs.create(directory, "before")
        kit.wait_for(lambda: bucket.get("d/before") is not None, "a file in the bucket before")
        faults.set("store.* error=EAGAIN")
        writers = [Writer(directory, i) for i in range(CLIENTS)]

        def tried():
            """How often the store was asked in vain, for each file that waits."""
            for writer in writers:
                kit.check(writer.error is None, writer.error)
            return sum(c["faults"] for point, c in faults.counts().items() if point.startswith("store.")) // CLIENTS
        kit.wait_for(lambda: all(w.later for w in writers) and tried() >= TRIES, "clients that wait, and many tries", 120, 0.3)
        sent = sum(w.sent for w in writers)
        kit.check(sent <= STAGE << 20, f"{sent} bytes were taken, the limit is {STAGE} MiB")
        kit.check(sent >= STAGE << 19, f"only {sent} bytes were taken, the limit is {STAGE} MiB")
        kit.equal([key for key in bucket.keys() if key != "d/before"], [], "objects that were made without a store")
        status, _ = nfs.getattr(directory)
        kit.equal(status, nfs3.OK, "GETATTR of what is known")
        case.step(f"{sent >> 20} MiB taken; {sum(w.later for w in writers)} times later; tried {tried()} times")

        faults.set("")
        for writer in writers:
            writer.join(120)
            kit.check(not writer.is_alive() and writer.error is None, f"client {writer.number}: {writer.error or 'still writes'}")
        case.step("all written")
        gateway.stop()
        for client in range(CLIENTS):
            for number in range(FILES):
                kit.equal(bucket.get(f"d/f{client}-{number}") == body(client, number), True, f"d/f{client}-{number} in the bucket")
        gateway.check_state("--store")


main()
