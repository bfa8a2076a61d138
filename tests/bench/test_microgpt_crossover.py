"""Runs that say whether a GPU or one core trains small models faster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from bench.microgpt_crossover import SIZES, SYSTEM, asked, compared, told
from bench.sweep import Sweep
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.run import Measurement, Trial
from spak.kg.space.space import build
from spak.tuner.backend.base import Backend, Provenance, Request
from tests.shipped import LAWS

HW = "h200"


class OneTime(Backend):
    """Every trial takes a millisecond."""

    name = "one-time"

    def provenance(self) -> Provenance:
        return Provenance("measured", {}, None, None, "time")

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        for request in requests:
            yield request, request.trial(measurements=(Measurement(name="time", value=1000.0, unit="us"),))


@pytest.fixture(name="sweep")
def _sweep() -> Sweep:
    op, facts = LAWS.ops["microgpt"], hardware_facts(LAWS, HW)
    return Sweep(op, facts, LAWS.hardware, HW, "sm_90", "", {})


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_every_size_is_one_that_the_default_can_run(sweep, size):
    request = asked(sweep, size)
    space = build(sweep.op, request.problem, sweep.facts)
    assert space.default_index is not None
    assert space.config(space.default_index) == request.configuration


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_run_has_the_time_of_the_port_beside_its_own(sweep):
    run = compared(sweep, OneTime(), SIZES[0])
    theirs = run.reference_times[SYSTEM]
    assert theirs.low is not None
    assert 0 < theirs.low <= theirs.value <= theirs.high
    assert run.problem == asked(sweep, SIZES[0]).problem
    assert f"{theirs.value / 1000:.2f} times as fast" in told(run)
    failed = msgspec.structs.replace(run, trials=(Trial(configuration={}, invalidity="runtime"),))
    assert "failed" in told(failed)
