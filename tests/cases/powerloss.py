"""Power losses while a client changes things: what was acknowledged as durable is there afterwards although nothing else of the
state directory is. Each kill takes with it what was not synced, all of it or a part that the seed chooses.

powerloss.py file|s3 [ROUNDS]          environment: SEED
"""
import os
import random
import signal
import sys
import threading
import time

import kit
import power
import powerloss_client
import servers
import stores

KIND = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 25
SEED = int(os.environ.get("SEED", "20240611"))


def crashes(case, store, server, session, seed, killed):
    """Kills and starts again, and believes nothing. killed(turn) is called after each kill, and starts the server."""
    rng = random.Random(seed + 1)
    for turn in range(ROUNDS):
        stop, failure = threading.Event(), []

        def work():
            try:
                session.work(stop)
            except BaseException as error:  # told by the main thread
                failure.append(error)
        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(rng.uniform(0.05, 0.8))
        server.kill()
        session.down.set()
        killed(turn)
        session.up.set()
        kit.wait_for(lambda t=turn: session.resent > t or failure, "the client goes on", 60)
        stop.set()
        worker.join(60)
        if failure:
            raise failure[0]
        session.verify()
    case.step(f"{session.ops} changes, {session.resent} of them sent again, over {ROUNDS} crashes")
    server.stop()
    counts = server.check_state("--store")
    kit.equal((counts["dirty"], counts["intents"], counts["unknown"]), (0, 0, 0), "files to upload, deletions, unknown objects")
    seen = store.view()
    want = dict(powerloss_client.model(session.root))
    kit.equal((sorted(set(seen) - set(want)), sorted(set(want) - set(seen))), ([], []),
              "names in the bucket that are too many, and missing")
    for path, node in want.items():
        kit.equal(seen[path].kind, "dir" if node.is_dir else "file", f"kind of {path}")
        if not node.is_dir:
            kit.equal(store.get(path) == node.body, True, f"bytes of {path} in the bucket")
    kit.equal(store.uploads(), [], "multipart uploads left in the bucket")


def main():
    with kit.Case(f"powerloss-{KIND}") as case:
        case.network()
        store = stores.store(case, KIND)
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
        session = powerloss_client.Session(case, server, SEED, files_max=100)
        crashes(case, store, server, session, SEED, killed)
        case.step(f"{loss.syncs} syncs; taken back: {loss.changes} changes of bytes, {loss.names} of names")
        kit.check(loss.changes > 0 and loss.syncs > 0, "nothing was written down")


main()
