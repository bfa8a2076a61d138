"""Runs of the toy op in which what spills is slow, and the law that says so."""

from __future__ import annotations

import msgspec

from spak.kg.model.run import Measurement, Run, Trial
from spak.kg.space.space import build
from tests.tuner.searching import OP, avoid, spill, time_us

SIZES = ({"size": 512, "dim": 64}, {"size": 1024, "dim": 64}, {"size": 4096, "dim": 64})
SPILLS = avoid("spills-slow", "spill_bytes > 0", at_least=1.5, evidence=[], status="proposed")


def measured(name: str = "run1", sizes=SIZES[:1], *, time=time_us, tier: str = "measured", **more: object) -> Run:
    """An exhaustive run of the toy op: what spills is three times slower."""
    space = build(OP, SIZES[0], {"most": 8192})
    made = []
    for problem in sizes:
        for index in range(len(space)):
            configuration = space.config(index)
            value = time(configuration)
            seen = Measurement(name="time", value=value, unit="us", low=value * 0.99, high=value * 1.01)
            features = (Measurement(name="spill_bytes", value=spill(configuration)),)
            measurements = (seen, *features) if tier == "measured" else features
            made.append(Trial(configuration=configuration, problem=problem, measurements=measurements))
    fields = {
        "id": name, "tier": tier, "created": "2026-01-01T00:00:00Z", "hw": "card", "op": "toy",
        "toolchain": {"tileiras": "13.4.92"}, "trials": tuple(made),
    }  # fmt: skip
    return Run(**{**fields, **more})


def flat(configuration) -> float:
    """Nothing matters: the planted law is false."""
    return time_us(configuration) / (3 if spill(configuration) else 1)


def few(run: Run, inside: int, outside: int, origin: str = "strategy") -> Run:
    """The first trials that spill and that do not."""
    spilling = [t for t in run.trials if t.value("spill_bytes")][:inside]
    plain = [t for t in run.trials if not t.value("spill_bytes")][:outside]
    made = tuple(msgspec.structs.replace(trial, origin=origin) for trial in [*spilling, *plain])
    return msgspec.structs.replace(run, trials=made)
