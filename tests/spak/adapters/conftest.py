"""A kernel that other tuners tune: the made-up convolution, called by a tuner's names."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

import spak
from spak.adapters.advice import TunedKernel

NAMES = {"BX": "bx", "BY": "by", "UNROLL": "unroll"}


@pytest.fixture
def now() -> datetime:
    """When it is recorded."""
    return datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def kernel(conv) -> TunedKernel:
    """On the third GPU, of which only its family is known."""
    return TunedKernel(conv, "conv", spak.HardwareName("three", "family"), names=NAMES)


@pytest.fixture
def launch_us():
    """Microseconds of a configuration on the third GPU; it raises what a launch would raise."""

    def time(bx, by, unroll):
        if (bx, by) == (128, 4):
            raise RuntimeError("too many resources requested for launch")
        return 10 * math.exp(abs(math.log2(bx) - 6) * 0.5 + abs(by - 4) * 0.3 + unroll * 0.01)

    return time
