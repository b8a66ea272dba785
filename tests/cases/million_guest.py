"""Runs in the guest: reads `ls -f` on standard input, which has to be name-0 to name-(N-1), each once. million_guest.py N"""
import sys

count = int(sys.argv[1])
seen = bytearray(count)
for line in sys.stdin.buffer:
    name = line[:-1]
    if name in (b".", b".."):
        continue
    number = int(name.removeprefix(b"name-"))
    if seen[number]:
        sys.exit(f"{name.decode()} came twice")
    seen[number] = 1
print(sum(seen))
