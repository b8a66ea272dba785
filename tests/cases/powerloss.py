"""Power losses while a client changes things: what was acknowledged as durable is there afterwards although nothing else of the
state directory is. Each kill takes with it what was not synced, all of it or a part that the seed chooses.

powerloss.py file|s3 [ROUNDS]          environment: SEED
"""
import os
import random
import signal
import time

import crash
import kit
import power
import servers
import stores

SEED = int(os.environ.get("SEED", "20240611"))


def main():
    with kit.Case(f"powerloss-{crash.KIND}") as case:
        case.network()
        store = stores.store(case, crash.KIND)
        loss = power.Power(case.path("side"), case.path("state"))
        server = servers.Pailfs(case, store, ["--quiet-time", "200ms", "--log-level", "debug"], faults=loss).start()
        rng = random.Random(SEED + 2)
        case.step(f"seed {SEED}")

        def lose(turn):
            loss.lose(SEED + turn if turn % 2 else None)
            server.check_state()

        def killed(turn):
            lose(turn)
            if turn % 4 == 3:  # and once more while it comes up
                server.spawn()
                time.sleep(rng.uniform(0.0, 0.1))
                server.process.stop(signal.SIGKILL)
                lose(turn + 1000)
            server.start()
        session = crash.Session(case, server, SEED, files_max=100)
        crash.crash(case, store, server, session, SEED, killed)
        case.step(f"{loss.syncs} syncs; taken back: {loss.changes} changes of bytes, {loss.names} of names")
        kit.check(loss.changes > 0 and loss.syncs > 0, "nothing was written down")


main()
