"""What another tool tried, told by a program and not by a file: the same recording, by the same rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import get_args

from spak.kg.errors import KgError
from spak.kg.formats.content import refuse
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.formats.timing import Timing, settled
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.op import Op
from spak.kg.model.run import Failure, Invalidity, Measurement, Times, Trial

MAX_MESSAGE = 500
"""Characters of a failure that are kept: a compiler prints pages."""

_STAGES = tuple(stage for stage in get_args(Invalidity) if stage != "correct")
_SCALARS = get_args(Scalar)


@dataclass(frozen=True)
class Tried:
    """One configuration that a tool tried.

    Attributes:
        configuration: A value for each parameter; every trial of a run names the same ones.
        time_us: Time of one launch, in microseconds; None if it failed, or if `samples_us` are to be averaged.
        samples_us: Single launches, which give the time its 95 % interval; empty where the tool keeps none.
        failure: Why there is no time, in the tool's words; empty if there is one.
        stage: Where it failed: `compile`, `runtime`, `timeout`, `correctness` (it ran and was wrong), `constraints`.
        problem: Its problem size, as far as it differs from the run's.
        features: What its compilation gave (`registers`, `spill_bytes`).
        compilation_ms: What compiling it took, where that is known.
        margin_us: Half of the 95 % interval of `time_us`; None where the tool gives none.
    """

    configuration: Configuration
    time_us: float | None = None
    samples_us: Sequence[float] = ()
    failure: str = ""
    stage: Invalidity = "runtime"
    problem: ProblemSize = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    compilation_ms: float = 0.0
    margin_us: float | None = None


@dataclass(frozen=True)
class ToolRun:
    """What a tool measured of one op on one piece of hardware.

    Attributes:
        op: An op of the law root by id or alias, a new name, or an op of one's own (`spak.op`), which gets a file.
        hardware: Where; registered if it is new.
        tried: Every trial, failures included.
        tool: What measured, with its version (`helion 1.5.0`).
        at: When, with its distance from UTC.
        checked: Whether the results were checked before they were timed. If not, the run is `reported`: it orders a
            search and judges no law.
        problem: The problem size.
        device: What the driver calls the device; empty if nobody asked.
        toolchain: Compiler and others -> version (`triton: 3.9.0`).
        timer: How the tool takes a time, in words; empty if nobody says.
    """

    op: str | Op
    hardware: HardwareName
    tried: Sequence[Tried]
    tool: str
    at: datetime
    checked: bool
    problem: ProblemSize = field(default_factory=dict)
    device: str = ""
    toolchain: Mapping[str, str] = field(default_factory=dict)
    timer: str = ""

    def recording(self) -> Recording:
        """The trials in the form that every result file is read into.

        Raises:
            KgError: If there is none, one is neither timed nor failed, or the time of measuring is not one.
        """
        if not self.tried:
            raise KgError("tried: no trial; what failed is one too")
        if self.at.tzinfo is None:
            raise KgError(f"at: a time with its distance from UTC (got {self.at.isoformat()})")
        if not self.tool.strip():
            raise KgError("tool: name what measured, with its version")
        where = Path(self.tool)
        first = sorted(self.tried[0].configuration)
        attempts = [(_trial(where, place, one, first), _timing(place, one)) for place, one in enumerate(self.tried)]
        trials, notes = settled(where, attempts)
        return Recording(
            format=self.tool,
            parameters=seen_parameters(trials),
            declared=False,
            trials=trials,
            device=self.device,
            problem=dict(self.problem),
            notes=notes,
            created=self.at.isoformat(),
        )


def _timing(place: int, one: Tried) -> Timing:
    return Timing(f"tried[{place}]", one.time_us, one.samples_us, 1.0, one.margin_us)


def _trial(where: Path, place: int, one: Tried, names: Sequence[str]) -> Trial:
    """One trial, its parameters in the order of `names`."""
    if odd := sorted({*names} ^ one.configuration.keys()):
        message = f"parameters differ from those of the first trial ({', '.join(odd)})"
        refuse(where, message, field=f"tried[{place}].configuration")
    if not names:
        refuse(where, "an empty configuration", field=f"tried[{place}].configuration")
    has_time = one.time_us is not None or bool(one.samples_us)
    if has_time == bool(one.failure):
        refuse(where, "give a time or why it failed, and not both", field=f"tried[{place}]")
    if one.failure and one.stage not in _STAGES:
        refuse(where, f"where it failed is one of {', '.join(_STAGES)}", field=f"tried[{place}].stage")
    configuration = {name: one.configuration[name] for name in names}
    for name, value in {**configuration, **one.problem}.items():
        if type(value) not in _SCALARS:
            refuse(where, f"no number, text, true or false (got {value!r})", field=f"tried[{place}].{name}")
    return Trial(
        configuration=configuration,
        invalidity=one.stage if one.failure else "correct",
        failure=Failure(type=one.stage, message=one.failure[:MAX_MESSAGE]) if one.failure else None,
        measurements=tuple(Measurement(name=name, value=float(value)) for name, value in one.features.items()),
        times=Times(compilation=one.compilation_ms),
        problem=dict(one.problem),
    )
