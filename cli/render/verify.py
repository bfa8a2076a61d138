"""What `kg verify` found, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from spak.cli.render.screenful import in_turn
from spak.cli.render.text import Pen, wrap
from spak.kg.diff.statuses import LawStatuses
from spak.tuner.verify import Line, Verification

_COLOURS = {"supports": "green", "refutes": "red", "inconclusive": "yellow"}


SHOWN = 6
"""Judgements told one by one; the rest are counted unless all are asked for."""

_TELLING = ("refutes", "supports", "inconclusive")
"""What is told first."""


def verification(found: Verification, pen: Pen, *, verbose: bool = False) -> str:
    """One law's: what runs say at which problem sizes, what differs, and the status that gives; all of it if `verbose`."""
    lines = [pen(found.law, "bold")]
    judged = found.lines if verbose else _telling(found.lines)
    for line in judged:
        lines += _line(line, pen)
    left = Counter(line.said.verdict for line in found.lines) - Counter(line.said.verdict for line in judged)
    if left:
        lines.append(
            f"  and more: {', '.join(f'{count} {verdict}' for verdict, count in left.items())}; --verbose has them"
        )
    if not found.lines:
        lines.append("  no recorded trial speaks of it")
    for run, what in found.differing:
        lines += wrap(f"DIFFERS: {run}: {what}", indent=2)
    lines += wrap(f"verdict: {found.verdict}; status: {_status(found)} ({_short(found.reason)})")
    return "\n".join(lines) + "\n"


def _telling(lines: Sequence[Line]) -> list[Line]:
    """Some of each verdict, what speaks against the law first, and of each what the law's evidence lacks."""
    first = sorted(lines, key=lambda line: line.is_noted)
    return list(in_turn([[line for line in first if line.said.verdict == word] for word in _TELLING]))[:SHOWN]


def summary(found: Verification) -> str:
    """One line for a law among many."""
    words = f"{found.law}: {found.verdict} ({len(found.lines)} judgements); {_status(found)}"
    return words + "".join(f"\n  DIFFERS: {run}: {what}" for run, what in found.differing)


def statuses_json(found: LawStatuses) -> str:
    """What the code says of each law, every key written."""
    rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in found.statuses]
    return msgspec.json.format(msgspec.json.encode({"statuses": rows}), indent=1).decode() + "\n"


def _status(found: Verification) -> str:
    return found.before if found.after == found.before else f"{found.before} -> {found.after}"


def _line(line: Line, pen: Pen) -> Iterator[str]:
    shown = ", ".join(_effect(name, line) for name in line.said.effect)
    noted = "" if line.is_noted else " (not in its evidence)"
    verdict = pen(line.said.verdict, _COLOURS[line.said.verdict])
    yield f"  {verdict}: {shown}"
    yield from wrap(f"{line.run}{noted}", indent=4)
    yield from wrap(f"at {line.problem.replace(',', ', ')}", indent=4)


def _effect(name: str, line: Line) -> str:
    value = f"{name} {line.said.effect[name]:g}"
    if name not in line.said.interval:
        return value
    low, high = line.said.interval[name]
    return f"{value} ({low:g} to {high:g})"


def _short(reason: str, most: int = 160) -> str:
    return reason if len(reason) <= most else f"{reason[:most].rpartition(', ')[0]}, ..."
