"""A new result of bench.nanogpt becomes the recorded one: the times that `tune nanogpt` goes by, page, plot and README follow.

    python -m bench.nanogpt_take nanogpt.json

A result that lacks a model or what the page shows of it is refused, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import nanogpt_tables
from bench.nanogpt_cases import CASES, COMPILED, EAGER, MATRIX, OURS

SYSTEM = nanogpt_tables.ROOT / "laws" / "systems" / "nanogpt.yaml"
OPERATORS: Mapping[tuple[str, bool], str] = {
    ("fmha-backward", False): "attention_backward",
    ("linear-gelu", True): "linear_gelu_backward",
    ("linear-gelu", False): "linear_gelu",
    ("add-norm", True): "add_norm_backward",
    ("add-norm", False): "add_norm",
    ("adam", False): "adamw",
    ("fmha", False): "attention",
    ("cross-entropy", False): "cross_entropy",
    ("embedding", True): "embedding_backward",
    ("embedding", False): "embedding",
}
"""(Op, whether at a size of the backward pass) of the tuning space -> whose time of a step it is."""

ENTRY = re.compile(r"(?m)^(  - \{op: ([\w-]+), problem: ([\w-]+), time_us: )[\d.]+(.*)$")


def lacking(result: Mapping[str, Any]) -> str:
    """What the page needs and `result` has not; empty if nothing."""
    for name in CASES:
        case = result.get("cases", {}).get(name)
        if case is None:
            return f"no case {name}"
        absent = [who for who in (MATRIX, EAGER, COMPILED, OURS) if who not in case["contestants"]]
        absent += [part for part in ("operators", "gradients") if not case.get(part)]
        absent += [f"profile of {OURS}"] if OURS not in case.get("profiles", {}) else []
        if absent:
            return f"case {name} has no {', '.join(absent)}"
    return ""


def with_times(system: str, operators: Mapping[str, Mapping[str, float]]) -> str:
    """The text of the system file with the tuning space's times replaced, those that take the most time first."""
    entries = []
    for head, op, problem, tail in ENTRY.findall(system):
        us = round(operators[OPERATORS[op, problem.endswith("-backward")]]["us"])
        entries.append((us, f"{head}{us}{tail}"))
    slowest_first = iter(sorted(entries, key=lambda entry: -entry[0]))
    return ENTRY.sub(lambda _: next(slowest_first)[1], system)


def main(argv: Sequence[str] | None = None) -> int:
    """Take the result; 2 if it is not whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="what bench.nanogpt wrote")
    given = parser.parse_args(argv).result
    result = json.loads(given.read_text())
    if missing := lacking(result):
        print(f"{given}: {missing}", file=sys.stderr)
        return 2
    SYSTEM.write_text(with_times(SYSTEM.read_text(), result["cases"]["124m"]["operators"]))
    nanogpt_tables.STEP.write_text(json.dumps(result, indent=1) + "\n")
    return nanogpt_tables.main()


if __name__ == "__main__":
    sys.exit(main())
