"""The backend on a real GPU: what is good is measured, what hangs, faults, exits or is wrong costs one trial."""

import hashlib
from functools import partial
from pathlib import Path

import pytest

from spak.tuner.backend.base import Request
from spak.tuner.backend.gpu.ahead import AheadCompiler, CubinTarget
from spak.tuner.backend.gpu.backend import GpuBackend, TimingMethod
from spak.tuner.backend.gpu.detect import detect
from spak.tuner.backend.gpu.program import CudaDevice
from spak.tuner.backend.gpu.supervisor import Supervisor, WorkerLimits

GPU = detect()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(GPU is None, reason="no NVIDIA GPU with a driver here")]
SPEC = "tests.tuner.backend.gpu.scale_spec:SPEC"
SOURCE = hashlib.sha256((Path(__file__).parents[1] / "tuner/backend/gpu/scale_spec.py").read_bytes()).hexdigest()
N = 1 << 22


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    pytest.importorskip("torch", reason="needs torch")
    cubins = tmp_path_factory.mktemp("cubins")
    target = CubinTarget(SPEC, GPU.arch, cubins, SOURCE)
    compiler = AheadCompiler(target, workers=2)
    supervisor = Supervisor(partial(CudaDevice, target), WorkerLimits(check_s=5, ready_s=5, time_s=5))
    backend = GpuBackend(supervisor, compiler, lambda code: {}, TimingMethod(batch_size=16))
    backend.supervisor = supervisor
    yield backend
    backend.close()


def run(backend, *configurations):
    requests = [Request(configuration, {"n": N}, "sweep") for configuration in configurations]
    return {(t.configuration["kind"], t.configuration["tile"]): t for _, t in backend.evaluate(requests)}


def configuration(kind, tile=256):
    return {"kind": kind, "tile": tile}


def test_good_configurations_get_a_time_an_interval_and_the_machine_they_ran_on(backend):
    trials = run(backend, configuration("good"), configuration("good", 512))
    for trial in trials.values():
        time = trial.measurements[0]
        assert (trial.invalidity, trial.failure) == ("correct", None)
        assert 0 < time.low <= time.value <= time.high
        assert 2 * 4 * N / (time.value * 1e-6) < 10e12, "no GPU moves ten terabytes a second"
        assert trial.value("relative_error") == 0
    reference = backend.references({"n": N})["torch"]
    assert reference.value == pytest.approx(trials["good", 512].value("time"), rel=1.0), "the same copy through torch"
    known = backend.provenance()
    assert known.device.name == GPU.name
    assert known.device.sm_clock_mhz_min > 0
    assert known.device.throttled in {True, False}
    assert "flushed" in known.noise.l2
    assert backend.supervisor.machine.compiled_here == 0, "the launch finds what was compiled ahead"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "invalidity"),
    [
        ("hang", "timeout"),
        ("wild", "runtime"),
        ("exit", "runtime"),
        ("wrong", "correctness"),
        ("unwritten", "correctness"),
        ("refused", "compile"),
        ("uncompilable", "compile"),
    ],
)
def test_a_bad_configuration_costs_one_trial_and_the_search_goes_on(backend, kind, invalidity):
    trials = run(backend, configuration("good"), configuration(kind), configuration("good", 512))
    assert trials[kind, 256].invalidity == invalidity
    assert trials[kind, 256].failure.message
    assert trials["good", 256].invalidity == trials["good", 512].invalidity == "correct"


def test_timing_twice_agrees(backend):
    first, second = (run(backend, configuration("good"))["good", 256].value("time") for _ in range(2))
    assert first == pytest.approx(second, rel=0.1)
