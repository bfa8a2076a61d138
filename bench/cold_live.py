"""The same live: searches of one problem size on this machine's GPU, with what another GPU taught and without.

    python -m bench.cold_live fmha --problem d128-s4096-causal --source h200 --seeds 3 --out FOLDER --budget-s 300

Every seed searches the op's whole space twice, by `spak.search`: knowing what `bench.cold_gpu` lets of the source be
known, and knowing nothing (random search from the default configuration). When all have ended, the best of each are
timed together, interleaved, because times of different minutes differ. What is done is kept after every search.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

import spak
from bench.cold_gpu import ARMS, ROOT, bare, device, improvements, known_from
from spak.kg.model.base import Model, Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.space.completion import complete
from spak.tuner.backend.base import Request
from spak.tuner.backend.registry import BACKENDS, Task

LIVE_ARMS = ("both", "nothing")


class LiveSearch(Model, frozen=True, kw_only=True):
    """One live search.

    Attributes:
        steps: Each improvement: trials so far, and the best time so far in microseconds.
        best: The configuration of the least time.
        again_us: Its time beside the bests of all other searches; None if they were not compared.
        elapsed_s: What the search took, compiling included; what an earlier one compiled it finds compiled.
    """

    arm: str
    seed: int
    steps: tuple[tuple[int, float], ...]
    best: dict[str, Scalar]
    elapsed_s: float
    again_us: float | None = None


class LiveResult(Model, frozen=True, kw_only=True):
    """All live searches of one problem size on one GPU."""

    source: str
    device: str
    op: str
    problem: str
    trials: int
    created: str
    searches: tuple[LiveSearch, ...]


def searched(
    library: spak.Library, arm: str, seed: int, options: argparse.Namespace
) -> tuple[LiveSearch, str, str]:  # pragma: no cover  # needs a GPU
    """One search, the hardware it ran on, and when."""
    how = ARMS[arm]
    known = replace(library, laws=bare(known_from(library.laws, options.source), how), writable=False)
    request = spak.SearchRequest(
        kernel=options.op,
        backend="gpu",
        use_laws=how.laws or how.runs,
        problem=options.problem,
        trials=options.trials,
        strategy=how.strategy,
        seed=seed,
        confirm=0.0,
        write="run",
    )
    before = time.monotonic()
    found = spak.search(request, spak.here(known, cache=options.cache, local=options.out))
    evaluated = [trial for trial in found.run.trials if trial.invalidity != "constraints"]
    timed = [trial for trial in evaluated if trial.value("time") is not None]
    best = min(timed, key=lambda trial: trial.value("time") or 0.0)
    steps = tuple(improvements(evaluated, 1.0))
    spent = round(time.monotonic() - before, 1)
    one = LiveSearch(arm=arm, seed=seed, steps=steps, best=dict(best.configuration), elapsed_s=spent)
    return one, found.run.hw, found.run.created


def compared(library: spak.Library, result: LiveResult, cache: Path) -> LiveResult:  # pragma: no cover  # needs a GPU
    """The best of every search timed again, in one interleaved batch."""
    laws, op = library.laws, library.laws.ops[result.op]
    facts = hardware_facts(laws, result.device)
    backend = BACKENDS["gpu"].open(Task(result.device, op, facts, cache, 8, 0))
    problem = complete(op, op.problems[result.problem])
    distinct = {tuple(sorted(one.best.items())): one.best for one in result.searches}
    try:
        requests = [Request(best, problem, "again") for best in distinct.values()]
        times = {tuple(sorted(r.configuration.items())): t.value("time") for r, t in backend.evaluate(requests)}
    finally:
        backend.close()
    again = [
        msgspec.structs.replace(one, again_us=times.get(tuple(sorted(one.best.items())))) for one in result.searches
    ]
    return msgspec.structs.replace(result, searches=tuple(again))


def keep(result: LiveResult, folder: Path) -> Path:
    """Write what is done so far."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cold-live-{result.device}-{result.op}-{result.problem}.json"
    path.write_bytes(msgspec.json.encode(result) + b"\n")
    return path


def show(one: LiveSearch, trials: Sequence[int] = (10, 20, 40)) -> str:
    """One line of a search."""
    best = [min((us for place, us in one.steps if place <= k), default=float("nan")) for k in trials]
    again = "" if one.again_us is None else f", beside the others {one.again_us:.1f}"
    return f"{one.arm} seed {one.seed}: {' / '.join(f'{us:.1f}' for us in best)} us{again}, {one.elapsed_s:.0f} s"


def live(options: argparse.Namespace) -> int:  # pragma: no cover  # needs a GPU: run on an H100
    """All searches that fit the time, alternating, and the comparison of their bests."""
    library = spak.load(options.laws)
    options.source = device(library.laws, "--source", options.source)
    started, searches, slowest = time.monotonic(), [], 0.0
    result = None
    for seed in range(options.seeds):
        for arm in LIVE_ARMS:
            before = time.monotonic()
            if before - started + slowest > options.budget_s:
                print(f"{arm} seed {seed}: not searched, the time is up", flush=True)
                continue
            one, hw, created = searched(library, arm, seed, options)
            slowest = max(slowest, time.monotonic() - before)
            searches.append(one)
            print(show(one), flush=True)
            result = LiveResult(
                source=options.source,
                device=hw,
                op=options.op,
                problem=options.problem,
                trials=options.trials,
                created=created,
                searches=tuple(searches),
            )
            keep(result, options.out)
    if result is None:
        return 1
    result = compared(library, result, options.cache)
    print("\n".join(map(show, result.searches)), keep(result, options.out), sep="\n", flush=True)
    return 0


def main() -> int:
    """Parse the command line and search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("op")
    parser.add_argument("--problem", required=True, help="name of one of the op's problem sizes")
    parser.add_argument("--source", default="h200", help="hardware id whose knowledge is there")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path(".spak"))
    parser.add_argument("--laws", type=Path, default=ROOT)
    parser.add_argument("--budget-s", type=float, default=600.0, help="begin no search that may not end in time")
    return live(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
