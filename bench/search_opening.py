"""What a search costs before its first evaluation: the space opened and what is known of it, the first batch chosen.

    python -m bench.search_opening [--laws DIR] [--kernel fmha] [--hw rtx5070] [--problem d64-s1024-causal] [--strategy random ...]

Each strategy in a process of its own; processor time of each step, and the most memory the process ever held.
Nothing is compiled or run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from pathlib import Path

from spak.cli.roots import cache_directory
from spak.kg.files import cache
from spak.tuner.engine import session
from spak.tuner.engine.searcher import Searcher
from spak.tuner.search import SearchRequest, choosing, field
from spak.tuner.strategy import registry

ROOT = Path(__file__).parents[1]
TOOLCHAIN = "tileiras 13.4.92"
BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=Path, default=ROOT / "laws")
    parser.add_argument("--kernel", default="fmha")
    parser.add_argument("--hw", default="rtx5070")
    parser.add_argument("--problem", default="d64-s1024-causal")
    parser.add_argument("--strategy", nargs="+", default=list(registry.STRATEGIES))
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}; processor seconds")
    print(f"{'strategy':11} {'feasible':>9} {'laws read':>10} {'opened':>11} {'first batch':>12} {'peak MB':>8}")
    for name in options.strategy:
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(options, name))
        process.start()
        process.join()


def measure(options: argparse.Namespace, strategy: str) -> None:
    start = time.process_time()
    laws = cache.load_cached(options.laws, cache.Cache(cache_directory()))
    read = time.process_time()
    request = SearchRequest(options.kernel, options.hw, use_laws=True, trials=BATCH, strategy=strategy)
    question = session.ask(laws, options.kernel, options.hw, options.problem)
    where = field(laws, question, request)
    search = choosing(laws, where, question.hw, request, TOOLCHAIN)
    opened = time.process_time()
    if len(Searcher(search, "time").ask(BATCH)) != BATCH:
        raise AssertionError("the search ended without a batch")
    chosen = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = f"{read - start:10.2f} {opened - read:11.2f} {chosen - opened:12.2f}"
    print(f"{strategy:11} {len(where.space):9} {times} {peak:8.0f}")


if __name__ == "__main__":
    main()
