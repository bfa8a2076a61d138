"""Whose measurements a search over a fleet takes: GPUs that still run what ran well, and that are one device.

A batch of a GPU is judged before any of its trials is taken. Failures that may be the GPU's own are charged only if the
GPU still does what ran well before; first times are taken only from GPUs whose reference kernels agree.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spak.kg.model.run import UNSTEADY_TIME, Trial
from spak.tuner.backend.base import Request
from spak.tuner.backend.gpu.steady import ReferenceTimes, drift
from spak.tuner.fleet.agreement import agreeing_machines
from spak.tuner.fleet.health import DOUBTFUL, DeviceHealth

Pair = tuple[Request, Trial]


@dataclass(frozen=True)
class LaneBatch:
    """What a GPU made of a batch.

    Attributes:
        device: Its id.
        pairs: Requests with their trials, as far as it came.
        reading: The first of its reference kernels; empty if it has none yet.
        again: Evaluates one request on it once more, in a process of its own begun anew if asked to.
        alone: Whether no other GPU could take over.
    """

    device: str
    pairs: Sequence[Pair]
    reading: ReferenceTimes
    again: Callable[[Request, bool], Trial]
    alone: bool


class FleetTrust:
    """Judges batches. The threads of all GPUs share it.

    Attributes:
        health: Which GPUs were taken out, and why.
    """

    def __init__(self) -> None:
        """Trust everybody."""
        self.health = DeviceHealth()
        self._good: Request | None = None
        self._readings: dict[str, ReferenceTimes] = {}
        self._awaited: set[str] = set()
        self._first = ""
        self._changed = threading.Condition()

    def begin(self, devices: Iterable[str]) -> None:
        """These GPUs work now: until each has been read, or `leave`s, no first batch is judged."""
        with self._changed:
            self._awaited = set() if self._first else set(devices)

    def leave(self, device: str) -> None:
        """It does nothing more for now."""
        with self._changed:
            self._awaited.discard(device)
            self._changed.notify_all()

    def taken(self, batch: LaneBatch) -> list[Pair]:
        """The trials that count; the others are for somebody else. `health.out` says whether the GPU gets more."""
        other = self._disagreement(batch.device, batch.reading)
        if other:
            self.health.unusable(batch.device, other)
            return []
        well = [pair for pair in batch.pairs if pair[1].invalidity == "correct"]
        doubtful = [pair for pair in batch.pairs if pair[1].invalidity in DOUBTFUL]
        if well:
            self._good = self._good or well[-1][0]
            steady = batch.alone or not any(trial.value(UNSTEADY_TIME) is not None for _, trial in well)
            self.health.well(batch.device, steady=steady)
        elif doubtful:
            charged = self._charged(batch, doubtful)
            return [pair for pair in batch.pairs if pair not in doubtful or pair in charged]
        return list(batch.pairs)

    def _charged(self, batch: LaneBatch, doubtful: Sequence[Pair]) -> Sequence[Pair]:
        """Of a batch without any success: all failures if the GPU still runs what ran well, else the first alone.

        Where only a new process runs it, the first poisoned the context of the one before, and the others had no other.
        """
        if self._good is not None:
            for afresh, charged in ((False, doubtful), (True, doubtful[:1])):
                found = batch.again(self._good, afresh)
                if found.invalidity == "correct":
                    self.health.well(batch.device)
                    return charged
                self.health.failed_again(batch.device, _said(found))
            return doubtful[:1]
        if batch.alone:
            return doubtful
        for place, (_, trial) in enumerate(doubtful, 1):
            self.health.failed(batch.device, _said(trial))
            if batch.device in self.health.out:
                return doubtful[:place]
        return doubtful

    def _disagreement(self, device: str, reading: ReferenceTimes) -> str:
        """Why this GPU is another device than the search is about; empty if it is not."""
        with self._changed:
            if reading:
                self._readings.setdefault(device, reading)
            self._awaited.discard(device)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._awaited)
            if not self._first and self._readings:
                self._first = max(agreeing_machines(self._readings), key=len)[0]  # of groups of one size the fastest
            if device not in self._readings or not self._first:
                return ""
            found = drift(self._readings[device], self._readings[self._first])
        if found is None:
            return ""
        change = f"{abs(found.ratio - 1):.1%}".replace("%", " %")
        how = f"{change} {'longer' if found.ratio > 1 else 'less'} than on {self._first}"
        return f"the reference kernel {found.kernel!r} takes {how}: they are two devices; search each by itself"


def _said(trial: Trial) -> str:
    return f"{trial.failure.type}: {trial.failure.message}" if trial.failure is not None else trial.invalidity
