"""`tune --use-laws` for the RTX 5070 as a fresh machine runs it: cold, then warm, with what it found.

    python bench/tune_cold_warm.py [--budget N] [--laws DIR] [--repeats N]

The compile cache is a new empty folder for each repeat. Times are wall times of the whole process; the load of the machine before
each is printed beside it, because on a busy machine they say little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int)
    parser.add_argument("--laws", type=Path, default=ROOT / "laws")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    rows = []
    print(f"{'run':6} {'wall s':>8} {'load before':>12} {'trials':>7}")
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("cold", "warm"):
                name, seconds, load, report = run(kind, Path(folder), options)
                rows.append((name, seconds, load, report))
                print(f"{name:6} {seconds:8.1f} {load:12.1f} {report['counts']['tried']:7}", flush=True)
    for kind, limit in (("cold", 120), ("warm", 6)):
        median = statistics.median(seconds for name, seconds, _, _ in rows if name == kind)
        print(f"{kind} median {median:.1f} s, limit {limit} s")
    report = rows[0][3]
    tiles = ["x".join(str(row["configuration"][name]) for name in ("tile_m", "tile_n")) for row in report["ranked"][:3]]
    spilling = [row for row in report["ranked"] if row["features"]["spill_bytes"] > 0]
    against = sum(bool(row["laws"]) for row in spilling)
    counts = report["counts"]
    print(f"first three tiles: {', '.join(tiles)}")
    print(
        f"of {counts['searched']} configurations {counts['removed']} removed, {counts['postponed']} postponed by laws"
    )
    print(f"tried and spilling: {len(spilling)}, of which laws had spoken against {against}")


def run(name: str, folder: Path, options: argparse.Namespace) -> tuple[str, float, float, dict]:
    """One search in an otherwise empty folder."""
    command = [sys.executable, "-m", "spak.cli.tune", "--laws", str(options.laws), "--use-laws", "--no-write"]
    command += ["--hw", "rtx5070", "--backend", "compile", "--format", "json"]
    command += ["--budget", str(options.budget)] if options.budget else []
    place = folder / name  # a run file's name holds its second
    place.mkdir()
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT / "src")}
    load, start = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run(command, cwd=place, env=environment, stdout=subprocess.PIPE, check=True)
    return name, time.perf_counter() - start, load, json.loads(done.stdout)


if __name__ == "__main__":
    main()
