"""What a change of laws does to searches: how much of each space is removed or postponed, and which best ones with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spak.kg.diff.compare import Change
from spak.kg.diff.spaces import Spaces
from spak.kg.expression import parse
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.power import Search, bearing
from spak.kg.law.scope import inside
from spak.kg.model.base import Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.hardware import compute_capability, hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.run import Run, Trial
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.space import Space

Mask = npt.NDArray[np.bool_]


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
    store = new if change.after is not None else old
    found = []
    for op in concrete(store, law.scope.op):
        search = _Search(toolchain, spaces, new)
        before = _cover(change.before, old, op, search)
        after = _cover(change.after, new, op, search)
        if before is None and after is None:
            continue
        found.append(_effect(law, op, (before, after)))
    return tuple(found)


@dataclass(frozen=True)
class _Cover:
    """What one law says of one op's space.

    Attributes:
        space: Feasible configurations of the widest problem size in scope.
        mask: (N,) what it speaks against; None if it cannot be said without compiling.
        bests: Recorded bests it speaks against, by run and problem.
    """

    space: Space
    mask: Mask | None
    power: Power
    bests: dict[tuple[str, str], Best]


def _effect(law: Law, op: str, covers: tuple[_Cover | None, _Cover | None]) -> Effect:
    before, after = covers
    old = before.bests if before is not None else {}
    new = after.bests if after is not None else {}
    return Effect(
        op=op,
        hw=law.scope.hw,
        total=max(len(cover.space) for cover in covers if cover is not None),
        before=_count(before),
        after=_count(after),
        power_before=Power.NOTHING if before is None else before.power,
        power_after=Power.NOTHING if after is None else after.power,
        lost_bests=tuple(best for key, best in sorted(new.items()) if key not in old),
        regained_bests=tuple(best for key, best in sorted(old.items()) if key not in new),
    )


def _count(cover: _Cover | None) -> int | None:
    return None if cover is None or cover.mask is None else int(cover.mask.sum())


def concrete(store: Store, op: str) -> Iterator[str]:
    """`op` and the kinds of it that have a space."""
    for found in Taxonomy("op", store.ops).descendants(op):
        if found in store.ops and store.ops[found].parameters:
            yield found


@dataclass(frozen=True)
class _Search:
    """What a law's cover depends on besides the law and its root.

    Attributes:
        recorded: The root whose runs say what was best; the later one, so that only the law makes a difference.
    """

    toolchain: str
    spaces: Spaces
    recorded: Root


def _cover(law: Law | None, root: Root, op: str, search: _Search) -> _Cover | None:
    if law is None or op not in root.ops or law.status == "withdrawn":
        return None
    facts = hardware_facts(root, law.scope.hw)
    found = [search.spaces.at(root.ops[op], problem, facts) for problem in _problems(law, root, op, facts)]
    if not found:
        return None
    masks = [meaning(law).against(space) for space in found]
    sizes = [(-1 if mask is None else int(mask.sum()), len(space)) for mask, space in zip(masks, found, strict=True)]
    widest = max(range(len(found)), key=lambda place: sizes[place])
    power = bearing(law, Search(root, law.scope.hw, search.toolchain)).power
    bests = {} if power is Power.NOTHING else dict(_bests(law, search.recorded, op, facts))
    return _Cover(found[widest], masks[widest], power, bests)


def _problems(law: Law, root: Root, op: str, facts: Mapping[str, Scalar]) -> list[dict[str, Scalar]]:
    """The op's named problem sizes that the law's scope covers; the default one if the op names none."""
    node = root.ops[op]
    defaults = {name: parameter.default for name, parameter in node.problem.items()}
    named = [{**defaults, **problem} for problem in node.problems.values()] or [defaults]
    covered = [problem for problem in named if is_about(law, problem, facts)]
    relevant = meaning(law).names | {
        name for condition in node.conditions for name in parse(condition.require).all_names
    }
    differing = {tuple((name, problem[name]) for name in problem if name in relevant): problem for problem in covered}
    return list(differing.values())


def is_about(law: Law, problem: Mapping[str, Scalar], facts: Mapping[str, Scalar]) -> bool:
    """Whether a problem size is within a law's scope; one that leaves it open is: a reviewer must see it."""
    return inside(law.scope, {**problem, **{f"hw.{name}": value for name, value in facts.items()}}).possibly


def _bests(law: Law, root: Root, op: str, facts: Mapping[str, Scalar]) -> Iterator[tuple[tuple[str, str], Best]]:
    """The recorded bests on the same compute capability that the law speaks against: one for each problem size."""
    capability = compute_capability(root, law.scope.hw)
    best: dict[str, tuple[float, str, dict[str, Scalar], Trial]] = {}
    for identifier in root.run_ids:
        run = root.run(identifier)
        if run.op != op or run.tier != "measured" or compute_capability(root, run.hw) != capability:
            continue
        for time, problem, trial in _fastest(run):
            text = ",".join(f"{n}={str(v).lower() if isinstance(v, bool) else v}" for n, v in sorted(problem.items()))
            if text not in best or time < best[text][0]:
                best[text] = (time, run.id, problem, trial)
    for text, (_, run_id, problem, trial) in best.items():
        if is_about(law, problem, facts) and _speaks_against(law, problem, trial, facts):
            measured = next(m for m in trial.measurements if m.name == "time")
            yield (run_id, text), Best(run_id, text, trial.configuration, f"{measured.value:.4g} {measured.unit}")


def _fastest(run: Run) -> Iterator[tuple[float, dict[str, Scalar], Trial]]:
    """The fastest correct trial of each problem size of a run."""
    best: dict[str, tuple[float, dict[str, Scalar], Trial]] = {}
    for trial in run.trials:
        time = trial.value("time")
        if time is None or trial.invalidity != "correct":
            continue
        problem = {**run.problem, **trial.problem}
        key = repr(sorted(problem.items()))
        if key not in best or time < best[key][0]:
            best[key] = (time, problem, trial)
    yield from best.values()


def _speaks_against(law: Law, problem: Mapping[str, Scalar], trial: Trial, facts: Mapping[str, Scalar]) -> bool:
    features = {m.name: m.value for m in trial.measurements if m.name in COMPILED_FEATURES}
    known = {**{f"hw.{n}": v for n, v in facts.items()}, **problem, **trial.configuration, **features}
    return meaning(law).verdict(known).stance == "against"
