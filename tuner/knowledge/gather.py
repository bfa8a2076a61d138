"""Knowledge for one search, gathered from a law root: which runs count, how close their hardware is, what laws add."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from spak.kg.files.loader import Laws
from spak.kg.law.kinds.base import Power
from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.hardware import HardwareKind, HardwareNodes, hardware_facts
from spak.kg.model.run import Run, Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.space import Space
from spak.tuner.knowledge.known import Advice, Knowledge, knowledge
from spak.tuner.knowledge.restriction import Restriction, Rule
from spak.tuner.knowledge.source import Source, Whereabouts, by_place, sources, whereabouts

OwnRuns = Literal["none", "other-problems", "all"]
"""Which runs of the searched hardware itself count."""

UNSTATED_SLOWDOWN = 1.3
"""Slowdown that a soft law is taken to claim where it states none: enough to reorder equals, too little to outvote trials."""


FACTS = (
    "num_sms",
    "registers_per_sm",
    "smem_per_sm",
    "max_warps_per_sm",
    "l2_bytes",
    "bandwidth_gb_per_s",
)
"""Facts that decide which configurations are fast; a kin with the same ones is closer."""

RELATION: dict[HardwareKind | None, float] = {
    "device": 5.0,
    "compute-capability": 4.0,
    "architecture": 3.0,
    "vendor": 2.0,
}
"""Weight by kind of the nearest common ancestor; 1 for strangers. An ordering with mild steps, not a fit: the weights
only say where to begin, trials correct them within a few evaluations."""

STRANGER = 1.0

TELLING = 32
"""Configurations of a space that runs of a near relative must have tried before a farther one's laws are left aside."""


@dataclass(frozen=True)
class SearchTarget:
    """What is searched: a hardware id, which the law root need not know, and what of its own history counts."""

    hw: str
    own_runs: OwnRuns = "none"
    problem: ProblemSize = field(default_factory=dict)


def gather(laws: Laws, space: Space, target: SearchTarget, restriction: Restriction) -> tuple[Restriction, Knowledge]:
    """What the law root knows about `space`: runs of the same op elsewhere, and the laws that may only reorder.

    Trials are believed before what was drawn from them, and near hardware before far: laws of farther relatives than those
    with runs here move nothing, and no law postpones what runs have tried. The restriction comes back without the former.

    Raises:
        InvalidFilesError: If a run file cannot be read.
    """
    return Gathering(laws, space, target, recorded_trials(laws, space.op, target)).known(restriction)


class Gathering:
    """What is known about one target, put together again as trials elsewhere come in."""

    def __init__(
        self, store: HardwareNodes, space: Space, target: SearchTarget, recorded: Mapping[Whereabouts, Sequence[Trial]]
    ) -> None:
        """Begin with what is `recorded`; `store` says how hardware is related."""
        self._store, self._space, self._target = store, space, target
        self._recorded = recorded
        self._sources = {whereabouts(one.hw, one.problem): one for one in sources(space, recorded)}

    def known(
        self,
        restriction: Restriction,
        more: Mapping[Whereabouts, Sequence[Trial]] | None = None,
        objective: str = "time",
    ) -> tuple[Restriction, Knowledge]:
        """The restriction without laws that runs outrank, and the knowledge, with trials `more` that are in no run file.

        Args:
            restriction: The laws as they stand.
            more: By what they are about, never the target itself; they join what is recorded of the same.
            objective: What ranks `more`. What is recorded is ranked by time, and no prediction is heard beside it.
        """
        heard = {where for where in more or {} if objective == "time" or where not in self._recorded}
        joined = {where: [*self._recorded.get(where, ()), *(more or {})[where]] for where in heard}
        fresh = {whereabouts(one.hw, one.problem): one for one in sources(self._space, joined, objective)}
        found = sorted({**self._sources, **fresh}.values(), key=lambda source: source.label)
        target, space = self._target, self._space
        left = outranked(self._store, restriction, found, target)
        close = [kinship(self._store, target.hw, source.hw) * _near(source, target) for source in found]
        return left, knowledge(space.codes, space.cardinalities, found, close, advice(left, found))


def outranked(
    store: HardwareNodes, restriction: Restriction, found: Sequence[Source], target: SearchTarget
) -> Restriction:
    """`restriction` without the effect of transferred laws of hardware that is farther than hardware with runs."""
    tried: dict[str, set[int]] = {}
    for source in found:
        tried.setdefault(source.hw, set()).update(source.rows.tolist())
    telling = [(kinship(store, target.hw, hw), hw) for hw, rows in tried.items() if len(rows) >= TELLING]
    nearest, relative = max(telling, default=(0.0, ""))

    def heard(rule: Rule) -> Rule:
        if rule.match.hw != "transferred" or kinship(store, target.hw, rule.law.scope.hw) >= nearest:
            return rule
        return replace(rule, power=Power.NOTHING, reason=f"{relative} is nearer, and its own runs say how it is there")

    return replace(restriction, rules=tuple(map(heard, restriction.rules)))


def recorded(laws: Laws, space: Space, target: SearchTarget) -> list[Source]:
    """What runs of the same op say of configurations of `space`, as far as the target counts them.

    Raises:
        InvalidFilesError: If a run file cannot be read.
    """
    return sources(space, recorded_trials(laws, space.op, target))


def recorded_trials(laws: Laws, op: str, target: SearchTarget) -> dict[Whereabouts, list[Trial]]:
    """Trials of the op in run files, as far as the target counts them.

    Raises:
        InvalidFilesError: If a run file cannot be read.
    """
    found = by_place(_runs(laws, op, target))
    if target.own_runs == "other-problems":
        found.pop(whereabouts(target.hw, target.problem), None)
    return found


def _runs(laws: Laws, op: str, target: SearchTarget) -> Iterator[Run]:
    for name in laws.run_ids:
        run = laws.run(name)
        if run.op == op and (run.hw != target.hw or target.own_runs != "none"):
            yield run


def kinship(store: HardwareNodes, one: str, other: str) -> float:
    """Positive weight of what is known on `other` for a search on `one`; larger is closer.

    Hardware that the law root does not know, or knows nothing about, is a stranger: it counts, and trials decide.
    """
    relation = RELATION.get(nearest_common(store, one, other), STRANGER)
    return relation * _likeness(hardware_facts(store, one), hardware_facts(store, other))


def nearest_common(store: HardwareNodes, one: str, other: str) -> HardwareKind | None:
    """Kind of the nearest node that both are: `device` if they are the same; None for strangers."""
    tree = Taxonomy("hardware", store.hardware)
    up = tree.ancestors(one)
    shared = (node for node in tree.ancestors(other) if node in up and node in store.hardware)
    return next((store.hardware[node].kind for node in shared), None)


def _likeness(one: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> float:
    """1 where all shared facts agree, down to 0.5; 1 where none is known on both sides."""
    ratios = []
    for name in FACTS:
        a, b = one.get(name), other.get(name)
        if isinstance(a, int | float) and isinstance(b, int | float) and a > 0 and b > 0:
            ratios.append(abs(math.log(a / b)))
    return 0.5 + 0.5 * math.exp(-sum(ratios) / len(ratios)) if ratios else 1.0


def _near(source: Source, target: SearchTarget) -> float:
    """1 for the same problem size, less the further its numbers are; 1 where either is not stated."""
    ratios, differing = [], 0
    for name, value in source.problem.items():
        other = target.problem.get(name)
        if isinstance(value, int | float) and isinstance(other, int | float) and value > 0 and other > 0:
            ratios.append(abs(math.log(value / other)))
        elif other is not None:
            differing += value != other
    return math.exp(-sum(ratios) / max(len(ratios), 1) / 4) * 0.5**differing


def advice(restriction: Restriction, sources: Sequence[Source] = ()) -> dict[str, Advice]:
    """What each soft law says: what it postpones, or what it does not prefer, is that much slower.

    What `sources` tried is not postponed: they say themselves how slow it is.
    """
    tried = np.zeros(len(restriction.space), np.bool_)
    for source in sources:
        tried[source.rows] = True
    found = {}
    for rule in restriction.live:
        if rule.named is None or rule.power not in {Power.POSTPONE, Power.PREFER}:
            continue
        slower = rule.named.flat & ~tried if rule.power is Power.POSTPONE else ~rule.named.flat
        found[f"law {rule.id}"] = Advice(slower, rule.weight * math.log(_slowdown(rule)))
    return found


def _slowdown(rule: Rule) -> float:
    bound = rule.law.claim.effect.get("slowdown")
    stated = bound.at_least if bound is not None else None
    return stated if stated is not None and stated > 1 else UNSTATED_SLOWDOWN


def described(known: Knowledge) -> list[tuple[str, float]]:
    """Each column's label and its weight before any trial, largest first."""
    return sorted(zip(known.labels, map(float, known.weights), strict=True), key=lambda item: -item[1])
