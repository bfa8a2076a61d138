"""A line of systems for people: what each step added and which laws came with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from spak.cli.render.screenful import LINES
from spak.cli.render.text import STATUS_STYLES, Pen, joined, with_right, wrap
from spak.kg.answers.lineage import Step
from spak.kg.model.figures import counted
from spak.kg.model.law import Law
from spak.kg.model.system import Saving, System


def lineage_lines(steps: Sequence[Step], pen: Pen) -> str:
    """Every step, oldest first, as text of 80 columns."""
    parts: list[str] = []
    for number, step in enumerate(steps):
        parts += [""] * (number > 0) + _step(step, pen)
    return "\n".join([*parts, ""])


def short_lineage(steps: Sequence[Step], pen: Pen) -> str:
    """At most `LINES` lines: each step and how sure its laws are, of the last also what it added and what laws saved."""
    *before, last = steps
    asked = _short_step(last, pen)
    asked += [line for text in last.system.delta for line in _item("+", text)]
    asked += [line for text in list(_savings(last.system.saved))[:_SAVINGS] for line in _item("saved", text)]
    if last.system.inherits and not last.system.saved:
        asked += _item("saved", _UNMEASURED)
    parts = [_short_step(step, pen) for step in before]
    left = 0
    while parts[left:] and sum(len(part) + 1 for part in parts[left:]) + len(asked) > LINES - _END:
        left += 1
    head = [pen(f"... {counted(left, 'earlier step')}", "dim"), ""] if left else []
    end = ["", pen("What each step added, law by law, and what laws saved: --all", "dim"), ""]
    return "\n".join([*head, *(line for part in parts[left:] for line in (*part, "")), *asked, *end])


_END = 4
"""Lines kept for what begins and ends an answer."""

_SAVINGS = 2
"""Savings shown of the system asked about."""

_UNMEASURED = "nobody measured what these laws saved"


def _short_step(step: Step, pen: Pen) -> list[str]:
    """Its title, where it comes from, and how many of its rewrites and laws have which status."""
    kinds = (("rewrites", step.rewrites), ("laws", tuple(step.gained.values())))
    told = [f"laws kept: {len(step.kept)}"] if step.kept else []
    for word, laws in kinds:
        statuses = Counter("missing" if law is None else law.status for law in laws)
        counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
        told += [f"{word}: {counts}"] if laws else []
    return [*_heading(step.system, pen), *(wrap("; ".join(reversed(told)), indent=2) if told else [])]


def _step(step: Step, pen: Pen) -> list[str]:
    system = step.system
    out = _heading(system, pen)
    out += [line for text in system.delta for line in _item("+", text)]
    out += [line for law in step.rewrites for line in _law("rewrite", law.id, law, pen)]
    out += [line for identifier, law in step.gained.items() for line in _law("law", identifier, law, pen)]
    if step.kept:
        out += wrap(f"keeps {', '.join(step.kept)}", indent=2)
    out += [line for text in _savings(system.saved) for line in _item("saved", text)]
    if system.inherits and not system.saved:
        out += _item("saved", _UNMEASURED)
    return out


def _heading(system: System, pen: Pen) -> list[str]:
    """Title and state; below them id, level and where it comes from."""
    state_style = "green" if system.state == "built" else "yellow"
    head = with_right(pen, wrap(system.title, width=66), system.state, state_style)
    head[0] = pen(system.title, "bold") + head[0][len(system.title) :] if head[0].startswith(system.title) else head[0]
    came = f"from {', '.join(system.derived_from)}" if system.derived_from else ""
    return [*head, *(pen(line, "dim") for line in wrap(joined([system.id, system.level, came]), indent=2))]


def _savings(every: Sequence[Saving]) -> Iterator[str]:
    """What laws saved together, then for each op what leaving out one of them changes."""
    alone: dict[str, list[Saving]] = {}
    for saving in every:
        if len(saving.laws) > 1:
            yield _told(saving)
        else:
            alone.setdefault(f"{saving.op} on {saving.hw}", []).append(saving)
    for what, savings in alone.items():
        moved = [one for one in savings if one.evaluations[0] != one.evaluations[1]]
        parts = [f"{one.laws[0]} {one.evaluations[0]:g} evaluations became {one.evaluations[1]:g}" for one in moved]
        idle = len(savings) - len(moved)
        if idle:
            parts.append("1 law changes nothing" if idle == 1 else f"{idle} laws change nothing")
        yield f"{what}, each law beside the others: {'; '.join(parts)}"


def _told(saving: Saving) -> str:
    """Evaluations and seconds without and with the laws."""
    what = f"{len(saving.laws)} laws{' and what other sizes recorded' if saving.records else ''}"
    (before, after), (before_s, after_s) = saving.evaluations, saving.seconds
    compiling = f", {before_s:g} s of compiling {after_s:g} s" if before_s or after_s else ""
    return (
        f"{saving.op} on {saving.hw}, {what}: {before:g} evaluations became {after:g}{compiling},"
        f" to within 2 % of the best ({saving.sizes} size{'s' * (saving.sizes != 1)}, {saving.seeds} seeds)"
    )


def _item(sign: str, text: str) -> list[str]:
    first, *rest = wrap(f"{sign} {text}", indent=4)
    return [first[2:], *rest]


def _law(word: str, identifier: str, law: Law | None, pen: Pen) -> list[str]:
    status = law.status if law is not None else "missing"
    return with_right(pen, [f"  {word} {identifier}"], status, *STATUS_STYLES.get(status, ("red",)))
