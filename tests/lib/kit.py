"""What every case stands on: a work directory, processes that are stopped at the end, waiting, failing, skipping.

A case runs as the first process of its own namespaces (see tests/lib/case), so whatever it forgets, the kernel
cleans up. Here is only what has to happen in order, or has to be seen.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.environ["PAILFS_ROOT"]
TOOLS = os.environ["PAILFS_TOOLS"]
BIN = os.environ["PAILFS_BIN"]
HOST = "192.168.77.1"
GUEST = "192.168.77.2"


class Failed(Exception):
    """A check of the case did not hold."""


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(77)


def check(ok, message):
    if not ok:
        raise Failed(message)


def equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: got {got!r:.2000}, want {want!r:.2000}")


def wait_for(probe, what, limit=30.0, step=0.05):
    """Call probe until it returns something true; that is returned."""
    end = time.monotonic() + limit
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {limit:.0f} s: {what}")
        time.sleep(step)


def port_open(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return True
    except OSError:
        return False


def need(program, package):
    path = shutil.which(program)
    if path is None:
        skip(f"{program} is not installed (package {package})")
    return path


class Process:
    """A daemon of the case, its output in a log file in the work directory."""

    def __init__(self, case, name, argv, env=None):
        self.name = name
        self.log = os.path.join(case.work, name + ".log")
        self.ended = None
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        self.pid = self.child.pid

    def alive(self):
        return self.child.poll() is None

    def ready(self, probe, what, limit=30.0):
        def step():
            if not self.alive():
                raise Failed(f"{self.name} ended with {self.child.returncode}:\n{self.tail()}")
            return probe()
        wait_for(step, f"{self.name}: {what}", limit)

    def send(self, number):
        if self.alive():
            self.child.send_signal(number)

    def stop(self, number=signal.SIGTERM, limit=30.0):
        """Ends it; returns the exit status (negative: the signal that ended it)."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            return self.child.wait(limit)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise Failed(f"{self.name} did not end within {limit:.0f} s of signal {number}:\n{self.tail()}") from None

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def tail(self, lines=40):
        """The last lines; a sanitizer's report whole."""
        text = self.text().splitlines()
        report = next((i for i, line in enumerate(text) if "Sanitizer" in line or "runtime error:" in line), len(text))
        return "\n".join(text[min(report, max(0, len(text) - lines)):][:100])

    def memory_peak(self):
        """VmHWM in bytes."""
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        raise Failed(f"no VmHWM for {self.name}")


class Case:
    """with Case("name") as case: ... The work directory stays when the case fails, and is removed when it passes."""

    def __init__(self, name):
        self.name = name
        base = os.environ.get("PAILFS_WORK") or os.path.join(ROOT, "build", "work")
        self.work = os.path.join(base, name)
        self.exit = contextlib.ExitStack()
        self.processes = []
        self.began = time.monotonic()

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        return self

    def path(self, *parts):
        return os.path.join(self.work, *parts)

    def process(self, name, argv, env=None):
        process = Process(self, name, argv, env)
        self.processes.append(process)
        return process

    def loopback(self):
        """lo alone, for cases without a guest."""
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def network(self):
        """lo, and the tap device that the guest is on the other side of."""
        for line in ("link set lo up", "tuntap add dev tap0 mode tap", f"addr add {HOST}/24 dev tap0",
                     "link set tap0 up"):
            subprocess.run(["ip", *line.split()], check=True)

    def step(self, text):
        print(f"[{time.monotonic() - self.began:6.1f}] {text}", flush=True)

    def __exit__(self, kind, error, trace):
        if kind is not None and not (kind is SystemExit and error.code == 77):
            print(f"FAILED: {error}" if kind is Failed else f"FAILED: {kind.__name__}: {error}", flush=True)
            for process in {process.log: process for process in self.processes}.values():  # the last of each name
                print(f"--- {process.name}: {'running' if process.alive() else process.child.returncode}; last lines of "
                      f"{process.log}\n{process.tail(25)}", flush=True)
        try:
            self.exit.close()
        finally:
            for process in reversed(self.processes):
                if process.alive():
                    process.child.kill()
                    process.child.wait()
        if kind is None:
            shutil.rmtree(self.work, ignore_errors=True)
            self.step("passed")
        elif kind is Failed:
            sys.exit(1)
        return False
