"""Laws in a report: what each did in the runs, and what the runs say of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from spak.kg.errors import KgError
from spak.kg.evidence.judge import judge
from spak.kg.evidence.rewriting import telling
from spak.kg.evidence.rows import Judgement
from spak.kg.evidence.table import TrialTable
from spak.kg.expression import ExpressionError
from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.scope import Matcher, Question
from spak.kg.law.toolchain import compiler_of
from spak.kg.model.base import Scalar
from spak.kg.model.figures import counted, digits
from spak.kg.model.law import EvidenceVerdict
from spak.kg.model.run import Candidate, Run
from spak.kg.space.space import build
from spak.tuner.knowledge.restriction import Context, Rule, restrict
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Block, Bullets, Paragraph, Section
from spak.tuner.report.timing import KernelRuns

_ELSEWHERE: Mapping[EvidenceVerdict, str] = {
    "supports": "it holds here too",
    "refutes": "it does not hold here",
    "inconclusive": "undecided here",
}
"""A law of other hardware claims nothing about this one: what is seen here neither supports nor refutes it."""


@dataclass(frozen=True)
class LawAccount:
    """What a law does to the space of the first size it applies to, of so many configurations, and what the runs say."""

    rule: Rule
    feasible: int
    said: Judgement


def bearings(subject: Subject, kernel: KernelRuns, facts: Mapping[str, Scalar]) -> tuple[LawAccount, ...]:
    """Every law that speaks of the op on the hardware, nearest first, held against the runs."""
    found: dict[str, LawAccount] = {}
    context = Context(subject.hw, compiler_of(subject.runs[0].toolchain))
    seen: set[str] = set()
    for size in kernel.sizes:
        matcher = Matcher(subject.laws, Question(subject.hw, subject.op.id, size.problem))
        speaking = {law.id for law in subject.laws.laws.values() if matcher.match(law) is not None}
        if speaking <= seen:
            continue  # enumerating a space again would tell nothing new
        seen |= speaking
        try:
            space = build(kernel.op, size.problem, facts)
        except KgError:  # nothing feasible at this size, or a fact that its conditions name is missing
            continue
        for rule in restrict(space, subject.laws, context).rules:
            if rule.id not in found:
                tables = [telling(rule.law, table, kernel.op, subject.laws.systems) for table in kernel.tables]
                found[rule.id] = LawAccount(rule, len(space), _judged(rule, tables, facts))
    return tuple(sorted(found.values(), key=lambda one: (one.rule.match.distance, one.rule.id)))


def _judged(rule: Rule, tables: Sequence[TrialTable], facts: Mapping[str, Scalar]) -> Judgement:
    """By the largest run of each problem size, else by the smaller ones, whose settings may be others."""
    try:
        said = [judge(rule.law, table, facts) for table in tables]
    except ExpressionError as error:  # its condition names what this op's problem sizes do not have
        return Judgement("inconclusive", reason=str(error))
    return next((found for found in said if found.problems), said[0])


def section(subject: Subject, found: tuple[LawAccount, ...]) -> Section:
    """What audits contradicted, what was suggested, and what the runs say of each law."""
    news = [*(line for run in subject.runs for line in _audited(run)), *_suggested(subject.runs)]
    told = "What audits contradicted, and what was suggested:"
    blocks: list[Block] = [Paragraph(told), Bullets(tuple(news))] if news else []
    if found:
        blocks.append(
            Paragraph(
                "Each law that speaks of this op here, nearest first: what these runs say of it, and what it does to a search. "
                "The effect is that of the least favourable size, with its 95 % interval. "
                "A verdict here is this report's reading; only evidence written into the law changes its status."
            )
        )
        own = {run.id for run in (*subject.runs, *subject.proofs)}
        blocks.append(Bullets(tuple(_bearing(one, own) for one in found if one.said.problems)))
    else:
        blocks.append(Paragraph(f"The law root holds no law about `{subject.op.id}` on `{subject.hw}`."))
    silent = sorted((one.rule.reason, one.rule.id) for one in found if not one.said.problems)
    if silent:
        grouped = groupby(silent, key=lambda pair: pair[0])
        reasons = tuple(f"{', '.join(f'`{law}`' for _, law in same)}: {reason}." for reason, same in grouped)
        blocks += [Paragraph("What these runs cannot judge, and why:"), Bullets(reasons)]
    return Section("The laws", "laws", tuple(blocks))


def _audited(run: Run) -> Iterator[str]:
    """What a run's audit contradicted."""
    if run.audit is not None and run.audit.contradicted:
        against = ", ".join(f"`{law}`" for law in run.audit.contradicted)
        tried = counted(run.audit.trials, "removed configuration")
        yield f"`{run.id}`: the audit tried {tried} and contradicted {against}."


def _suggested(runs: Iterable[Run]) -> Iterator[str]:
    """What runs suggested, each claim once with the first run that did; what its tests did not confirm is counted."""
    found: dict[tuple[str, str], tuple[Candidate, list[str]]] = {}
    for run in runs:
        for candidate in run.suggested:
            key = f"{meaning(candidate.law).text} {candidate.law.scope}", candidate.outcome
            found.setdefault(key, (candidate, []))[1].append(run.id)
    for candidate, sources in found.values():
        if candidate.outcome == "confirmed":
            reason = f" ({candidate.reason})" if candidate.reason else ""
            more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
            claim = f"`{candidate.law.id}`: `{meaning(candidate.law).text}`"
            yield f"Suggested, {claim}; confirmed{reason}, from `{sources[0]}`{more}."
    rest = Counter(candidate.outcome for candidate, _ in found.values() if candidate.outcome != "confirmed")
    if rest:
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(rest.items()))
        yield f"Of other suggestions: {told}; the run files list them."


def _effect_text(effect: Mapping[str, float], interval: Mapping[str, tuple[float, float]]) -> str:
    ends = {name: f" [{digits(low)}, {digits(high)}]" for name, (low, high) in interval.items()}
    parts = [f"{name} {digits(value)}{ends.get(name, '')}" for name, value in effect.items()]
    return f"; {', '.join(parts)}" if parts else ""


def _bearing(one: LawAccount, own: set[str]) -> str:
    rule, said = one.rule, one.said
    far = "" if rule.match.hw == "exact" else f", {rule.match.hw} from `{rule.law.scope.hw}`"
    learned = any(entry.run in own and entry.role == "suggested" for entry in rule.law.evidence)
    reach = "what compiling shows" if rule.after is not None else "this space"
    reach = reach if rule.named is None else f"{rule.count:,} of {one.feasible:,} configurations"
    acts = "has no effect" if rule.power is Power.NOTHING else f"{rule.power.value} {reach}"
    verdict = said.verdict if rule.match.hw != "transferred" else _ELSEWHERE[said.verdict]
    return (
        f"`{rule.id}` ({kind_of(rule.law)}, {rule.law.status}{far}{', learned here' if learned else ''}): "
        f"`{meaning(rule.law).text}`. These runs: {verdict}{_effect_text(said.effect, said.interval)}; {said.reason}. "
        f"In a search it {acts}: {rule.reason}."
    )
