"""How soon a fleet that is up has compiled the first configuration of a search, and what its workers hold meanwhile.

    python -m bench.fleet_first --workers 2 --up 30

Real processes: `spak fleet up` without GPUs, then, so many seconds after its last worker has joined, `tune --fleet` with
empty caches. Seconds count from the start of `tune` until a trial is in its journal, whose own start is in them; processor
seconds are those of its workers and all that they started. Memory is summed over each worker and what it started: `resident` counts
what processes share in each of them, `private` is what would be free without them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.local_fleet import empty_caches

LIMIT_S = 300.0
MIB = 2**20


@dataclass(frozen=True)
class FleetUse:
    """What a fleet's workers have used and hold: processor seconds so far, MiB of one worker on average."""

    processor_s: float
    resident_mib: float
    private_mib: float


def use_of(fleet: psutil.Process) -> FleetUse:
    """What the workers of a fleet use that was started here, with all that they started."""
    spent, resident, private = 0.0, 0, 0
    _, *workers = sorted(fleet.children(), key=lambda process: process.create_time())  # the first is the scheduler
    for process in [one for worker in workers for one in (worker, *worker.children(recursive=True))]:
        try:
            times, memory = process.cpu_times(), process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
        resident, private = resident + memory.rss, private + memory.uss
    return FleetUse(round(spent, 2), round(resident / len(workers) / MIB), round(private / len(workers) / MIB))


def first_trial_s(folder: Path, command: Sequence[str]) -> float:
    """Seconds from the start of a search until its journal has a trial; ends it then.

    Raises:
        SystemExit: If the search ends before, or none comes in time.
    """
    begun = time.monotonic()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as search:
        try:
            while time.monotonic() - begun < LIMIT_S and search.poll() is None:
                journals = list((folder / ".spak").rglob("*.jsonl"))
                if any(len(journal.read_bytes().splitlines()) > 1 for journal in journals):
                    return round(time.monotonic() - begun, 2)
                time.sleep(0.02)
        finally:
            search.kill()
    raise SystemExit(f"no trial in {time.monotonic() - begun:.0f} s: {' '.join(command)}")


def measured(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """What a fleet of its own did and used.

    Raises:
        SystemExit: If it does not come up.
    """
    keys, python = folder / "keys", [sys.executable, "-m"]
    up = [
        *python,
        "spak.cli.spak",
        "fleet",
        "up",
        "--no-gpus",
        "--compilers",
        str(arguments.workers),
        "--keys",
        str(keys),
    ]
    begun = time.monotonic()
    with subprocess.Popen(up, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            asked = [
                "spak.cli.spak",
                "fleet",
                "status",
                str(keys),
                "--workers",
                str(arguments.workers),
                "--seconds",
                "120",
            ]
            subprocess.run([*python, *asked], cwd=folder, stdout=subprocess.DEVNULL, check=True)
            joined_s = round(time.monotonic() - begun, 2)
            time.sleep(arguments.up)
            fleet = psutil.Process(process.pid)
            idle = use_of(fleet)
            search = ["spak.cli.tune", arguments.kernel, "--hw", "h200", "--backend", "compile", "--no-write"]
            search += ["--no-laws", "--strategy", "random", "--budget", "64", "--fleet", str(keys)]
            first_s = first_trial_s(folder, [*python, *search])
            after = use_of(fleet)
        finally:
            process.terminate()
    spent = round(after.processor_s - idle.processor_s, 2)
    return {
        "joined_s": joined_s,
        "first_s": first_s,
        "processor_s": spent,
        "idle": asdict(idle),
        "after": asdict(after),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--up", type=float, default=30.0, help="seconds that the fleet is left alone before the search")
    parser.add_argument("--kernel", default="matmul")
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    os.environ.setdefault("KG_LAWS", str(Path("laws").resolve()))
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder, empty_caches(Path(folder)):
            os.environ["XDG_CACHE_HOME"] = folder
            print(json.dumps(measured(Path(folder), arguments)))


if __name__ == "__main__":
    main()
