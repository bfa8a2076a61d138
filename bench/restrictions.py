"""100 laws over a space of 1,000,000 configurations, and Kernel Tuner's construction of the same space.

    python -m bench.restrictions [--laws 100] [--repeats 5]

The space has six axes of ten values each, full product. The laws are `avoid` expressions over two or three axes.
kernel_tuner is needed for the comparison only (pip install kernel_tuner).
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from spak.kg.expression import parse
from spak.kg.expression.columns import Column

AXES = {f"p{number}": tuple(2**power for power in range(10)) for number in range(6)}
COUNT = 10**6


def restrictions(count: int, seed: int = 0) -> list[str]:
    """`count` expressions to avoid; together they leave a part of the space."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        one, two, three = rng.sample(sorted(AXES), 3)
        limit = 2 ** rng.randrange(12, 17)
        found.append(
            f"{one} * {two} >= {limit * 8} and {three} >= {2 ** rng.randrange(5, 10)}"
            if number % 2
            else f"{one} >= {2 ** rng.randrange(6, 10)} and {two} < {2 ** rng.randrange(1, 4)} and {three} != 1"
        )
    return found


def columns() -> dict[str, Column]:
    """The full product, dictionary-encoded as the tuner keeps it."""
    codes = np.indices([len(values) for values in AXES.values()]).reshape(len(AXES), -1).astype(np.int16)
    return {name: Column(values, codes[axis]) for axis, (name, values) in enumerate(AXES.items())}


def by_expression(texts: list[str]) -> int:
    """How many configurations no law avoids; parsing and building the columns included."""
    space = columns()
    avoided = np.zeros(COUNT, dtype=bool)
    for text in texts:
        avoided |= parse(text).evaluate_columns(space, COUNT).astype(bool, copy=False)
    return int(COUNT - avoided.sum())


def by_kernel_tuner(texts: list[str]) -> int:
    """The same count from Kernel Tuner's search space, which builds the feasible configurations only."""
    from kernel_tuner.searchspace import Searchspace

    allowed = [f"not ({text})" for text in texts]
    axes = {name: list(values) for name, values in AXES.items()}
    return int(Searchspace(axes, allowed, 1024).size)


def timed(name: str, function: Callable[[list[str]], int], texts: list[str], repeats: int) -> int:
    """Print one row and return the count."""
    seconds, count = [], 0
    for _ in range(repeats):
        parse.cache_clear()
        start = time.perf_counter()
        count = function(texts)
        seconds.append(time.perf_counter() - start)
    print(f"{name:<44} {statistics.median(seconds):8.3f} {min(seconds):8.3f} {max(seconds):8.3f} {count:10,}")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    texts = restrictions(arguments.laws)
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores, {platform.machine()}")
    print(
        f"{f'{arguments.laws} laws, {COUNT:,} configurations, seconds':<44} {'median':>8} {'min':>8} {'max':>8} {'left':>10}"
    )
    ours = timed("spak.kg.expression, vectorised", by_expression, texts, arguments.repeats)
    try:
        theirs = timed("Kernel Tuner, search-space construction", by_kernel_tuner, texts, 1)
    except ImportError:
        print("kernel_tuner is not installed: no comparison", file=sys.stderr)
        return
    if ours != theirs:
        sys.exit(f"the two disagree: {ours} and {theirs} configurations left")


if __name__ == "__main__":
    main()
