"""Power losses: pailfs-powerloss writes down what it does not sync; after a kill that is taken back. See tests/fault/powerloss.c."""
import os
import subprocess

import kit

TOOL = os.path.join(kit.ROOT, "tests", "fault", "powerloss.py")


class Power:
    """Give env to the process; program is what to run instead of pailfs."""

    def __init__(self, side, state):
        os.makedirs(side)
        os.makedirs(state, exist_ok=True)
        self.side = side
        beside = os.path.join(os.path.dirname(kit.BIN), "../tests/fault/pailfs-powerloss")
        self.program = os.environ.get("PAILFS_POWERLOSS_BIN", os.path.normpath(beside))
        self.env = {"PAILFS_POWERLOSS": side, "PAILFS_POWERLOSS_STATE": state}
        self.changes = self.names = self.syncs = 0

    def start_argv(self, seed):
        """To be put before the arguments of pailfs: each start is one after a power loss."""
        return [TOOL, self.side, "--seed", str(seed), "--check", kit.BIN, "--start", self.program]

    def lose(self, seed=None):
        """After the kill: nothing that was not synced is there; with a seed, some of it."""
        done = subprocess.run([TOOL, self.side, *([] if seed is None else ["--seed", str(seed)])], capture_output=True, text=True,
                              check=False)
        kit.equal((done.returncode, done.stderr), (0, ""), "powerloss.py")
        words = done.stdout.split()
        self.changes += int(words[0])
        self.names += int(words[5])
        self.syncs += int(words[-2])
