"""What recorded runs taught, for people: who suggested, who tested, and what became of each suggestion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from spak.cli.render.screenful import LINES, fitting
from spak.cli.render.text import wrap
from spak.kg.law.kinds import meaning
from spak.kg.model.figures import counted
from spak.kg.model.run import Candidate
from spak.tuner.learn.records import LearnedRecords

_INDENT = 2
_OUTCOMES = ("confirmed", "refuted", "inconclusive", "untested")


_MAX_FILES = 5
"""Files named unless all are asked for."""


def learned_text(found: LearnedRecords, *, is_dry: bool, verbose: bool = False) -> str:
    """At most 80 columns: who suggested, what was confirmed, and the files.

    What did not hold is counted, and told with its reason if `verbose`.
    """
    files = list(_files(found, is_dry=is_dry, verbose=verbose))
    head = list(_split(found))
    in_order = sorted(found.candidates, key=lambda candidate: _OUTCOMES.index(candidate.outcome))
    told = [_candidate(candidate) for candidate in in_order if verbose or candidate.outcome == _OUTCOMES[0]]
    room = LINES - len(head) - len(files) - 1
    shown = told if verbose else fitting((("", lines) for lines in told), room).get("", [])
    left = len(found.candidates) - len(shown)
    rest = ["", f"{counted(left, 'more suggestion')}, each with its reason: --verbose"] if left else []
    return "\n".join([*head, *(line for lines in shown for line in lines), *rest, *files, ""])


def _split(found: LearnedRecords) -> Iterator[str]:
    outcomes = Counter[str](candidate.outcome for candidate in found.candidates)
    told = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in _OUTCOMES if outcomes[outcome])
    split = f"{counted(len(found.suggesting), 'run')} of {found.op} suggested, {len(found.testing)} tested"
    yield from wrap(f"{split}: {counted(len(found.candidates), 'suggestion')}{', ' * bool(told)}{told}")
    yield from wrap(f"suggested by {', '.join(found.suggesting)}", indent=_INDENT)


def _candidate(candidate: Candidate) -> list[str]:
    law = candidate.law
    where = f" if {law.scope.when}" if law.scope.when else ""
    said = f"{candidate.outcome}: {meaning(law).verb} {meaning(law).text}{where}, on {law.scope.hw}"
    return ["", *wrap(said), *wrap(candidate.reason, indent=_INDENT)]


def _files(found: LearnedRecords, *, is_dry: bool, verbose: bool) -> Iterator[str]:
    yield ""
    shown = found.changes if verbose else found.changes[:_MAX_FILES]
    for change in shown:
        done = "not written" if change.refused else "would write" if is_dry else "wrote"
        yield from wrap(f"{done} {change.path}: {change.words}", indent=_INDENT)
    if len(found.changes) > len(shown):
        yield f"{' ' * _INDENT}and {counted(len(found.changes) - len(shown), 'more file')}"
    if not found.changes:
        yield "nothing to write: no suggestion held where it was tested"
    elif is_dry and not verbose:
        yield "as a diff: --verbose"
