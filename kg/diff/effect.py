"""What a change of laws does to searches: how much of each space is removed or postponed, and which best ones with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spak.kg.diff.compare import Change
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.power import SearchPlace, bearing
from spak.kg.law.reach import covered_problems, is_about
from spak.kg.model.base import Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.hardware import compute_capability, hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.run import Run, Trial
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.shared import Spaces


class Root(Store, Protocol):
    """A law root with its runs (`spak.kg.files.loader.Laws` is one)."""

    @property
    def run_ids(self) -> list[str]:
        """Ids of the run files."""

    def run(self, identifier: str) -> Run:
        """One run file."""


@dataclass(frozen=True)
class Best:
    """The fastest recorded configuration of one problem size that a changed law now speaks against.

    Attributes:
        run: Run that recorded it.
        problem: Problem size as `name=value,...`.
        time: Its time and unit, as recorded.
    """

    run: str
    problem: str
    configuration: Mapping[str, Scalar]
    time: str


@dataclass(frozen=True)
class Effect:
    """What one changed law covers of one op's space on one piece of hardware, before and after.

    Attributes:
        total: Feasible configurations, over the op's named problem sizes in either scope (the largest space).
        before: Configurations it spoke against; None: it was not there, or needs compiled features to say.
        power_before: What it did to them in a search.
        power_after: What it does to them now.
    """

    op: str
    hw: str
    total: int
    before: int | None
    after: int | None
    power_before: Power
    power_after: Power
    lost_bests: tuple[Best, ...] = ()
    regained_bests: tuple[Best, ...] = ()

    @property
    def red_flag(self) -> bool:
        """A configuration that was measured to be the best would no longer be tried, or only late."""
        return bool(self.lost_bests)


def effects(change: Change, roots: tuple[Root, Root], toolchain: str, spaces: Spaces) -> tuple[Effect, ...]:
    """What `change` does on the spaces it is about: its op, or the kinds of it that have parameters."""
    old, new = roots
    law = change.after or change.before
    assert law is not None  # noqa: S101 - a change has one of the two
    found = []
    for op in concrete(new if change.after is not None else old, law.scope.op):
        before = _cover(change.before, old, op, toolchain, spaces, new)
        after = _cover(change.after, new, op, toolchain, spaces, new)
        if before.total or after.total:
            effect = Effect(
                op=op,
                hw=law.scope.hw,
                total=max(before.total, after.total),
                before=before.against,
                after=after.against,
                power_before=before.power,
                power_after=after.power,
                lost_bests=tuple(best for key, best in sorted(after.bests.items()) if key not in before.bests),
                regained_bests=tuple(best for key, best in sorted(before.bests.items()) if key not in after.bests),
            )
            found.append(effect)
    return tuple(found)


@dataclass(frozen=True)
class _Cover:
    """What one law says of one op's space.

    Attributes:
        total: Feasible configurations of the widest problem size in scope; 0 if it says nothing of the op.
        against: How many of them it speaks against; None if it cannot be said without compiling.
        bests: Recorded bests it speaks against, by run and problem.
    """

    total: int = 0
    against: int | None = None
    power: Power = Power.NOTHING
    bests: Mapping[tuple[str, str], Best] = field(default_factory=dict)


def concrete(store: Store, op: str) -> Iterator[str]:
    """`op` and the kinds of it that have a space."""
    for found in Taxonomy("op", store.ops).descendants(op):
        if found in store.ops and store.ops[found].parameters:
            yield found


def _cover(law: Law | None, root: Root, op: str, toolchain: str, spaces: Spaces, recorded: Root) -> _Cover:
    """What `law` of `root` covers; the runs of `recorded` say what was best, so that only the law makes a difference."""
    if law is None or op not in root.ops or law.status == "withdrawn":
        return _Cover()
    facts = hardware_facts(root, law.scope.hw)
    found = [spaces.at(root.ops[op], problem, facts) for problem in covered_problems(law, root.ops[op], facts)]
    if not found:
        return _Cover()
    masks = [meaning(law).against(space) for space in found]
    sizes = [(-1 if mask is None else mask.sum(), len(space)) for mask, space in zip(masks, found, strict=True)]
    against, total = max(sizes)
    power = bearing(law, SearchPlace(root, law.scope.hw, toolchain)).power
    bests = {} if power is Power.NOTHING else dict(_bests(law, recorded, op, facts))
    return _Cover(total, None if against < 0 else against, power, bests)


def _bests(law: Law, root: Root, op: str, facts: Mapping[str, Scalar]) -> Iterator[tuple[tuple[str, str], Best]]:
    """The recorded bests on the same compute capability that the law speaks against: one for each problem size."""
    capability = compute_capability(root, law.scope.hw)
    best: dict[str, tuple[float, str, dict[str, Scalar], Trial]] = {}
    for identifier in root.run_ids:
        run = root.run(identifier)
        if run.op != op or run.tier != "measured" or compute_capability(root, run.hw) != capability:
            continue
        shared = _size_text(run.problem)
        for trial in run.trials:
            time = trial.value("time")
            if time is None or trial.invalidity != "correct":
                continue
            problem = {**run.problem, **trial.problem}
            text = _size_text(problem) if trial.problem else shared
            if text not in best or time < best[text][0]:
                best[text] = (time, run.id, problem, trial)
    for text, (_, run_id, problem, trial) in best.items():
        gone = _speaks_against(law, problem, trial, facts) or meaning(law).replaces(trial.configuration, root.ops[op])
        if is_about(law, problem, facts) and gone:
            measured = next(m for m in trial.measurements if m.name == "time")
            yield (run_id, text), Best(run_id, text, trial.configuration, f"{measured.value:.4g} {measured.unit}")


def _size_text(problem: Mapping[str, Scalar]) -> str:
    return show_assignments(dict(sorted(problem.items())), separator=",")


def _speaks_against(law: Law, problem: Mapping[str, Scalar], trial: Trial, facts: Mapping[str, Scalar]) -> bool:
    features = {m.name: m.value for m in trial.measurements if m.name in COMPILED_FEATURES}
    known = {**{f"hw.{n}": v for n, v in facts.items()}, **problem, **trial.configuration, **features}
    return meaning(law).verdict(known).stance == "against"
