"""What a search tells: the ranked trials, what each law did, what the audit saw, and the answer in words."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

import msgspec

from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.kinds.base import Power
from spak.kg.law.statement import evidence_text
from spak.kg.model.base import Model, Scalar
from spak.kg.model.run import UNSTEADY_TIME
from spak.tuner.backend.base import Backend
from spak.tuner.engine.doubt import ALL_TRIED, HOPELESS, is_aside
from spak.tuner.engine.searcher import Result
from spak.tuner.engine.session import SearchTask
from spak.tuner.engine.tally import contradicted
from spak.tuner.knowledge.restriction import Restriction, Rule

SHOWN_FEATURES = ("registers", "spill_bytes", "smem_bytes", "threads", "ctas_per_sm")
"""Compiled features that a ranked row shows."""

TIE = 1.01
"""Predictions within 1 % are shown as ties: the model claims no more (see docs/decisions/0063)."""


class RankedRow(Model, frozen=True, kw_only=True, omit_defaults=False):
    """One ranked trial.

    Attributes:
        rank: 1-based; ties share a rank.
        value: The objective (see `SearchReport.objective`), in microseconds.
        low, high: Its 95 % interval; None for a prediction.
        origin: Why it was tried.
        laws: Ids of laws that speak against it.
    """

    rank: int
    configuration: dict[str, Scalar]
    value: float
    low: float | None
    high: float | None
    features: dict[str, float]
    origin: str
    laws: tuple[str, ...]


class LawEffect(Model, frozen=True, kw_only=True, omit_defaults=False):
    """What one law did in this search.

    Attributes:
        match: `exact`, `inherited` or `transferred`.
        power: `removes`, `postpones`, `prefers` or `no effect`.
        reason: Why it may do so, or no more.
        named: Configurations of what was searched that it speaks of before compiling; None if that takes compiled features.
        compiled: Configurations it named once they were compiled.
        tried: How many of those it names were tried all the same.
        agreed, contradicted: How many trials bear it out, and how many do not.
        evidence: What it rests on, in words.
        layer: What the layer is called that it lies in; empty for the law root itself.
    """

    id: str
    kind: str
    status: str
    claim: str
    match: str
    power: str
    reason: str
    named: int | None
    compiled: int
    tried: int
    agreed: int
    contradicted: int
    evidence: str
    layer: str = ""


class BaselineRow(Model, frozen=True, kw_only=True, omit_defaults=False):
    """A library's own implementation, timed in the rounds of the trials.

    Attributes:
        value: Median time in microseconds.
        low, high: Its 95 % interval.
    """

    name: str
    value: float
    low: float | None
    high: float | None


class Counts(Model, frozen=True, kw_only=True, omit_defaults=False):
    """How many configurations went which way.

    Attributes:
        feasible: The whole space.
        searched: What of it was searched: all, or a part of a large one.
        removed, postponed: Of what was searched.
        failed: Trials without a result.
        audited: Trials where laws say not to look.
        removed_after_compiling: Configurations that were compiled and, by a law about compiled features, not tried.
        unsteady: Trials whose time does not count, since the device had drifted meanwhile.
        kept: Trials of the budget that were kept for testing what the search suggests; not among `tried`.
    """

    feasible: int
    searched: int
    removed: int
    postponed: int
    tried: int
    failed: int
    audited: int
    removed_after_compiling: int
    kept: int = 0
    unsteady: int = 0


class SearchReport(Model, frozen=True, kw_only=True, omit_defaults=False):
    """The JSON form of a search's report. Stable: keys are added, never renamed.

    Attributes:
        objective: What ranks: `time` (measured) or `predicted_time`, in microseconds.
        default: The op's default configuration's row, None if it failed or is infeasible.
        baselines: Library implementations timed in the same rounds, the fastest first; empty where nothing was timed.
        contradicted: Laws that this run contradicts.
        suspended: Laws that it went on without although nothing contradicts them -> why, in words.
        superseded: Laws beneath that would speak of the op if none above superseded them, and which does, in words.
        answer: The last screen: which configuration, why, what was not tried and on whose evidence.
        run: Path of the run file; empty if none was written.
        launch: Python that launches the kernel with `best`, the first configuration of `ranked`; empty if nothing worked.
    """

    hw: str
    op: str
    problem: dict[str, Scalar]
    backend: str
    objective: str
    counts: Counts
    ranked: tuple[RankedRow, ...]
    default: RankedRow | None
    laws: tuple[LawEffect, ...]
    contradicted: tuple[str, ...]
    suspended: dict[str, str]
    answer: tuple[str, ...]
    seconds: float
    interrupted: bool
    run: str = ""
    superseded: tuple[str, ...] = ()
    baselines: tuple[BaselineRow, ...] = ()
    launch: str = ""


def search_report(task: SearchTask, backend: Backend, feasible: int, result: Result, *, kept: int = 0) -> SearchReport:
    """The report of a search.

    Args:
        task: What was searched.
        backend: What evaluated it.
        feasible: Configurations of the whole space, of which a part may have been searched.
        result: What it came to.
        kept: Trials kept for testing what it suggests.
    """
    objective = backend.provenance().objective
    ranked = tuple(_ranked(result, objective))
    report = SearchReport(
        hw=task.hw,
        op=task.op.id,
        problem=dict(result.restriction.space.setting.problem),
        backend=backend.name,
        objective=objective,
        counts=_counts(feasible, result, kept),
        ranked=ranked,
        default=next((row for row in ranked if row.origin == "default"), None),
        laws=tuple(_law_line(rule, result) for rule in result.restriction.rules),
        contradicted=tuple(contradicted(result.findings)),
        suspended=dict(result.restriction.suspended),
        superseded=result.restriction.superseded,
        answer=(),
        seconds=result.elapsed_s,
        interrupted=result.interrupted,
        baselines=tuple(_baselines(backend, result)),
        launch=launch_text(task) if ranked else "",
    )
    return msgspec.structs.replace(report, answer=tuple(_answer(report, result)))


def launch_text(task: SearchTask) -> str:
    """`import spak; ran = spak.launch("matmul", best, "m2048")`: a line, or with a long size a few."""
    kernel, size = json.dumps(task.own or task.op.id), task.problem_text
    line = f"import spak; ran = spak.launch({kernel}, best, {json.dumps(size)})"
    if len(line) <= _COLUMNS:
        return line
    parts = textwrap.wrap(size.replace(",", ", "), _COLUMNS - 8, break_on_hyphens=False, break_long_words=False)
    words = "\n    ".join(json.dumps(part.replace(", ", ",")) for part in parts)
    return f"import spak; ran = spak.launch({kernel}, best,\n    {words})"


_COLUMNS = 80
"""Of a line that is printed."""


def _baselines(backend: Backend, result: Result) -> Iterator[BaselineRow]:
    timed = backend.references(dict(result.restriction.space.setting.problem))
    for name, time in sorted(timed.items(), key=lambda item: item[1].value):
        yield BaselineRow(name=name, value=time.value, low=time.low, high=time.high)


def _ranked(result: Result, objective: str) -> Iterator[RankedRow]:
    placed = zip(result.indices, result.trials, strict=True)
    rows = [(i, t) for i, t in placed if t.invalidity == "correct" and t.value(objective) is not None]
    # of equals the one that spills less and takes fewer registers is the safer bet
    rows.sort(key=lambda row: [row[1].value(name) or 0.0 for name in (objective, "spill_bytes", "registers")])
    rank, leader = 0, 0.0
    for place, (index, trial) in enumerate(rows, 1):
        found = next(m for m in trial.measurements if m.name == objective)
        ties = found.value <= leader * TIE if found.low is None else found.low <= leader
        if not leader or not ties:
            rank, leader = place, found.value if found.high is None else found.high
        rules = result.restriction.speaking_of(index)
        yield RankedRow(
            rank=rank,
            configuration=trial.configuration,
            value=found.value,
            low=found.low,
            high=found.high,
            features={name: value for name in SHOWN_FEATURES if (value := trial.value(name)) is not None},
            origin=trial.origin,
            laws=tuple(rule.id for rule in rules if rule.power in {Power.REMOVE, Power.POSTPONE}),
        )


def _counts(feasible: int, result: Result, kept: int) -> Counts:
    restriction = result.restriction
    by_law = [trial for trial in result.trials if is_aside(trial)]
    return Counts(
        feasible=feasible,
        searched=len(restriction.space),
        removed=int(restriction.removed.sum()),
        postponed=int(restriction.postponed.sum()),
        tried=len(result.trials) - len(by_law),
        failed=sum(t.invalidity != "correct" for t in result.trials) - len(by_law),
        audited=result.audited,
        removed_after_compiling=len(by_law),
        kept=kept,
        unsteady=sum(trial.value(UNSTEADY_TIME) is not None for trial in result.trials),
    )


def _law_line(rule: Rule, result: Result) -> LawEffect:
    own = [finding for finding in result.findings if finding.law == rule.id]
    ended = [t.failure.message for t in result.trials if t.failure and is_aside(t)]
    cut = sum(message.startswith(f"{rule.id}:") for message in ended)
    idle = _idle(rule, result.restriction)
    return LawEffect(
        id=rule.id,
        kind=kind_of(rule.law),
        status=rule.law.status,
        claim=meaning(rule.law).text,
        match=rule.match.hw,
        power=Power.NOTHING.value if idle else rule.power.value,
        reason=idle or rule.reason,
        named=None if rule.named is None else rule.count,
        compiled=cut + (len(own) if rule.named is None else 0),
        tried=len(own),
        agreed=sum(finding.outcome == "agrees" for finding in own),
        contradicted=sum(finding.outcome == "contradicts" for finding in own),
        evidence=evidence_text(rule.law.evidence),
        layer=rule.layer,
    )


def _idle(rule: Rule, restriction: Restriction) -> str:
    """Why the search went on without a law; empty if it did not."""
    if rule.id in restriction.contested:
        return "contested: this search contradicts it"
    why = restriction.suspended.get(rule.id)
    return f"suspended: {why}" if why else ""


def _answer(report: SearchReport, result: Result) -> Iterator[str]:
    """Which configuration, why, how it compares, and what was not tried."""
    if not report.ranked and any(trial.invalidity == "correct" for trial in result.trials):
        compiled = sum(trial.invalidity == "correct" for trial in result.trials)
        yield f"{compiled} of {report.counts.tried} configurations compile; {report.op} declares no counts, so none is ranked."
        yield _not_tried(report.counts)
        return
    if not report.ranked:
        yield f"No configuration of {report.op} worked on {report.hw}; every failure is in the run file."
        return
    word, did, margin = "measured", "ran correctly", "its error margin"
    if report.objective != "time":
        word, did, margin = "predicted", "compile", "1 %"
    best, count = report.ranked[0], len(report.ranked)
    yield f"Use {show_assignments(best.configuration)}"
    yield f"because its {word} time, {best.value:.1f} us, is the lowest of {count} that {did}{_against(best, report.default)}."
    yield from (_beside(baseline, best) for baseline in report.baselines)
    ties = sum(row.rank == 1 for row in report.ranked) - 1
    if ties:
        yield f"{ties} more {'is' if ties == 1 else 'are'} within {margin}: a tie."
    if word == "predicted":
        yield "Nothing was timed: run the same command on the GPU before you rely on it."
    yield _not_tried(report.counts)
    yield from _gone_on_without(result)


def _against(best: RankedRow, default: RankedRow | None) -> str:
    if default is None:
        return ""
    if default.configuration == best.configuration:
        return "; it is the default"
    return f", {default.value / best.value:.2f}x faster than the default"


def _beside(baseline: BaselineRow, best: RankedRow) -> str:
    """A baseline beside the best; the ratio's interval is the widest that the two intervals allow."""
    text = f"{baseline.name}: {baseline.value:.1f} us, {baseline.value / best.value:.2f} times as long"
    if None in {baseline.low, baseline.high, best.low, best.high}:
        return f"{text}."
    return f"{text} ({baseline.low / best.high:.2f} to {baseline.high / best.low:.2f})."  # type: ignore[operator]


def _not_tried(counts: Counts) -> str:
    outside = counts.feasible - counts.searched
    part = f"{outside} of them outside the part that was searched; of that part " if outside else ""
    return (
        f"Not tried: {counts.feasible - counts.tried} of {counts.feasible} configurations; {part}{counts.removed} "
        f"removed by laws, {counts.postponed} postponed, the rest out of budget."
    )


def _gone_on_without(result: Result) -> Iterator[str]:
    """Laws that left too little or contradicted each other, and why a search ended before its budget."""
    for law, why in sorted(result.restriction.suspended.items()):
        if why not in {ALL_TRIED, HOPELESS}:
            yield f"Went on without {law}: {why}."
    if result.num_unsafe:
        rules = [rule.id for rule in result.restriction.live if rule.is_safety and rule.power is Power.REMOVE]
        yield f"All else was tried: {result.num_unsafe} configurations are not safe by {', '.join(rules)}."
