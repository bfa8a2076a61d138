"""PyTorch's step, which MicroGPT is compared with, computes what the reference does; here on the CPU, uncompiled."""

from random import Random

import numpy as np
import pytest

from bench.microgpt_torch import Shape, Trainer
from spak.kernels.microgpt.model import Model, initial_parameters
from spak.kernels.microgpt.reference import train, views

torch = pytest.importorskip("torch")


def test_steps_are_those_of_the_reference():
    """Losses of three steps with updates between, in float32."""
    model, batch, steps = Model(vocab=11, width=16, layers=2, heads=2, context=9), 3, 3
    random = np.random.default_rng(0)
    tokens = random.integers(0, model.vocab, (steps * batch, model.context + 1))
    lengths = random.integers(1, model.context + 1, steps * batch)
    initial = initial_parameters(model, Random(0))
    weights = views(model, torch.from_numpy(initial).float())
    trainer = Trainer(weights, torch.from_numpy(tokens), torch.from_numpy(lengths), Shape(2, 2), batch, steps)
    for _ in range(steps):
        trainer.step()
    expected = train(model, initial, tokens, lengths, batch=batch, steps=steps)
    assert (trainer.losses.double() - expected.losses).abs().max() < 1e-5
