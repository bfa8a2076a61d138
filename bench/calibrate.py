"""Would fitting the predicted-time model help? Its constants fitted to some recorded sweeps, judged on the others.

    python -m bench.calibrate [--laws DIR] [--by op|problem] [--sample 40] [--out FILE]

Each fit multiplies constants by factors between a half and two, one after the other, so that the predicted times of the sweeps it may see
are proportional to the measured ones: least squares on log times, each sweep with its own proportion, fast configurations weighing more.
Held out is every sweep of one op (`--by op`) or of one problem size (`--by problem`). The product uses the sourced constants, not these.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.predict import FEWEST, Case, cases_of, measured, recorded_codes, row, scaled, shares, show
from spak.kg.files.loader import load

FITTED = ("L2_BYTES_PER_SM_CLOCK", "GLOBAL_LATENCY", "EDGE_LATENCY", "HELD_PASSES", "SHUFFLE_LATENCY")
FACTORS = (0.5, 0.71, 1.0, 1.41, 2.0)
ROUNDS = 2
TOP = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--by", choices=["op", "problem"], default="op")
    parser.add_argument(
        "--sample", type=int, default=40, help="trials of a sweep that a fit sees, evenly over the ranks"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.sample < FEWEST:
        parser.error(f"--sample {options.sample}: fewer than {FEWEST} trials of a sweep are not used")
    whole, few = sweeps(options.laws, None), sweeps(options.laws, options.sample)
    rows, fits, seen = [], [], {}
    for group in dict.fromkeys(group_of(case, options.by) for case in whole):
        factors = fitted([case for case in few if group_of(case, options.by) != group], seen)
        with scaled(factors):
            held_out = [row(case, TOP) for case in whole if group_of(case, options.by) == group]
        print(f"{group}: {factors}: {shares(held_out)} of {len(held_out)}", flush=True)
        rows += held_out
        fits.append({"held_out": group, "factors": factors})
    show(f"fitted, one {options.by} held out", rows, TOP)
    show("as sourced", [row(case, TOP) for case in whole], TOP)
    if options.out:
        options.out.write_text(json.dumps({"by": options.by, "fits": fits, "shares": shares(rows)}, indent=1) + "\n")


def sweeps(folder: Path, sample: int | None) -> list[Case]:
    """The whole sweeps of a law root, or `sample` trials of each."""
    laws = load(folder)
    known = recorded_codes(laws)
    options = argparse.Namespace(compile=False, sample=sample)
    return [case for run in measured(laws) for case in cases_of(laws, run, known, options) if case.sweep]


def group_of(case: Case, by: str) -> str:
    """What is held out together with `case`: sweeps of one problem size differ only in what they swept."""
    return case.op if by == "op" else case.name.removesuffix("-softmax")


def fitted(cases: Sequence[Case], seen: dict[tuple[str, ...], float]) -> dict[str, float]:
    """Factors of the constants, found one after the other; `seen` keeps errors for the next fit."""
    factors = dict.fromkeys(FITTED, 1.0)
    for _ in range(ROUNDS):
        for name in FITTED:
            errors = {factor: error(cases, {**factors, name: factor}, seen) for factor in FACTORS}
            factors[name] = min(FACTORS, key=lambda factor, found=errors: (found[factor], abs(np.log(factor))))
    return factors


def error(cases: Sequence[Case], factors: Mapping[str, float], seen: dict[tuple[str, ...], float]) -> float:
    """Mean over the cases of the weighted squared log error, the case's own proportion taken out."""
    keys = [(case.name, str(factors)) for case in cases]
    with scaled(factors):
        for key, case in zip(keys, cases, strict=True):
            if key not in seen:
                seen[key] = _error(case)
    return float(np.mean([seen[key] for key in keys]))


def _error(case: Case) -> float:
    weights = (case.times.min() / case.times) ** 2
    off = np.log(case.predicted() / case.times)
    return float(np.average((off - np.average(off, weights=weights)) ** 2, weights=weights))


if __name__ == "__main__":
    main()
