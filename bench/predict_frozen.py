"""Writes the table of docs/transfer.md on sweeps that were measured after the model was frozen; no number is typed by hand.

python -m bench.predict --laws ROOT --out bench/results/predict-frozen.json    # ROOT: its evidence is those sweeps alone
python -m bench.predict_frozen
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cold_tables import between
from bench.gpu_tables import table
from bench.predict import WITHIN_FIRST, WITHIN_TOP

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "bench" / "results" / "predict-frozen.json"
PAGE = ROOT / "docs" / "transfer.md"
GOALS = (0.85, 0.95)
"""Shares of sweeps whose first choice, and whose best of five, shall be near the best."""
SWEEP = re.compile(r"(?P<gpu>h\d+)-(?P<op>fmha-backward|fmha|matmul)-(?P<size>.+)")


def parts(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """GPU, op and size of a row.

    Raises:
        ValueError: If the run is not named as `bench.sweep` names its runs.
    """
    found = SWEEP.fullmatch(row["case"])
    if found is None:
        raise ValueError(f"{row['case']}: no sweep of bench.sweep")
    return found["gpu"].upper(), found["op"], found["size"]


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each sweep, and the shares of each op on each GPU and of all."""
    lines = [
        [
            f"{op}, {gpu}",
            size,
            str(row["trials"]),
            str(row["rank_of_best"]),
            f"{100 * (row['first'] - 1):.1f} %",
            f"{100 * (row['best_of_top'] - 1):.1f} %",
            f"{row['correlation']:.2f}",
        ]
        for row in sorted(rows, key=parts)
        for gpu, op, size in [parts(row)]
    ]
    header = [
        "sweep",
        "size",
        "configurations",
        "predicted rank of the best",
        "first choice slower by",
        "best of five",
        "rank correlation",
    ]
    return "\n".join([*table(header, lines), "", *shares(rows), ""])


def shares(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many sweeps of each kind are within the goals."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=parts):
        gpu, op, _ = parts(row)
        groups.setdefault(f"{op}, {gpu}", []).append(row)
    groups["all"] = list(rows)
    first, top = (f"{100 * goal:.0f} %" for goal in GOALS)
    header = ["sweeps", "number", f"first choice within 10 % (goal {first})", f"best of five within 5 % (goal {top})"]
    lines = []
    for name, group in groups.items():
        near = [sum(r["first"] <= WITHIN_FIRST for r in group), sum(r["best_of_top"] <= WITHIN_TOP for r in group)]
        chance = [sum(r[key] for r in group) for key in ("first_by_chance", "top_by_chance")]
        told = [
            f"{n} ({100 * n / len(group):.0f} %); by chance {by_chance:.1f}"
            for n, by_chance in zip(near, chance, strict=True)
        ]
        lines.append([name, str(len(group)), *told])
    return table(header, lines)


def main() -> int:
    """Write the table."""
    rows = json.loads(RESULT.read_text())["rows"]
    PAGE.write_text(between(PAGE.read_text(), "frozen", page(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
