"""One launch of a kernel with a configuration, outside a search: on arrays that are given, or drawn as a search draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spak.kernels.cutile import OUTPUT
from spak.kernels.interface import Configuration, KernelSpec, Problem


@dataclass(frozen=True)
class Launched:
    """Torch tensors by name: what a launch was given, and what it wrote."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def launch_once(
    spec: KernelSpec,
    problem: Problem,
    configuration: Configuration,
    arrays: Mapping[str, Any],
    *,
    seed: int = 0,
) -> Launched:
    """Launch `spec` on torch's current stream; on tensors of a CPU the simulator runs it.

    Args:
        spec: The kernel.
        problem: Complete.
        configuration: Complete, and one that runs at `problem`.
        arrays: Every input by name; empty: drawn, on the GPU if there is one.
        seed: Draws them.

    Raises:
        ValueError: If an input lacks, is none, or has another shape or type; names it. Or if the configuration cannot run.
    """
    import torch

    if arrays:
        inputs: Any = spec.given_inputs(arrays, problem)
        device = str(next(iter(arrays.values())).device)
    else:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        inputs = spec.make_inputs(problem, seed=seed, device=device)
    outputs = spec.make_outputs(problem, device=device)
    spec.launch(inputs, outputs, problem, configuration)
    return Launched(_by_name(inputs), _by_name(outputs))


def _by_name(tensors: Any) -> Mapping[str, Any]:
    """Of one tensor, a dataclass of tensors, or tensors by name."""
    if isinstance(tensors, Mapping):
        return tensors
    return {OUTPUT: tensors} if hasattr(tensors, "dtype") else dict(vars(tensors))
