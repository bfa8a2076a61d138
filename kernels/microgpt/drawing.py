"""Documents to train on on which float32 and float64 stay together: no step comes near what rounding decides.

ReLU's derivative jumps at 0. Where a hidden value is as close to 0 as float32 rounds, a right program may take the other
side than float64, and a thousand steps of Adam make of that one gradient another run (decision 0170). Adam's first step
is the sign of a gradient, but for those as small as its epsilon, whose rounding it makes large. What is drawn
depends on seed and sizes alone: float64 trains along and a document that comes too close is drawn again.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from spak.kernels.microgpt.model import Model, learning_rates
from spak.kernels.microgpt.reference import TorchTraining, mean_loss, smallest_hidden, views

SHORTEST = 2
"""Tokens with a successor in the shortest document that is drawn."""
CLEARANCE = 1e-4
"""Smallest magnitude of a hidden value before ReLU. Source: decision 0170, ten times what float32 was seen to move one by."""
SMALLEST_GRADIENT = 1e-7
"""Smallest magnitude of a gradient of the first step that is not 0: ten times Adam's epsilon."""
REDRAWS = 8
"""Times that documents too close are drawn again; of the larger sizes, which are trained a few steps, none may be clear."""


def draw_documents(model: Model, count: int, generator: Random) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, lengths) of documents of any length up to the context, their tokens drawn one by one.

    The first is any token: if it were the same in all, so would be its hidden values, and none could be drawn again.
    """
    tokens = np.full((count, model.context + 1), model.bos, np.int32)
    lengths = np.array([generator.randint(SHORTEST, model.context) for _ in range(count)], np.int32)
    for row, length in zip(tokens, lengths, strict=True):
        row[0] = generator.randrange(model.vocab)
        row[1:length] = [generator.randrange(model.bos) for _ in range(length - 1)]
    return tokens, lengths


def draw_run(
    model: Model, parameters: np.ndarray, generator: Random, *, batch: int, steps: int, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, lengths) of `steps * batch` documents, each clear of ReLU's bend when its turn comes.

    Args:
        model: Its sizes.
        parameters: (num_parameters,), those that the run begins with.
        generator: Draws them.
        batch: Documents a step.
        steps: Of the run.
        device: Where float64 trains along.
    """
    training = TorchTraining(model, parameters, device=device)
    drawn = []
    for step, rate in enumerate(learning_rates(steps)):
        documents = (clear_documents if step else first_documents)(training, batch, generator)
        given, counts = on_device(documents, device)
        training.step(given, counts, float(rate))
        drawn.append(documents)
    tokens, lengths = zip(*drawn, strict=True)
    return np.concatenate(tokens), np.concatenate(lengths)


def first_documents(training: TorchTraining, count: int, generator: Random) -> tuple[np.ndarray, np.ndarray]:
    """`clear_documents` of the first step, again until no gradient is near Adam's epsilon, or those farthest from it."""
    tried = []
    for _ in range(1 + REDRAWS):
        documents = clear_documents(training, count, generator)
        tried.append((smallest_gradient(training, documents), documents))
        if tried[-1][0] >= SMALLEST_GRADIENT:
            break
    return max(tried, key=lambda found: found[0])[1]


def smallest_gradient(training: TorchTraining, documents: tuple[np.ndarray, np.ndarray]) -> float:
    """The smallest magnitude of a gradient that is not 0, under the parameters of now."""
    import torch

    flat = training.parameters
    loss = mean_loss(training.model, views(training.model, flat), *on_device(documents, flat.device))
    magnitudes = torch.autograd.grad(loss, flat)[0].abs()
    return float(magnitudes[magnitudes > 0].min())


def clear_documents(training: TorchTraining, count: int, generator: Random) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, lengths) of the documents of the next step: of at most 1 + `REDRAWS` each, the first that is clear or the clearest."""
    tokens, lengths = draw_documents(training.model, count, generator)
    distances = distances_of(training, (tokens, lengths))
    for _ in range(REDRAWS):
        near = np.flatnonzero(distances < CLEARANCE)
        if not near.size:
            break
        others = draw_documents(training.model, near.size, generator)
        found = distances_of(training, others)
        better = found > distances[near]
        chosen = near[better]
        tokens[chosen], lengths[chosen], distances[chosen] = others[0][better], others[1][better], found[better]
    return tokens, lengths


def distances_of(training: TorchTraining, documents: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(documents,): the smallest magnitude of a hidden value of each, under the parameters of now."""
    flat = training.parameters.detach()
    tokens, lengths = on_device(documents, flat.device)
    return np.asarray(smallest_hidden(training.model, views(training.model, flat), tokens, lengths).cpu())


def on_device(documents: tuple[np.ndarray, np.ndarray], device: Any) -> tuple[Any, Any]:
    """(tokens, lengths) as int64 tensors."""
    import torch

    tokens, lengths = (torch.from_numpy(array).long().to(device) for array in documents)
    return tokens, lengths
