"""A directory of a million files is listed through the kernel client: each name once, in bounded memory."""
import os
import time

import guest
import kit
import servers
import stores

COUNT = int(os.environ.get("PAILFS_MILLION", "1000000"))
LIMIT = 256 << 20


def main():
    with kit.Case("million") as case:
        case.network()
        store = stores.FileStore(case)
        os.mkdir(store.dir + "/big")
        directory = os.open(store.dir + "/big", os.O_RDONLY)
        for i in range(COUNT):
            os.close(os.open(f"name-{i}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=directory))
        case.step("files made")
        server = servers.Pailfs(case, store, ["--memory-limit", str(LIMIT)]).start()
        client = guest.Guest(case)
        client.mount(server.source, options="nolock")
        began = time.monotonic()
        counter = f"python3 {kit.ROOT}/tests/cases/million_guest.py {COUNT}"
        for turn in ("first", "second"):
            client.drop_caches()
            out = client.run(f"set -o pipefail; ls -f /mnt/n/big | {counter}", 500)
            kit.equal(out.strip(), str(COUNT), f"names in the {turn} listing")
            case.step(f"{turn} listing: {time.monotonic() - began:.1f} s, peak memory {server.process.memory_peak() >> 20} MiB")
            began = time.monotonic()
        peak = server.process.memory_peak()
        kit.check(peak <= LIMIT, f"peak memory {peak >> 20} MiB is above the limit of {LIMIT >> 20} MiB")
        client.umount()
        server.stop()


main()
