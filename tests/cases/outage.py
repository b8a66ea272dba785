"""The store stops answering in every way it can. What is cached goes on, the rest is told to come back; nothing is lost."""
import time

import faults
import guest
import kit
import nfs3
import servers
import stores

PROXY = 17481
DEADLINE = 5
SLACK = 8      # of a busy machine
STAGE = 256    # MiB
QUICK = 6      # what needs no store


def timed(limit, what, call):
    began = time.monotonic()
    result = call()
    took = time.monotonic() - began
    kit.check(took <= limit, f"{what} took {took:.1f} s, more than {limit}")
    return result


class Outage:
    def __init__(self, case):
        self.case = case
        case.network()
        self.store = stores.S3Store(case, endpoint_port=PROXY)
        self.faults = faults.Faults(PROXY, stores.PORT)
        self.body = {f"cold{i}": bytes([65 + i]) * 3000000 for i in range(6)}
        self.body["warm"] = b"warm bytes " * 10000
        for key, body in self.body.items():
            self.store.put(key, body)
        self.store.put("unlisted/name", b"x")
        self.server = servers.Pailfs(case, self.store, [
            "--attr-ttl", "1h", "--request-deadline", f"{DEADLINE}s", "--stage-limit", f"{STAGE}M"]).start()
        self.nfs = nfs3.Client(kit.HOST, servers.NFS_PORT, self.server.export)
        self.client = guest.Guest(case)
        self.client.mount(self.server.source, options="nolock")
        self.handles = {key: self.ok(self.nfs.lookup(self.nfs.root, key)) for key in (*self.body, "unlisted")}
        self.written = {}
        self.client.run("ls -l /mnt/n")
        self.read_warm()

    @staticmethod
    def ok(answer):
        kit.equal(answer[0], nfs3.OK, "NFS status")
        return answer[1]

    def read_warm(self):
        data = self.ok(timed(QUICK, "a READ of cached bytes", lambda: self.nfs.read(self.handles["warm"], 0, 110000)))
        kit.equal(data == self.body["warm"], True, "cached bytes are right")

    def write(self, name):
        """Create, write, commit: acknowledged although the store is away."""
        body = (name.encode() + b" ") * 50000
        handle = self.ok(timed(QUICK, "CREATE", lambda: self.nfs.create(self.directory, name)))
        for at in range(0, len(body), 1 << 20):
            kit.equal(timed(QUICK, "WRITE", lambda o=at: self.nfs.write(handle, o, body[o:o + (1 << 20)])), nfs3.OK, "WRITE")
        kit.equal(timed(QUICK, "COMMIT", lambda: self.nfs.commit(handle)), nfs3.OK, "COMMIT")
        self.written[f"{self.prefix}/{name}"] = body

    @staticmethod
    def block(number):
        return (b"%015d\n" % number) * 65536

    def fill_stage(self):
        """Writes until the stage is full: then, and not much sooner, the answer is to come back."""
        handle, count = self.ok(self.nfs.create(self.directory, "full")), 0
        while (status := self.nfs.write(handle, count << 20, self.block(count))) == nfs3.OK:
            count += 1
            kit.check(count <= STAGE, f"{count} MiB were taken, the limit is {STAGE}")
        kit.equal(status, nfs3.JUKEBOX, f"WRITE to a full stage, after {count} MiB")
        kit.check(count >= STAGE * 3 // 4, f"the stage was full after {count} MiB of {STAGE}")
        kit.equal(self.nfs.commit(handle), nfs3.OK, "COMMIT with a full stage")
        self.read_warm()
        self.case.step(f"the stage was full after {count} MiB")
        return handle, count

    def finish_full(self, handle, count):
        kit.wait_for(lambda: self.nfs.write(handle, count << 20, self.block(count)) == nfs3.OK, "WRITE after the stage was full", 90)
        kit.equal(self.nfs.commit(handle), nfs3.OK, "COMMIT")
        self.written[f"{self.prefix}/full"] = b"".join(map(self.block, range(count + 1)))

    def during(self, number, mode):
        """What has to hold while the store is away; the guest's commands go on until it is back."""
        cold = f"cold{number}"
        self.read_warm()
        for i in range(5):
            self.write(f"file{i}")
        for call, what in ((lambda: self.nfs.read(self.handles[cold], 0, 100000)[0], "READ"),
                           (lambda: self.nfs.lookup(self.handles["unlisted"], f"unknown{number}")[0], "LOOKUP")):
            status = timed(DEADLINE + SLACK, what, call)
            kit.equal(status, nfs3.JUKEBOX, f"{what} of what is not here, {mode}")
        self.read_warm()
        reader = self.client.start(f"cmp /mnt/n/{cold} - < {self.case.path(cold)}", 200)
        writer = self.client.start(f"cp {self.case.path(cold)} /mnt/n/{self.prefix}/copied && sync /mnt/n/{self.prefix}/copied", 200)
        writer.wait(60)
        self.written[f"{self.prefix}/copied"] = self.body[cold]
        kit.check(not reader.done(), "a cold file was read without the store")
        return reader

    def after(self, mode, reader):
        began = time.monotonic()
        reader.wait(120)
        for key, body in self.written.items():
            kit.wait_for(lambda k=key, b=body: self.store.get(k) == b, f"{key} in the bucket after {mode}", 90, 0.5)
        self.case.step(f"{mode}: all there {time.monotonic() - began:.1f} s after the store came back")

    def run(self, number, mode, begin, end):
        self.prefix = f"during-{mode}"
        self.directory = self.ok(self.nfs.mkdir(self.nfs.root, self.prefix))
        with open(self.case.path(f"cold{number}"), "wb") as f:
            f.write(self.body[f"cold{number}"])
        begin()
        reader = self.during(number, mode)
        full = self.fill_stage() if mode == "refused" else None
        end()
        if full:
            self.finish_full(*full)
        self.after(mode, reader)


def main():
    with kit.Case("outage") as case:
        o = Outage(case)
        store, proxy = o.store, o.faults
        case.step("ready")
        o.run(0, "paused", store.pause, store.resume)
        o.run(1, "killed", store.kill, store.start)
        o.run(2, "refused", lambda: proxy.set("refuse"), lambda: proxy.set("pass"))
        o.run(3, "503", lambda: proxy.set("503"), lambda: proxy.set("pass"))

        # Connections that break in the middle: slower, but everything goes on.
        proxy.set("reset")
        with open(case.path("big"), "wb") as f, open("/dev/urandom", "rb") as noise:
            f.write(noise.read(60 << 20))
        o.client.run(f"cp {case.path('big')} /mnt/n/big && sync /mnt/n/big", 100)
        for i in range(20):
            o.client.run(f"cp {case.path('cold0')} /mnt/n/small{i}")
        o.client.drop_caches()
        kit.equal(o.client.run("sha256sum < /mnt/n/cold5", 100), o.client.run(f"head -c 3000000 /dev/zero | tr '\\0' F | sha256sum"), "cold5")
        case.step(f"broken connections: {proxy.seen.get('reset')}")
        time.sleep(1)
        proxy.set("pass")
        with open(case.path("big"), "rb") as f:
            big = f.read()
        kit.wait_for(lambda: store.get("big") == big, "the large file in the bucket", 120, 0.5)
        for i in range(20):
            kit.wait_for(lambda k=f"small{i}": store.get(k) == o.body["cold0"], "small files in the bucket", 60, 0.2)
        o.client.umount()
        o.server.stop()
        kit.equal(store.uploads(), [], "multipart uploads left in the bucket")
        for key, body in o.written.items():
            kit.equal(store.get(key) == body, True, f"{key} in the bucket at the end")


main()
