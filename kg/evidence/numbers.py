"""What the trials of a named check say of a law about numbers: of an invariant, whether nothing breaks inside, and all breaks outside.

An invariant says of the trials that keep it the worst that it allows (`nan_rows` at most 0), and of those that break it the
least that comes of each (`nan_rows_otherwise` at least 1). So one trial refutes, on either side. Trials of one side alone
say nothing: what breaks everywhere, or nowhere, is no reason for a requirement. Nor do trials that leave out a setting
which the law forbids: nobody runs it again to find out. A rewrite forbids nothing: its trials all keep it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

from spak.kg.evidence.judge import in_scope
from spak.kg.evidence.rows import Judgement
from spak.kg.evidence.table import problem_text
from spak.kg.expression import Expression, parse
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds import meaning
from spak.kg.law.status import outside, within_bounds
from spak.kg.law.unseen import size
from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.law import Bound, EvidenceVerdict, Law
from spak.kg.model.op import Op
from spak.kg.model.run import Run, Trial

OTHERWISE = "_otherwise"
"""Ends the name of an effect that is seen where the requirement does not hold."""

WRONG = 1e6
"""Stands for the number that a wrong result lacks, such as the error of a NaN."""

MOST_SETTINGS = 10_000
"""Settings of a requirement's parameters that are looked at; trials of more would fill no run file."""


@dataclass(frozen=True)
class _Sides:
    """Trials of one problem size: those that keep the requirement, and those that break it."""

    problem: ProblemSize
    kept: list[Trial] = field(default_factory=list)
    broken: list[Trial] = field(default_factory=list)


def judge_numbers(law: Law, run: Run, op: Op, facts: Mapping[str, Scalar], problems: Sequence[str] = ()) -> Judgement:
    """What `run` says of `law`; inconclusive with the reason if its trials do not belong to it.

    Args:
        law: One whose claim names a check.
        run: Made by that check.
        op: Of the law; its parameters have the values that the law may forbid.
        facts: Hardware facts without `hw.`.
        problems: Those to look at, as in an evidence entry; all if none is named.
    """
    removal = meaning(law).removal
    sides = _sides(law, removal, run, facts)
    objection = next(_objections(removal, sides, op), "")
    if objection:
        return Judgement("inconclusive", reason=objection)
    wanted = [size(text) for text in problems]
    texts = {problem_text(one.problem): one for one in sides}
    return _together(
        law.claim.effect,
        {
            text: _seen(law.claim.effect, one)
            for text, one in texts.items()
            if not wanted or any(named <= size(text) for named in wanted)
        },
    )


def numbers_by_size(law: Law, run: Run, op: Op, facts: Mapping[str, Scalar]) -> dict[str, Judgement]:
    """What each problem size says of `law` for itself; nothing if the trials do not belong to it."""
    removal = meaning(law).removal
    sides = _sides(law, removal, run, facts)
    if next(_objections(removal, sides, op), ""):
        return {}
    seen = {problem_text(one.problem): _seen(law.claim.effect, one) for one in sides}
    return {text: _together(law.claim.effect, {text: effect}) for text, effect in seen.items()}


def _sides(law: Law, removal: Expression | None, run: Run, facts: Mapping[str, Scalar]) -> list[_Sides]:
    """The trials that were made, by problem sizes in scope; one that leaves the requirement open says nothing."""
    known = {f"hw.{name}": value for name, value in facts.items()}
    found: dict[str, _Sides] = {}
    for trial in run.trials:
        problem = run.problem | trial.problem
        breaks = removal is not None and removal.partial({**known, **problem, **trial.configuration})
        if trial.invalidity != "constraints" and isinstance(breaks, bool):
            one = found.setdefault(problem_text(problem), _Sides(problem))
            (one.broken if breaks else one.kept).append(trial)
    speaks = in_scope(law, [one.problem for one in found.values()], facts)
    return [one for one, inside in zip(found.values(), speaks, strict=True) if inside]


def _objections(removal: Expression | None, sides: Sequence[_Sides], op: Op) -> Iterator[str]:
    """Why trials are no evidence, whatever they show."""
    if removal is None or not sides:
        if not sides:
            names = sorted(removal.all_names) if removal else []
            yield f"no trial in scope has a value for each of {', '.join(names)}" if names else "no trial is in scope"
        return
    if not any(one.kept for one in sides):
        yield "every trial in scope breaks the requirement, so that nothing is compared"
    if not any(one.broken for one in sides):
        yield "every trial in scope keeps the requirement, so that nothing is compared"
    for setting in _untried(removal, sides, op):
        yield f"it forbids {show_assignments(setting)}, which no trial tried"


def _untried(removal: Expression, sides: Sequence[_Sides], op: Op) -> Iterator[dict[str, Scalar]]:
    """Settings of the op's parameters that the law forbids, at some problem size at least, and no trial has.

    Of a law that names too many parameters for that, one setting.
    """
    names = [name for name in op.parameters if name in removal.all_names]
    tried = {tuple(trial.configuration.get(name) for name in names) for one in sides for trial in one.broken}
    axes = [op.parameters[name].values for name in names]
    too_many = prod(map(len, axes)) > MOST_SETTINGS
    conditions = [parse(condition.require) for condition in op.conditions]
    for values in product(*axes):
        setting = dict(zip(names, values, strict=True))
        if any(condition.partial(setting) is False for condition in conditions):
            continue
        if removal.partial(setting) is not False and (too_many or values not in tried):
            yield setting


def _seen(claimed: Mapping[str, Bound], sides: _Sides) -> dict[str, float]:
    """Each claimed effect at one problem size, where it is least favourable; without trials, not those of a side."""
    effect = {}
    for name, bound in claimed.items():
        trials = sides.broken if name.endswith(OTHERWISE) else sides.kept
        values = [_value(trial, name.removesuffix(OTHERWISE)) for trial in trials]
        numbers = [value for value in values if value is not None]
        if numbers and len(numbers) == len(values):
            effect[name] = _least_favourable(bound, numbers)
    return effect


def _value(trial: Trial, name: str) -> float | None:
    value = trial.value(name)
    return WRONG if value is None and trial.invalidity == "correctness" else value


def _least_favourable(bound: Bound, values: Sequence[float]) -> float:
    return float(max(values) if bound.at_most is not None else min(values))


def _together(claimed: Mapping[str, Bound], said: Mapping[str, Mapping[str, float]]) -> Judgement:
    """One size beyond a bound refutes; to support takes each effect within its bound wherever it was seen."""
    shown = {name: [effect[name] for effect in said.values() if name in effect] for name in claimed}
    silent = [name for name, values in shown.items() if not values]
    if silent or not shown:
        return Judgement("inconclusive", reason=f"no trial shows {', '.join(silent) or 'an effect'}")
    against = {
        problem: effect
        for problem, effect in said.items()
        if any(outside(claimed[name], value, value) for name, value in effect.items())
    }
    holds = all(within_bounds(claimed[name], value, value) for name, values in shown.items() for value in values)
    verdict: EvidenceVerdict = "refutes" if against else "supports" if holds else "inconclusive"
    chosen = against or {problem: effect for problem, effect in said.items() if effect}
    found = {name: [effect[name] for effect in chosen.values() if name in effect] for name in claimed}
    effect = {name: _least_favourable(claimed[name], values) for name, values in found.items() if values}
    reason = f"{'broken' if against else 'held'} at {len(chosen)} of {len(said)} problem sizes"
    return Judgement(verdict, effect, {}, tuple(sorted(chosen)), reason)
