"""`kg explain`: one law whole: what it says, on whose evidence, down to the trials, and how to repeat them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Stance
from spak.kg.law.scope import inside
from spak.kg.law.statement import sentence
from spak.kg.law.superseding import in_force
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Evidence, Law
from spak.kg.model.run import Run, Trial
from spak.kg.model.store import Store, SupersededLaw
from spak.kg.model.taxonomy import plain_name, resolved

_OBJECTIVES = ("time", "predicted_time")
"""Measurements that rank trials, lower is better; the first one a run has is used."""


@dataclass(frozen=True)
class Side:
    """Trials of a run on one side of a claim: the best first, as many as asked for, failed ones last."""

    stance: Stance
    count: int
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Witness:
    """One evidence entry with the run behind it.

    Attributes:
        run: The run file; None if the root lacks it.
        outcomes: How the run's trials ended: invalidity -> count.
        sides: The trials by what the claim says of them; sides without trials are left out.
    """

    evidence: Evidence
    run: Run | None
    outcomes: Mapping[str, int]
    sides: tuple[Side, ...]


@dataclass(frozen=True)
class Explanation:
    """A law whole, with the ids of laws that relate to it and how (`refines`, ...).

    Attributes:
        layer: What the layer is called that it lies in; empty for the root itself.
        supersedes: Laws beneath that have no power because of it, or of one that it supersedes.
    """

    law: Law
    sentence: str
    witnesses: tuple[Witness, ...]
    used_by: tuple[str, ...]
    referred_by: Mapping[str, str]
    layer: str = ""
    supersedes: tuple[SupersededLaw, ...] = ()


def explain(store: Store, name: str, *, load_run: Callable[[str], Run | None], num_trials: int = 3) -> Explanation:
    """Everything known about the law called `name`, now or before a rename; of each side of its claim `num_trials` trials.

    Raises:
        UnknownNameError: If no law has that id.
    """
    law = law_called(store, name)
    hardware, op = store.hardware.get(law.scope.hw), store.ops.get(law.scope.op)
    facts = {f"hw.{fact}": value for fact, value in hardware_facts(store, law.scope.hw).items()}
    return Explanation(
        law=law,
        sentence=sentence(law, hw=hardware.title if hardware else law.scope.hw, op=op.title if op else law.scope.op),
        witnesses=tuple(_witness(law, e, load_run(e.run), facts, num_trials) for e in law.evidence),
        used_by=tuple(system.id for system in store.systems.values() if law.id in system.inherits),
        referred_by={
            other: link.type
            for other, links in store.links.items()
            for link in links
            if link.id == law.id and other != law.id
        },
        layer=store.layer_of(law.id),
        supersedes=tuple(one for one in store.superseded if in_force(store)[one.law.id] == law.id),
    )


def law_called(store: Store, name: str) -> Law:
    """The law called `name`, now or before a rename; for one that another supersedes, that one, which says so.

    Raises:
        UnknownNameError: If there is none; carries the nearest ids.
    """
    if name in store.laws:
        return store.laws[name]
    names = {plain_name(law): law for law in store.laws}
    for gone, by in in_force(store).items():
        names.setdefault(plain_name(gone), by)
    for law, links in store.links.items():
        for link in links:
            if link.type == "renamed-from":
                names.setdefault(plain_name(link.id), law)
    return store.laws[resolved("law", name, names)]


def _witness(law: Law, evidence: Evidence, run: Run | None, facts: Mapping[str, Scalar], num_trials: int) -> Witness:
    if run is None:
        return Witness(evidence, None, {}, ())
    sides: dict[Stance, list[Trial]] = {}
    for trial in run.trials:
        sides.setdefault(_stance(law, {**facts, **known_of(trial, run)}), []).append(trial)
    return Witness(
        evidence=evidence,
        run=run,
        outcomes=Counter(trial.invalidity for trial in run.trials),
        sides=tuple(
            Side(stance, len(trials), tuple(sorted(trials, key=_rank)[:num_trials])) for stance, trials in sides.items()
        ),
    )


def _stance(law: Law, known: Mapping[str, Scalar]) -> Stance:
    """What the claim says of a trial; nothing of one that is surely outside the law's scope."""
    return meaning(law).verdict(known).stance if inside(law.scope, known).possibly else "silent"


def known_of(trial: Trial, run: Run) -> dict[str, Scalar]:
    """Every value that a claim may name and this trial has: problem, configuration, measured features."""
    measured: dict[str, Scalar] = {m.name: m.value for m in trial.measurements}
    return {**measured, **run.problem, **trial.problem, **trial.configuration}


def _rank(trial: Trial) -> tuple[bool, float]:
    """Correct trials first, fastest first."""
    value = objective(trial)
    return trial.invalidity != "correct", float("inf") if value is None else value


def objective(trial: Trial) -> float | None:
    """The measurement that ranks the trial, if it has one."""
    return next((value for name in _OBJECTIVES if (value := trial.value(name)) is not None), None)
