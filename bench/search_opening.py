"""What a search costs before its first evaluation: the space opened, the laws applied, the first batch chosen.

    python -m bench.search_opening [--kernel fmha] [--hw rtx5070] [--problem d64-s1024-causal] [--strategy random ...]

Each strategy in a process of its own; processor time of each step, and the most memory the process ever held.
Nothing is compiled or run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from spak.kg.files import cache
from spak.kg.files.loader import Laws
from spak.kg.model.run import Trial
from spak.tuner.backend.base import Request
from spak.tuner.chance import Purpose, stream
from spak.tuner.engine import loop, session
from spak.tuner.engine.budget import Budget
from spak.tuner.knowledge.gather import Target, gather, recorded
from spak.tuner.knowledge.part import part
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.strategy import registry

ROOT = Path(__file__).parents[1]
TOOLCHAIN = "tileiras 13.4.92"
BATCH = 16


class Chosen(Exception):  # noqa: N818 - the measurement's end, no error
    """The first batch was chosen."""


class Ends:
    """A backend that ends the search when it is asked to evaluate."""

    name = "ends"
    batch_size = BATCH

    class _Provenance:
        objective = "time"

    def provenance(self) -> _Provenance:
        """What ranks."""
        return self._Provenance()

    def late(self, _requests: Sequence[Request]) -> tuple[int, ...]:
        """None."""
        return ()

    def features(self, _requests: Sequence[Request]) -> list[dict[str, float] | None]:
        """The first batch was chosen."""
        raise Chosen

    def evaluate(self, _requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """The first batch was chosen."""
        raise Chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="fmha")
    parser.add_argument("--hw", default="rtx5070")
    parser.add_argument("--problem", default="d64-s1024-causal")
    parser.add_argument("--strategy", nargs="+", default=list(registry.STRATEGIES))
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}; processor seconds")
    print(f"{'strategy':11} {'feasible':>9} {'laws read':>10} {'space+laws':>11} {'first batch':>12} {'peak MB':>8}")
    for name in options.strategy:
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(options, name))
        process.start()
        process.join()


def measure(options: argparse.Namespace, strategy: str) -> None:
    start = time.process_time()
    laws = cache.load(ROOT / "laws", cache.Cache(Path("~/.cache/spak").expanduser()))
    read = time.process_time()
    question = session.ask(laws, options.kernel, options.hw, options.problem)
    feasible, target = session.space(question), Target(question.hw, "other-problems", question.problem)
    if registry.entry(strategy).starts_from_knowledge:
        feasible = part(feasible, recorded(laws, feasible, target), stream(0, Purpose.PART))
    restriction = session.laws_on(laws, feasible, question.hw, TOOLCHAIN, use_laws=True, transfer=True)
    opened = time.process_time()
    choose_first(laws, target, restriction, strategy)
    chosen = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = f"{read - start:10.2f} {opened - read:11.2f} {chosen - opened:12.2f}"
    print(f"{strategy:11} {len(restriction.space):9} {times} {peak:8.0f}")


def choose_first(laws: Laws, target: Target, restriction: Restriction, strategy: str) -> None:
    informed = registry.entry(strategy).starts_from_knowledge
    known = gather(laws, restriction.space, target, restriction) if informed else None
    search = loop.Search(restriction, lambda: registry.make(strategy, known=known), Budget(BATCH, None, 0.05))
    try:
        loop.run(search, Ends(), loop.Hooks(time.monotonic, lambda _: None, lambda *_: None))
    except Chosen:
        return
    raise AssertionError("the search ended without a batch")


if __name__ == "__main__":
    main()
