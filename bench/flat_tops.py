"""Transfer on made-up GPUs with flat tops, beside random search and beside an earlier revision of the strategy.

    python -m bench.flat_tops held-out [--kernels 4] [--seeds 10] [--against REVISION] [--out FILE]

Every GPU of every kernel is searched with what the others recorded, and again with its family held out. Random search is its
exact expectation, as in bench/transfer.py. `--against` runs the same searches with the strategy of that revision, in the
same run; the intervals are those of 95 % over kernels, bootstrapped.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.made_up_gpus import DESIGN, HELD_OUT, Floats, MadeUpGpus
from spak.tuner.knowledge.known import Knowledge
from spak.tuner.strategy.base import Observation, SpaceView
from spak.tuner.strategy.transfer import Transfer

FRACTIONS = (0.95, 0.99)
SETS = {"design": DESIGN, "held-out": HELD_OUT}
RESAMPLES = 2000


@dataclass(frozen=True)
class Case:
    """One GPU of one kernel: what random search expects and what each search needed, to each fraction."""

    kernel: int
    gpu: int
    out: str
    random: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    processor_ms: float

    def fewer(self, place: int) -> float:
        """Times fewer evaluations than random search."""
        return self.random[place] / float(np.mean([count[place] for count in self.counts]))


def cases(name: str, kernels: int, seeds: int) -> Iterator[Case]:
    for number in range(kernels):
        made_up = MadeUpGpus(SETS[name], number)
        for gpu, family in enumerate(made_up.families):
            for out in ("gpu", "family") if made_up.families.count(family) > 1 else ("gpu",):
                yield searched(made_up, number, gpu, out, seeds)


def searched(made_up: MadeUpGpus, number: int, gpu: int, out: str, seeds: int) -> Case:
    log_times = made_up.log_times[gpu]
    known = made_up.known(gpu, family_out=out == "family")
    enough = [float(np.nanmin(log_times) - np.log(fraction)) for fraction in FRACTIONS]
    random = tuple((len(log_times) + 1) / (int((log_times <= bound).sum()) + 1) for bound in enough)
    started = time.process_time()
    counts = tuple(_search(made_up, known, log_times, enough, seed) for seed in range(seeds))
    spent = time.process_time() - started
    return Case(number, gpu, out, random, counts, 1e3 * spent / sum(count[-1] for count in counts))


def _search(
    made_up: MadeUpGpus, known: Knowledge, log_times: Floats, enough: list[float], seed: int
) -> tuple[int, ...]:
    """Evaluations of one search to each bound of log time in `enough`, falling."""
    strategy = Transfer(known)
    strategy.start(SpaceView.of(made_up.codes, made_up.cardinalities), np.random.default_rng(seed))
    needed: list[int] = []
    for number in range(1, len(log_times) + 1):
        (row,) = strategy.ask(1)
        while len(needed) < len(enough) and log_times[row] <= enough[len(needed)]:
            needed.append(number)
        if len(needed) == len(enough):
            break
        strategy.tell([Observation(row, None if np.isnan(log_times[row]) else float(np.exp(log_times[row])))])
    return tuple(needed)


def elsewhere(revision: str, arguments: list[str]) -> list[Case]:
    """The same searches by the strategy of `revision`."""
    packed = subprocess.run(["git", "archive", revision], check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(scratch, filter="data")
        for script in ("made_up_gpus.py", "flat_tops.py"):
            Path(scratch, "bench", script).write_bytes(Path(__file__).with_name(script).read_bytes())
        found = Path(scratch, "found.json")
        path = os.pathsep.join([str(Path(scratch, "src")), scratch])
        command = [sys.executable, "-m", "bench.flat_tops", *arguments, "--out", str(found)]
        subprocess.run(command, check=True, cwd=scratch, env={**os.environ, "PYTHONPATH": path})
        return [Case(**case) for case in json.loads(found.read_text())["cases"]]


def interval(rows: list[Case], place: int) -> tuple[float, float, float]:
    """Geometric mean of how many times fewer, and 95 % of its resamples over kernels."""
    kernels = sorted({row.kernel for row in rows})
    logs = [[np.log(row.fewer(place)) for row in rows if row.kernel == kernel] for kernel in kernels]
    drawn = np.random.default_rng(0).integers(len(kernels), size=(RESAMPLES, len(kernels)))
    means = [float(np.mean(np.concatenate([logs[i] for i in draw]))) for draw in drawn]
    low, high = np.exp(np.quantile(means, [0.025, 0.975]))
    return float(np.exp(np.mean(np.concatenate(logs)))), float(low), float(high)


def show(title: str, rows: list[Case]) -> None:
    for out in ("gpu", "family"):
        chosen = [row for row in rows if row.out == out]
        for place, fraction in enumerate(FRACTIONS):
            mean, low, high = interval(chosen, place)
            ratios = [row.fewer(place) for row in chosen]
            print(
                f"{title:12} {out:6} out, to {fraction:.0%}: {mean:5.1f} ({low:.1f} to {high:.1f}) times fewer,"
                f" worst {min(ratios):.2f}, {sum(ratio < 1 for ratio in ratios)} of {len(ratios)} worse than random",
                flush=True,
            )
    print(f"{title:12} {np.mean([row.processor_ms for row in rows]):.2f} processor ms a trial")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--kernels", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--against", metavar="REVISION", default="")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = list(cases(options.set, options.kernels, options.seeds))
    show("transfer", rows)
    before: list[Case] = []
    if options.against:
        sizes = ["--kernels", str(options.kernels), "--seeds", str(options.seeds)]
        print(f"as of {options.against}:", flush=True)
        before = elsewhere(options.against, [options.set, *sizes])
    if options.out:
        done = {"set": options.set, "against": options.against}
        done |= {"cases": [asdict(row) for row in rows], "before": [asdict(row) for row in before]}
        options.out.write_text(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
