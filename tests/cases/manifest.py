"""Runs in the guest: the view (see tests/lib/stores.py) of a directory, as JSON into a file. manifest.py DIR OUT"""
import hashlib
import json
import os
import stat
import sys


def entry(path):
    st = os.lstat(path)
    made = {"kind": "file", "size": 0, "sha": "", "target": "", "mode": st.st_mode & 0o7777, "uid": st.st_uid,
            "gid": st.st_gid, "mtime_ns": st.st_mtime_ns}
    if stat.S_ISLNK(st.st_mode):
        made.update(kind="link", target=os.readlink(path))
    elif stat.S_ISDIR(st.st_mode):
        made.update(kind="dir")
    else:
        with open(path, "rb") as f:
            made.update(size=st.st_size, sha=hashlib.file_digest(f, "sha256").hexdigest())
    return made


top = sys.argv[1]
seen = {}
for where, dirs, files in os.walk(top):
    for name in dirs + files:
        path = os.path.join(where, name)
        seen[os.path.relpath(path, top)] = entry(path)
with open(sys.argv[2], "w") as out:
    json.dump(seen, out)
