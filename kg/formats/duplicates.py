"""One trial for each configuration: the stated rule for configurations that occur more than once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spak.kg.formats.refusal import refuse
from spak.kg.model.base import Scalar
from spak.kg.model.run import Trial

MAX_DISAGREEMENT = 10.0
"""Largest factor between two times of one configuration that can still be noise of one experiment.

A single launch in the public records is up to 8.7 times the median of its 32, their mean far less; a factor of ten means other units,
another problem size or another device in one file.
"""


def merge(path: Path, trials: Sequence[Trial]) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    """One trial for each configuration, and a note if any occurred more than once.

    The rule: of several correct ones the (lower) median time stands; a failure counts only if no attempt was correct,
    and then the first failure stands. The place is that of the first attempt.

    Raises:
        InvalidFilesError: If the times of one configuration differ by `MAX_DISAGREEMENT` or more.
    """
    attempts: dict[tuple[Scalar, ...], list[Trial]] = {}
    for trial in trials:
        attempts.setdefault(tuple(trial.configuration.values()), []).append(trial)
    repeated = sum(len(group) > 1 for group in attempts.values())
    if not repeated:
        return tuple(trials), ()
    note = f"{repeated} configurations occur more than once: the median of the correct attempts stands"
    return tuple(_stands(path, group) for group in attempts.values()), (note,)


def _stands(path: Path, group: Sequence[Trial]) -> Trial:
    timed = sorted((time, place) for place, trial in enumerate(group) if (time := trial.value("time")) is not None)
    if not timed:
        return group[0]
    if timed[-1][0] >= MAX_DISAGREEMENT * timed[0][0]:
        named = ", ".join(f"{name}={value}" for name, value in group[0].configuration.items())
        refuse(
            path,
            f"the configuration {named} is recorded at {timed[0][0]:g} us and at {timed[-1][0]:g} us; "
            "that is not noise: check units, problem size and device",
            field="results",
        )
    return group[timed[(len(timed) - 1) // 2][1]]
