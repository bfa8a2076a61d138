"""What a result file says, in one form for every format: distinct configurations, times in microseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spak.kg.model.base import Scalar, canonical
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
        trials: One for each distinct configuration, in file order; times in microseconds.
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
