"""The effects that a claim may bound: what they are, who may claim them, and within what a bound is a claim.

A bound claims something if an observation could lie beyond it. One that no observation can lie beyond (`slowdown >= 0`,
`spill_bytes >= 0`) cannot be refuted, and one that lies within measurement noise is refuted or confirmed by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.figures import number_text
from spak.kg.model.law import Bound, Tier

TIME_NOISE = 0.05
"""Least relative difference of two times that a law may be about.

Source: the runs under laws/evidence. Of the trials within 20 % of the best of their problem size, 95 % have a 95 %
interval no wider than 3.9 % of the time (tests/laws/test_noise.py counts); what differs by less is told apart by luck.
"""

TIE_LIMIT = 0.02
"""Greatest relative difference of two times that a law may call none.

Source: as `TIME_NOISE`; half that interval, 2 % to a whole percent, is what one time leaves open on either side.
"""

MAX_BOUND = 1e6
"""Greatest bound where nature has none; it keeps infinity out of files and schemas."""

EffectSubject = Literal["time", "running", "code", "numbers"]
"""What an effect is about: time, whether it runs at all, the compiled code, the numbers that it computes."""

SUBJECT_TIERS: Mapping[EffectSubject, Tier] = {
    "time": "measured",
    "running": "measured",
    "code": "compiled",
    "numbers": "computed",
}
"""EffectSubject -> the tier that can show such an effect."""


@dataclass(frozen=True)
class BoundRange:
    """From where to where a bound is a claim, both inclusive."""

    least: float
    most: float

    def holds(self, value: float) -> bool:
        """Whether a bound of this value is a claim; one that is no number is in no range."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        """`1.05 to 1000000`."""
        return " to ".join(dict.fromkeys(number_text(end) for end in (self.least, self.most)))


@dataclass(frozen=True)
class KnownEffect:
    """One effect that laws may bound.

    Attributes:
        unit: Of a bound and of an observation.
        what: What is observed.
        kinds: Kinds of law that may claim it, as in a law file.
        at_least: Where a lower bound claims something; None: nowhere.
        at_most: Where an upper bound does.
        why: Why nowhere else.
        where_kept: Whether it is observed where the law's advice is followed, so that it says nothing of the rest.
    """

    unit: str
    what: str
    kinds: tuple[str, ...]
    about: EffectSubject
    why: str
    at_least: BoundRange | None = None
    at_most: BoundRange | None = None
    where_kept: bool = False

    @property
    def tier(self) -> Tier:
        """The tier that can show it."""
        return SUBJECT_TIERS[self.about]

    @property
    def sides(self) -> dict[str, BoundRange]:
        """`at_least`, `at_most` -> where such a bound alone is a claim."""
        both = {"at_least": self.at_least, "at_most": self.at_most}
        return {side: where for side, where in both.items() if where is not None}

    @property
    def narrowing(self) -> BoundRange | None:
        """Where an upper bound beside a lower one narrows the claim; None where there is nothing to narrow."""
        is_open = self.at_least is not None and self.at_least.least < self.at_least.most
        return self.at_most or (self.at_least if is_open else None)

    @property
    def needs(self) -> str:
        """What a claim about it must state: `at_least (1.05 to 1000000)`."""
        return " or ".join(f"{side} ({where})" for side, where in self.sides.items())


_SLOWER = f"differences of time below {TIME_NOISE:g} are noise, and nothing is faster than the best"
_CUDA = "CUDA C++ Programming Guide, technical specifications per compute capability"
_FEATURE_RANGES = {
    "spill_bytes": (BoundRange(0, 512 * 1024), f"local memory of one thread has at most 512 KiB ({_CUDA})"),
    "registers": (
        BoundRange(8, 255),
        f"a thread has 8 registers at least, the unit of allocation, and 255 at most ({_CUDA})",
    ),
    "smem_bytes": (BoundRange(0, 227 * 1024), f"a CTA has at most 227 KiB of shared memory ({_CUDA})"),
    "threads": (BoundRange(32, 1024), f"a CTA has a warp at least and 1,024 threads at most ({_CUDA})"),
    "ctas_per_sm": (
        BoundRange(1, 32),
        f"what runs has one CTA on an SM at least, and an SM holds 32 at most ({_CUDA})",
    ),
}
"""Compiled feature -> every value that it can have, and why no other."""

FEATURE_VALUES: Mapping[str, BoundRange] = {name: span for name, (span, _) in _FEATURE_RANGES.items()}
"""Compiled feature -> every value that it can have, whole numbers."""


def _feature(name: str) -> KnownEffect:
    """A whole number: a bound that its least value meets, or its greatest, is met by all."""
    possible, why = _FEATURE_RANGES[name]
    return KnownEffect(
        unit="as above",
        what=COMPILED_FEATURES[name],
        kinds=("negative", "positive"),
        about="code",
        at_least=BoundRange(possible.least + 1, possible.most),
        at_most=BoundRange(possible.least, possible.most - 1),
        why=why,
    )


EFFECTS: Mapping[str, KnownEffect] = {
    "slowdown": KnownEffect(
        unit="ratio",
        what="time divided by the best time of the same problem size",
        kinds=("negative", "invariant"),
        about="time",
        at_least=BoundRange(1 + TIME_NOISE, MAX_BOUND),
        why=_SLOWER,
    ),
    "failure_rate": KnownEffect(
        unit="fraction",
        what="of the configurations, those that fail to compile or run",
        kinds=("negative", "invariant"),
        about="running",
        at_least=BoundRange(1, 1),
        why="one configuration that runs refutes it, so the claim is that all fail",
    ),
    "cost": KnownEffect(
        unit="ratio",
        what="time above the best, or above what is ranked below, as a fraction of it",
        kinds=("positive",),
        about="time",
        at_most=BoundRange(-1, TIE_LIMIT),
        why=f"what costs more than {TIE_LIMIT:g} is slower, not preferable",
    ),
    "loss": KnownEffect(
        unit="ratio",
        what="how much slower what it is preferred over is",
        kinds=("positive",),
        about="time",
        at_least=BoundRange(TIME_NOISE, MAX_BOUND),
        why=_SLOWER,
    ),
    "speedup": KnownEffect(
        unit="ratio",
        what="time before divided by time after",
        kinds=("positive", "transformation"),
        about="time",
        at_least=BoundRange(1.01, MAX_BOUND),
        why="1 is no speedup, and half of the recorded intervals near the best are 0.7 % wide or less",
    ),
    "change": KnownEffect(
        unit="ratio",
        what="largest relative difference in time along the axis",
        kinds=("indifferent",),
        about="time",
        at_most=BoundRange(0, TIE_LIMIT),
        why=f"a time leaves {TIE_LIMIT:g} open on either side; what differs by more makes a difference",
    ),
    "tflops": KnownEffect(
        unit="10¹² FLOP/s",
        what="with the FLOP rule in the evidence's note and in the run",
        kinds=("positive",),
        about="time",
        at_least=BoundRange(1, MAX_BOUND),
        why="whatever uses tensor cores reaches 1, under 2 % of the slowest device's peak",
    ),
    "time_saved": KnownEffect(
        unit="fraction",
        what="of the tuning time",
        kinds=("transformation",),
        about="time",
        at_least=BoundRange(TIME_NOISE, 1),
        why=f"savings below {TIME_NOISE:g} are noise, and nobody saves more than all",
    ),
    "occupancy_ratio": KnownEffect(
        unit="ratio",
        what=(
            "resident warps divided by those of each configuration outside that is the same but for what "
            "the region names"
        ),
        kinds=("negative",),
        about="code",
        at_most=BoundRange(1 / 64, 63 / 64),
        why=f"both are counts of up to 64 warps ({_CUDA}), and 1 is no difference",
    ),
    **{name: _feature(name) for name in COMPILED_FEATURES},
    "nan_rows": KnownEffect(
        unit="rows",
        what="rows with a NaN where the requirement holds",
        kinds=("invariant",),
        about="numbers",
        at_most=BoundRange(0, 0),
        why="one row is wrong already",
        where_kept=True,
    ),
    "nan_rows_otherwise": KnownEffect(
        unit="rows",
        what="rows with a NaN where it does not",
        kinds=("invariant",),
        about="numbers",
        at_least=BoundRange(1, MAX_BOUND),
        why="without a row that breaks, nothing does",
    ),
    "relative_error": KnownEffect(
        unit="ratio",
        what="‖out - ref‖ / ‖ref‖",
        kinds=("invariant", "transformation"),
        about="numbers",
        at_most=BoundRange(0, 0.1),
        why="an output of zeros has 1, and a tenth of that is wrong in every type a kernel here has",
        where_kept=True,
    ),
    "bit_differences": KnownEffect(
        unit="values",
        what="outputs that are not equal bit for bit",
        kinds=("invariant", "transformation"),
        about="numbers",
        at_most=BoundRange(0, 0),
        why="what may differ a little is a relative_error",
        where_kept=True,
    ),
}
"""Every effect that a law may bound: the one table behind the schema, `kg check`, and what may remove."""


def effect_subjects(bounded: Mapping[str, Bound]) -> frozenset[str]:
    """What the effects of a claim are about; an unknown one is about nothing."""
    return frozenset(EFFECTS[name].about for name in bounded if name in EFFECTS)
