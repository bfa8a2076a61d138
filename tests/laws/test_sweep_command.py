"""A sweep is recorded for the GPU it ran on: one on an H100 was once written with `hw: h200`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bench.sweep import Sweep, apart, measured_on
from spak.kg.errors import KgError
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.run import Device
from spak.tuner.backend.base import Provenance
from spak.tuner.backend.gpu.detect import Gpu
from spak.tuner.engine import record
from tests.shipped import LAWS

H100 = Gpu("NVIDIA H100 80GB HBM3", "580.1", "sm_90")


def test_the_hardware_is_that_of_this_machine_unless_named():
    """No name is taken for granted; the one named must be the one that is there."""
    assert measured_on(LAWS, "", H100) == measured_on(LAWS, "h100", H100) == "h100"


@pytest.mark.parametrize(
    ("named", "gpu", "words"),
    [
        ("h200", H100, "this ran on 'NVIDIA H100 80GB HBM3', which is h100, not h200"),
        ("h201", H100, "h200"),
        ("", Gpu("Voodoo 2", "1.0", "sm_0"), "Voodoo 2"),
        ("h200", None, "no NVIDIA GPU"),
    ],
)
def test_other_hardware_ends_the_sweep_before_it_begins(named, gpu, words):
    """One clear line, and nothing is measured."""
    with pytest.raises(SystemExit, match=words):
        measured_on(LAWS, named, gpu)


def test_what_the_backend_says_it_ran_on_decides():
    """Even where the machine was another when the sweep began."""
    facts, op = hardware_facts(LAWS, "h200"), LAWS.ops["matmul"]
    sweep = Sweep(op, facts, LAWS.hardware, "h200", "sm_90", "", {})
    frame = sweep.frame("m2048", {}, Provenance("measured", {}, Device(name=H100.name), None, "time"))
    assert datetime.now(UTC) - datetime.fromisoformat(frame.created) < timedelta(minutes=1)
    with pytest.raises(KgError, match="which is h100, not h200"):
        record.experiment(frame, LAWS.hardware, ())


def test_what_compiles_at_the_same_time_shares_few_functions():
    """Of the backward's core in two passes, fourteen in a row in its own order often have the same pass over keys."""
    op = LAWS.ops["fmha-backward"]
    crossed = {"dq_form": ("split",), "accumulator_init": ("zeros",), "dq_tile_m": (64, 128), "dq_worker_warps": (4, 8)}
    sweep = Sweep(op, hardware_facts(LAWS, "h200"), LAWS.hardware, "h200", "sm_90", "", crossed)
    core = sweep.core(op.problems["d64-s1024-causal"])
    shuffled = apart(core)
    assert shuffled == apart(core)
    assert sorted(map(str, shuffled)) == sorted(map(str, core))
    assert passes_over_keys(shuffled) > 1.4 * passes_over_keys(core)


def passes_over_keys(core, together=14) -> float:
    """Different functions of the pass over keys among so many configurations in a row, on average."""
    beside = {"dq_tile_m", "dq_tile_n", "dq_worker_warps", "dq_occupancy", "dq_latency"}
    names = [str({name: value for name, value in c.items() if name not in beside}) for c in core]
    rows = [len(set(names[i : i + together])) for i in range(len(names) - together)]
    return sum(rows) / len(rows)
