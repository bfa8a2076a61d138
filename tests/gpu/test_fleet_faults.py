"""What a fleet makes of GPUs with which something really is wrong: a poisoned context, a sick one, one slower than its like.

    pytest -m gpu tests/gpu/test_fleet_faults.py -s          # two GPUs of one name; with one, all but the first test skip

No setting of a card is touched. A new process opens a GPU in seconds, which is most of what the tests take; each says it.
"""

import json
import os
import time
from pathlib import Path

import pytest

from spak.kg.files.loader import load
from spak.kg.model.hardware import device_node
from spak.kg.model.run import DRIFT, UNSTEADY_TIME
from spak.tuner.backend.base import Request
from spak.tuner.backend.gpu.backend import TimingMethod
from spak.tuner.backend.gpu.detect import detect
from spak.tuner.backend.registry import BACKENDS, Task
from spak.tuner.chance import Purpose, shuffled, stream
from spak.tuner.engine import session
from spak.tuner.fleet.devices import visible_gpus
from spak.tuner.fleet.health import MOST_UNSTEADY
from spak.tuner.fleet.local import LocalExecutor, local_members
from spak.tuner.fleet.open import open_on_fleet
from tests.gpu.faulty_works import BUSY, OPENED, POISON, SICK, WORKS

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.skipif(detect() is None, reason="no NVIDIA GPU here")]
ROOT = Path(__file__).parents[2]
OP, PROBLEM, SEED = "matmul", "m2048", 7
ASKED, NEEDED = 12, 8


class Fleet:
    """The processes of this machine, with two GPUs at most, and configurations that all run well on it."""

    def __init__(self, cache):
        pytest.importorskip("torch", reason="needs torch")
        laws, gpus = load(ROOT / "laws"), visible_gpus()
        self.devices = [gpu.device for gpu in gpus if gpu.name == gpus[0].name][:2]
        hw = device_node(laws.hardware, gpus[0].name)
        assert hw is not None, f"{gpus[0].name} is no hardware node of the laws"
        question = session.ask(laws, OP, hw, PROBLEM)
        cores = min(16, len(os.sched_getaffinity(0)))
        self.cache = cache
        self.executor = LocalExecutor(local_members(cores, self.devices), cache, WORKS)
        self.task = Task(question.hw, question.op, question.facts, cache / "search", cores, SEED)
        space = question.space
        order = list(shuffled(stream(SEED, Purpose.CHALLENGERS), len(space)))[:ASKED]
        asked = [Request(space.config(place), question.problem, "sweep", place) for place in order]
        backend = self.backend(batch_size=ASKED)
        pairs = list(backend.evaluate(asked))
        self.good = [request for request, trial in pairs if trial.value("time") is not None]
        self.trust = backend.trust
        assert len(self.good) >= NEEDED, [trial.failure for _, trial in pairs]

    def backend(self, batch_size=1):
        """A search's view of it, that trusts everybody."""
        method = TimingMethod(batch_size=batch_size, seed=SEED, skip_baselines=("cublas",), keep_samples=False)
        return open_on_fleet(self.executor, BACKENDS["gpu"], self.task, fits=lambda _: True, method=method)

    def opened(self, device):
        """How many processes opened it so far."""
        return (self.cache / f"{OPENED}-{device}").read_text().count("\n")

    def say(self, kind, device="", text=""):
        """Have something wrong with it from now on."""
        path = self.cache / (f"{kind}-{device}" if device else kind)
        path.write_text(text)

    def mend(self):
        """Nothing is wrong any more."""
        for kind in (POISON, SICK, BUSY):
            for path in self.cache.glob(f"{kind}*"):
                path.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = Fleet(tmp_path_factory.mktemp("fleet"))
    yield made
    made.executor.close()


@pytest.fixture
def fleet(whole, capsys):
    begun = time.monotonic()
    yield whole
    whole.mend()
    with capsys.disabled():
        print(f" {time.monotonic() - begun:.1f} s", end="")


@pytest.fixture
def two(fleet):
    """Two GPUs that are one device while nothing is wrong with them."""
    if len(fleet.devices) < 2:
        pytest.skip("needs two GPUs of one name")
    if fleet.trust.health.out:
        pytest.skip(f"the two GPUs here are not one device as they are: {fleet.trust.health.out}")
    return fleet


def outcomes(pairs):
    return {json.dumps(request.configuration): trial for request, trial in pairs}


def test_an_illegal_address_costs_its_configuration_and_a_process_and_no_gpu(fleet):
    """Each is a batch of its own, so that after it nothing but what ran well before can speak for the GPU."""
    well, poison, *others = fleet.good[:4]
    backend = fleet.backend()
    assert [trial.invalidity for _, trial in backend.evaluate([well])] == ["correct"]
    fleet.say(POISON, text=json.dumps(dict(poison.configuration)))
    before = {device: fleet.opened(device) for device in fleet.devices}
    trials = outcomes(backend.evaluate([poison, *others]))
    failed = trials.pop(json.dumps(poison.configuration))
    assert (failed.invalidity, "illegal memory access" in failed.failure.message) == ("runtime", True), failed.failure
    assert {trial.invalidity for trial in trials.values()} == {"correct"}
    assert len(trials) == len(others)
    assert backend.trust.health.out == {}
    assert sum(fleet.opened(device) - before[device] for device in fleet.devices) == 1, "one context was lost"


def test_a_gpu_on_which_every_context_is_lost_is_out_by_name_and_charges_one(two):
    """It is given what ran well in the process that took the place of the lost one, and once more in another."""
    well, sick = two.devices
    backend = two.backend()
    assert {trial.invalidity for _, trial in backend.evaluate(two.good[:2])} == {"correct"}
    two.say(SICK, sick)
    before = two.opened(sick)
    trials = outcomes(backend.evaluate(two.good[2:8]))
    assert sorted(trial.invalidity for trial in trials.values()) == ["correct"] * (len(trials) - 1) + ["runtime"]
    assert list(backend.trust.health.out) == [sick]
    assert backend.trust.health.out[sick].startswith("after a failure it fails with what ran well before: ")
    assert two.opened(sick) - before >= 2
    assert f"{sick} was taken out: after a failure" in backend.provenance().note
    assert well not in backend.trust.health.out


def test_a_gpu_that_is_busy_from_the_start_is_another_device_and_no_time_of_its_counts(two):
    well, busy = two.devices
    two.say(BUSY, busy)
    backend = two.backend()
    trials = outcomes(backend.evaluate(two.good[:4]))
    assert len(trials) == 4
    assert all(trial.value("time") is not None for trial in trials.values())
    print(backend.trust.health.out)
    assert list(backend.trust.health.out) == [busy]
    assert f"longer than on {well}: they are two devices" in backend.trust.health.out[busy]
    assert backend.provenance().device.machine == well


def test_a_gpu_that_becomes_slower_has_its_times_marked_and_is_out_after_three_batches(two):
    well, busy = two.devices
    backend = two.backend()
    assert all(trial.value("time") is not None for _, trial in backend.evaluate(two.good[:2]))
    two.say(BUSY, busy)
    marked = []
    for _ in range(3 * MOST_UNSTEADY):
        trials = [trial for _, trial in backend.evaluate(two.good[:4])]
        marked += [trial for trial in trials if trial.value(UNSTEADY_TIME) is not None]
        if backend.trust.health.out:
            break
    assert list(backend.trust.health.out) == [busy]
    assert backend.trust.health.out[busy] == f"{MOST_UNSTEADY} times in a row it was not as fast as at first"
    assert len(marked) == MOST_UNSTEADY
    assert all(trial.value("time") is None and trial.value(DRIFT) > 0 for trial in marked)
    assert well not in backend.trust.health.out
