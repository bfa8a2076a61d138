"""Does the predicted time order pairs of trials right that differ in one parameter alone?

    python -m bench.predict_pairs [--laws DIR] [--only TEXT] [--parameters heavy_first,heads_fastest,...]

A pair counts if the 95 % intervals of its measured times do not overlap. Prints for each parameter and GPU how many pairs count, the share
that the model orders as measured, and the share for which it predicts the same time (within a millionth).
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from bench.predict import Case, cases_of, measured, recorded_codes
from spak.kg.files.loader import load

PARAMETERS = ("heavy_first", "heads_fastest", "persistent", "group", "split_loop", "masked_tiles", "pipeline")
TIE = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--only", default="", help="runs whose id holds this")
    parser.add_argument("--parameters", default=",".join(PARAMETERS))
    options = parser.parse_args()
    laws = load(options.laws)
    known = recorded_codes(laws)
    loading = argparse.Namespace(compile=False, sample=None)
    runs = [run for run in measured(laws) if options.only in run.id]
    cases = [(run.hw, case, case.predicted()) for run in runs for case in cases_of(laws, run, known, loading)]
    print(f"{'parameter':16} {'op':8} {'GPU':8} {'pairs':>6} {'right':>7} {'same':>7}")
    for name in options.parameters.split(","):
        for (op, hw), counts in sorted(judged(cases, name).items()):
            total = counts.total()
            print(f"{name:16} {op:8} {hw:8} {total:6} {counts['right'] / total:7.1%} {counts['same'] / total:7.1%}")


def judged(cases: Sequence[tuple[str, Case, np.ndarray]], name: str) -> Mapping[tuple[str, str], Counter[str]]:
    """(op, GPU) -> how many pairs that differ only in the parameter `name` are ordered right, wrong or not at all."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for hw, case, predicted in cases:
        verdicts = list(verdicts_of(case, predicted, name))
        if verdicts:
            found[case.op, hw].update(verdicts)
    return found


def verdicts_of(case: Case, predicted: np.ndarray, name: str) -> Iterator[str]:
    """`right`, `wrong` or `same` for each pair of `case` that differs only in `name`, and in time by more than noise."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, configuration in enumerate(case.configurations):
        if name in configuration:
            rest = tuple(sorted((k, v) for k, v in configuration.items() if k != name))
            groups[rest].append(index)
    for i, j in (pair for group in groups.values() for pair in combinations(group, 2)):
        fast, slow = sorted((i, j), key=lambda index: case.times[index])
        if case.configurations[i][name] == case.configurations[j][name] or case.highs[fast] >= case.lows[slow]:
            continue
        ratio = predicted[slow] / predicted[fast]
        yield "same" if abs(ratio - 1) < TIE else "right" if ratio > 1 else "wrong"


if __name__ == "__main__":
    main()
