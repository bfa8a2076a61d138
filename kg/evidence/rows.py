"""What the trials of one problem size say of a law: one judge for each way that a claim can be tested, and for each effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import AxisTest, EffectTest, RewriteTest, SettingTest
from spak.kg.law.status import outside, within_bounds
from spak.kg.model.base import Scalar
from spak.kg.model.law import Bound, EvidenceVerdict, Law
from spak.kg.space.factors import Floats

MIN_TESTED = 3
"""Configurations of a region a problem size must show before it supports a negative law; fewer say nothing."""

MIN_TIED = 3
"""Matched contexts a problem size must show before it speaks about a tie."""

_SLOWDOWN = {"slowdown": Bound()}
"""What a claim about a region is judged by if it states no effect."""


@dataclass(frozen=True)
class Judgement:
    """What some trials say of one law.

    Attributes:
        effect: Observed effect, the least favourable problem size's.
        interval: 95 % interval of it, where measured.
        problems: Those the verdict rests on.
    """

    verdict: EvidenceVerdict
    effect: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class RegionRow:
    """A region at one problem size.

    Attributes:
        mask: (N,) the configurations in it.
        names: What the expression that bounds it names.
    """

    table: TrialTable
    row: int
    mask: Bools
    names: frozenset[str]


def row_judgement(law: Law, table: TrialTable, row: int, facts: Mapping[str, Scalar]) -> Judgement | None:
    """What the trials at problem size `row` say; None if nothing, or if no judge knows how such a claim is tested."""
    match meaning(law).test:
        case EffectTest(region):
            mask = table.holds(region, row, facts)
            return _region(law, RegionRow(table, row, mask, region.all_names))
        case SettingTest() as test:
            return _preferred(test, law.claim.effect, table, row)
        case AxisTest() as test:
            return _tie(test, table, row)
        case RewriteTest() as test:
            return _rewritten(test, law.claim.effect, table, row)
    return None


def region_effects(law: Law) -> Mapping[str, Bound]:
    """What a claim about a region says of each effect; one that states none is about time."""
    return law.claim.effect or _SLOWDOWN


def _region(law: Law, where: RegionRow) -> Judgement | None:
    """Every effect that the claim bounds, as far as the trials show it."""
    said = [
        found
        for name, bound in region_effects(law).items()
        if (found := EFFECT_JUDGES.get(name, _feature)(name, bound, where)) is not None
    ]
    if not said:
        return None
    effects = {name: value for one in said for name, value in one.effect.items()}
    intervals = {name: span for one in said for name, span in one.interval.items()}
    return Judgement(_worst(one.verdict for one in said), effects, intervals)


def _worst(verdicts: Iterable[EvidenceVerdict]) -> EvidenceVerdict:
    said = set(verdicts)
    return "refutes" if "refutes" in said else "inconclusive" if "inconclusive" in said else "supports"


def _slowdown(name: str, bound: Bound, where: RegionRow) -> Judgement | None:
    """Against the best seen at this size, inside the region or not: a region that holds the best refutes itself."""
    table, row, mask = where.table, where.row, where.mask
    far = 1.0 if bound.at_least is None else bound.at_least
    low, high = table.slowdown_bounds()
    seen = table.observed[row] & mask
    broken = table.failed[row] & mask
    if not seen.any() or not (table.observed[row] & ~mask).any():
        return None
    if float(high[row, seen].min()) < far:  # one fast configuration inside, however few were tried
        return _measured(name, "refutes", where, seen)
    if (seen | broken).sum() < MIN_TESTED:
        return None
    return _measured(name, "supports" if float(low[row, seen].min()) >= far else "inconclusive", where, seen)


def _measured(name: str, verdict: EvidenceVerdict, where: RegionRow, seen: Bools) -> Judgement:
    """The nearest to the best; of a refutation the one that refutes, whose interval lies wholly below the bound."""
    table, row = where.table, where.row
    low, high = table.slowdown_bounds()
    best = float(table.time[row, table.best()[row]])
    places = np.flatnonzero(seen)
    nearest = int(places[(high if verdict == "refutes" else table.time)[row, seen].argmin()])
    least = float(low[row, nearest] if verdict == "refutes" else low[row, seen].min())
    effect = {name: float(table.time[row, nearest]) / best}
    return Judgement(verdict, effect, {name: (least, float(high[row, nearest]))})


def _failure(name: str, bound: Bound, where: RegionRow) -> Judgement | None:
    del bound
    table, row = where.table, where.row
    ran = int((where.mask & (table.observed | table.compiled)[row] & ~table.failed[row]).sum())
    broken = int((where.mask & table.failed[row]).sum())
    if ran + broken == 0 or (not ran and broken < MIN_TESTED):
        return None
    return Judgement("refutes" if ran else "supports", {name: broken / (ran + broken)}, {})


def _feature(name: str, bound: Bound, where: RegionRow) -> Judgement | None:
    """A claim about compiled code: exact, so one configuration that differs refutes."""
    values: Floats | None = where.table.features.get(name)
    return None if values is None else _exact(name, bound, values[where.row, where.mask])


def _occupancy(name: str, bound: Bound, where: RegionRow) -> Judgement | None:
    """Resident warps in the region over those of each configuration outside that is alike but for what the region names."""
    table, row = where.table, where.row
    resident, threads = (table.features.get(feature) for feature in ("ctas_per_sm", "threads"))
    if resident is None or threads is None:
        return None
    warps = resident[row] * threads[row]
    own = [place for place, parameter in enumerate(table.space.names) if parameter not in where.names]
    _, context = np.unique(table.space.codes[:, own], axis=0, return_inverse=True)
    context = context.ravel()
    inside, outside_ = (np.flatnonzero(side & np.isfinite(warps)) for side in (where.mask, ~where.mask))
    ratios = [warps[one] / warps[outside_[context[outside_] == context[one]]] for one in inside]
    return _exact(name, bound, np.concatenate(ratios) if ratios else np.empty(0))


def _exact(name: str, bound: Bound, values: Floats) -> Judgement | None:
    """The value nearest to breaking the bound; one beyond it refutes, and `MIN_TESTED` within support."""
    shown = values[np.isfinite(values)]
    if not shown.size:
        return None
    least, most = float(shown.min()), float(shown.max())
    observed = max((least, most), key=lambda value: excess(bound, value))
    if not within_bounds(bound, least, most):
        return Judgement("refutes", {name: observed}, {})
    return Judgement("supports", {name: observed}, {}) if shown.size >= MIN_TESTED else None


def excess(bound: Bound, value: float) -> float:
    """By how much `value` is beyond `bound`, less than zero if it is not; without a bound more is worse."""
    below = -float("inf") if bound.at_least is None else bound.at_least - value
    above = -float("inf") if bound.at_most is None else value - bound.at_most
    return value if bound == Bound() else max(below, above)


EffectJudge = Callable[[str, Bound, RegionRow], "Judgement | None"]
"""Name of an effect, what the claim says of it, and where: what the trials say."""

EFFECT_JUDGES: Mapping[str, EffectJudge] = {
    "slowdown": _slowdown,
    "failure_rate": _failure,
    "occupancy_ratio": _occupancy,
}
"""Effect -> how a region shows it; any other is a compiled feature of that name, if the trials have one."""


def _preferred(test: SettingTest, effect: Mapping[str, Bound], table: TrialTable, row: int) -> Judgement | None:
    """The best with the setting against the best of what it is said to beat, both of which must have been tried enough."""
    mask = table.having(test.setting)
    if not mask.any():
        return None
    others = [table.having(setting) for setting in test.over] or [~mask]
    seen = table.observed[row]
    with_it, without = seen & mask, seen & np.logical_or.reduce(others) & ~mask
    if min(with_it.sum(), without.sum()) < MIN_TESTED:
        return None
    bound = effect.get("cost")
    within = bound.at_most if bound is not None and bound.at_most is not None else 0.0
    first = int(np.flatnonzero(with_it)[table.time[row, with_it].argmin()])
    other = int(np.flatnonzero(without)[table.time[row, without].argmin()])
    cost = float(table.time[row, first] / table.time[row, other]) - 1
    low = float(table.low[row, first] / table.high[row, other]) - 1
    high = float(table.high[row, first] / table.low[row, other]) - 1
    return _spanned("cost", Bound(at_most=within), cost, (low, high))


def _rewritten(test: RewriteTest, effect: Mapping[str, Bound], table: TrialTable, row: int) -> Judgement | None:
    """The system it comes from, timed in the same rounds, against the best configuration of the one it leads to."""
    before, best = table.references.get(test.source), int(table.best()[row])
    if before is None or best < 0 or "speedup" not in effect:
        return None
    low, high = (before.value if end is None else end for end in (before.low, before.high))
    span = low / float(table.high[row, best]), high / float(table.low[row, best])
    return _spanned("speedup", effect["speedup"], before.value / float(table.time[row, best]), span)


def _tie(test: AxisTest, table: TrialTable, row: int) -> Judgement | None:
    """Matched contexts, all other parameters equal: the median change and its interval against the margin."""
    name = test.name
    values = table.parameters.get(name, ())
    codes = [values.index(value) for value in test.values if value in values]
    if len(codes) < len(test.values):
        return None
    contexts = table.matched(name, codes)
    times = table.time[row][contexts] if len(contexts) else np.empty((0, len(codes)))
    rows = np.flatnonzero(np.isfinite(times).all(axis=1)) if len(times) else np.empty(0, dtype=np.int64)
    if len(rows) < MIN_TIED:
        return None
    contexts, times = contexts[rows], times[rows]
    change = times.max(axis=1) / times.min(axis=1) - 1
    # per context: the most and the least that the intervals of its extremes allow
    most = table.high[row][contexts].max(axis=1) / table.low[row][contexts].min(axis=1) - 1
    least = np.maximum(0.0, table.low[row][contexts].max(axis=1) / table.high[row][contexts].min(axis=1) - 1)
    interval = (float(np.median(least)), float(np.median(most)))
    return _spanned("change", Bound(at_most=test.margin), float(np.median(change)), interval)


def _spanned(name: str, bound: Bound, value: float, span: tuple[float, float]) -> Judgement:
    """It supports if the whole interval is within the bound, and refutes if none of it is."""
    verdict: EvidenceVerdict = (
        "supports" if within_bounds(bound, *span) else "refutes" if outside(bound, *span) else "inconclusive"
    )
    return Judgement(verdict, {name: value}, {name: span})
