"""What `kg check` and `kg query` take over a root that bench.generate_laws made: time, processor time, memory.

    python -m bench.store_scale ROOT [--queries 5] [--json bench/results/store-scale.json]

Whole processes with a cache of their own: a first check, a second, one after a law was edited (it is put back), queries.
Memory is the greatest sum over a command's processes of what each holds, pages that several share divided among them (PSS),
looked at twice a second, or less often where a look takes long. Processor time is user and system, of all processes of a command.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUERY = ("query", "--hw", "rtx5070", "--op", "attention")
LOOK_S = 0.5
LOOKING = 0.02
"""Share of the time that goes into looking, at most: what is looked at waits meanwhile."""


def main() -> None:
    """Measure, print a line for each command, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--queries", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as cache:

        def note(name: str, *command: str) -> None:
            found.append({"command": name, **measured(arguments.root, Path(cache), command)})
            print(json.dumps(found[-1]), flush=True)
            if arguments.json is not None:
                arguments.json.write_text(json.dumps(found, indent=1) + "\n")

        note("check, no cache", "check")
        note("check", "check")
        law = next(iter(sorted(arguments.root.glob("*/*/generated-*.yaml"))))
        text = law.read_text()
        try:
            law.write_text(text.replace("title: Generated", "title: Edited"))
            note("check, one law edited", "check")
        finally:
            law.write_text(text)
        note("check, put back", "check")
        for _ in range(arguments.queries):
            note("query", *QUERY)


def measured(root: Path, cache: Path, command: tuple[str, ...]) -> dict[str, object]:
    """One whole process: seconds, processor seconds, peak megabytes, load average before, exit code, what it says it read."""
    load, before, start = os.getloadavg()[0], _busy(), time.perf_counter()
    words = [sys.executable, "-m", "spak.cli.kg", "--laws", str(root), *command]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        process = subprocess.Popen(words, stdout=told, stderr=said, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
        peak = 0
        while process.poll() is None:
            looked = time.perf_counter()
            peak = max(peak, sum(map(_held, _tree(process.pid))))
            took = time.perf_counter() - looked
            time.sleep(max(LOOK_S if looked - start > LOOK_S else LOOK_S / 10, took / LOOKING))
        seconds = time.perf_counter() - start
        said.seek(0)
        return {
            "seconds": round(seconds, 2),
            "processor_s": round(_busy() - before, 2),
            "peak_mb": round(peak / 1024),
            "load": round(load, 1),
            "exit": process.returncode,
            "said": said.read().decode().strip()[-200:],
        }


def _busy() -> float:
    """Processor seconds of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(process: int) -> list[int]:
    """A process and all below it."""
    try:
        below = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return [process]
    return [process, *(one for child in below for one in _tree(int(child)))]


def _held(process: int) -> int:
    """Kilobytes that a process holds; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
