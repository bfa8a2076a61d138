"""MicroGPT in torch: whole tensors and torch's own gradients, in float64 what every other implementation is held to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from spak.kernels.microgpt.model import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    Model,
    learning_rates,
    names_and_shapes,
    offsets,
)


class Trained(NamedTuple):
    """What a run gives; torch or NumPy, as the implementation has it.

    Attributes:
        losses: (steps,): mean over the documents of a step of each one's mean over its targets, in nats.
        parameters: (num_parameters,), after the last step.
        gradients: (num_parameters,), of the first step's loss.
    """

    losses: Any
    parameters: Any
    gradients: Any


class TorchTraining:
    """A run in torch, one step after the other.

    Attributes:
        parameters: (num_parameters,), flat; its `grad` is that of the last step.
        moments: (2, num_parameters): Adam's averages of the gradients and of their squares.
        steps: Steps done.
    """

    def __init__(self, model: Model, parameters: Any, *, dtype: Any = None, device: Any = None) -> None:
        import torch

        self.model = model
        start = torch.as_tensor(parameters, dtype=dtype or torch.float64, device=device)
        self.parameters = start.detach().clone().requires_grad_()
        self.moments = torch.zeros((2, *self.parameters.shape), dtype=self.parameters.dtype, device=device)
        self.steps = 0

    def step(self, tokens: Any, lengths: Any, rate: float) -> Any:
        """Loss before the step, a scalar tensor; then one step of Adam.

        Args:
            tokens: (documents, context + 1), integers of any type; row by row as `Corpus.batches` gives them.
            lengths: (documents,).
            rate: Learning rate.
        """
        import torch

        self.parameters.grad = None
        loss = mean_loss(self.model, views(self.model, self.parameters), tokens, lengths)
        loss.backward()
        self.steps += 1
        with torch.no_grad():
            gradient, (first, second) = self.parameters.grad, self.moments
            first.lerp_(gradient, 1 - BETA1)
            second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            root = (second / (1 - BETA2**self.steps)).sqrt_().add_(ADAM_EPSILON)
            self.parameters.addcdiv_(first, root, value=-rate / (1 - BETA1**self.steps))
        return loss.detach()


def train(
    model: Model, parameters: Any, tokens: Any, lengths: Any, *, batch: int, steps: int, dtype: Any = None
) -> Trained:
    """Train `steps` steps from `parameters`, each on the next `batch` rows.

    Args:
        model: Its sizes.
        parameters: (num_parameters,), torch or NumPy; not changed.
        tokens: (steps * batch, context + 1), integers; torch ones stay where they are, and the run is there.
        lengths: (steps * batch,), integers.
        batch: Documents a step.
        steps: Steps; the learning rate falls to 0 after the last of them.
        dtype: Of all arithmetic; float64 unless given.

    Returns:
        Tensors of that type.
    """
    import torch

    tokens, lengths = torch.as_tensor(tokens).long(), torch.as_tensor(lengths).long()
    training = TorchTraining(model, parameters, dtype=dtype, device=tokens.device)
    losses, gradients = [], torch.zeros_like(training.parameters)
    for step, rate in enumerate(learning_rates(steps)):
        rows = slice(step * batch, (step + 1) * batch)
        losses.append(training.step(tokens[rows], lengths[rows], float(rate)))
        if step == 0:
            gradients = training.parameters.grad
    return Trained(torch.stack(losses), training.parameters.detach(), gradients)


def views(model: Model, flat: Any) -> Mapping[str, Any]:
    """The matrices in a flat vector (num_parameters,), as views of it."""
    starts = offsets(model)
    return {
        name: flat[starts[name] :][: math.prod(shape)].view(shape) for name, shape in names_and_shapes(model).items()
    }


def mean_loss(model: Model, matrices: Mapping[str, Any], tokens: Any, lengths: Any) -> Any:
    """Mean over the documents of each one's mean negative log likelihood, in nats; a scalar tensor.

    Args:
        model: Its sizes.
        matrices: By name, as `views` gives them.
        tokens: (documents, context + 1), int64.
        lengths: (documents,), int64, at least 1. What a row holds beyond its length + 1 changes nothing.
    """
    import torch

    longest = int(lengths.max())
    x = logits(model, matrices, tokens[:, :longest])
    each = torch.nn.functional.cross_entropy(x.transpose(1, 2), tokens[:, 1 : longest + 1], reduction="none")
    counts = torch.arange(longest, device=tokens.device) < lengths[:, None]
    return (each * counts / lengths[:, None]).sum() / len(lengths)


def logits(model: Model, matrices: Mapping[str, Any], tokens: Any) -> Any:
    """(documents, positions, vocab) from tokens (documents, positions), int64, at most `context` of them."""
    return logits_and_hidden(model, matrices, tokens)[0]


def smallest_hidden(model: Model, matrices: Mapping[str, Any], tokens: Any, lengths: Any) -> Any:
    """(documents,): the smallest magnitude that a hidden value of a document has before ReLU, over all layers.

    Args:
        model: Its sizes.
        matrices: By name, as `views` gives them.
        tokens: (documents, context + 1), int64.
        lengths: (documents,), int64; positions from there on do not count.
    """
    import torch

    longest = int(lengths.max())
    counts = torch.arange(longest, device=tokens.device) < lengths[:, None]
    layers = logits_and_hidden(model, matrices, tokens[:, :longest])[1]
    smallest = torch.stack([hidden.abs().amin(-1) for hidden in layers]).amin(0)  # (documents, positions)
    return smallest.masked_fill(~counts, math.inf).amin(-1)


def logits_and_hidden(model: Model, matrices: Mapping[str, Any], tokens: Any) -> tuple[Any, list[Any]]:
    """`logits`, and of each layer the hidden values before ReLU, (documents, positions, hidden)."""
    x = normalised(matrices["wte"][tokens] + matrices["wpe"][: tokens.shape[1]])
    hidden = []
    for layer in range(model.layers):
        own = {name.split(".")[1]: matrix for name, matrix in matrices.items() if name.startswith(f"layer{layer}.")}
        x = x + mixed(model, own, normalised(x)) @ own["attn_wo"].T
        hidden.append(normalised(x) @ own["mlp_fc1"].T)
        x = x + hidden[-1].relu() @ own["mlp_fc2"].T
    return x @ matrices["lm_head"].T, hidden


def normalised(x: Any) -> Any:
    """RMSNorm without weights, over the last axis."""
    return x * (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt()


def mixed(model: Model, own: Mapping[str, Any], x: Any) -> Any:
    """Causal attention of all heads, side by side again, before the output projection; x: (documents, positions, width)."""
    import torch

    heads = (*x.shape[:2], model.heads, model.head_dim)
    q, k, v = ((x @ own[f"attn_{name}"].T).view(heads).transpose(1, 2) for name in ("wq", "wk", "wv"))
    scores = q @ k.transpose(2, 3) / math.sqrt(model.head_dim)  # (documents, heads, positions, positions)
    future = torch.ones(scores.shape[2:], dtype=torch.bool, device=x.device).triu(1)
    return (scores.masked_fill(future, -math.inf).softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
