"""What recorded runs taught, for people: who suggested, who tested, and what became of each suggestion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from spak.cli.render.text import wrap
from spak.kg.law.kinds import meaning
from spak.kg.model.figures import counted
from spak.tuner.learn.records import LearnedRecords

_INDENT = 2
_OUTCOMES = ("confirmed", "refuted", "inconclusive")


def learned_text(found: LearnedRecords, *, is_dry: bool) -> str:
    """At most 80 columns: the split, every suggestion with its outcome and why, and the files."""
    return "\n".join([*_lines(found, is_dry=is_dry), ""])


def _lines(found: LearnedRecords, *, is_dry: bool) -> Iterator[str]:
    outcomes = Counter[str](candidate.outcome for candidate in found.candidates)
    told = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in _OUTCOMES if outcomes[outcome])
    split = f"{counted(len(found.suggesting), 'run')} of {found.op} suggested, {len(found.testing)} tested"
    yield from wrap(f"{split}: {counted(len(found.candidates), 'suggestion')}{', ' * bool(told)}{told}")
    yield from wrap(f"suggested by {', '.join(found.suggesting)}", indent=_INDENT)
    for outcome in _OUTCOMES:
        for candidate in found.candidates:
            if candidate.outcome == outcome:
                law = candidate.law
                where = f" if {law.scope.when}" if law.scope.when else ""
                yield ""
                yield from wrap(f"{outcome}: {meaning(law).verb} {meaning(law).text}{where}, on {law.scope.hw}")
                yield from wrap(candidate.reason, indent=_INDENT)
    yield ""
    for change in found.changes:
        done = "not written" if change.refused else "would write" if is_dry else "wrote"
        yield from wrap(f"{done} {change.path}: {change.words}", indent=_INDENT)
    if not found.changes:
        yield "nothing to write: no suggestion held where it was tested"
