"""What one proposed trial costs on a space of 20,000 configurations with four sources of as many. All of it is made up.

    python -m bench.overhead [--trials 500] [--searches 3] [--recorded 0]

The four sources are written as files, imported as `kg import` does, loaded back and searched as `tune replay --use-laws` does.
The time of a trial is all that lies between two finished trials: choosing, the law and audit bookkeeping, learning.
Reading the record stands for running it. Prints milliseconds of wall and of processor time: half, 99 in 100, mean, most.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.made_up_spaces import KINDS, MadeUp
from bench.transfer import root_of
from spak.kg.files.loader import Laws
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.model.run import Measurement, Times, Trial
from spak.tuner import replay as replaying
from spak.tuner.engine.loop import Hooks


@dataclass
class Marks:
    """Wall and processor moments at which trials ended."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def mark(self, _trial: object) -> None:
        """A trial has ended."""
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())


def recorded(made_up: MadeUp, gpu: int) -> Recording:
    """What one GPU would have recorded: microseconds for all of the space."""
    times = np.exp(made_up.log_time(gpu)) * 1e3
    trials = tuple(
        Trial(
            configuration={f"p{p}": int(code) for p, code in enumerate(row)},
            measurements=(Measurement(name="time", value=float(value), unit="us"),),
            times=Times(),
        )
        for row, value in zip(made_up.codes, times, strict=True)
    )
    return Recording("run", seen_parameters(trials), False, trials)


def known(made_up: MadeUp) -> Laws:
    """A law root with every source, its runs loaded."""
    sources = {f"gpu{gpu}": recorded(made_up, gpu) for gpu in range(1, made_up.kind.sources + 1)}
    with tempfile.TemporaryDirectory() as folder:
        laws = root_of(Path(folder), sources, {})
        for run in laws.run_ids:
            laws.run(run)
    return laws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--searches", type=int, default=3)
    options = parser.parse_args()
    made_up = MadeUp(replace(KINDS["20k"], alike=0.5), 0)
    laws, target = known(made_up), recorded(made_up, 0)
    print(f"{len(made_up.codes)} configurations, {made_up.kind.sources} sources, load {os.getloadavg()[0]:.1f}")
    for seed in range(options.searches):
        marks = Marks()
        what = replaying.Replay(HardwareName("target"), "recorded", laws, seed=seed, budget=options.trials)
        started = time.perf_counter()
        replaying.replay(target, what, Hooks(time.monotonic, marks.mark, lambda *_: None))
        for name, moments in (("wall", marks.wall), ("processor", marks.processor)):
            each = np.diff(moments) * 1e3
            print(
                f"search {seed}, {name:9}: half {np.median(each):.2f}, 99 in 100 {np.quantile(each, 0.99):.2f}, "
                f"mean {each.mean():.2f}, most {each.max():.2f} ms"
            )
        print(f"search {seed}, before the first trial: {marks.wall[0] - started:.2f} s")


if __name__ == "__main__":
    main()
