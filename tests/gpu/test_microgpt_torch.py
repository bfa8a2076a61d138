"""PyTorch's step of MicroGPT in a CUDA graph goes on as the step itself does, whatever else takes memory meanwhile."""

from __future__ import annotations

from random import Random

import pytest

torch = pytest.importorskip("torch")

from bench.microgpt_torch import WARMUPS, Shape, Trainer, captured  # noqa: E402
from spak.kernels.microgpt.model import Model, initial_parameters  # noqa: E402
from spak.kernels.microgpt.reference import views  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

MODEL, BATCH, STEPS = Model(vocab=11, width=16, layers=1, heads=2, context=8), 4, 12


def trainer() -> Trainer:
    """The same one each time."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(MODEL.vocab, (STEPS * BATCH, MODEL.context + 1), generator=generator).cuda()
    weights = views(MODEL, torch.from_numpy(initial_parameters(MODEL, Random(0))).float().cuda())
    lengths = torch.full((STEPS * BATCH,), MODEL.context).cuda()
    return Trainer(weights, tokens, lengths, Shape(MODEL.layers, MODEL.heads), BATCH, STEPS)


def test_a_captured_step_keeps_what_it_trains():
    """Everything that is free is overwritten before the graph is replayed."""
    step = captured(trainer())
    taken = [torch.full((n,), -1, dtype=torch.int64, device="cuda") for n in (1, 16, 64, 256, 1024) for _ in range(200)]
    for _ in range(STEPS - WARMUPS):
        step()
    plain = trainer()
    for _ in range(STEPS):
        plain.step()
    assert len(taken) == 1000
    assert (step.trainer.losses - plain.losses).abs().max() < 1e-5
