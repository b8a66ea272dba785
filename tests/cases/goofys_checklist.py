"""goofys's own tests, those that are about behaviour, by their names: over a real mount, on a directory or an S3 server.

goofys_checklist.py file|s3 [TEST...]
"""
import inspect
import sys
import time
import traceback

import goofys.data
import goofys.names
import goofys.world
import kit

KIND = sys.argv[1]


def tests():
    for module in (goofys.names, goofys.data):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("Test") and getattr(function, "only", KIND) == KIND:
                yield name, function


def main():
    wanted = sys.argv[2:]
    with kit.Case(f"goofys-{KIND}") as case:
        case.loopback()
        world = goofys.world.World(case, KIND)
        count, wrong = 0, []
        for name, function in tests():
            if wanted and name not in wanted:
                continue
            count += 1
            began = time.monotonic()
            try:
                function(goofys.world.Test(world, function))
            except (kit.Failed, OSError) as error:
                where = traceback.extract_tb(error.__traceback__)
                line = next((f"{frame.filename.rsplit('/', 1)[1]}:{frame.lineno}" for frame in where if "/goofys/" in frame.filename
                             and "world.py" not in frame.filename), "")
                wrong.append(f"{name}: {line}: {error!r:.1500}" if isinstance(error, OSError) else f"{name}: {line}: {error}")
                print(f"wrong: {wrong[-1]}", flush=True)
            took = time.monotonic() - began
            if took > 2:
                case.step(f"{name} took {took:.1f} s")
        case.step(f"{count} tests, {len(wrong)} wrong")
        kit.check(not wrong and count > 0, "\n".join(wrong) or "no test of that name")
        world.end()
        kit.equal(world.store.uploads_known(), [], "multipart uploads left in the bucket")


main()
