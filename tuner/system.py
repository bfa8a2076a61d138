"""Searches what a system leaves open: operator after operator, those that take the most time first, each under the laws.

Which operators, at which sizes, and how long each takes is data of the system's file; nothing here knows a system.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from spak.kernels.registry import SPECS
from spak.kg.files.loader import Laws, load
from spak.kg.model.base import Configuration
from spak.kg.model.op import Op
from spak.kg.model.run import CONFIRM, Trial
from spak.kg.model.system import System, TuningSpace
from spak.kg.model.taxonomy import by_plain_name, plain_name, resolved
from spak.kg.space.completion import complete, completed
from spak.tuner.backend.base import Request
from spak.tuner.backend.check import Checker, Server
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.errors import TunerError
from spak.tuner.search import SearchRequest, SearchResult, search


@dataclass(frozen=True)
class SystemRequest:
    """What a person wants of the search of a system.

    Attributes:
        system: Id, alias or title.
        each: How every operator is searched. Its kernel and problem are the system's to say; its `trials` are those of one
            operator, its `seconds` those of all together.
    """

    system: str
    each: SearchRequest = field(default_factory=SearchRequest)


@dataclass(frozen=True)
class OperatorSearch:
    """One operator of a system.

    Attributes:
        part: What the system's file says of it.
        share: Of the time of all operators whose time is known; None if its own is not.
        result: Its search; None if it was not searched.
        left_out: Why not; empty if it was.
    """

    part: TuningSpace
    share: float | None
    result: SearchResult | None = None
    left_out: str = ""

    @property
    def gain(self) -> float | None:
        """Time of the default over that of the best; None where either was not tried or did not run."""
        report = self.result.report if self.result is not None else None
        return report.default.value / report.ranked[0].value if report is not None and report.default else None


@dataclass(frozen=True)
class SystemResult:
    """What the search of a system came to.

    Attributes:
        gate: Checks that were executed first, and held.
        operators: In the order in which they were searched; those left out last.
        interrupted: Whether it was stopped before all were searched.
    """

    system: System
    gate: tuple[str, ...]
    operators: tuple[OperatorSearch, ...]
    interrupted: bool = False

    @property
    def gain(self) -> float | None:
        """Time of the operators with every default over that with every best; None if no operator has a known time."""
        known = [(one.part.time_us, one.gain) for one in self.operators if one.part.time_us is not None]
        before = sum(time for time, _ in known)
        after = sum(time / (gain or 1.0) for time, gain in known)
        return before / after if after else None


def search_system(request: SystemRequest, around: Surroundings, *, serve: Server | None = None) -> SystemResult:
    """Search every operator of a system, as `search` does; each sees what the ones before it wrote.

    Args:
        request: What is wanted.
        around: Where.
        serve: What the processes of the gate's checks run; else the checks of the kernels.

    Raises:
        UnknownNameError: If there is no such system; carries the nearest.
        KgError, TunerError: As `search`; if the system leaves nothing open, or a check of its gate does not hold.
    """
    system = system_called(around.laws, request.system)
    if not system.tuning_space:
        raise TunerError(f"system {system.id!r} has no tuning_space, so that nothing of it is searched")
    if request.each.resume:
        raise TunerError("resume: goes on with the search of one operator; name it by its run alone")
    _pass(system, around.laws, request.each.seed, serve)
    waiting = tuple(planned(system))
    done: list[OperatorSearch] = []
    started = around.clock()
    for place, operator in enumerate(waiting):
        if operator.left_out:
            done.append(operator)
            continue
        spent = around.clock() - started
        each = _request_of(operator.part, request.each, _seconds(request.each.seconds, spent, waiting[place:]))
        around.say(_told(operator, place, len(waiting)))
        found = search(each, replace(around, laws=_narrowed(around.laws, system, operator.part)))
        done.append(replace(operator, result=found))
        if found.report.interrupted:
            return SystemResult(system, system.gate, (*done, *waiting[place + 1 :]), interrupted=True)
        if found.run_file is not None and found.run_file.is_relative_to(around.root.path):
            around = replace(around, laws=load(around.root.path))
    return SystemResult(system, system.gate, tuple(done))


def names_system(laws: Laws, name: str) -> bool:
    """Whether `name` is a system's, and not that of an op that a kernel implements: a kernel comes first."""
    op = by_plain_name(laws.ops).get(plain_name(name))
    return op not in SPECS and plain_name(name) in by_plain_name(laws.systems)


def system_called(laws: Laws, name: str) -> System:
    """The system with that id, alias or title.

    Raises:
        UnknownNameError: If there is none; carries the nearest.
    """
    return laws.systems[resolved("system", name, by_plain_name(laws.systems))]


def planned(system: System) -> Iterator[OperatorSearch]:
    """The operators of a system, the longest first, then those whose time is unknown, then those that no kernel searches."""
    parts = sorted(system.tuning_space, key=lambda part: (part.op not in SPECS, -(part.time_us or 0.0)))
    total = sum(part.time_us or 0.0 for part in parts)
    for part in parts:
        share = part.time_us / total if part.time_us and total else None
        yield OperatorSearch(part, share, left_out="" if part.op in SPECS else "no kernel of this op is searched")


def _told(operator: OperatorSearch, place: int, count: int) -> str:
    share = f", {operator.share:.0%} of the time of all" if operator.share is not None else ""
    return f"{place + 1} of {count}: {operator.part.op} {operator.part.problem}".rstrip() + share


def _seconds(all_of_them: float | None, spent: float, waiting: Sequence[OperatorSearch]) -> float | None:
    """Seconds of the first of `waiting`: its share of what is left by time, by count where a time is unknown."""
    if all_of_them is None:
        return None
    times = [one.part.time_us for one in waiting if not one.left_out]
    known = [time for time in times if time is not None]
    weights = [float(time) for time in known] if len(known) == len(times) else [1.0] * len(times)
    return max(all_of_them - spent, 0.0) * weights[0] / sum(weights)


def _request_of(part: TuningSpace, each: SearchRequest, seconds: float | None) -> SearchRequest:
    return replace(each, kernel=part.op, problem=part.problem, seconds=seconds)


def _narrowed(laws: Laws, system: System, part: TuningSpace) -> Laws:
    """`laws` in which the op has but the values that the system leaves open."""
    if not part.parameters:
        return laws
    op = laws.ops[part.op]
    own = completed(op, system.configurations.get(op.id, {}))
    held = {
        name: one if name in part.parameters else msgspec.structs.replace(one, values=(own[name],), default=own[name])
        for name, one in op.parameters.items()
    }
    ops = {**laws.ops, op.id: msgspec.structs.replace(op, parameters=held)}
    return replace(laws, contents=msgspec.structs.replace(laws.contents, ops=ops))


def _pass(system: System, laws: Laws, seed: int, serve: Server | None) -> None:
    """Execute the system's gate.

    Raises:
        TunerError: If a check is unknown or does not hold: then nothing is worth timing.
    """
    for name in system.gate:
        checker = Checker(name, seed, serve=serve)
        op = laws.ops[checker.check.op]
        for trial in checker.execute(list(_gate_requests(checker, op))):
            if trial.failure is not None:
                raise TunerError(f"system {system.id!r} does not pass {name}, so nothing is searched: {_failed(trial)}")


def _gate_requests(checker: Checker, op: Op) -> Iterator[Request]:
    """What the check draws, with the op's defaults."""
    default: Configuration = completed(op, {})
    for size in checker.sizes:
        yield Request(default, complete(op, size), CONFIRM)


def _failed(trial: Trial) -> str:
    failure = trial.failure
    return f"{failure.type}: {failure.message}" if failure is not None else ""
