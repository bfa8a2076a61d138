"""Every parameter's gradient against float64 autograd, ours beside the PyTorch baseline's own."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from bench.nanogpt_cases import Case

WEIGHTS_NOISE = 0.02
"""Added to the initial weights: with biases 0 and gains 1 a forgotten one would not show."""


def drawn_weights(case: Case, seed: int) -> Any:
    """(size,) float32 on the CPU, the flat buffer: initial weights and noise on all but what fills up the vocabulary."""
    import torch

    from spak.kernels.nanogpt.parameters import ParameterLayout, initial_gpt_parameters

    flat = initial_gpt_parameters(case.config, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for name, view in ParameterLayout.of(case.config).views(flat).items():
        rows = view[: case.config.vocab] if name == "wte.weight" else view
        rows += WEIGHTS_NOISE * torch.randn(rows.shape, generator=generator)
    return flat


def exact_gradients(case: Case, weights: Mapping[str, Any], batch: Any) -> tuple[float, dict[str, Any]]:
    """(loss, gradient by name), float64 autograd over the attention matrix; `batch` (2, B, T) and what it gives lie on its device."""
    from bench.nanogpt_torch import TorchGpt

    model = TorchGpt(case.config, "matrix").double().to(batch.device)
    model.load(weights)
    loss = model(*batch.long())
    loss.backward()
    return float(loss.detach()), {name: parameter.grad for name, parameter in model.named_parameters()}


def gradient_errors(got: Mapping[str, Any], exact: Mapping[str, Any]) -> dict[str, float]:
    """||got - exact|| / ||exact|| of each parameter; rows that fill up the vocabulary must be 0, else their norm counts too."""
    import torch

    norm = torch.linalg.vector_norm
    errors = {}
    for name, want in exact.items():
        mine = got[name].double().to(want.device)
        wrong = norm(mine[: len(want)] - want) + norm(mine[len(want) :])
        errors[name] = float(wrong / norm(want))
    return errors


def told_errors(errors: Mapping[str, Mapping[str, float]], baseline: str) -> dict[str, Any]:
    """By contestant: every error, the worst and the median one, and the largest ratio to the baseline's, with their names."""
    found = {}
    for who, each in errors.items():
        worst = max(each, key=lambda name: _order(each[name]))
        ratios = {name: error / errors[baseline][name] for name, error in each.items()}
        furthest = max(ratios, key=lambda name: _order(ratios[name]))
        found[who] = {
            "worst": [worst, each[worst]],
            "median": statistics.median(each.values()),
            "furthest_from_baseline": [furthest, ratios[furthest]],
            "errors": dict(each),
        }
    return found


def _order(value: float) -> tuple[bool, float]:
    return (value != value, value)  # noqa: PLR0124  # NaN is the worst
