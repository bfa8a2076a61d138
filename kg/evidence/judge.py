"""What trials at held-out problem sizes say of a law: supports, refutes or inconclusive, with the effect seen.

The same judgement serves a candidate's confirmation, the audit of a search under laws, and `kg verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable, problem_text
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import AxisTest, EffectTest, SettingTest
from spak.kg.law.scope import inside
from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.law import Bound, EvidenceVerdict, Law
from spak.kg.space.factors import Floats

_Effect = Mapping[str, Bound]
"""What a claim says of each effect."""

MIN_TESTED = 3
"""Configurations of a region a problem size must show before it supports a negative law; fewer say nothing."""

MIN_PROBLEMS = 2
"""Held-out problem sizes that must support a law before the run does (design: status)."""

MIN_REFERENCES = 8
"""Trials outside what a law names before their best is what a slowdown is counted from.

The best of fewer is likely far from the best there is, and a law that is right would look wrong beside it.
"""

MIN_TIED = 3
"""Matched contexts a problem size must show before it speaks about a tie."""


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


def judge(
    law: Law,
    table: TrialTable,
    facts: Mapping[str, Scalar] | None = None,
    *,
    min_problems: int = MIN_PROBLEMS,
) -> Judgement:
    """What `table` says of `law`.

    Each problem size speaks for itself; one that refutes refutes the law, and `min_problems` must support it.
    A problem size outside the law's scope does not speak.

    Args:
        law: A negative, positive or indifferent law; others cannot be judged from trials.
        table: Trials at problem sizes the law was not found on.
        facts: Hardware facts that its expressions may name, without `hw.`.
        min_problems: 1 for one run among several, whose problem sizes the law's status adds up.
    """
    speaking = np.flatnonzero(in_scope(law, table.problems, facts or {})).tolist()
    said = {row: _row(law, table, row, facts or {}) for row in speaking}
    return _together({row: one for row, one in said.items() if one is not None}, table, min_problems)


def in_scope(law: Law, problems: Sequence[ProblemSize], facts: Mapping[str, Scalar]) -> list[bool]:
    """For each problem size: whether it is within the law's scope; one that leaves the condition open does not speak."""
    known = {f"hw.{name}": value for name, value in facts.items()}
    found = [inside(law.scope, {**problem, **known}) for problem in problems]
    return [one.surely or one.missing == ("dtype",) for one in found]  # a run of one type may not name it


def _row(law: Law, table: TrialTable, row: int, facts: Mapping[str, Scalar]) -> Judgement | None:
    effect = law.claim.effect
    match meaning(law).test:
        case EffectTest(region):
            judges: Mapping[str, Callable[[_Effect, TrialTable, int, Bools], Judgement | None]] = {
                "slowdown": _slowdown,
                "failure_rate": _failure,
            }
            name = next(iter(effect), "slowdown")
            return judges.get(name, _feature)(effect, table, row, table.holds(region, row, facts))
        case SettingTest() as test:
            return _preferred(test, effect, table, row)
        case AxisTest() as test:
            return _tie(test, table, row)
    return None


def _slowdown(effect: _Effect, table: TrialTable, row: int, mask: Bools) -> Judgement | None:
    """Against the best seen at this size, inside the region or not: a region that holds the best refutes itself."""
    bound = effect["slowdown"].at_least if "slowdown" in effect else None
    far = 1.0 if bound is None else bound
    low, high = table.slowdown_bounds()
    seen = table.observed[row] & mask
    broken = table.failed[row] & mask
    if not seen.any() or not (table.observed[row] & ~mask).any():
        return None
    if float(high[row, seen].min()) < far:  # one fast configuration inside, however few were tried
        return _measured("refutes", table, row, seen)
    if (seen | broken).sum() < MIN_TESTED:
        return None
    return _measured("supports" if float(low[row, seen].min()) >= far else "inconclusive", table, row, seen)


def _measured(verdict: EvidenceVerdict, table: TrialTable, row: int, seen: Bools) -> Judgement:
    """The nearest to the best; of a refutation the one that refutes, whose interval lies wholly below the bound."""
    low, high = table.slowdown_bounds()
    best = float(np.nanmin(table.time[row]))
    places = np.flatnonzero(seen)
    nearest = int(places[(high if verdict == "refutes" else table.time)[row, seen].argmin()])
    least = float(low[row, nearest] if verdict == "refutes" else low[row, seen].min())
    effect = {"slowdown": float(table.time[row, nearest]) / best}
    return Judgement(verdict, effect, {"slowdown": (least, float(high[row, nearest]))})


def _failure(effect: _Effect, table: TrialTable, row: int, mask: Bools) -> Judgement | None:
    del effect
    ran = int((mask & (table.observed | table.compiled)[row] & ~table.failed[row]).sum())
    broken = int((mask & table.failed[row]).sum())
    if ran + broken == 0 or (not ran and broken < MIN_TESTED):
        return None
    return Judgement("refutes" if ran else "supports", {"failure_rate": broken / (ran + broken)}, {})


def _feature(effect: _Effect, table: TrialTable, row: int, mask: Bools) -> Judgement | None:
    """A claim about compiled code: exact, so one configuration that differs refutes."""
    name, bound = next(iter(effect.items()))
    values: Floats | None = table.features.get(name)
    if values is None:
        return None
    shown = values[row, mask & np.isfinite(values[row])]
    if not shown.size:
        return None
    low_ok = bound.at_least is None or shown.min() >= bound.at_least
    high_ok = bound.at_most is None or shown.max() <= bound.at_most
    observed = float(shown.min() if bound.at_least is not None else shown.max())
    if not (low_ok and high_ok):
        return Judgement("refutes", {name: observed}, {})
    return Judgement("supports", {name: observed}, {}) if shown.size >= MIN_TESTED else None


def _preferred(test: SettingTest, effect: _Effect, table: TrialTable, row: int) -> Judgement | None:
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
    verdict: EvidenceVerdict = "supports" if high <= within else "refutes" if low > within else "inconclusive"
    return Judgement(verdict, {"cost": cost}, {"cost": (low, high)})


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
    within = test.margin
    change = times.max(axis=1) / times.min(axis=1) - 1
    # per context: the most and the least that the intervals of its extremes allow
    most = table.high[row][contexts].max(axis=1) / table.low[row][contexts].min(axis=1) - 1
    least = np.maximum(0.0, table.low[row][contexts].max(axis=1) / table.high[row][contexts].min(axis=1) - 1)
    interval = (float(np.median(least)), float(np.median(most)))
    verdict: EvidenceVerdict = (
        "supports" if interval[1] <= within else "refutes" if interval[0] > within else "inconclusive"
    )
    return Judgement(verdict, {"change": float(np.median(change))}, {"change": interval})


def _together(rows: Mapping[int, Judgement], table: TrialTable, min_problems: int) -> Judgement:
    if not rows:
        return Judgement("inconclusive", reason="no problem size in scope was tried enough")
    refuting = {row: said for row, said in rows.items() if said.verdict == "refutes"}
    supporting = {row: said for row, said in rows.items() if said.verdict == "supports"}
    verdict: EvidenceVerdict
    if refuting:
        verdict, chosen, reason = "refutes", refuting, f"contradicted at {len(refuting)} of {len(rows)} problem sizes"
    elif len(supporting) >= min_problems:
        verdict, chosen, reason = "supports", supporting, f"held at {len(supporting)} of {len(rows)} problem sizes"
    else:
        reason = (
            f"held at {len(supporting)} problem sizes; {min_problems} {'is' if min_problems == 1 else 'are'} needed"
        )
        verdict, chosen = "inconclusive", dict(rows)
    names = next(iter(chosen.values())).effect
    effect: dict[str, float] = {}
    interval: dict[str, tuple[float, float]] = {}
    for name in names:
        worst = max if name in {"cost", "change"} else min
        row = worst(chosen, key=lambda index: chosen[index].effect.get(name, 0.0))
        effect[name] = round(chosen[row].effect[name], 4)
        spans = [said.interval[name] for said in chosen.values() if name in said.interval]
        if spans:
            interval[name] = tuple(round(v, 4) for v in worst(spans))  # type: ignore[assignment]
    return Judgement(verdict, effect, interval, tuple(sorted(problem_text(table.problems[r]) for r in chosen)), reason)
