"""What the search's tests share: a toy op, laws about it, and a backend that answers from formulas. Nothing is patched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from spak.kg.law.kinds import AnyLaw
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.cohort import HeldCohort, cohorts, links_of
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law, Related
from spak.kg.model.op import Op
from spak.kg.model.run import Device, Failure, Measurement, Noise, Trial
from spak.kg.model.store import SupersededLaw
from spak.kg.model.system import System
from spak.tuner.backend.base import Patience, Provenance, Request
from tests.shown import shown

OP = msgspec.convert(
    {
        "id": "toy",
        "title": "Toy",
        "parameters": {
            "m": {"values": [32, 64, 128], "default": 64, "role": "tile", "description": "rows"},
            "n": {"values": [32, 64, 128], "default": 64, "role": "tile", "description": "columns"},
            "lat": {"values": [1, 2, 4], "default": 2, "role": "hint", "description": "latency"},
            "fast": {"values": [False, True], "default": True, "role": "variant", "description": "other path"},
        },
        "problem": {
            "size": {"type": "int", "default": 1024, "description": "elements"},
            "dim": {"type": "int", "default": 64, "description": "channels", "specialises": True},
        },
        "conditions": [{"require": "m * n <= hw.most", "because": "it must fit"}],
        "problems": {"small": {"size": 512}, "usual": {"size": 1024}},
    },
    type=Op,
)
FACTS: dict[str, Scalar] = {"most": 8192}


def node(name: str, kind: str, *is_a: str, **facts: Scalar) -> Hardware:
    return msgspec.convert(
        {
            "id": name,
            "title": name,
            "kind": kind,
            "is_a": list(is_a),
            "facts": {key: {"value": value, "source": "test"} for key, value in facts.items()},
        },
        type=Hardware,
    )


HARDWARE = {
    "vendor": node("vendor", "vendor"),
    "arch": node("arch", "architecture", "vendor"),
    "sm_1": node("sm_1", "compute-capability", "arch", most=8192),
    "card": node("card", "device", "sm_1"),
    "sm_2": node("sm_2", "compute-capability", "arch", most=8192),
}


@dataclass(frozen=True)
class Laws:
    """A law root in memory."""

    laws: Mapping[str, Law] = field(default_factory=dict)
    hardware: Mapping[str, Hardware] = field(default_factory=lambda: HARDWARE)
    ops: Mapping[str, Op] = field(default_factory=lambda: {"toy": OP})
    systems: Mapping[str, System] = field(default_factory=dict)
    superseded: Sequence[SupersededLaw] = ()

    def about(self, ops: Collection[str], /) -> list[Law]:
        """The laws stated for one of `ops`."""
        return [law for op in ops for law in self.laws.values() if law.scope.op == op]

    @property
    def links(self) -> dict[str, tuple[Related, ...]]:
        """What laws say of others."""
        return links_of(self.laws.values())

    def cohorts(self, ops: Collection[str], /) -> list[HeldCohort]:
        """The same laws by what they share."""
        return cohorts(self.about(ops))

    def layer_of(self, _law: str, /) -> str:
        """It is one folder."""
        return ""


def law(name: str, kind: str, claim: dict[str, object], **more: object) -> Law:
    """A law on the toy op; confirmed by measured runs with this toolchain unless `more` says otherwise."""
    scope = {"hw": "sm_1", "op": "toy", **more.pop("scope", {})}  # type: ignore[dict-item]
    built = {
        "id": name,
        "kind": kind,
        "title": name,
        "scope": scope,
        "status": "confirmed",
        "claim": claim,
    }
    made: Law = msgspec.convert({**built, **more}, type=AnyLaw)
    return made if "evidence" in more else shown(made, toolchain=TOOLCHAIN)


HANGS = {"failure_rate": {"at_least": 1}}
"""Effect of an invariant about safety: whatever breaks it does not come back."""


def avoid(name: str, text: str, effect: str = "slowdown", at_least: float = 2.0, **more: object) -> Law:
    return law(name, "negative", {"avoid": text, "effect": {effect: {"at_least": at_least}}}, **more)


def store(*laws: Law) -> Laws:
    return Laws({one.id: one for one in laws})


TOOLCHAIN = "tileiras 13.4.92"


def spill(configuration: Configuration) -> float:
    return 100.0 if int(configuration["m"]) * int(configuration["n"]) > 4096 else 0.0


def time_us(configuration: Configuration) -> float:
    """Best at m=32, n=64, lat=4, fast; what spills is three times slower."""
    c = configuration
    base = 10 + abs(int(c["m"]) - 32) / 32 + abs(int(c["n"]) - 64) / 32 + (4 - int(c["lat"])) + (0 if c["fast"] else 2)
    return base * (3 if spill(c) else 1)


@dataclass
class Formula:
    """A backend that answers from a formula."""

    time: Callable[[Configuration], float] = time_us
    objective: str = "time"
    fails: Callable[[Configuration], bool] = lambda _: False
    stop_after: int | None = None
    name: str = "gpu"
    batch_size: int = 4
    num_compilers: int = 0
    asked: list[Request] = field(default_factory=list)
    is_late: Callable[[Configuration], bool] = lambda _: False
    delayed: list[Request] = field(default_factory=list)
    libraries: Mapping[str, Measurement] = field(default_factory=dict)

    def provenance(self) -> Provenance:
        measured = self.objective == "time"
        return Provenance(
            "measured" if measured else "compiled",
            {"tileiras": "13.4.92"},
            Device(name="card") if measured else None,
            Noise(rounds=3) if measured else None,
            self.objective,
        )

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        return [None if self.fails(r.configuration) else {"spill_bytes": spill(r.configuration)} for r in requests]

    def late(self, requests: Sequence[Request], patience: Patience) -> Collection[int]:
        """What `is_late` says, the first time it is asked for."""
        if patience.whole:
            return []
        late = [i for i, r in enumerate(requests) if r not in self.delayed and self.is_late(r.configuration)]
        late = late[: len(requests) - 1]
        self.delayed += [requests[i] for i in late]
        return late

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        for request in requests:
            self.asked.append(request)
            if self.stop_after is not None and len(self.asked) > self.stop_after:
                raise KeyboardInterrupt
            yield request, self._trial(request)

    def references(self, problem: ProblemSize) -> dict[str, Measurement]:
        return dict(self.libraries)

    def close(self) -> None:
        """Nothing to release."""

    def _trial(self, request: Request) -> Trial:
        shared = {
            "configuration": dict(request.configuration),
            "problem": dict(request.problem),
            "origin": request.origin,
        }
        if self.fails(request.configuration):
            return Trial(**shared, invalidity="compile", failure=Failure(type="Nope", message="no"))
        value = self.time(request.configuration)
        interval = {"low": value * 0.99, "high": value * 1.01} if self.objective == "time" else {}
        time = Measurement(name=self.objective, value=value, unit="us", **interval)
        return Trial(**shared, measurements=(time, Measurement(name="spill_bytes", value=spill(request.configuration))))
