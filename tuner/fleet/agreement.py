"""Devices of one name that are not one device: those whose reference kernels disagree by more than noise and a margin."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from spak.tuner.backend.gpu.steady import MARGIN, ReferenceTimes, drift


def agreeing_machines(readings: Mapping[str, ReferenceTimes], margin: float = MARGIN) -> list[list[str]]:
    """Machines of one name in groups whose times may stand in one run; each group is a device of its own.

    The fastest machine that is left begins a group, of which are all that agree with it; whether two agree with a third
    says nothing of whether they agree, so that somebody has to be first.

    Args:
        readings: Machine (`Device.machine`) -> a reading of it, all of the same reference kernels.
        margin: See `spak.tuner.backend.gpu.steady.drift`.

    Returns:
        The fastest machine's group first, and in each its fastest machine first.
    """
    left = sorted(readings, key=lambda machine: (*_medians(readings[machine]), machine))
    groups = []
    while left:
        first = readings[left[0]]
        group = [machine for machine in left if drift(readings[machine], first, margin) is None]
        groups.append(group)
        left = [machine for machine in left if machine not in group]
    return groups


def _medians(reading: ReferenceTimes) -> list[float]:
    return [statistics.median(reading[kernel]) for kernel in sorted(reading)]
