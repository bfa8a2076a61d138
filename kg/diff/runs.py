"""What a change does to recorded runs: which came, went or were written anew, and what is the best on record now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from spak.kg.errors import InvalidFilesError
from spak.kg.expression.assignment import show_assignments
from spak.kg.files.loader import Laws
from spak.kg.files.recorded import recorded_sizes
from spak.kg.model.recorded import RecordedSize

RunFate = Literal["added", "removed", "rewritten"]


@dataclass(frozen=True)
class RunChange:
    """A run file that is not what it was.

    Attributes:
        about: `measured, fmha on h200`; empty if it cannot be read.
    """

    id: str
    fate: RunFate
    about: str = ""

    @property
    def red_flag(self) -> bool:
        """Whether what was on record is gone or says something else: laws were judged by it."""
        return self.fate != "added"


@dataclass(frozen=True)
class BestChange:
    """The best on record of an op at one problem size on one kind of hardware: what is run where nothing may be tried first.

    Attributes:
        before: None if nothing was on record.
        after: None if nothing is any more.
    """

    op: str
    hw: str
    problem: str
    before: RecordedSize | None
    after: RecordedSize | None


def run_changes(old: Laws, new: Laws) -> tuple[RunChange, ...]:
    """Every run file that came, went or says something else, by id."""
    before, after = set(old.run_ids), set(new.run_ids)
    return tuple(
        RunChange(run, fate, _about(new if run in after else old, run))
        for run in sorted(before | after)
        if (fate := _fate(old, new, run, (run in before, run in after))) is not None
    )


def best_changes(old: Laws, new: Laws, changes: tuple[RunChange, ...]) -> tuple[BestChange, ...]:
    """The bests on record that `changes` of runs make others, by op, hardware and problem size."""
    places = {
        (run.op, run.hw)
        for change in changes
        for laws in (old, new)
        if change.about and change.id in laws.paths["run"]
        for run in [laws.run(change.id)]
    }
    return tuple(change for op, hw in sorted(places) for change in _bests(old, new, op, hw))


def _fate(old: Laws, new: Laws, run: str, there: tuple[bool, bool]) -> RunFate | None:
    if there != (True, True):
        return "added" if there[1] else "removed"
    if old.run_digest(run) == new.run_digest(run):
        return None
    try:
        return "rewritten" if old.run(run) != new.run(run) else None
    except InvalidFilesError:
        return "rewritten"


def _about(laws: Laws, identifier: str) -> str:
    try:
        run = laws.run(identifier)
    except InvalidFilesError:  # `kg check` says why
        return ""
    return f"{run.tier}, {run.op} on {run.hw}"


def _bests(old: Laws, new: Laws, op: str, hw: str) -> Iterator[BestChange]:
    try:
        before, after = (_by_size(laws, op, hw) for laws in (old, new))
    except InvalidFilesError:  # as above
        return
    for problem in sorted(before.keys() | after.keys()):
        was, now = before.get(problem), after.get(problem)
        if was is None or now is None or (was.best_us, was.best, was.tier) != (now.best_us, now.best, now.tier):
            yield BestChange(op, hw, problem, was, now)


def _by_size(laws: Laws, op: str, hw: str) -> Mapping[str, RecordedSize]:
    if op not in laws.ops or hw not in laws.hardware:
        return {}
    own = (size for size in recorded_sizes(laws, hw, op) if (size.op, size.hw) == (op, hw))
    return {show_assignments(dict(sorted(size.problem.items())), separator=","): size for size in own}
