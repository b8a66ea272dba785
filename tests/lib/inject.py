"""Faults inside the gateway itself: the control file and the counters of pailfs-faulty. See tests/fault/README.md."""
import os
import struct

RECORD = struct.Struct("32s6Q")
FIELDS = ("calls", "faults", "in_flight", "in_flight_max", "bytes", "keys")


class Faults:
    """Give env to the process; program is what to run instead of pailfs."""

    def __init__(self, path):
        self.path = path
        self.program = program()
        self.env = {"PAILFS_FAULT": path}
        self.set("")

    def set(self, rules):
        """From the next call on these are the rules; "" is none."""
        with open(self.path + ".new", "w") as f:
            f.write(rules)
        os.rename(self.path + ".new", self.path)

    def counts(self):
        """{"store.put": {"calls": 3, ...}, ...}; empty before the program has made its first call."""
        try:
            with open(self.path + ".counts", "rb") as f:
                data = f.read()
        except FileNotFoundError:
            return {}
        return {record[0].rstrip(b"\0").decode(): dict(zip(FIELDS, record[1:]))
                for record in RECORD.iter_unpack(data[:len(data) // RECORD.size * RECORD.size])}


def program():
    """pailfs-faulty, of the same build as pailfs if nothing else is said."""
    beside = os.path.join(os.path.dirname(os.environ["PAILFS_BIN"]), "../tests/fault/pailfs-faulty")
    return os.environ.get("PAILFS_FAULTY", os.path.normpath(beside))
