"""Several processes that train together: which one each is, what it reads, and that gradients become their mean."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from spak.kernels.nanogpt.parallel import TrainingWorker, average_over_workers, joined_workers, worker_of


def test_torchrun_says_which_process_it_is():
    assert worker_of({"RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}) == TrainingWorker(
        rank=1, count=4, local_rank=0
    )
    assert worker_of({"HOME": "/"}) == TrainingWorker()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, "LOCAL_RANK"),
        ({"RANK": "x", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}, "RANK"),
        ({"RANK": "2", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}, "RANK"),
    ],
)
def test_an_environment_that_says_half_of_it_is_refused(environment, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        worker_of(environment)


def test_workers_share_a_batch_without_gap_or_overlap():
    rows = list(range(12))
    shares = [rows[TrainingWorker(rank, 3).share(12)] for rank in range(3)]
    assert [row for share in shares for row in share] == rows
    assert {len(share) for share in shares} == {4}
    with pytest.raises(ValueError, match=r"^batch: must be a multiple of the 3 processes"):
        TrainingWorker(0, 3).share(13)


def test_one_worker_needs_no_other():
    """Nothing is opened, nothing changes."""
    torch = pytest.importorskip("torch")
    flat = torch.arange(3.0)
    with joined_workers(TrainingWorker(), "cpu"):
        average_over_workers(TrainingWorker(), flat)
    assert flat.tolist() == [0.0, 1.0, 2.0]


AVERAGE = """
import os, torch
from spak.kernels.nanogpt.parallel import average_over_workers, joined_workers, worker_of
worker = worker_of(os.environ)
with joined_workers(worker, "cpu"):
    flat = torch.tensor([1.0, 10.0]) * (worker.rank + 1)
    average_over_workers(worker, flat)
    print(flat.tolist())
"""


def test_two_processes_average():
    """Through gloo, as torchrun would start them."""
    pytest.importorskip("torch")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AVERAGE],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    assert [process.communicate(timeout=120)[0].strip() for process in processes] == ["[1.5, 15.0]"] * 2
