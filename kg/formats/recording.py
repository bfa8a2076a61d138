"""What a result file says, in one form for every format: distinct configurations, times in microseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from spak.kg.errors import KgError
from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import ProblemSize, Scalar, canonical
from spak.kg.model.run import Trial

Parameters = Mapping[str, tuple[Scalar, ...]]
"""Parameter -> its values in canonical order."""


@dataclass(frozen=True)
class Recording:
    """One result file.

    Attributes:
        format: `t4`, `kernel-tuner` or `run`.
        parameters: Parameter -> values, in the file's parameter order.
        declared: True if the file itself lists the values a search may try; False if they are those seen.
        trials: One for each distinct configuration, in file order; times in microseconds. A trial has a problem size
            of its own only where there are several, and then all of it.
        notes: Rules that were applied to the content, in words; empty for a clean file.
        created: Latest timestamp in the file, as written, or empty.
    """

    format: str
    parameters: Parameters
    declared: bool
    trials: tuple[Trial, ...]
    device: str = ""
    kernel: str = ""
    problem: Mapping[str, Scalar] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    created: str = ""


def seen_parameters(trials: Sequence[Trial]) -> Parameters:
    """Parameter -> every value that occurs in `trials`, which must not be empty."""
    return {name: canonical(trial.configuration[name] for trial in trials) for name in trials[0].configuration}


def with_problem(recording: Recording, problem: ProblemSize, names: Sequence[str]) -> Recording:
    """`recording` at `problem`, else at what it states, with the parameters `names` as problem parameters.

    Raises:
        KgError: If a name is no parameter of it, is a part of `problem` too, or nothing is left to tune.
    """
    for name in names:
        if name not in recording.parameters:
            raise KgError(
                f"no parameter {name!r} to take for a problem parameter; it has {', '.join(recording.parameters)}"
            )
        if name in problem:
            raise KgError(
                f"{name} is a parameter of the file, which says its value itself; leave it out of the problem"
            )
    if not recording.parameters.keys() - set(names):
        raise KgError("every parameter is called a problem parameter; leave one to tune")
    shared = dict(problem or recording.problem)
    sizes = [
        {**shared, **trial.problem, **{name: trial.configuration[name] for name in names}} for trial in recording.trials
    ]
    several = any(size != sizes[0] for size in sizes)
    trials = tuple(
        msgspec.structs.replace(
            trial,
            configuration={name: value for name, value in trial.configuration.items() if name not in names},
            problem=size if several else {},
        )
        for trial, size in zip(recording.trials, sizes, strict=True)
    )
    tuned = {name: values for name, values in recording.parameters.items() if name not in names}
    return replace(recording, parameters=tuned, trials=trials, problem={} if several else sizes[0])


def by_problem(recording: Recording) -> list[Recording]:
    """`recording` at each of its problem sizes, in the order in which they occur.

    Each becomes a run of its own: so those at some sizes can suggest a law, and those at others test it.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in recording.trials:
        groups.setdefault(show_assignments(trial.problem), []).append(trial)
    if len(groups) == 1:
        return [recording]
    return [
        replace(
            recording,
            trials=tuple(msgspec.structs.replace(trial, problem={}) for trial in trials),
            problem=trials[0].problem,
        )
        for trials in groups.values()
    ]
