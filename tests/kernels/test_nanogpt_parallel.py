"""Several processes that train together: which one each is, what it reads, and that gradients become their mean."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from spak.kernels.nanogpt.data import SMALL_TEXT, read_data
from spak.kernels.nanogpt.parallel import TrainingWorker, average_over_workers, joined_workers, worker_of
from spak.kernels.nanogpt.settings import TrainingSettings
from spak.kernels.nanogpt.surroundings import TrainingSurroundings, plain_operators

with contextlib.suppress(ModuleNotFoundError):  # torch: only what needs it is left out
    from spak.kernels.nanogpt.training import TrainingRun


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


STEPS, BATCH = 3, 4
TRAIN = """
import os, torch
from tests.kernels.test_nanogpt_parallel import losses_and_sum
from spak.kernels.nanogpt.parallel import joined_workers, worker_of
torch.set_num_threads(1)
rank = "0" if os.fork() else "1"  # two processes that imported torch once
worker = worker_of({**os.environ, "RANK": rank, "LOCAL_RANK": rank})
with joined_workers(worker, "cpu"):
    told = " ".join(map(str, (rank, *losses_and_sum(worker))))
    os.write(1, f"{told}\\n".encode())  # at once: two processes share the pipe
if rank == "0":
    os.wait()
"""


def losses_and_sum(worker):
    """Losses of a few steps on the worker's share of each batch, and a sum that every parameter counts in."""
    import torch

    sizes = {"width": 16, "layers": 1, "heads": 2, "context": 8, "batch": BATCH, "warmup": 1, "evaluation_batches": 1}
    settings = TrainingSettings(steps=STEPS, every=STEPS, evaluate_every=STEPS, device="cpu", **sizes)
    data = read_data(Path(str(SMALL_TEXT)), settings.context)
    world = TrainingSurroundings(plain_operators, lambda gpu: None, worker=worker)
    run = TrainingRun(settings, data, world, None)
    for _ in run:
        pass
    parameters = run.step.state.parameters.double()
    weighted = parameters * torch.arange(len(parameters)).double().cos()
    return [*run.losses.tolist(), run.evaluations[-1][1], float(weighted.sum())]


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_whole_batch():
    """Through gloo, told which they are as torchrun does: mean losses and parameters after three steps."""
    pytest.importorskip("torch")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **shared, "PYTHONPATH": os.pathsep.join(sys.path)}
    given = {"env": environment, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", TRAIN], check=False, **given)
    assert done.returncode == 0, done.stderr
    first, second = (line.split()[1:] for line in sorted(done.stdout.splitlines()))
    assert first == second
    assert list(map(float, first)) == pytest.approx(losses_and_sum(TrainingWorker()), rel=1e-5)
