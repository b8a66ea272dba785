"""Inside the guest: connects to the case on the host and runs the shell commands it sends.

One JSON object per line each way: {"id", "sh", "timeout"} -> {"id", "rc", "out"}. Commands run side by side.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import threading

KEEP = 60000


def run(sock, lock, job):
    # A file and not a pipe for the output: a daemon that the command leaves behind must not hold us up.
    with open(f"out.{job['id']}", "w+b") as out:
        child = subprocess.Popen(["bash", "-c", job["sh"]], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        try:
            rc = child.wait(job["timeout"])
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            rc = 124
        size = out.seek(0, os.SEEK_END)
        out.seek(max(0, size - KEEP))
        text = out.read().decode("utf-8", "replace")
    os.unlink(f"out.{job['id']}")
    with lock:
        sock.sendall(json.dumps({"id": job["id"], "rc": rc, "out": text}).encode() + b"\n")


def main():
    sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
    sock.settimeout(None)
    lock = threading.Lock()
    for line in sock.makefile("rb"):
        threading.Thread(target=run, args=(sock, lock, json.loads(line)), daemon=True).start()


main()
