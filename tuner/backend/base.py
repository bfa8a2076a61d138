"""The interface every backend implements, and what it reports. Backends know configurations, never laws."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spak.kg.model.base import Configuration, ProblemSize
from spak.kg.model.run import Device, Failure, Measurement, Noise, Trial

MESSAGE_LIMIT = 500
"""Characters of an exception's message that a run file keeps."""


@dataclass(frozen=True)
class Request:
    """One evaluation asked for.

    Attributes:
        origin: Why (`Trial.origin`).
        index: Place of the configuration in the space that is searched; -1 outside a search.
    """

    configuration: Configuration
    problem: ProblemSize
    origin: str
    index: int = -1

    def trial(self, **found: Any) -> Trial:
        """What was found of it, as the fields of a `Trial` besides its own."""
        return Trial(configuration=dict(self.configuration), problem=dict(self.problem), origin=self.origin, **found)


def exception_failure(error: Exception) -> Failure:
    """What a trial records of an exception: its class, and the first line of its message."""
    lines = str(error).strip().splitlines() or [""]
    return Failure(type=type(error).__name__, message=lines[0][:MESSAGE_LIMIT])


@dataclass(frozen=True)
class Provenance:
    """What a run file records of where its trials came from.

    Attributes:
        tier: `measured`, `compiled`; a replay says the tier of what it replays.
        device: None when nothing ran.
        noise: How times were taken; None when nothing was timed.
        objective: Measurement that ranks trials, lower is better: `time` or `predicted_time`.
        note: What else a reader of the run should know of where it ran.
        apart: GPUs that were taken out while others went on.
    """

    tier: str
    toolchain: dict[str, str]
    device: Device | None
    noise: Noise | None
    objective: str
    note: str = ""
    apart: tuple[ApartDevice, ...] = ()


@dataclass(frozen=True)
class ApartDevice:
    """A GPU that was taken out.

    Attributes:
        device: Which.
        why: Why, in words.
        provenance: Of itself.
        trials: What it measured that counts for no search.
    """

    device: str
    why: str
    provenance: Provenance
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Patience:
    """How long a search waits for a batch before any of it is evaluated.

    Attributes:
        seconds: Left of its time; when they are over it goes on with what there is, and at least one.
        whole: Nothing comes after this batch, so that all of it is waited for while there is time.
        needed: Places of requests that it waits for even longer.
        told: Told in a few words, again and again, what the wait is for.
    """

    seconds: float = math.inf
    whole: bool = False
    needed: Collection[int] = ()
    told: Callable[[str], None] = lambda _: None


class Backend(Protocol):
    """Evaluates configurations. A failed trial is data; an exception is a bug or bad input."""

    name: str
    batch_size: int
    """How many requests it likes at once (compiling ahead, interleaving)."""
    num_compilers: int = 0
    """How many of them it compiles at the same time, where those who do wait for nothing else; 0: not known."""

    def provenance(self) -> Provenance:
        """What is known of machine, toolchain and method."""
        ...

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """Compiled features of each request (`spill_bytes`, `registers`, ...), None where unknown or failed."""
        ...

    def late(self, requests: Sequence[Request], patience: Patience) -> Collection[int]:
        """Places of those that would keep the others waiting; the caller asks for them again, with its next requests.

        Fewer than all. What they need goes on meanwhile. Empty for a backend that never waits for one of many.
        """
        del requests, patience
        return ()

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """Each request with its trial, failures included, in the order they finish."""
        ...

    def references(self, problem: ProblemSize) -> dict[str, Measurement]:
        """Times of library baselines at `problem`, from the rounds of the trials so far; empty if none was timed."""
        del problem
        return {}

    def close(self) -> None:
        """Release workers; safe to call twice."""
        return
