"""What tells whether a device still is what it was, on a real GPU."""

import statistics

import pytest

from spak.tuner.backend.gpu.detect import detect
from spak.tuner.backend.gpu.statistics import MIN_SAMPLES
from spak.tuner.backend.gpu.steady import SteadyWatch, drift

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(detect() is None, reason="no NVIDIA GPU with a driver here")]


@pytest.fixture(scope="module")
def timer():
    pytest.importorskip("torch", reason="needs torch")
    from spak.tuner.backend.gpu.timing import CudaTimer

    return CudaTimer()


def test_a_reading_times_both_reference_kernels_often_enough_for_an_interval(timer):
    reading = timer.reference()
    assert set(reading) == {"clock", "memory"}
    assert all(len(samples) >= MIN_SAMPLES and min(samples) > 0 for samples in reading.values())


def test_a_product_of_twice_the_work_would_be_drift(timer):
    import torch

    first = timer.reference()
    square = torch.ones(2048, 2048, device="cuda")
    twice = timer.prepare(lambda: (torch.mm(square, square), torch.mm(square, square)))
    slowed = tuple(timer.sample(twice) for _ in range(len(first["clock"])))
    found = drift({"clock": slowed}, first)
    assert found is not None
    assert found.kernel == "clock"
    assert found.ratio > 1


def test_the_watch_judges_real_readings_by_their_medians(timer):
    watch = SteadyWatch()
    readings = [timer.reference() for _ in range(3)]
    found = watch.judge(readings)
    assert watch.first == readings[0]
    if found is not None:  # a GPU that others use as well may really drift; then it says by how much
        medians = [statistics.median(reading[found.kernel]) for reading in readings[1:]]
        assert any(found.ratio == pytest.approx(m / statistics.median(readings[0][found.kernel])) for m in medians)
