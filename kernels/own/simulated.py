"""A declared cuTile kernel on the simulator: its own source, at a small size, held against the file's reference."""

from __future__ import annotations

from spak.kernels.interface import Configuration, Problem
from spak.kernels.own.declared import DeclaredSpec


def simulated_error(spec: DeclaredSpec, problem: Problem, configuration: Configuration, *, seed: int = 0) -> float:
    """Largest relative error of an output, ||out - ref|| / ||ref||; NaN where something was not written.

    Raises:
        spak.kernels.sim.SimulatorError: If the kernel reaches outside an array, or breaks a promise.
        WrongDeclarationError: If the file's reference fails.
    """
    import torch

    inputs = spec.make_inputs(problem, seed=seed, device="cpu")
    outputs = spec.make_outputs(problem, device="cpu")
    reference = spec.reference({name: tensor.clone() for name, tensor in inputs.items()}, problem)
    spec.launch(inputs, outputs, problem, configuration)
    errors = [
        float(torch.linalg.vector_norm(outputs[name].double() - wanted) / torch.linalg.vector_norm(wanted))
        for name, wanted in reference.items()
    ]
    return max(errors, key=lambda error: (error != error, error))  # noqa: PLR0124 - NaN is the worst
