"""Others change the bucket: seen after attr_ttl, at once when that is 0, and never two versions in one read.

outside.py file|s3
"""
import os
import sys
import time

import guest
import kit
import servers
import stores

KIND = sys.argv[1]
TTL = 2
SLACK = 2  # of a busy machine
UNCACHED = "nolock,noac,lookupcache=none"  # the client's own caches are not what is looked at


def content(client, path):
    rc, out = client.run(f"cat {path}", check=False)
    return out if rc == 0 else None


def check_seen(case, client, store, where, top, limit):
    """Adds, replaces and removes objects; the client must see it within limit seconds."""
    def seen(probe, what):
        end = time.monotonic() + limit
        while True:
            late = time.monotonic() > end  # looked at before the probe: one probe at least
            if probe():
                return
            kit.check(not late, f"{what}: not seen within {limit} s")
            time.sleep(0.1)

    def names():
        return client.run(f"ls {where}/{top}").split()

    def cat(name):
        return content(client, f"{where}/{top}/{name}")

    store.put(f"{top}/first", b"one")
    seen(lambda: cat("first") == "one", "a new object in a new directory")
    kit.equal(names(), ["first"], "listing")
    kit.equal(cat("second"), None, "a name that is not there")
    store.put(f"{top}/second", b"two")
    seen(lambda: cat("second") == "two", "an object that was looked up in vain before")
    store.put(f"{top}/third", b"3")
    seen(lambda: names() == ["first", "second", "third"], "a new object in a listing")
    store.put(f"{top}/first", b"replaced")
    seen(lambda: cat("first") == "replaced", "a replaced object")
    store.put(f"{top}/first", b"REPLACED")
    seen(lambda: cat("first") == "REPLACED", "a replaced object of the same size")
    store.delete(f"{top}/second")
    seen(lambda: cat("second") is None, "a removed object")
    seen(lambda: names() == ["first", "third"], "a removed object in a listing")
    store.put(f"{top}/sub/deep", b"deep")
    seen(lambda: cat("sub/deep") == "deep", "a new directory")
    # Ours and theirs in one directory.
    client.run(f"echo mine > {where}/{top}/mine; sync {where}/{top}/mine")
    kit.wait_for(lambda: store.get(f"{top}/mine") == b"mine\n", "our file in the bucket")
    store.put(f"{top}/mine", b"theirs")
    seen(lambda: cat("mine") == "theirs", "our file replaced by them")
    for key in (f"{top}/first", f"{top}/third", f"{top}/mine", f"{top}/sub/deep"):
        store.delete(key)
    case.step("added, replaced and removed")


def check_unmixed(case, client, store, where):
    def version(number):
        size = (9 + number % 3) << 20
        return (b"%015d\n" % number) * (size // 16)
    stop = case.path("stop")
    store.put("replaced", version(0))
    reading = client.start(f"python3 {kit.ROOT}/tests/cases/outside_guest.py {where} {stop}", 100)
    end = time.monotonic() + 12
    number = 0
    while time.monotonic() < end and not reading.done():
        number += 1
        store.put("replaced", version(number))
        time.sleep(0.05 * (number % 5))
    open(stop, "w").close()
    case.step(f"replaced {number} times; {reading.wait(60).strip()}")
    os.unlink(stop)
    kit.wait_for(lambda: client.run(f"head -c 16 {where}/replaced") == f"{number:015d}\n", "the last version", TTL + 10)


def main():
    with kit.Case(f"outside-{KIND}") as case:
        case.network()
        store = stores.store(case, KIND)
        client = guest.Guest(case)
        for ttl in (TTL, 0):
            server = servers.Pailfs(case, store, ["--attr-ttl", f"{ttl}s"], state=f"state-{ttl}").start()
            client.mount(server.source, options=UNCACHED)
            case.step(f"attr-ttl {ttl}")
            check_seen(case, client, store, "/mnt/n", f"dir{ttl}", ttl + SLACK if ttl else 0)
            check_unmixed(case, client, store, "/mnt/n")
            store.delete("replaced")
            client.umount()
            server.stop()


main()
