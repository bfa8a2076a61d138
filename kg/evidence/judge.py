"""What trials say of a law, over their problem sizes: supports, refutes or inconclusive, with the effect seen.

The same judgement serves a candidate's confirmation, the audit of a search under laws, `kg check` and `kg verify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from spak.kg.evidence.rows import Judgement, excess, row_judgement
from spak.kg.evidence.table import TrialTable
from spak.kg.law.kinds import meaning
from spak.kg.law.scope import inside
from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.law import Bound, EvidenceVerdict, Law

MIN_PROBLEMS = 2
"""Held-out problem sizes that must support a law before the run does (design: status)."""

MIN_REFERENCES = 8
"""Trials outside what a law names before their best is what a slowdown is counted from.

The best of fewer is likely far from the best there is, and a law that is right would look wrong beside it.
"""

_UNSTATED = {"slowdown": Bound(at_least=1.0)}
"""What is worse of an effect that a claim does not bound, if less of it is."""

DIGITS = 4
"""Decimals of an effect and of its interval in a file."""


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
        law: One with a test that trials can make; of another they say nothing.
        table: Trials at problem sizes the law was not found on.
        facts: Hardware facts that its expressions may name, without `hw.`.
        min_problems: 1 for one run among several, whose problem sizes the law's status adds up.
    """
    return together(law, judged(law, table, facts or {}), min_problems=min_problems)


def judged(law: Law, table: TrialTable, facts: Mapping[str, Scalar]) -> dict[str, Judgement]:
    """What each problem size says for itself, by its text; those that say nothing are left out."""
    speaking = (row for row, is_inside in enumerate(in_scope(law, table.problems, facts)) if is_inside)
    said = {row: row_judgement(law, table, row, facts) for row in speaking}
    return {table.texts[row]: one for row, one in said.items() if one is not None}


def in_scope(law: Law, problems: Sequence[ProblemSize], facts: Mapping[str, Scalar]) -> list[bool]:
    """For each problem size: whether it is within the law's scope; one that leaves the condition open does not speak."""
    if not law.scope.when and not law.scope.dtype:
        return [True] * len(problems)
    known = {f"hw.{name}": value for name, value in facts.items()}
    found = [inside(law.scope, {**problem, **known}) for problem in problems]
    return [one.surely or one.missing == ("dtype",) for one in found]  # a run of one type may not name it


def together(law: Law, said: Mapping[str, Judgement], *, min_problems: int) -> Judgement:
    """What the problem sizes of `said`, each judged for itself, say of `law` together."""
    if not said:
        return Judgement("inconclusive", reason="no problem size in scope was tried enough")
    refuting = {problem: one for problem, one in said.items() if one.verdict == "refutes"}
    supporting = {problem: one for problem, one in said.items() if one.verdict == "supports"}
    verdict: EvidenceVerdict
    if refuting:
        verdict, chosen, reason = "refutes", refuting, f"contradicted at {len(refuting)} of {len(said)} problem sizes"
    elif len(supporting) >= min_problems:
        verdict, chosen, reason = "supports", supporting, f"held at {len(supporting)} of {len(said)} problem sizes"
    else:
        reason = (
            f"held at {len(supporting)} problem sizes; {min_problems} {'is' if min_problems == 1 else 'are'} needed"
        )
        verdict, chosen = "inconclusive", dict(said)
    effect: dict[str, float] = {}
    interval: dict[str, tuple[float, float]] = {}
    for name in dict.fromkeys(name for one in chosen.values() for name in one.effect):
        bound = meaning(law).bounds.get(name) or _UNSTATED.get(name, Bound())
        values = [one.effect[name] for one in chosen.values() if name in one.effect]
        effect[name] = round(max(values, key=partial(excess, bound)), DIGITS)
        spans = [one.interval[name] for one in chosen.values() if name in one.interval]
        if spans:
            low, high = (min if bound.at_least is not None else max)(spans)
            interval[name] = (round(low, DIGITS), round(high, DIGITS))
    return Judgement(verdict, effect, interval, tuple(sorted(chosen)), reason)
