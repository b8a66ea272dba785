"""goofys's bench workloads on FUSE mounts of one S3 server, side by side, and a bare S3 client's time for the same. Called by
tests/bench/fuse.

Each program mounts its own prefix. All mounts are there for the whole time; a workload runs on one after the other, round by round,
so that a slow moment of the machine meets all of them. Caches of the kernel are dropped before each.
"""
import concurrent.futures
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import fusemount
import kit
import stores

ROUNDS = int(os.environ.get("ROUNDS", "3"))
MEGABYTES = int(os.environ.get("MEGABYTES", "256"))
ONLY = os.environ.get("ROWS", "")
TICKS = os.sysconf("SC_CLK_TCK")
NOTES = f"""
Seconds for the whole workload, medians of {ROUNDS}; "CPU" is what the mounting program used for it, user and system. close() has the
object in the store for all but rclone, which was told --vfs-cache-mode writes and uploads later: its writing rows say little.
"raw" is boto3 doing the same with the bucket, 16 at a time where the workload is parallel or a listing allows it.
pailfs answers close() when the object is in the store, and each create, mkdir and rm when it is durable on this disk."""


def sh(command, cwd):
    done = subprocess.run(["bash", "-c", "set -e; " + command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    kit.check(done.returncode == 0, f"{cwd}: exit status {done.returncode}: {command}\n{done.stdout[-2000:]}")
    return done.stdout


class Peer:
    """A mount; its process is found by what it serves."""

    def __init__(self, name, directory, pid):
        self.name, self.dir, self.pid = name, directory, pid

    def cpu(self):
        with open(f"/proc/{self.pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / TICKS


def wait_mounted(case, process, directory):
    process.ready(lambda: fusemount.mounted(directory), "is mounted")


def clean_env(**more):
    """Nothing of this machine's own AWS settings."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **more}


def start_s3fs(case, store, directory):
    password = case.path("s3fs-password")
    with open(password, "w") as f:
        f.write(f"{stores.KEY}:{stores.SECRET}")
    os.chmod(password, 0o600)
    store.put("s3fs/", b"")
    process = case.process("s3fs", ["s3fs", f"{stores.BUCKET}:/s3fs", directory, "-f", "-o", f"passwd_file={password}", "-o",
                                    f"url=http://127.0.0.1:{store.port}", "-o", "use_path_request_style", "-o", "stat_cache_expire=1"], clean_env())
    wait_mounted(case, process, directory)
    return process.pid


def start_rclone(case, store, directory):
    env = clean_env(RCLONE_CONFIG_S_TYPE="s3", RCLONE_CONFIG_S_PROVIDER="Other", RCLONE_CONFIG_S_ACCESS_KEY_ID=stores.KEY,
                    RCLONE_CONFIG_S_SECRET_ACCESS_KEY=stores.SECRET, RCLONE_CONFIG_S_ENDPOINT=f"http://127.0.0.1:{store.port}",
                    RCLONE_CONFIG_S_REGION="us-east-1", RCLONE_CONFIG=case.path("rclone.conf"), XDG_CACHE_HOME=case.path("rclone-cache"))
    process = case.process("rclone", ["rclone", "mount", f"s:{stores.BUCKET}/rclone", directory, "--vfs-cache-mode", "writes",
                                      "--dir-cache-time", "1s"], env)
    wait_mounted(case, process, directory)
    return process.pid


def start_goofys(case, store, directory, program="goofys"):
    env = clean_env(AWS_ACCESS_KEY_ID=stores.KEY, AWS_SECRET_ACCESS_KEY=stores.SECRET)
    more = ["--type-cache-ttl", "1s"] if program == "goofys" else []
    process = case.process(program, [program, "-f", "--endpoint", f"http://127.0.0.1:{store.port}", "--region", "us-east-1",
                                     "--stat-cache-ttl", "1s", *more, f"{stores.BUCKET}:{program}", directory], env)
    wait_mounted(case, process, directory)
    return process.pid


def start_pailfs(case, store, directory):
    mount = fusemount.Mount(case, store, ["--attr-ttl", "1s"], name="pailfs")
    mount.argv[-2] = store.url + "/pailfs"
    return mount.start().pid


STARTS = {"pailfs": start_pailfs, "s3fs": start_s3fs, "rclone": start_rclone, "goofys": start_goofys,
          "geesefs": lambda *a: start_goofys(*a, program="geesefs")}


# --- the workloads: what is timed; what comes before it ---

def create(top):
    sh("for i in $(seq 100); do echo $i > file$i; done", top)


def create_parallel(top):
    sh("(for i in $(seq 100); do echo $i > file$i & done; wait)", top)


def remove(top):
    sh("for i in $(seq 100); do rm file$i; done", top)


def remove_parallel(top):
    sh("(for i in $(seq 100); do rm file$i & done; wait)", top)


def ls(top):
    kit.equal(sh("ls -1 --color=always ls | wc -l", top).strip(), "1000", "entries")


def find(top):
    kit.equal(sh("find find | wc -l", top).strip(), "820", "entries")


def write_large(top):
    sh(f"head -c {MEGABYTES}M {os.path.dirname(top)}/noise | tee >(md5sum > {top}.md5) | dd of=largefile bs=1MB iflag=fullblock 2>&1"
       " && sync -d largefile || true", top)


def read_large(top):
    sh("md5sum largefile", top)


def first_byte(top):
    sh("dd if=largefile bs=1 count=1 of=/dev/null 2>&1", top)


def rows():
    """(name, workload, does it need the tree, the raw client's way)"""
    every = [("create 100 files", create, raw_create), ("rm 100 files", remove, raw_remove),
             ("create 100, parallel", create_parallel, raw_create_parallel), ("rm 100, parallel", remove_parallel, raw_remove_parallel),
             ("ls of 1000", ls, raw_ls), ("find, 820 entries", find, raw_find), (f"write {MEGABYTES} MiB", write_large, raw_write),
             (f"read {MEGABYTES} MiB", read_large, raw_read), ("first byte", first_byte, raw_first)]
    return [row for row in every if ONLY in row[0]]


# --- the same by a bare client ---

def in_parallel(function, items, workers=16):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(function, items))


def raw_create(store):
    for i in range(100):
        store.put(f"raw/file{i}", b"%d\n" % i)


def raw_create_parallel(store):
    in_parallel(lambda i: store.put(f"raw/file{i}", b"%d\n" % i), range(100))


def raw_remove(store):
    for i in range(100):
        store.delete(f"raw/file{i}")


def raw_remove_parallel(store):
    in_parallel(lambda i: store.delete(f"raw/file{i}"), range(100))


def raw_list(store, prefix):
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=stores.BUCKET, Prefix=prefix)
    return sum(len(page.get("Contents", [])) for page in pages)


def raw_ls(store):
    raw_list(store, "pailfs/ls/")


def raw_find(store):
    raw_list(store, "pailfs/find/")


def raw_write(store):
    client, key = store.client, "raw/largefile"
    upload = client.create_multipart_upload(Bucket=stores.BUCKET, Key=key)["UploadId"]
    parts, size = [None] * -(-MEGABYTES // 16), 16 << 20

    def part(n):
        with open(store.case.path("noise"), "rb") as f:
            f.seek(n * size)
            body = f.read(min(size, (MEGABYTES << 20) - n * size))
        answer = client.upload_part(Bucket=stores.BUCKET, Key=key, UploadId=upload, PartNumber=n + 1, Body=body)
        parts[n] = {"PartNumber": n + 1, "ETag": answer["ETag"]}
    in_parallel(part, range(len(parts)))
    client.complete_multipart_upload(Bucket=stores.BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def raw_read(store):
    size = 16 << 20

    def get(n):
        want = f"bytes={n * size}-{min((n + 1) * size, MEGABYTES << 20) - 1}"
        return store.client.get_object(Bucket=stores.BUCKET, Key="raw/largefile", Range=want)["Body"].read()
    digest = hashlib.md5()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for body in pool.map(get, range(-(-MEGABYTES // 16))):
            digest.update(body)


def raw_first(store):
    store.client.get_object(Bucket=stores.BUCKET, Key="raw/largefile", Range="bytes=0-0")["Body"].read()


def make_trees(store, names):
    """What ls and find look at comes past the mounts."""
    def tree(name):
        for i in range(1000):
            store.put(f"{name}/ls/file{i}", b"")
        for i in range(1, 10):
            for j in range(1, 10):
                store.put(f"{name}/find/{i}/{j}/", b"")
                for k in range(1, 10):
                    store.put(f"{name}/find/{i}/{j}/f{k}", b"")
            store.put(f"{name}/find/{i}/", b"")
        store.put(f"{name}/find/", b"")
        store.put(f"{name}/ls/", b"")
    in_parallel(tree, names)


def timed(function, argument, peer=None):
    subprocess.run(["sh", "-c", "sync; echo 3 > /proc/sys/vm/drop_caches"], check=True)
    time.sleep(1.2)  # what the programs were told to believe for a second has to be asked again
    cpu, began = peer.cpu() if peer else 0, time.monotonic()
    function(argument)
    return time.monotonic() - began, peer.cpu() - cpu if peer else 0


def show(results, names):
    head = f"{'':24}" + f"{'raw':>8}" + "".join(f"{name + ' s':>12}{'CPU':>8}" for name in names)
    others = [name for name in names if name != "pailfs"]
    if "pailfs" in names and others:
        head += f"{'to raw':>9}" + "".join(f"{'to ' + name:>12}" for name in others)
    print(head)
    for row, result in results.items():
        line = f"{row:24}{result['raw'][0]:8.3f}" + "".join(f"{result[name][0]:12.3f}{result[name][1]:8.2f}" for name in names)
        if "pailfs" in names and others:
            ours = result["pailfs"][0]
            line += f"{ours / result['raw'][0]:9.2f}" + "".join(f"{ours / result[name][0]:12.2f}" for name in others)
        print(line)
    print(NOTES)


def main():
    wanted = sys.argv[1:] or list(STARTS)
    with kit.Case("bench-fuse") as case:
        case.loopback()
        store = stores.S3Store(case)
        missing = [name for name in wanted if name != "pailfs" and not shutil.which(name)]
        names = [name for name in wanted if name not in missing]
        with open("/dev/urandom", "rb") as noise, open(case.path("noise"), "wb") as f:
            for _ in range(MEGABYTES):
                f.write(noise.read(1 << 20))
        make_trees(store, names + ["pailfs"])
        peers = []
        for name in names:
            directory = case.path(name)
            os.makedirs(directory, exist_ok=True)
            peers.append(Peer(name, directory, STARTS[name](case, store, directory)))
        results = {}
        for name, workload, raw in rows():
            samples = {key: [] for key in ["raw", *names]}
            for _ in range(ROUNDS):
                samples["raw"].append(timed(raw, store))
                for peer in peers:
                    samples[peer.name].append(timed(workload, peer.dir, peer))
                if workload in (create, create_parallel) and _ + 1 < ROUNDS:
                    raw_remove_parallel(store)
                    for peer in peers:
                        remove_parallel(peer.dir)
                if workload in (remove, remove_parallel) and _ + 1 < ROUNDS:
                    raw_create_parallel(store)
                    for peer in peers:
                        create_parallel(peer.dir)
            results[name] = {key: tuple(statistics.median(s[i] for s in values) for i in (0, 1)) for key, values in samples.items()}
        for name in missing:
            print(f"{name}: not on this machine")
        show(results, names)
        print(json.dumps({"rounds": ROUNDS, "missing": missing, "seconds_and_cpu": results}))
        for peer in peers:
            subprocess.run(["umount", "-l", peer.dir], check=False)


main()
