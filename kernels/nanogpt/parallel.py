"""Training by several processes of one host, a GPU each: gradients are averaged by one all-reduce of the flat buffer.

`torchrun --nproc-per-node 2` starts the processes and tells each which one it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
"""What torchrun sets. Source: PyTorch's documentation of torchrun, environment variables."""


@dataclass(frozen=True)
class TrainingWorker:
    """One of the processes that train together.

    Attributes:
        rank: Which one, from 0; 0 alone writes files and prints.
        count: Of processes.
        local_rank: Its GPU on this host.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.rank < self.count:
            raise ValueError(f"RANK: must be from 0 to WORLD_SIZE - 1 (got {self.rank} of {self.count})")

    def share(self, batch: int) -> slice:
        """The sequences of a batch that are this worker's.

        Raises:
            ValueError: If `batch` does not divide by the number of workers.
        """
        if batch % self.count:
            raise ValueError(f"batch: must be a multiple of the {self.count} processes (got {batch})")
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)


def worker_of(environment: Mapping[str, str]) -> TrainingWorker:
    """Which process this is by torchrun's variables; the only one where there are none.

    Raises:
        ValueError: If some are missing or none of them a number; names the variable.
    """
    if not any(name in environment for name in _VARIABLES):
        return TrainingWorker()
    numbers = []
    for name in _VARIABLES:
        value = environment.get(name, "nothing")
        if not value.isdecimal():
            raise ValueError(f"{name}: torchrun sets it to a number (got {value}); set all of {_VARIABLES}, or none")
        numbers.append(int(value))
    rank, local_rank, count = numbers
    return TrainingWorker(rank, count, local_rank)


@contextmanager
def joined_workers(worker: TrainingWorker, device: str) -> Iterator[None]:
    """Join the other processes, by gloo where `device` is `cpu` or there is no GPU, else by NCCL; leave them at the end."""
    if worker.count == 1:
        yield
        return
    import torch
    from torch import distributed

    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:  # pragma: no cover  # needs two GPUs: bench/nanogpt_two.py
        torch.cuda.set_device(worker.local_rank)
    distributed.init_process_group("nccl" if on_gpu else "gloo", rank=worker.rank, world_size=worker.count)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def average_over_workers(worker: TrainingWorker, flat: Any) -> None:
    """Replace a tensor, such as the flat buffer of gradients, by its mean over all workers; one call, in place.

    May be captured in a CUDA graph, once NCCL has averaged before.
    """
    if worker.count == 1:
        return
    from torch import distributed

    if flat.is_cuda:  # pragma: no cover  # needs two GPUs: bench/nanogpt_two.py
        distributed.all_reduce(flat, op=distributed.ReduceOp.AVG)
        return
    distributed.all_reduce(flat)  # gloo has no mean
    flat /= worker.count
