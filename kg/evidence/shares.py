"""How much of what was recorded laws explain, in all and each by itself.

A *cell* is one configuration at one problem size on one device, in a whole sweep. What can be explained of time is
whatever is at least `FAR_FROM_BEST` times the best of its row, or failed; of compiled code, what spills or did not compile. A law
*explains* a cell if it names it, in scope, and the trial shows the effect that the law claims, of the size it claims: a
slowdown by the median of the times, since a share counts and does not test. Only laws about regions name single
configurations; preferences and ties do not.

Two things would make a share look good though it is not, and both are counted beside it. A law that names everything
explains everything slow: `wrong` counts what laws name without the effect, `near` what they name of what is within
`FAR_FROM_BEST` of the best. A law may name what is slow anyway, where nearly everything is: `chance` is the share that a region
of any shape would be right about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spak.kg.evidence.judge import in_scope
from spak.kg.evidence.rows import region_effects
from spak.kg.evidence.table import Bools, TrialTable, from_runs
from spak.kg.law.effects import EFFECTS, TIME_NOISE
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import EffectTest
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Bound, Law
from spak.kg.model.run import Run
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy

Explainable = Literal["time", "compiled code"]
"""What a law speaks of: how long a configuration takes or that it does not run, or what the compiler made of it."""

FAR_FROM_BEST = 1 + TIME_NOISE
"""Times the best from which on a configuration is to be explained: less is what luck tells apart."""


@dataclass(frozen=True)
class LawShare:
    """What one law explains, in cells.

    Attributes:
        named: It speaks of them, in scope.
        right: They show what it claims.
        near: Of the named, those within `FAR_FROM_BEST` of the best.
        own: Of the right, those that no law before it in the order explains.
        last: Of the right, those that no other law explains.
        chance: Of all cells in its scope, the share that shows what it claims.
    """

    law: str
    named: int
    right: int
    near: int
    own: int
    last: int
    chance: float


@dataclass(frozen=True)
class Explained:
    """What laws explain of some sweeps; the laws in the order in which each adds the most to those before.

    Attributes:
        cells: All that say anything of the aspect.
        far: Of them, those to be explained.
        right: Of those, the explained.
        wrong: Named by a law, without the effect that the law claims.
        near: Cells within `FAR_FROM_BEST` of the best, or free of faults.
        near_named: Of them, those that a law names.
        laws: Laws that name any cell.
    """

    aspect: Explainable
    cells: int
    far: int
    right: int
    wrong: int
    near: int
    near_named: int
    laws: tuple[LawShare, ...]

    @property
    def share(self) -> float:
        """Explained of what is to be explained; 0 where nothing is."""
        return self.right / self.far if self.far else 0.0

    def by(self, count: int) -> float:
        """Explained by the first `count` laws, of what is to be explained."""
        return sum(one.own for one in self.laws[:count]) / self.far if self.far else 0.0


@dataclass(frozen=True)
class Sweep:
    """Trials of one run.

    Attributes:
        nodes: Its hardware and its op, and what they are kinds of: a law is about the run if both its nodes are here.
        facts: Of the hardware, without `hw.`.
    """

    table: TrialTable
    nodes: frozenset[tuple[str, str]]
    facts: Mapping[str, Scalar]

    @classmethod
    def of(cls, run: Run, store: Store) -> Sweep:
        """The trials of `run`, whose hardware and op are nodes of `store`."""
        above = {"hw": Taxonomy("hardware", store.hardware), "op": Taxonomy("op", store.ops)}
        own = {"hw": run.hw, "op": run.op}
        nodes = frozenset((kind, node) for kind, tree in above.items() for node in tree.ancestors(own[kind]))
        return cls(from_runs([run]), nodes, hardware_facts(store, run.hw))

    def in_scope(self, law: Law) -> Bools:
        """(S,) problem sizes that `law` is about."""
        if not {("hw", law.scope.hw), ("op", law.scope.op)} <= self.nodes:
            return np.zeros(len(self.table.problems), dtype=bool)
        return np.array(in_scope(law, self.table.problems, self.facts))


def aspect_of(law: Law) -> Explainable:
    """What the claim speaks of: compiled code if it bounds nothing else."""
    return "compiled code" if all(EFFECTS[name].about == "code" for name in region_effects(law)) else "time"


@dataclass(frozen=True)
class _Cells:
    """Flat over the cells of some sweeps, for one law: those it names, those of them it is right about and that are far."""

    named: Bools
    right: Bools
    chance: float = 0.0


def explained_by(laws: Iterable[Law], sweeps: Sequence[Sweep], aspect: Explainable) -> Explained:
    """What those of `laws` that speak of `aspect` explain of `sweeps`."""
    cells, far = _to_explain(sweeps, aspect)
    said = {name: one for name, one in _said(laws, sweeps, aspect).items() if one.named.any()}
    every = _any((one.named for one in said.values()), cells)
    right = _any((one.right for one in said.values()), cells)
    times = np.sum([one.right for one in said.values()], axis=0) if said else np.zeros(len(cells))
    shares, covered = [], np.zeros_like(cells)
    for name in _greedy(said, covered):
        one = said[name]
        shares.append(
            LawShare(
                law=name,
                named=int(one.named.sum()),
                right=int(one.right.sum()),
                near=int((one.named & ~far).sum()),
                own=int((one.right & ~covered).sum()),
                last=int((one.right & (times == 1)).sum()),
                chance=one.chance,
            )
        )
        covered = covered | one.right
    return Explained(
        aspect=aspect,
        cells=int(cells.sum()),
        far=int(far.sum()),
        right=int(right.sum()),
        wrong=int(_any((one.named & ~one.right for one in said.values()), cells).sum()),
        near=int((cells & ~far).sum()),
        near_named=int((every & ~far).sum()),
        laws=tuple(shares),
    )


def additions(
    new: Iterable[Law], known: Iterable[Law], sweeps: Sequence[Sweep], aspect: Explainable
) -> dict[str, tuple[int, int]]:
    """Of each new law about `aspect`: cells it explains that neither `known` nor a new law before it does, and all cells.

    The new laws come in the order in which each adds the most. Of `known`, one that explains nothing but what the new law
    does takes nothing from it: the new one says more.
    """
    cells, _ = _to_explain(sweeps, aspect)
    there = [one.right for one in _said(known, sweeps, aspect).values()]
    said, added, found = _said(new, sweeps, aspect), {}, np.zeros_like(cells)
    for name in _greedy(said, _any(there, cells)):
        own = said[name].right
        covered = _any((right for right in there if (right & ~own).any()), cells) | found
        added[name] = int((own & ~covered).sum()), int(cells.sum())
        found = found | own
    return added


def _to_explain(sweeps: Sequence[Sweep], aspect: Explainable) -> tuple[Bools, Bools]:
    """Flat: cells that say anything of the aspect, and those of them that are to be explained."""
    seen, far = (np.concatenate([one(sweep.table, aspect).ravel() for sweep in sweeps]) for one in (_seen, _far))
    return seen, far


def _said(laws: Iterable[Law], sweeps: Sequence[Sweep], aspect: Explainable) -> dict[str, _Cells]:
    cells, far = _to_explain(sweeps, aspect)
    found = {law.id: _named(law, sweeps) for law in laws if _is_about(law, aspect)}
    return {
        name: _Cells(named & cells, right & far, shown / seen if seen else 0.0)
        for name, (named, right, shown, seen) in found.items()
    }


def _is_about(law: Law, aspect: Explainable) -> bool:
    return isinstance(meaning(law).test, EffectTest) and aspect_of(law) == aspect


def _any(masks: Iterable[Bools], like: Bools) -> Bools:
    return np.asarray(np.logical_or.reduce([np.zeros_like(like), *masks]))


def _greedy(said: Mapping[str, _Cells], covered: Bools) -> list[str]:
    """The laws, each the one that adds the most to `covered` and those before it; of equals the first by name."""
    left, order = dict(sorted(said.items())), []
    while left:
        best = max(left, key=lambda name: int((left[name].right & ~covered).sum()))
        covered = covered | left.pop(best).right
        order.append(best)
    return order


def _seen(table: TrialTable, aspect: Explainable) -> Bools:
    """(S, N) cells that say something of the aspect."""
    if aspect == "time":
        return np.asarray(table.observed | (table.failed & table.observed.any(axis=1, keepdims=True)))
    return np.asarray(table.compiled | table.failed)


def _far(table: TrialTable, aspect: Explainable) -> Bools:
    """(S, N) cells of those that are to be explained."""
    if aspect == "time":
        slow = _slowdown(table) >= FAR_FROM_BEST
    else:
        slow = table.features.get("spill_bytes", np.zeros(table.time.shape)) > 0
    return np.logical_and(slow | table.failed, _seen(table, aspect))


def _slowdown(table: TrialTable) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(S, N) times the best of the row; NaN where nothing was timed."""
    best = np.min(np.where(table.observed, table.time, np.inf), axis=1, keepdims=True)
    return np.asarray(table.time / best)


def _named(law: Law, sweeps: Sequence[Sweep]) -> tuple[Bools, Bools, int, int]:
    """Flat: what the law names, what it is right about; and how much in its scope shows its effect, of how much."""
    test = meaning(law).test
    assert isinstance(test, EffectTest)  # noqa: S101 - `_is_about` lets no other law through
    named, right, shown, seen = [], [], 0, 0
    for sweep in sweeps:
        scope = sweep.in_scope(law)
        region = np.array([sweep.table.holds(test.region, row, sweep.facts) for row in range(len(scope))])
        shows = _shows(law, sweep.table)
        cells = _seen(sweep.table, aspect_of(law)) & scope[:, None]
        named.append((region & scope[:, None]).ravel())
        right.append((region & shows & scope[:, None]).ravel())
        shown, seen = shown + int((cells & shows).sum()), seen + int(cells.sum())
    return np.concatenate(named), np.concatenate(right), shown, seen


def _shows(law: Law, table: TrialTable) -> Bools:
    """(S, N) cells that show every effect which the law claims; what failed shows a slowdown and a failure."""
    shown = np.ones(table.time.shape, dtype=bool)
    for name, bound in region_effects(law).items():
        if name == "slowdown":
            shown &= table.failed | _between(_slowdown(table), bound)
        elif name == "failure_rate":
            shown &= table.failed
        else:
            shown &= _between(table.features.get(name, np.full(table.time.shape, np.nan)), bound)
    return shown


def _between(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], bound: Bound) -> Bools:
    low = -np.inf if bound.at_least is None else bound.at_least
    high = np.inf if bound.at_most is None else bound.at_most
    return np.asarray((values >= low) & (values <= high))
