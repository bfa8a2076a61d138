"""Clocks and throttling, from recorded nvidia-smi lines and a scripted reader."""

import pytest

from tuner.backend.gpu.clocks import ClockLog, Reading, open_clock_log, parse_smi, read_smi


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
