"""Clocks and throttling, from recorded nvidia-smi lines and a scripted reader."""

import sys
import types

import pytest

from spak.tuner.backend.gpu.clocks import ClockLog, Reading, open_clock_log, parse_smi, read_smi


@pytest.mark.parametrize(
    ("line", "reading"),
    [
        ("1980, 0x0000000000000000", Reading(1980.0, 0)),
        ("345, 0x0000000000000001", Reading(345.0, 1)),
        ("[N/A], 0x0000000000000000", None),
        ("1980, [Not Supported]", None),
        ("", None),
    ],
)
def test_a_line_of_nvidia_smi_is_read_or_refused(line, reading):
    assert parse_smi(line) == reading


@pytest.mark.parametrize(("reasons", "throttled"), [([0, 1], False), ([0, 4], True), ([0x40], True), ([2], False)])
def test_idle_and_user_clocks_are_no_throttling_but_power_and_heat_are(reasons, throttled):
    readings = iter(Reading(1000.0 + reason, reason) for reason in reasons)
    log = ClockLog(lambda: next(readings))
    for _ in reasons:
        log.observe()
    assert log.throttled is throttled
    assert log.sm_mhz == (1000.0 + min(reasons), 1000.0 + max(reasons))


def test_nothing_read_is_not_known_rather_than_fine():
    log = ClockLog(lambda: None)
    log.observe()
    assert (log.throttled, log.sm_mhz) == (None, None)


def test_looks_keep_their_distance():
    looks, times = [], iter([0.0, 0.5, 1.9, 2.0, 3.0])
    log = ClockLog(lambda: looks.append(1), least_interval_s=2.0, now=lambda: next(times))
    for _ in range(5):
        log.observe()
    assert len(looks) == 2


def test_without_a_card_everything_still_answers():
    log = open_clock_log()
    log.observe()
    assert read_smi() is None or log.sm_mhz is not None


class FakeNvml(types.ModuleType):  # its names are those of nvidia-ml-py
    """The five calls of nvidia-ml-py that the log makes."""

    NVML_CLOCK_SM = 1

    class NVMLError(Exception):
        pass

    def __init__(self, clocks):
        super().__init__("pynvml")
        self.clocks = iter(clocks)

    def nvmlInit(self):  # noqa: N802
        pass

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, card):  # noqa: N802
        return card

    def nvmlDeviceGetClockInfo(self, handle, kind):  # noqa: N802
        self.asked = handle
        clock = next(self.clocks)
        if clock is None:
            raise self.NVMLError
        return clock

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802
        return 0x4


@pytest.mark.parametrize(("card", "handle"), [("", 0), ("GPU-7", "GPU-7")])
def test_nvml_is_read_where_it_is_installed_and_may_fail_now_and_then(monkeypatch, card, handle):
    nvml = FakeNvml([1980, None, 1755])
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    log = open_clock_log(card)
    for _ in range(3):
        log.observe()
    assert (log.sm_mhz, log.throttled) == ((1755.0, 1980.0), True)
    assert nvml.asked == handle


def test_without_nvml_nvidia_smi_is_asked_and_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    log = open_clock_log()
    log.observe()
    assert log.sm_mhz is None
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '1830, 0x0000000000000020'\necho 'second card'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    log = open_clock_log()
    log.observe()
    assert (log.sm_mhz, log.throttled) == ((1830.0, 1830.0), True)
