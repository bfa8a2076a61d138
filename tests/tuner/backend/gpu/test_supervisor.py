"""A hang, a crash, an exit, a poisoned context: each costs one configuration, and the others are measured."""

import math

import pytest

from spak.tuner.backend.gpu.protocol import Batch, Contestant
from spak.tuner.backend.gpu.supervisor import DeviceUnusableError, Supervisor, WorkerLimits
from spak.tuner.backend.gpu.timing import Plan
from tests.tuner.backend import hanging
from tests.tuner.backend.gpu.fake_device import FakeProgram

LIMITS = WorkerLimits(check_s=1, time_s=1)
"""Reached by what hangs, however long that takes: `hanging`."""


def batch(*configurations, plan=None):
    contestants = tuple(Contestant(i, configuration) for i, configuration in enumerate(configurations))
    return Batch({"seq": 64}, contestants, 5, plan or Plan(rounds=8, slow_rounds=6), math.inf)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "steps"
    path.write_text("")
    return path


@pytest.fixture
def supervisor(log, monkeypatch):
    hanging.noticing(monkeypatch, FakeProgram(log).hangs.sign)
    supervisor = Supervisor(FakeProgram(log), LIMITS)
    yield supervisor
    supervisor.close()


def by_index(outcomes):
    return {outcome.contestant.index: outcome for outcome in outcomes}


def test_good_configurations_are_checked_and_timed_in_one_worker(supervisor, log):
    outcomes = by_index(supervisor.run(batch({"us": 10.0}, {"us": 50.0})))
    assert outcomes[0].samples == (10.0,) * 8
    assert outcomes[1].samples == (50.0,) * 6, "five times slower: leaves after the slow rounds"
    assert outcomes[0].error == 1e-4
    assert supervisor.restarts == 0
    assert log.read_text().split("\n")[:4] == ["open", "prepare 64 seed 5", "check 0", "check 1"]
    assert supervisor.machine.device.sm_clock_mhz_max > 1000


@pytest.mark.parametrize(
    ("kind", "invalidity", "message"),
    [
        ("hang", "timeout", "check took more than 1 s"),
        ("crash", "runtime", "killed by SIGSEGV"),
        ("exit", "runtime", "exited with code 7"),
        ("poison", "runtime", "CUDA error: an illegal memory access was encountered"),
    ],
)
def test_a_worker_lost_in_a_check_costs_that_configuration_only(supervisor, log, kind, invalidity, message):
    outcomes = by_index(supervisor.run(batch({"us": 10.0}, {"kind": kind}, {"us": 11.0})))
    assert (outcomes[1].invalidity, outcomes[1].failure.message) == (invalidity, message)
    assert outcomes[0].samples == (10.0,) * 8
    assert outcomes[2].samples == (11.0,) * 8
    assert supervisor.restarts == 1
    assert log.read_text().count("check 0\n") == 1, "what passed its check keeps it"


@pytest.mark.parametrize("kind", ["hang", "crash", "exit", "poison"])
def test_what_fails_while_timing_fails_again_alone_and_the_rest_is_timed(supervisor, kind):
    outcomes = by_index(supervisor.run(batch({"us": 10.0}, {"kind": kind, "when": "time"}, {"us": 11.0})))
    assert outcomes[1].invalidity == ("timeout" if kind == "hang" else "runtime")
    assert [outcomes[i].samples for i in (0, 2)] == [(10.0,) * 8, (11.0,) * 8]
    assert supervisor.restarts == 2


def test_a_suspect_that_runs_alone_is_measured(supervisor):
    outcomes = by_index(supervisor.run(batch({"us": 10.0}, {"kind": "once", "when": "time", "us": 12.0})))
    assert outcomes[1].invalidity == "correct"
    assert outcomes[1].samples == (12.0,) * 8
    assert outcomes[0].invalidity == "correct"
    assert supervisor.restarts == 1


@pytest.mark.parametrize(
    ("configuration", "invalidity", "type_"),
    [
        ({"kind": "raise"}, "runtime", "ValueError"),
        ({"kind": "raise", "when": "time"}, "runtime", "ValueError"),
        ({"kind": "wrong"}, "correctness", "WrongOutputError"),
    ],
)
def test_a_failure_that_leaves_the_device_healthy_needs_no_new_worker(supervisor, configuration, invalidity, type_):
    outcomes = by_index(supervisor.run(batch(configuration, {"us": 11.0})))
    assert (outcomes[0].invalidity, outcomes[0].failure.type) == (invalidity, type_)
    assert outcomes[1].samples == (11.0,) * 8
    assert supervisor.restarts == 0


def test_a_batch_of_nothing_but_failures_ends(supervisor):
    kinds = ["hang", "crash", "exit", "poison", "raise", "wrong"]
    outcomes = by_index(supervisor.run(batch(*({"kind": kind} for kind in kinds))))
    assert [outcomes[i].invalidity for i in range(6)] == ["timeout", *["runtime"] * 4, "correctness"]


def test_one_worker_serves_many_batches(supervisor, log):
    for _ in range(3):
        list(supervisor.run(batch({"us": 10.0})))
    assert log.read_text().count("open") == 1


@pytest.mark.parametrize(
    ("program", "words"),
    [({"opens": False}, "open failed .RuntimeError: no CUDA device"), ({"prepares": False}, "prepare failed .Memory")],
)
def test_a_device_that_cannot_be_used_is_one_clear_error(log, program, words):
    supervisor = Supervisor(FakeProgram(log, **program))
    with pytest.raises(DeviceUnusableError, match=words):
        list(supervisor.run(batch({"us": 10.0})))
    supervisor.close()


def test_closing_twice_and_closing_before_the_start_do_no_harm(log):
    supervisor = Supervisor(FakeProgram(log))
    supervisor.close()
    list(supervisor.run(batch({})))
    supervisor.close()
    supervisor.close()


def test_a_reference_kernel_that_fails_is_the_device_s_fault_and_nobody_else_s(log):
    supervisor = Supervisor(FakeProgram(log, reads=False), LIMITS)
    with pytest.raises(DeviceUnusableError, match=r"reference failed .*uncorrectable ECC"):
        list(supervisor.run(batch({"us": 10.0}, {"us": 20.0})))
    assert log.read_text().count("check 0") == 1, "what passed its check keeps it while the device is tried again"
    supervisor.close()


def test_every_timed_outcome_has_the_readings_around_its_rounds(supervisor):
    outcomes = by_index(supervisor.run(batch({"us": 10.0}, {"kind": "wrong"})))
    assert [reading["clock"] for reading in outcomes[0].readings] == [(100.0,) * 8] * 2
    assert outcomes[1].readings == ()
