"""Laws in a report: what each did in the runs, what the runs say of each, and what was learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spak.kg.errors import KgError
from spak.kg.expression import ExpressionError
from spak.kg.law.match import Matcher, Question
from spak.kg.law.statement import claim_text, evidence_text, kind_of
from spak.kg.model.base import Scalar
from spak.kg.model.law import Verdict
from spak.kg.model.run import LawVerdict, Run
from spak.kg.space.space import build
from spak.tuner.engine.loop import REMOVED_BY_LAW
from spak.tuner.knowledge.restriction import Context, Power, Rule, restrict
from spak.tuner.learn.confirm.judge import Judgement, judge
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Block, Bullets, Paragraph, Section
from spak.tuner.report.timing import Kernel
from spak.tuner.report.words import counted, digits

_POWERS = {
    Power.REMOVE: "may remove",
    Power.POSTPONE: "postpones",
    Power.PREFER: "prefers",
    Power.NOTHING: "does nothing to",
}


_ELSEWHERE: Mapping[Verdict, str] = {
    "supports": "it holds here too",
    "refutes": "it does not hold here",
    "inconclusive": "undecided here",
}
"""A law of other hardware claims nothing about this one: what is seen here neither supports nor refutes it."""


@dataclass(frozen=True)
class Bearing:
    """How one law bears on the subject.

    Attributes:
        rule: What it does to the space of the first size it applies to.
        feasible: Configurations of that space.
        said: What the runs say of it.
    """

    rule: Rule
    feasible: int
    said: Judgement


def bearings(subject: Subject, kernel: Kernel, facts: Mapping[str, Scalar]) -> tuple[Bearing, ...]:
    """Every law that speaks of the op on the hardware, nearest first, held against the runs."""
    found: dict[str, Bearing] = {}
    compiler = subject.runs[0].toolchain.get("tileiras", "")
    context = Context(subject.hw, f"tileiras {compiler}" if compiler else "")
    seen: set[str] = set()
    for size in kernel.sizes:
        speaking = _speaking(subject, size.problem)
        if speaking <= seen:
            continue  # enumerating a space again would tell nothing new
        seen |= speaking
        try:
            space = build(kernel.op, size.problem, facts)
        except KgError:  # nothing feasible at this size, or a fact that its conditions name is missing
            continue
        for rule in restrict(space, subject.laws, context).rules:
            if rule.id not in found:
                found[rule.id] = Bearing(rule, len(space), _judged(rule, kernel, facts))
    return tuple(sorted(found.values(), key=lambda one: (one.rule.match.distance, one.rule.id)))


def _speaking(subject: Subject, problem: Mapping[str, Scalar]) -> set[str]:
    """Ids of the laws that speak of the op on the hardware at one problem size."""
    matcher = Matcher(subject.laws, Question(subject.hw, subject.op, problem))
    return {law.id for law in subject.laws.laws.values() if matcher.match(law) is not None}


def _judged(rule: Rule, kernel: Kernel, facts: Mapping[str, Scalar]) -> Judgement:
    try:
        said = judge(rule.law, kernel.table, facts)
        others = (_judged(rule, other, facts) for other in kernel.others)
        return said if said.problems else next((found for found in others if found.problems), said)
    except ExpressionError as error:  # its condition names what this op's problem sizes do not have
        return Judgement("inconclusive", reason=str(error))


def sections(subject: Subject, found: tuple[Bearing, ...]) -> tuple[Section, ...]:
    """What the laws did and what the audit found; what the runs say of them; what was learned."""
    return (
        Section("What the laws pruned, and the audit", "pruned", tuple(_pruned(subject))),
        Section("The laws held against these runs", "laws", tuple(_held(subject, found))),
        Section("Laws learned", "learned", tuple(_learned(subject))),
    )


def _pruned(subject: Subject) -> Iterator[Block]:
    tested = [(run.id, verdict) for run in subject.runs for verdict in run.tested]
    audits = [run for run in subject.runs if run.audit is not None]
    exhaustive = [run for run in subject.runs if run.exhaustive_over]
    if exhaustive and not tested and not audits:
        axes = " x ".join(f"{len(values)} {name}" for name, values in exhaustive[0].exhaustive_over.items())
        yield Paragraph(
            f"No law took part: {'all' if len(exhaustive) == len(subject.runs) else len(exhaustive)} of these runs are "
            f"exhaustive sweeps ({axes}), so nothing was pruned and there was nothing to audit. "
            "They look everywhere, which is the audit in full: the next section holds every law against them."
        )
        return
    if not tested and not audits:
        yield Paragraph("These runs name no law: nothing was pruned and nothing audited.")
        return
    items = [f"`{run}`: {_verdict_text(subject, verdict)}." for run, verdict in tested]
    items += [
        f"`{run.id}`: `{law}` removed {counted(count, 'configuration')} once the compiled code was known."
        for run in subject.runs
        for law, count in sorted(_cut(run).items())
    ]
    for run in audits:
        if run.audit is None:
            continue
        against = ", ".join(f"`{law}`" for law in run.audit.contradicted)
        outcome = f"contradicted {against}" if against else "contradicted no law"
        items.append(f"`{run.id}`: the audit tried {counted(run.audit.trials, 'removed configuration')} and {outcome}.")
    yield Bullets(tuple(items))


def _cut(run: Run) -> Counter[str]:
    """Law -> trials that it ended after compiling."""
    return Counter(
        trial.failure.message.partition(":")[0]
        for trial in run.trials
        if trial.failure is not None and trial.failure.type == REMOVED_BY_LAW
    )


def _verdict_text(subject: Subject, said: LawVerdict) -> str:
    law = subject.laws.laws.get(said.law)
    claim = f" (`{claim_text(law)}`)" if law is not None else ""
    effect = _effect_text(said.effect, said.interval)
    return f"{said.verdict} `{said.law}`{claim} by {counted(said.count, 'trial')}{effect}"


def _effect_text(effect: Mapping[str, float], interval: Mapping[str, tuple[float, float]]) -> str:
    parts = []
    for name, value in effect.items():
        ends = interval.get(name)
        parts.append(f"{name} {digits(value)}" + (f" [{digits(ends[0])}, {digits(ends[1])}]" if ends else ""))
    return f"; {', '.join(parts)}" if parts else ""


def _held(subject: Subject, found: tuple[Bearing, ...]) -> Iterator[Block]:
    if not found:
        yield Paragraph(f"The law root holds no law about `{subject.op}` on `{subject.hw}`.")
        return
    yield Paragraph(
        "Each law that speaks of this op here, nearest first: what it would do to a search, and what these runs say of it. "
        "The effect is that of the least favourable size, with its 95 % interval. "
        "A verdict here is this report's reading; only evidence written into the law changes its status."
    )
    judged = [one for one in found if one.said.problems]
    if judged:
        yield Bullets(tuple(_bearing(one) for one in judged))
    silent = [one for one in found if not one.said.problems]
    if silent:
        yield Paragraph("What these runs cannot judge, and what it would do to a search:")
        yield Bullets(tuple(_silent(one) for one in silent))


def _bearing(one: Bearing) -> str:
    rule = one.rule
    far = "" if rule.match.hw == "exact" else f", {rule.match.hw} from `{rule.law.scope.hw}`"
    if rule.named is None:
        reach = "what compiling shows" if rule.after is not None else "this space"
    else:
        reach = f"{rule.count:,} of {one.feasible:,} configurations"
    said = one.said
    verdict = said.verdict if rule.match.hw != "transferred" else _ELSEWHERE[said.verdict]
    return (
        f"`{rule.id}` ({kind_of(rule.law)}, {rule.law.status}{far}): `{claim_text(rule.law)}`. "
        f"These runs: {verdict}{_effect_text(said.effect, said.interval)}; {said.reason}. "
        f"In a search it {_POWERS[rule.power]} {reach}: {rule.reason}."
    )


def _silent(one: Bearing) -> str:
    rule = one.rule
    return f"`{rule.id}` ({kind_of(rule.law)}, {rule.law.status}): {rule.reason}."


def _learned(subject: Subject) -> Iterator[Block]:
    items = [
        f"`{candidate.law.id}`: `{claim_text(candidate.law)}`; {candidate.outcome}"
        + (f" ({candidate.reason})" if candidate.reason else "")
        + f", from `{run.id}`."
        for run in subject.runs
        for candidate in run.suggested
    ]
    own = {run.id for run in (*subject.runs, *subject.proofs)}
    items += [
        f"`{law.id}`: `{claim_text(law)}`; {law.status}, on {evidence_text(law.evidence)}."
        for law in subject.laws.laws.values()
        if any(entry.run in own and entry.role == "suggested" for entry in law.evidence)
    ]
    if items:
        yield Bullets(tuple(items))
    else:
        yield Paragraph("No law in the root or in these runs was suggested by them.")
