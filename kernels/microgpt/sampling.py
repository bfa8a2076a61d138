"""New documents from a trained model, drawn as microgpt.py draws them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np

from spak.kernels.microgpt.model import Model

TEMPERATURE = 0.5
"""Source: microgpt.py."""


def samples(
    model: Model, parameters: np.ndarray, generator: Random, *, temperature: float = TEMPERATURE
) -> Iterator[list[int]]:
    """Documents without end: tokens of each, at most `context`, without the token that begins and ends it.

    Args:
        model: Its sizes.
        parameters: (num_parameters,); logits are computed in float64 from them.
        generator: microgpt.py's is the one that shuffled the documents and drew the weights.
        temperature: Logits are divided by it; above 0.
    """
    import torch

    from spak.kernels.microgpt.reference import logits, views

    matrices = views(model, torch.as_tensor(parameters, dtype=torch.float64))
    while True:
        tokens = [model.bos]
        while len(tokens) <= model.context:
            last = logits(model, matrices, torch.tensor([tokens]))[0, -1]
            chances = (last / temperature).softmax(0).tolist()
            token = generator.choices(range(model.vocab), weights=chances)[0]
            if token == model.bos:
                break
            tokens.append(token)
        yield tokens[1:]
