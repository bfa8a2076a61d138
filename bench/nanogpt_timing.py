"""Times training steps of several contestants in one process: interleaved blocks of steps that follow one another, by events.

Inside a block the host runs ahead as it does in training, so a step's time is from its event to the next one's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from bench.nanogpt_cases import Batches

PROFILED = 3
"""Steps that a profile is the mean of."""


class Contestant(Protocol):
    """A training step: `feed` copies the batch (2, B, T) to the device's place for it, `advance` does everything else."""

    def feed(self, batch: Any) -> None:
        """Take inputs and targets."""

    def advance(self) -> None:
        """Forward, backward, clipping and update; does not wait for the device."""

    def last_loss(self) -> float:
        """Of the last step; waits for the device."""

    def gradients(self) -> Mapping[str, Any]:
        """Of every parameter, by name, for what was fed."""


@dataclass(frozen=True)
class Blocks:
    """`count` blocks of `steps` timed steps each, after `warmups` steps; each block begins with `lead` untimed ones."""

    warmups: int = 10
    count: int = 6
    steps: int = 5
    lead: int = 2

    @property
    def most_steps(self) -> int:
        """Of one contestant, those that a profile takes included."""
        return self.warmups + self.count * (self.lead + self.steps) + PROFILED


@dataclass(frozen=True)
class Built:
    """A contestant that runs, its first losses, and what it holds at most: GB of device memory, activations included."""

    contestant: Contestant
    losses: Sequence[float]
    memory_gb: float


def built(make: Callable[[], Contestant], batches: Batches, steps: int) -> Built:  # pragma: no cover  # needs a GPU
    """Make a contestant and run its first steps."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    contestant = make()
    losses = []
    for number in range(steps):
        run_step(contestant, batches, number)
        losses.append(contestant.last_loss())
    return Built(contestant, losses, (torch.cuda.max_memory_allocated() - before) / 1e9)


def run_step(contestant: Contestant, batches: Batches, number: int) -> None:
    """One step on the batch of that number."""
    contestant.feed(batches[number])
    contestant.advance()


def block_ms(
    contestant: Contestant, batches: Batches, blocks: Blocks, first: int
) -> list[float]:  # pragma: no cover  # needs a GPU
    """Milliseconds of each timed step of one block that begins at step `first`."""
    import torch

    events = [torch.cuda.Event(enable_timing=True) for _ in range(blocks.steps + 1)]
    for number in range(blocks.lead):
        run_step(contestant, batches, first + number)
    events[0].record()
    for number, event in enumerate(events[1:]):
        run_step(contestant, batches, first + blocks.lead + number)
        event.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) for before, after in pairwise(events)]


Sample = Callable[[str, int], Sequence[float]]
"""(contestant, number of its first step) -> milliseconds of the steps of one block."""


def in_blocks(names: Sequence[str], sample: Sample, blocks: Blocks, seed: int) -> Mapping[str, list[float]]:
    """All samples of each contestant: in every round each has one block, in an order drawn anew, on the same batches."""
    order = random.Random(seed)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for block in range(blocks.count):
        first = blocks.warmups + block * (blocks.lead + blocks.steps)
        for name in order.sample(list(names), len(names)):
            samples[name] += sample(name, first)
    return samples
