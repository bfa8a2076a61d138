"""An invariant about numbers names the check that shows it, and cites no run but what that check made, of its own matter."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import finding
from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.evidence.numbers import judge_numbers
from spak.kg.files.loader import Laws
from spak.kg.law.kinds import meaning
from spak.kg.law.status import bounds, lacks_check
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Evidence, Law
from spak.kg.model.run import Run
from spak.kg.model.taxonomy import Taxonomy

NAME = "named-check"

_UNCHECKED = (
    "it forbids because of numbers, and names no check that shows them; add check: NAME, which kg verify executes"
)
_ALONE = "its check shows numbers, and it bounds something else as well; make two laws of it"


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each invariant without a check, and for each computed entry whose run is no evidence of it."""
    for law in laws.laws.values():
        if any(lacks_check(law, effect) for effect in bounds(law)):
            message = _ALONE if meaning(law).check else _UNCHECKED
            yield finding(laws, NAME, law.id, "claim", message)
        for index, entry in enumerate(law.evidence):
            message = _foreign(laws, law, entry) if meaning(law).check and entry.tier != "reported" else ""
            if message:
                yield finding(laws, NAME, law.id, f"evidence[{index}].run", message)


def _foreign(laws: Laws, law: Law, entry: Evidence) -> str:
    """Why the run of `entry` says nothing of the law; empty if it does, or cannot be read, which is another finding."""
    try:
        run = laws.run(entry.run)
    except InvalidFilesError:
        return ""
    wanted = meaning(law).check
    if run.check != wanted:
        made = f"the check {run.check}" if run.check else "no check"
        return f"{made} made the run, the claim names {wanted}; it is no evidence here"
    if run.op not in laws.ops or law.scope.op not in Taxonomy("op", laws.ops).ancestors(run.op):
        return f"the run is about op {run.op}, which is no {law.scope.op}; it is no evidence here"
    return _silent(laws, law, run)


def _silent(laws: Laws, law: Law, run: Run) -> str:
    """Why the trials of the law's own check say nothing of it."""
    said = judge_numbers(law, run, laws.ops[law.scope.op], hardware_facts(laws, run.hw))
    return f"{said.reason}; make trials of both sides with kg verify {law.id} --probe" if not said.problems else ""
