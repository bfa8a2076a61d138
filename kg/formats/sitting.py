"""What an evidence set says of each of its files, and of what two of them have in common."""

from __future__ import annotations

from spak.kg.model.base import Model, Scalar

FEWEST_SHARED = 8
"""Times that two sittings share before their median says anything of them: a single one is its own median."""


class Sitting(Model, frozen=True, kw_only=True, omit_defaults=False):
    """One file of a set: one run, timed in one go.

    Attributes:
        file: Path below the set.
        size: Name of the problem size among those of its op; else its values. Empty where the run holds several.
        trials: Configurations tried; `outcomes` says how they ended.
        exhaustive: Whether they are every feasible one of the values in `exhaustive_over`.
        source_sha256: Of the kernel's source.
        machine: Tells one GPU from another of its name; empty where nobody asked.
    """

    file: str
    sha256: str
    run: str
    op: str
    hw: str
    size: str
    problem: dict[str, Scalar]
    created: str
    trials: int
    outcomes: dict[str, int]
    unsteady: int
    exhaustive: bool
    exhaustive_over: dict[str, tuple[Scalar, ...]]
    toolchain: dict[str, str]
    driver: str
    machine: str
    source_sha256: str
    rounds: int
    interleaved: bool
    timer: str
    l2: str
    sm_clock_mhz: tuple[float | None, float | None]
    throttled: bool | None
    samples: bool
    half_width: tuple[float, ...]


class Repeated(Model, frozen=True, kw_only=True, omit_defaults=False):
    """Configurations that two sittings timed at one problem size on one kind of device.

    Attributes:
        kind: What else the two have in common: `one GPU`, `two GPUs`, `GPUs unknown`, and whether the source is the same.
        sittings: Pairs of sittings.
        shift: Median and 95th percentile of how far the median ratio of the times of a pair is from one.
        configurations: Times of the pairs that have `FEWEST_SHARED` of them.
        deviation: Median and 95th percentile of how far these are from each other once that median ratio is divided out:
            what is left is noise of single configurations. Empty where no pair has enough of them.
    """

    op: str
    hw: str
    kind: str
    sittings: int
    shift: tuple[float, ...]
    configurations: int
    deviation: tuple[float, ...]
