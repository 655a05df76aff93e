"""Two machines on one: the machine that trains most of a search loses its link and its power.

    python experiments/cluster/run.py --data fer2013 --out FILE   # Linux, as root; iproute2

Each machine is a network, a PID and a mount namespace, joined by a veth pair: they share cores and
disk, but neither loopback, processes nor shared memory. The head has room for one worker of the
search, the other machine for two. When a third of the evaluations is there, the link goes down and
all processes of the other machine are killed.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nas.data import open_dataset, search_data

SPACE = "quick"
HEAD, OTHER = "fer-nas-head", "fer-nas-other"
LINK = "veth0"
ADDRESSES = {HEAD: "10.77.0.1", OTHER: "10.77.0.2"}
BOOT = (
    "ip link set lo up; mkdir -p /tmp/ray; "
    "mount -t tmpfs tmpfs /dev/shm; mount -t tmpfs tmpfs /tmp/ray; "
)


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout


def connect() -> None:
    for name in ADDRESSES:
        ip("netns", "add", name)
    ip("link", "add", LINK, "netns", HEAD, "type", "veth", "peer", "name", LINK, "netns", OTHER)
    for name, address in ADDRESSES.items():
        ip("-netns", name, "address", "add", f"{address}/24", "dev", LINK)
        ip("-netns", name, "link", "set", LINK, "up")


def boot(name: str, command: str) -> subprocess.Popen[bytes]:
    """Run the command as a machine's first process: when it ends or is killed, so do all others."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.Popen(["ip", "netns", "exec", name, *unshare, "sh", "-c", BOOT + command])


def training(name: str) -> int:
    """Workers of the search that are training on this machine."""
    count = 0
    for pid in ip("netns", "pids", name).split():
        try:
            count += Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::_Actor.run")
        except OSError:  # ended
            continue
    return count


def received(name: str) -> int:
    """Bytes that have come over the machine's link."""
    (link,) = json.loads(ip("-netns", name, "-json", "-statistics", "link", "show", LINK))
    return int(link["stats64"]["rx"]["bytes"])


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def search_and_kill(data: str, evaluations: int, run: Path) -> dict[str, Any]:
    """What was there before the kill and after the search."""
    archive = run / "evaluations.jsonl"
    python = sys.executable
    ray = f"{Path(python).parent}/ray start --disable-usage-stats --node-ip-address"
    address = f"{ADDRESSES[HEAD]}:6379"
    machines = []
    try:
        connect()
        started = time.monotonic()
        head = boot(
            HEAD,
            f"{ray} {ADDRESSES[HEAD]} --head --port 6379 --num-cpus 1 --include-dashboard false && "
            f"{python} -m nas.search --address {address} --workers 3 --candidate-time 5m "
            f"--space {SPACE} --data {data} --evaluations {evaluations} --epochs 1 "
            f"--fraction 0.2 --run-dir {run}",
        )
        machines.append(head)
        while not run.exists():  # by then the head's Ray is up
            check_running(*machines)
        other = boot(
            OTHER, f"exec {ray} {ADDRESSES[OTHER]} --address {address} --num-cpus 2 --block"
        )
        machines.append(other)
        while training(OTHER) < 2 or len(lines(archive)) < evaluations // 3:
            check_running(*machines)
        crossed, lost = received(OTHER), training(OTHER)
        ip("-netns", HEAD, "link", "set", LINK, "down")
        other.kill()
        before, killed = lines(archive), time.monotonic()
        code, ended = head.wait(), time.monotonic()
    finally:
        for machine in machines:
            machine.kill()
            machine.wait()
        for name in ADDRESSES:
            ip("netns", "del", name)
    after = lines(archive)
    found = [json.loads(line) for line in after]
    return {
        "bytes_over_the_link_to_two_workers": crossed,
        "evaluations_before": len(before),
        "killed_while_training": lost,
        "exit_code": code,
        "evaluations": len(found),
        "ok": sum(e["status"] == "ok" for e in found),
        "each_index_once": sorted(e["index"] for e in found) == list(range(evaluations)),
        "earlier_lines_kept": after[: len(before)] == before,
        "seconds_before_and_after": [round(killed - started), round(ended - killed)],
    }


def check_running(*machines: subprocess.Popen[bytes]) -> None:
    if any(machine.poll() is not None for machine in machines):
        raise SystemExit("a machine stopped too early; its output above says why")
    time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--evaluations", type=int, default=12)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    data = search_data(open_dataset(args.data))
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory() as folder:
        found = search_and_kill(args.data, args.evaluations, Path(folder) / "run")
    size = sum(array.nbytes for array in vars(data).values())
    result = {"data": args.data, "data_bytes": size, **found}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
