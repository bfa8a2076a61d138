"""Evaluations that Kernel Tuner needs to within 2 % of the best, with our order as its strategy and with its own.

    python -m bench.adapters_kernel_tuner FOLDER OUT.json --seeds 20

FOLDER holds `NAME_T4.json.gz`, one for each GPU, of the same kernel. One GPU at a time is held out: Kernel Tuner searches it in
simulation mode, failures included, with `spak.adapters.kernel_tuner.SessionStrategy` on what `kg import` wrote of the others,
with the same strategy knowing nothing, and with strategies of its own. Evaluations are unique configurations. A search that has
not arrived after `MOST` (Bayesian optimisation: `--most`) is continued at random, at random search's expectation.
Intervals are 95 % bootstraps over the seeds, of each GPU by itself. OUT has the evaluations of every search.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

import spak
from bench.kernel_tuner_strategies import MOST, Count, Reached, cache_of, counted
from bench.transfer import geometric, root_of
from spak.adapters.kernel_tuner import SessionStrategy

WITHIN = 1 / 1.02
"""Fraction of the optimum that is within 2 % of it."""

ARCH = "A100=sm_80,A4000=sm_86,A6000=sm_86,MI250X=cdna2,W6600=rdna2,W7800=rdna3"

OWN = ("random_sample", "greedy_ils", "genetic_algorithm", "bayes_opt")
"""Strategies of Kernel Tuner that ours are compared with."""

CASES = ("with records", "without", *OWN)

NUM_RESAMPLES = 10_000


def searched(cache: Path, strategy: object, seed: int, most: int) -> int | None:
    """Unique evaluations to within 2 % of the best; None if the strategy stopped before, or after `most`."""
    from constraint import FunctionConstraint
    from kernel_tuner import tune_kernel

    file = json.loads(cache.read_text())
    names, entries = file["tune_params_keys"], file["cache"]
    held = {tuple(entry[name] for name in names) for entry in entries.values()}
    best = min(entry["time"] for entry in entries.values() if isinstance(entry["time"], float))
    count = Count(best, frozenset(entries), (WITHIN,))
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Kernel Tuner draws from the global generator
    with contextlib.suppress(Reached), contextlib.redirect_stdout(io.StringIO()), counted(count):
        tune_kernel(
            file["kernel_name"],
            "",
            (1,),
            [],
            file["tune_params"],
            restrictions=[FunctionConstraint(lambda *row: row in held)],
            strategy=strategy,
            strategy_options={"max_fevals": most},
            cache=str(cache),
            simulation_mode=True,
            quiet=True,
            seed=seed,
        )
    return count.found[-1]


def strategy_of(case: str, laws: spak.Library, hw: spak.HardwareName, seed: int) -> object:
    if case in OWN:
        return case
    known = laws if case == "with records" else laws.without_knowledge()
    return SessionStrategy(known, "recorded", hw, strategy="transfer", seed=seed)


def expected(times: list[float], size: int, already: int) -> float:
    """Evaluations that random search expects to need in what is left of a space after `already` that were not good enough."""
    good = sum(min(times) >= WITHIN * found for found in times)
    return already + (size - already + 1) / (good + 1)


def interval(counts: list[float]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    means = rng.choice(counts, (NUM_RESAMPLES, len(counts))).mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def held_out(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """A line for each GPU and case."""
    arch = dict(pair.split("=") for pair in options.arch.split(","))
    paths = {path.name.partition("_T4")[0]: path for path in sorted(options.folder.glob("*_T4.json*"))}
    records = {name: spak.read_recording(path) for name, path in paths.items()}
    for name, record in records.items():
        times = [found for trial in record.trials if (found := trial.value("time")) is not None]
        with tempfile.TemporaryDirectory() as scratch:
            root_of(Path(scratch), {other: found for other, found in records.items() if other != name}, arch)
            laws, cache = spak.load(Path(scratch) / "laws"), cache_of(paths[name], Path(scratch))
            for case in options.cases.split(","):
                started, most = time.perf_counter(), options.most if case == "bayes_opt" else MOST
                strategies = (
                    strategy_of(case, laws, spak.HardwareName(name, arch[name]), s) for s in range(options.seeds)
                )
                found = [searched(cache, strategy, seed, most) for seed, strategy in enumerate(strategies)]
                after = expected(times, len(record.trials), most)
                counts = [after if one is None else float(one) for one in found]
                spent = round(time.perf_counter() - started, 1)
                print(name, case, np.mean(counts), f"{spent} s", file=sys.stderr, flush=True)
                yield {
                    "gpu": name,
                    "case": case,
                    "mean": float(np.mean(counts)),
                    "interval": interval(counts),
                    "evaluations": found,
                    "arrived": sum(one is not None for one in found),
                    "most": most,
                    "random_expected": expected(times, len(record.trials), 0),
                    "seconds": spent,
                }


def show(lines: list[dict]) -> None:
    """Means by GPU, and how many times fewer than random search expects, as a table of Markdown."""
    gpus = list(dict.fromkeys(line["gpu"] for line in lines))
    print(f"| strategy | {' | '.join(gpus)} | geometric mean |\n|{'---|' * (len(gpus) + 2)}")
    rows: dict[str, list[dict]] = {}
    for line in lines:
        rows.setdefault(line["case"], []).append(line)
    for case, row in rows.items():
        cells = [f"{line['mean']:.1f} ({line['interval'][0]:.1f} to {line['interval'][1]:.1f})" for line in row]
        print(f"| {case} | {' | '.join(cells)} | {geometric([line['mean'] for line in row]):.1f} |")


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", default=ARCH)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--most", type=int, default=200, help="evaluations of Bayesian optimisation, which takes seconds each"
    )
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    lines = list(held_out(options))
    file = {"kernel_tuner": version("kernel_tuner"), "within": "2 %", "seeds": options.seeds, "searches": lines}
    options.out.write_text(json.dumps(file, indent=1) + "\n")
    show(lines)


if __name__ == "__main__":
    main()
