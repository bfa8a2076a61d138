"""A search of a recorded space, put together as a live one is, and what it came to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from spak.kg.errors import UnknownNameError
from spak.kg.evidence.table import coded
from spak.kg.files.loader import Laws
from spak.kg.formats.nodes import HardwareName, hardware_nodes
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.op import Op
from spak.kg.model.run import Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import completed
from spak.kg.space.space import Setting, Space
from spak.tuner.backend.replay import ReplayBackend
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.opening import Manner, opening
from spak.tuner.engine.searcher import Result
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.gather import OwnRuns, SearchTarget
from spak.tuner.knowledge.known import Knowledge, named
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.strategy.asking import KNOWN

FRACTIONS = (0.95, 0.99)
"""Fractions of the recorded optimum (optimum / time) that evaluations are counted to."""


@dataclass(frozen=True)
class Replay:
    """What is replayed.

    Attributes:
        hardware: The record's hardware; it need not be known.
        op: Op name; it need not be known.
        laws: None to know nothing at all.
        strategy: Empty: the default, another where anything is known.
        budget: Most trials; None for the whole space.
        audit: Share of the trials that goes where laws say not to look.
        own_runs: Which runs of the same hardware and op take part.
        toolchain: `name version` that the record was compiled with; without it no law is certain enough to remove.
    """

    hardware: HardwareName
    op: str
    laws: Laws | None = None
    strategy: str = ""
    budget: int | None = None
    seed: int = 0
    audit: float = 0.05
    own_runs: OwnRuns = "none"
    toolchain: str = ""


@dataclass(frozen=True)
class Replayed:
    """What a replay came to.

    Attributes:
        hw, op: Ids; the hardware's may be new.
        optimum: The fastest recorded configuration.
        random: Evaluations that random search expects to need to each of `FRACTIONS`.
        reasons: Place of a trial (from 0) -> what it was proposed from.
        knowledge: What was known before the first trial; None if nothing was asked.
        overhead_ms: Time per trial spent on choosing and bookkeeping.
    """

    hw: str
    op: str
    space: Space
    strategy: str
    restriction: Restriction
    knowledge: Knowledge | None
    optimum: Trial
    random: Mapping[float, float]
    trials: tuple[Trial, ...]
    reasons: Mapping[int, str]
    overhead_ms: float

    @property
    def best(self) -> Trial | None:
        """The fastest trial of the search."""
        timed = [trial for trial in self.trials if trial.value("time") is not None]
        return min(timed, key=lambda trial: trial.value("time") or 0.0, default=None)

    def evaluations_to(self, fraction: float) -> int | None:
        """Number of trials until one reached `fraction` of the recorded optimum; None if none did."""
        best = self.optimum.value("time") or 0.0
        for place, trial in enumerate(self.trials, 1):
            found = trial.value("time")
            if found is not None and best >= fraction * found:
                return place
        return None

    def seconds_to(self, evaluations: int | None) -> float | None:
        """What the first `evaluations` trials cost, by the record: compile, check and launch."""
        return None if evaluations is None else sum(cost_s(trial) for trial in self.trials[:evaluations])


def cost_s(trial: Trial) -> float:
    """Seconds that a trial took when it was recorded."""
    times = trial.times
    return (times.compilation + times.validation + times.framework + times.benchmark) * 1e-3


def _ignore(*_: object) -> None:
    """Nothing is recorded and nothing shown: a replay takes a moment."""


SILENT = loop.Hooks(time.monotonic, _ignore, _ignore)


def expected_random(recording: Recording, fraction: float) -> float:
    """Evaluations that random search needs to `fraction` of the optimum: (N + 1) / (g + 1) with g good enough, exactly."""
    times = [time for trial in recording.trials if (time := trial.value("time")) is not None]
    best = min(times)
    return (len(recording.trials) + 1) / (sum(best >= fraction * time for time in times) + 1)


def replay(recording: Recording, what: Replay, hooks: loop.Hooks = SILENT) -> Replayed:
    """Search a recorded space as if it were live; `hooks` may watch it.

    Raises:
        KgError: For names and files of the law root that cannot be used.
        TunerError: If the record holds no correct time, does not match the op, or the strategy is unknown.
    """
    laws, hw = with_hardware(what.laws, what.hardware) if what.laws else (None, hardware_nodes({}, what.hardware)[0])
    op = _op(laws, what.op)
    recording = _completed(recording, op)
    timed = [trial for trial in recording.trials if trial.value("time") is not None]
    if not timed:
        raise TunerError("no correct time in the record; there is nothing to search for")
    space = recorded_space(recording, op, what.op, hardware_facts(laws, hw) if laws else {})
    reasons: dict[tuple[int, ...], str] = {}
    budget = Budget(what.budget if what.budget is not None else len(space), None, what.audit if laws else 0.0)
    target = SearchTarget(hw, what.own_runs, space.setting.problem)
    begun = opening(laws, space, target, Manner(budget, what.strategy, what.seed, what.toolchain), reasons.__setitem__)
    started = time.perf_counter()
    result = loop.run_search(begun.search, ReplayBackend(recording), hooks)
    spent = time.perf_counter() - started
    return Replayed(
        hw=hw,
        op=space.op,
        space=space,
        strategy=begun.strategy,
        restriction=result.restriction,
        knowledge=begun.knowledge,
        optimum=min(timed, key=lambda trial: trial.value("time") or 0.0),
        random={fraction: expected_random(recording, fraction) for fraction in FRACTIONS},
        trials=result.trials,
        reasons=_by_place(result, reasons, begun.knowledge),
        overhead_ms=1e3 * spent / max(len(result.trials), 1),
    )


def _completed(recording: Recording, op: Op | None) -> Recording:
    """`recording` with the defaults of parameters that its op has gained since."""
    if op is None or recording.parameters.keys() >= op.parameters.keys():
        return recording
    complete = [completed(op, trial.configuration) for trial in recording.trials]
    trials = tuple(
        msgspec.structs.replace(trial, configuration=configuration)
        for trial, configuration in zip(recording.trials, complete, strict=True)
    )
    return replace(recording, parameters=seen_parameters(trials), trials=trials)


def recorded_space(recording: Recording, op: Op | None, name: str, facts: Mapping[str, Scalar]) -> Space:
    """The space of what was recorded. Its default is the op's, unless the op is open and nobody chose one.

    Raises:
        TunerError: If the record's parameters are not those of the op.
    """
    names = tuple(op.parameters) if op is not None and op.parameters else tuple(recording.parameters)
    if set(names) != set(recording.parameters):
        odd = ", ".join(sorted(set(names) ^ set(recording.parameters)))
        raise TunerError(f"the record's parameters are not those of op {name!r}: {odd}; name the op it belongs to")
    values, codes = coded(names, [trial.configuration for trial in recording.trials])
    ranked = codes[np.lexsort(codes.T[::-1])]
    default: Configuration = {}
    if op is not None and not op.open:
        default = {name: op.parameters[name].default for name in names}
        if any(default[name] not in seen for name, seen in zip(names, values, strict=True)):
            default = {}
    problem = {name: parameter.default for name, parameter in op.problem.items()} if op is not None else {}
    setting = Setting({**problem, **recording.problem}, facts)
    return Space(op.id if op is not None else name, setting, names, values, default, (ranked,))


def with_hardware(laws: Laws, name: HardwareName) -> tuple[Laws, str]:
    """`laws` with that hardware among them, and its id: what is not registered is a stranger, not an error."""
    hw, new = hardware_nodes(laws.hardware, name)
    hardware = {**laws.hardware, **{node.id: node for node in new}}
    return replace(laws, contents=msgspec.structs.replace(laws.contents, hardware=hardware)) if new else laws, hw


def _op(laws: Laws | None, name: str) -> Op | None:
    try:
        return laws.ops[Taxonomy("op", laws.ops).resolve(name)] if laws is not None else None
    except UnknownNameError:
        return None


def _by_place(result: Result, reasons: Mapping[tuple[int, ...], str], known: Knowledge | None) -> dict[int, str]:
    """Why each configuration was proposed; a known order is named by what is in it."""
    order = (named(known.labels, known.weights) if known is not None else "") or "laws"
    codes = map(tuple, result.restriction.space.at(result.indices).tolist())
    placed = enumerate(zip(result.trials, codes, strict=True))
    why = {place: reasons[one] for place, (trial, one) in placed if trial.origin == "strategy" and one in reasons}
    return {place: f"{reason}: {order}" if reason == KNOWN else reason for place, reason in why.items()}
