"""How much of each kernel's recorded space the laws explain, in all and law by law (`spak.kg.evidence.shares`).

    python -m bench.law_shares [--laws FOLDER] [--op OP] [--hw CAPABILITY] [--status confirmed ...] [--summary]

Of every whole sweep: those measured for laws about time, those compiled as well for laws about compiled code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from spak.kg.evidence.shares import Explainable, Explained, Sweep, explained_by
from spak.kg.files.loader import Laws, load
from spak.kg.model.hardware import compute_capability

ROOT = Path(__file__).parent.parent / "laws"
EXPLAINABLE: tuple[Explainable, ...] = ("time", "compiled code")
TRUSTED = ("confirmed", "proposed")
"""Statuses whose laws count unless others are named: what is contested or refuted explains nothing."""


def sweeps_by_kernel(laws: Laws, aspect: Explainable) -> dict[tuple[str, str], list[Sweep]]:
    """(Op, compute capability) -> its whole sweeps that say something of `aspect`."""
    found: dict[tuple[str, str], list[Sweep]] = {}
    for name in laws.run_ids:
        run = laws.run(name)
        if run.exhaustive_over and run.tier in (("measured",) if aspect == "time" else ("measured", "compiled")):
            kernel = run.op, compute_capability(laws.contents, run.hw) or run.hw
            found.setdefault(kernel, []).append(Sweep.of(run, laws))
    return dict(sorted(found.items()))


def every(laws: Laws, statuses: Sequence[str], op: str = "", hw: str = "") -> Iterator[tuple[str, str, Explained]]:
    """Each kernel with what laws explain of it; without those that no law speaks of."""
    for aspect in EXPLAINABLE:
        for (name, capability), sweeps in sweeps_by_kernel(laws, aspect).items():
            if op in ("", name) and hw in ("", capability):
                trusted = (law for law in laws.laws.values() if law.status in statuses)
                found = explained_by(trusted, sweeps, aspect)
                if found.laws:
                    yield name, capability, found


def summary(rows: Sequence[tuple[str, str, Explained]]) -> Iterator[str]:
    """One line a kernel."""
    yield "| kernel | hardware | of | cells | to explain | laws | explained | by ten | wrongly named | near named |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for op, hw, one in rows:
        near = f"{one.near_named / one.near:.1%}" if one.near else "-"
        yield (
            f"| {op} | {hw} | {one.aspect} | {one.cells:,} | {one.far / one.cells:.0%} | {len(one.laws)} | {one.share:.0%} "
            f"| {one.by(10):.0%} | {one.wrong / one.cells:.1%} | {near} |"
        )


def details(op: str, hw: str, one: Explained) -> Iterator[str]:
    """A table of one kernel's laws, in greedy order."""
    yield f"\n{op} on {hw}, {one.aspect}\n"
    yield "| law | names | right of these | by chance | adds | alone | explained so far |"
    yield "|---|---|---|---|---|---|---|"
    for count, law in enumerate(one.laws, 1):
        yield (
            f"| {law.law} | {law.named / one.cells:.0%} | {law.right / law.named:.1%} | {law.chance:.0%} "
            f"| {law.own:,} | {law.last:,} | {one.by(count):.1%} |"
        )


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=Path, default=ROOT)
    parser.add_argument("--op", default="")
    parser.add_argument("--hw", default="", help="compute capability")
    parser.add_argument("--status", nargs="+", default=list(TRUSTED))
    parser.add_argument("--summary", action="store_true", help="one line a kernel, not law by law")
    options = parser.parse_args(words)
    rows = list(every(load(options.laws), options.status, options.op, options.hw))
    print("\n".join(summary(rows)))
    for row in () if options.summary else rows:
        print("\n".join(details(*row)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
