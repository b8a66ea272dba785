"""Runs in the guest: reads DIR/replaced in pieces of 1 MiB, one READ each, until the file STOP is there. outside_guest.py DIR STOP

The file is replaced from outside all the time. Every block of 16 bytes carries the number of its version: a piece with
two of them is a read that mixed two objects.
"""
import mmap
import os
import sys

path, stop = os.path.join(sys.argv[1], "replaced"), sys.argv[2]
piece = 1 << 20
buffer = mmap.mmap(-1, piece)
reads, versions, gone = 0, set(), 0
while not os.path.exists(stop):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        offset = 0
        while True:
            got = os.preadv(fd, [buffer], offset)
            if got == 0:
                break
            data = buffer[:got]
            if got % 16:
                sys.exit(f"a read of {got} bytes at {offset}: no version has such a size")
            if data != data[:16] * (got // 16):
                marks = {bytes(data[i:i + 16]) for i in range(0, got, 16)}
                sys.exit(f"a read of {got} bytes at {offset} has bytes of {len(marks)} versions: {marks}")
            versions.add(bytes(data[:16]))
            reads += 1
            offset += got
        os.close(fd)
    except OSError as error:
        if error.errno not in (2, 116):
            raise
        gone += 1
print(f"{reads} reads, {len(versions)} versions, {gone} times gone")
if len(versions) < 3:
    sys.exit("hardly anything was replaced: this proves nothing")
