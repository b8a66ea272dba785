"""Runs in the guest, over several restarts of the gateway. restart_guest.py list|hold DIR SIGNS

list: begins to list DIR, makes the file SIGNS/listing, waits for SIGNS/go, lists the rest; each name exactly once.
hold: keeps a file open for reading and writing meanwhile.
"""
import os
import sys
import time

what, where, signs = sys.argv[1:4]


def sign(name):
    open(os.path.join(signs, name), "w").close()


def wait(name):
    while not os.path.exists(os.path.join(signs, name)):
        time.sleep(0.1)


if what == "list":
    entries = os.scandir(where)
    names = [next(entries).name for _ in range(50)]
    sign("listing")
    wait("go")
    names += [entry.name for entry in entries]
    if len(names) != len(set(names)):
        sys.exit(f"{len(names) - len(set(names))} names came twice")
    print(len(names))
else:
    path = os.path.join(where, "held")
    with open(path, "w+b", buffering=0) as f:
        f.write(b"before " * 10000)
        os.fsync(f.fileno())
        sign("held")
        wait("go")
        f.write(b"after " * 10000)
        os.fsync(f.fileno())
        with open("/proc/sys/vm/drop_caches", "w") as drop:
            drop.write("3")
        f.seek(0)
        if f.read() != b"before " * 10000 + b"after " * 10000:
            sys.exit("the bytes of the held file are wrong")
