"""`kg explain` and `kg why` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spak.cli.render.query import condition_text, how, superseded_lines
from spak.cli.render.text import STATUS_STYLES, Pen, joined, with_right, wrap
from spak.kg.answers.explain import Explanation, Side, Witness
from spak.kg.answers.why import Account, Opinion
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds.base import STANCES, Power, Stance
from spak.kg.law.statement import elsewhere_text, evidence_text
from spak.kg.law.status import standing
from spak.kg.model.figures import counted, number_text
from spak.kg.model.law import Evidence
from spak.kg.model.run import Measurement, Run, Trial
from spak.kg.model.store import Store

SIGNS = {"supports": ("+", "green"), "refutes": ("-", "red"), "inconclusive": ("~", "yellow")}
"""Sign and style of a verdict."""

STANCE_TITLES: Mapping[Stance, tuple[str, str]] = {
    "against": ("Against it", "red"),
    "for": ("For it", "green"),
    "indifferent": ("Makes no difference", "blue"),
    "undecided": ("Cannot be decided yet", "yellow"),
    "silent": ("Does not speak about it", "dim"),
}
"""What each opinion of a configuration is called, and its style."""

_POWERS = {
    Power.REMOVE: "may remove it",
    Power.POSTPONE: "only reorders",
    Power.PREFER: "only reorders",
    Power.NOTHING: "moves nothing",
}
SIDE_TITLES: Mapping[Stance, str] = {
    "against": "what the claim speaks against",
    "for": "what the claim speaks for",
    "indifferent": "what the claim calls equal",
    "undecided": "what the claim cannot decide",
    "silent": "outside the claim or its scope",
}
"""What the trials of each side are called."""


def explanation(found: Explanation, pen: Pen) -> str:
    """The whole story of one law."""
    law = found.law
    reason = standing(law).reason
    lines = with_right(pen, wrap(law.id, width=66), law.status, *STATUS_STYLES[law.status])
    lines += [pen(line, "bold") for line in wrap(law.title)]
    lines += ["", *wrap(found.sentence)]
    lines += ["", *wrap(f"Why {law.status}: {reason}")] if reason else []
    lines += wrap(f"Found {law.origin}") if law.origin else []
    lines += wrap(elsewhere_text(law.evidence).capitalize())
    if law.withdrawn:
        lines += wrap(f"Withdrawn on {law.withdrawn.date}: {law.withdrawn.reason}")
    for witness in found.witnesses:
        lines += ["", *_witness(witness, pen)]
    lines += _links(found, pen)
    return "\n".join([*lines, ""])


def _witness(witness: Witness, pen: Pen) -> list[str]:
    evidence = witness.evidence
    sign, style = SIGNS[evidence.verdict]
    head = f"{evidence.verdict}: {evidence.tier}, {evidence.role}"
    lines = [pen(sign, "bold", style) + " " + pen(head, "bold"), *wrap(f"run {evidence.run}", indent=2)]
    lines += [line for text in _effects(evidence) for line in wrap(text, indent=2)]
    lines += [line for problem in evidence.problems for line in wrap(f"at {problem.replace(',', ', ')}", indent=2)]
    if evidence.note:
        lines += wrap(evidence.note, indent=2)
    if witness.run is None:
        return [*lines, "  its run file is not in this law root"]
    lines += [line for text in _provenance(witness.run, evidence) for line in wrap(text, indent=2)]
    if witness.run.trials:
        ends = ", ".join(f"{count} {name}" for name, count in sorted(witness.outcomes.items()))
        lines += wrap(f"{counted(len(witness.run.trials), 'trial')}: {ends}", indent=2)
    return [*lines, *(line for side in witness.sides for line in _side(side, pen))]


def _effects(evidence: Evidence) -> list[str]:
    texts = []
    for name, value in evidence.effect.items():
        interval = evidence.interval.get(name)
        spread = f" (95 % interval {number_text(interval[0])} to {number_text(interval[1])})" if interval else ""
        texts.append(f"{name} = {number_text(value)}{spread}")
    return texts


def _provenance(run: Run, evidence: Evidence) -> list[str]:
    """Who says so: time, hardware, driver, toolchain, code, method, source, and how to repeat it."""
    toolchain = ", ".join(f"{name} {version}" for name, version in run.toolchain.items()) or evidence.toolchain
    device = joined([run.device.name, f"driver {run.device.driver}" * bool(run.device.driver)]) if run.device else ""
    noise = run.noise
    method = f"{noise.rounds} rounds of {noise.repeats}, {noise.timer}, L2 {noise.l2}" if noise else ""
    parts = [
        joined([run.created, run.hw, device, toolchain]),
        f"kernel {run.kernel.name}, source {run.kernel.source_sha256[:12]}" if run.kernel else "",
        f"commit {run.commit}" if run.commit else "",
        f"timed: {method}" if method else "",
        f"FLOPs counted: {run.flop_rule}" if run.flop_rule else "",
        f"source: {run.source}" if run.source else "",
        run.note,
        f"repeat: {run.reproduce}" if run.reproduce else "",
    ]
    return [part for part in parts if part]


def _side(side: Side, pen: Pen) -> list[str]:
    shown = len(side.trials)
    some = f", {shown} of {side.count} shown" if shown < side.count else f", {side.count}"
    title = f"{SIDE_TITLES[side.stance]}{some}:"
    return [pen(line, "dim") for line in wrap(title, indent=2)] + [line for t in side.trials for line in _trial(t)]


def _trial(trial: Trial) -> list[str]:
    """Configuration and every number of one trial, a failure with its message."""
    values = ", ".join(f"{m.name} {number_text(m.value)}{_unit(m)}" for m in trial.measurements)
    if trial.failure:
        values = joined([values, f"{trial.invalidity}: {trial.failure.type}: {trial.failure.message}"])
    where = show_assignments(trial.configuration)
    at = show_assignments(trial.problem)
    return wrap(f"{where}{f' at {at}' if at else ''}: {values or trial.invalidity}", indent=4)


def _unit(measurement: Measurement) -> str:
    """The unit, unless it is none or the name says it."""
    said = measurement.unit == "1" or measurement.unit.casefold() in measurement.name.casefold()
    return "" if said else f" {measurement.unit}"


def _links(found: Explanation, pen: Pen) -> list[str]:
    law = found.law
    texts = [f"{link.type.replace('-', ' ')} {link.id}" for link in law.related]
    texts += [f"{other} {kind.replace('-', ' ')} this" for other, kind in found.referred_by.items()]
    texts += [f"in {found.layer}"] if found.layer else []
    texts += [one.words for one in found.supersedes]
    if found.used_by:
        texts.append(f"inherited by {', '.join(found.used_by)}")
    texts += [f"acknowledges {text}" for text in law.acknowledges]
    texts += [": ".join(part for part in (r.title, r.url, r.note) if part) for r in law.references]
    return ["", *(pen(line, "dim") for text in texts for line in wrap(text))] if texts else []


def account(found: Account, store: Store, pen: Pen) -> str:
    """Which laws speak for and against a configuration, strongest first."""
    title = f"{show_assignments(found.configuration) or 'any configuration'} of {store.ops[found.op].title}"
    lines = [pen(line, "bold") for line in wrap(f"{title} on {store.hardware[found.hw].title}")]
    for stance in STANCES:
        opinions = [opinion for opinion in found.opinions if opinion.verdict.stance == stance]
        heading, style = STANCE_TITLES[stance]
        if opinions and stance == "silent":
            lines += ["", pen(heading, "bold", style), *wrap(", ".join(o.law.id for o in opinions), indent=2)]
        elif opinions:
            lines += ["", pen(heading, "bold", style), *(line for o in opinions for line in _opinion(o, store, pen))]
    if not found.opinions:
        lines += ["", "No law speaks about it."]
    said = superseded_lines(found.superseded)
    lines += ["", *(pen(line, "dim") for text in said for line in wrap(text))] if said else []
    return "\n".join([*lines, ""])


def _opinion(opinion: Opinion, store: Store, pen: Pen) -> list[str]:
    law, verdict = opinion.law, opinion.verdict
    lines = with_right(pen, wrap(law.title, indent=2, width=66), law.status, *STATUS_STYLES[law.status])
    texts: Sequence[str] = [
        verdict.reason,
        *condition_text(opinion.match),
        f"needs {', '.join(verdict.needs)}" if verdict.needs else "",
        evidence_text(law.evidence),
        elsewhere_text(law.evidence),
        f"{_POWERS[opinion.permission.power]}: {opinion.permission.reason}",
    ]
    lines += [line for text in texts if text for line in wrap(text, indent=4)]
    origin = joined([law.id, *how(opinion.match, store), opinion.layer])
    return lines + [pen(line, "dim") for line in wrap(origin, indent=4)]
