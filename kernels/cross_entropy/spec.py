"""Softmax cross-entropy bound to its space (laws/ops/cross-entropy.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spak.kernels.cross_entropy.reference import cross_entropy
from spak.kernels.cutile import Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec, indices, power_of_two


class CrossEntropySpec(OperationSpec):
    """`cross-entropy`: the losses of weighted rows and the gradient of their sum."""

    op = "cross-entropy"
    results = ("loss", "dlogits")

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """Logits, what should have been said, what a row counts; losses and gradient."""
        rows, vocab = int(problem["num_rows"]), int(problem["vocab"])
        square, row = Array("fp32", (rows, vocab)), Array("fp32", (rows,))
        return {"logits": square, "targets": Array("int32", (rows,)), "weights": row, "loss": row, "dlogits": square}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One."""
        tile_m = int(configuration["tile_m"])
        tiles = ceil_div(int(problem["num_rows"]), tile_m)
        return (self.call(problem, (tiles,), "forward_kernel", "", tile_m, power_of_two(int(problem["vocab"]))),)

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Normal logits, even targets, and weights half of which are 0."""
        drawn = super().make_inputs(problem, seed=seed, device=device)
        targets = indices(drawn.targets, int(problem["vocab"]), seed)
        return replace(drawn, targets=targets, weights=drawn.weights.relu())

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """Losses and gradient."""
        return cross_entropy(inputs["logits"], inputs["targets"], inputs["weights"])


SPEC = CrossEntropySpec()
