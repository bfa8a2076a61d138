"""Run files: one experiment whole, every trial kept, failures included. Written once, when the experiment ends.

A trial has the T4 form of the auto-tuning community (configuration, times, measurements, invalidity), so that
recorded runs of others and ours replay through the same code.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, field
from msgspec.structs import replace

from spak.kg.model.base import Model, Scalar
from spak.kg.model.law import CheckName, EvidenceVerdict, Id, Law, Tier

Invalidity = Literal["correct", "timeout", "compile", "runtime", "correctness", "constraints"]
"""`correct`, or the stage that failed."""

CONFIRM = "confirm"
"""`Trial.origin` of a trial made to test a law."""

UNSTEADY_TIME = "unsteady_time"
"""`Measurement.name` of a time that was taken while the device was not as it had been: kept, but never `time`.

So nothing ranks it and no law is judged by it. `DRIFT` stands beside it.
"""

DRIFT = "drift"
"""`Measurement.name` of how much slower a device's reference kernel was than when it was first timed: 0.05 is 5 %."""

IMPORTED = "imported"
"""`Run.strategy` of what another program measured: how it searched and timed is its word, not ours."""


MachineId = Annotated[str, Meta(pattern=r"^([0-9a-f]{12})?$")]
"""Tells a GPU from others of its name without naming it: digits of a hash of its UUID. Empty where nobody asked."""


class Measurement(Model, frozen=True, kw_only=True, gc=False):
    """One observed quantity of one trial.

    Attributes:
        name: `time`, `registers`, `spill_bytes`, ...; `predicted_time` and `unsteady_time` are never `time`.
        value: Median for measured times.
        unit: `us`, `bytes`, `1`.
        low: Lower end of the 95 % interval, when measured repeatedly.
        high: Upper end.
    """

    name: str
    value: float
    unit: str = "1"
    low: float | None = None
    high: float | None = None


class Times(Model, frozen=True, kw_only=True, gc=False):
    """Where a trial's time went. Milliseconds, as T4 has it; `runtimes` are the raw samples when kept.

    `benchmark` is what launching it for timing took, warm-up and all.
    """

    compilation: float = 0.0
    validation: float = 0.0
    framework: float = 0.0
    search_algorithm: float = 0.0
    benchmark: float = 0.0
    runtimes: tuple[float, ...] = ()


class Failure(Model, frozen=True, kw_only=True, gc=False):
    """Why a trial has no result: the exception's or signal's name and its message, shortened."""

    type: str
    message: str


class Trial(Model, frozen=True, kw_only=True):
    """One configuration tried once.

    Attributes:
        configuration: Full assignment of the op's tunable parameters.
        problem: The problem size, when a run holds several; else the run's own.
        origin: Why it was tried: `default`, `strategy`, `transfer`, `audit`, `sweep`, `confirm`.
        failure: Set if and only if `invalidity` is not `correct`.
        whose: Whose knowledge spoke for trying it, most first: hardware id and problem size, or a law.
        machine: Which GPU it ran on, in a run that several measured; else empty: the run's `device` says it.
    """

    configuration: dict[str, Scalar]
    invalidity: Invalidity = "correct"
    measurements: tuple[Measurement, ...] = ()
    times: Times = Times()
    problem: dict[str, Scalar] = {}
    origin: str = ""
    failure: Failure | None = None
    whose: tuple[str, ...] = ()
    machine: MachineId = ""

    def value(self, name: str) -> float | None:
        """The value of the measurement called `name`, or None."""
        return next((m.value for m in self.measurements if m.name == name), None)


class Device(Model, frozen=True, kw_only=True):
    """The machine as found. Clocks in MHz; None where nobody asked (compile-only runs have no device).

    Attributes:
        machine: Which GPU of its name. Empty where nobody asked, and where trials were measured on several and say
            themselves on which: then runs of one day on one kind of GPU count as one occasion.
    """

    name: str
    driver: str = ""
    machine: MachineId = ""
    sm_clock_mhz_min: float | None = None
    sm_clock_mhz_max: float | None = None
    throttled: bool | None = None


class Kernel(Model, frozen=True, kw_only=True):
    """Which code ran: kernel name and the SHA-256 of its source."""

    name: str
    source_sha256: str


class Noise(Model, frozen=True, kw_only=True):
    """How times were taken: `rounds` interleaved rounds of `repeats` launches, L2 handling and timer in words."""

    rounds: int = 0
    repeats: int = 0
    interleaved: bool = False
    l2: str = ""
    timer: str = ""


class LawVerdict(Model, frozen=True, kw_only=True):
    """What this run says of one law of the root; `count` is the number of trials that say it."""

    law: Id
    verdict: EvidenceVerdict
    count: int = 0
    effect: dict[str, float] = {}
    interval: dict[str, tuple[float, float]] = {}
    problems: tuple[str, ...] = ()


class Candidate(Model, frozen=True, kw_only=True):
    """A law this run suggested and what its own confirmation said; a refuted one stays here and nowhere else."""

    law: Law
    outcome: Literal["confirmed", "refuted", "inconclusive", "untested"]
    reason: str = ""


class Audit(Model, frozen=True, kw_only=True):
    """What the audit share saw.

    Attributes:
        trials: Configurations tried that laws hide.
        contradicted: Laws that the search contradicts.
        suspended: Laws that it went on without although nothing contradicted them: law -> why, in words.
    """

    trials: int = 0
    contradicted: tuple[Id, ...] = ()
    suspended: dict[Id, str] = {}


class Run(Model, frozen=True, kw_only=True):
    """One experiment.

    Attributes:
        created: ISO 8601, UTC.
        toolchain: Component -> version (`tileiras: 13.4.92`).
        problem: The problem size all trials share (a trial's own `problem` overrides it).
        flop_rule: `useful` or `full`, as in the op's formulas.
        exhaustive_over: Parameters -> values, if the trials are a whole product of them.
        reference_times: Baselines measured in the same rounds, libraries or other systems: name -> microseconds.
        check: The named check that made the trials; empty if they were compiled, timed or reported.
        reproduce: The command that repeats it.
        trials_sha256: Digest of `trials` as the file has them (`spak.kg.files.seal`).
    """

    id: Id
    tier: Tier
    created: str
    hw: Id
    op: Id
    toolchain: dict[str, str] = {}
    device: Device | None = None
    kernel: Kernel | None = None
    commit: str = ""
    problem: dict[str, Scalar] = {}
    flop_rule: str = ""
    noise: Noise | None = None
    exhaustive_over: dict[str, tuple[Scalar, ...]] = {}
    reference_times: dict[str, Measurement] = {}
    strategy: str = ""
    check: CheckName = ""
    seed: int | None = None
    audit: Audit | None = None
    suggested: tuple[Candidate, ...] = ()
    tested: tuple[LawVerdict, ...] = ()
    reproduce: str = ""
    source: str = ""
    note: str = ""
    trials_sha256: str = ""
    trials: tuple[Trial, ...] = field(default=())

    @property
    def occasion(self) -> str:
        """When, on what and, if known, on which machine it ran: `2026-11-21 h200 0123456789ab`, the day in UTC.

        Empty for a reported run, which happened elsewhere, and where `created` is no time.
        """
        moment = utc(self.created)
        if self.tier == "reported" or moment is None:
            return ""
        machine = self.device.machine if self.device is not None else ""
        return " ".join(filter(None, (f"{moment:%Y-%m-%d}", self.hw, machine)))


def attributed(run: Run) -> Run:
    """`run` whose trials name the GPU that they ran on, with that said once: by its device if it was one, else by each trial."""
    named = {trial.machine for trial in run.trials if trial.machine}
    if run.device is None or not named:
        return run
    unknown = any(not trial.machine and trial.invalidity == "correct" for trial in run.trials)
    if len(named) > 1 or unknown:
        return replace(run, device=replace(run.device, machine=""))
    trials = tuple(replace(trial, machine="") if trial.machine else trial for trial in run.trials)
    return replace(run, device=replace(run.device, machine=named.pop()), trials=trials)


def utc(created: str) -> datetime | None:
    """When a run was made; None unless it is an ISO 8601 time with its distance from UTC."""
    try:
        moment = datetime.fromisoformat(created)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
