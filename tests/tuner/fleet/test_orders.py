"""What travels: every form comes back as it was sent, and bytes that are no form are refused with one line."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.model.run import Device, Failure
from spak.tuner.backend.gpu.protocol import Batch, Contestant, SeenDevice
from spak.tuner.backend.gpu.supervisor import ContestantOutcome
from spak.tuner.backend.gpu.timing import Plan
from spak.tuner.errors import TunerError
from spak.tuner.fleet.orders import (
    CompiledCubins,
    CubinReference,
    KernelIdentity,
    MeasuredBatch,
    MeasureOrder,
    decoded,
    encoded,
)

KERNEL = KernelIdentity(op="toy", arch="sm_90", source_sha256="ab")
CONTESTANTS = (Contestant(3, {"m": 32, "fast": True, "rate": 0.5, "kind": "x"}), Contestant(1_000_000, baseline="b"))


def batch(best_us: float) -> Batch:
    return Batch({"size": 64}, CONTESTANTS, 7, Plan(), best_us, with_baselines=True, skip=frozenset({"slow"}))


def test_orders_and_answers_come_back_as_they_were_sent():
    """Also the types of the values: a configuration's 1 is not its `true`."""
    order = MeasureOrder(kernel=KERNEL, batch=batch(math.inf), cubins=(CubinReference(key="a" * 40, digest="d" * 64),))
    again = decoded(encoded(order), MeasureOrder)
    assert again == order
    assert [type(v) for v in again.batch.contestants[0].configuration.values()] == [int, bool, float, str]
    failure = Failure(type="WorkerDied", message="killed by SIGSEGV")
    answers = (
        ContestantOutcome(CONTESTANTS[0], (1.5, 2.0), 1e-4, 3.0),
        ContestantOutcome(CONTESTANTS[1], invalidity="runtime", failure=failure),
    )
    machine = SeenDevice(Device(name="Fake", sm_clock_mhz_min=1.0), toolchain=(("torch", "2"),))
    found = MeasuredBatch(outcomes=answers, machine=machine)
    assert decoded(encoded(found), MeasuredBatch) == found


@given(st.binary(max_size=200))
def test_garbage_is_refused_with_one_line(data):
    """Whatever arrives, a worker says what is wrong with it and lives on."""
    with contextlib.suppress(TunerError):
        assert isinstance(decoded(data, CompiledCubins), CompiledCubins)


@given(st.integers(0, 400))
def test_a_form_that_was_cut_short_is_refused(length):
    whole = encoded(MeasureOrder(kernel=KERNEL, batch=batch(1.0)))
    with pytest.raises(TunerError, match="no MeasureOrder"):
        decoded(whole[: min(length, len(whole) - 1)], MeasureOrder)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80\x80", b"\x81\xa1a", b"\x93\1\2\3", b"\xa3abc", b"\x91" * 3000])
def test_what_is_wrong_fits_one_line(data):
    with pytest.raises(TunerError, match=r"^these bytes are no CompiledCubins: [^\n]+$"):
        decoded(data, CompiledCubins)


def test_a_field_that_nobody_knows_is_refused():
    """A newer worker's form is not read by halves."""
    with pytest.raises(TunerError, match="unknown field"):
        decoded(encoded(KERNEL), CompiledCubins)


@pytest.mark.parametrize("key", ["../../../etc/passwd", "A" * 40, "a" * 39, "a" * 41, "a" * 40 + "\n", ""])
def test_a_cubin_has_no_name_that_leads_elsewhere(key):
    """Keys are names of files: a peer cannot make a worker write beside its cache."""
    with pytest.raises(TunerError, match="regex"):
        decoded(encoded(CompiledCubins(cubins=(CubinReference(key=key, digest="d" * 64),))), CompiledCubins)
