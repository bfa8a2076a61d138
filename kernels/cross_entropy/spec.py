"""Softmax cross-entropy bound to its space (laws/ops/cross-entropy.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spak.kernels.cross_entropy.reference import cross_entropy
from spak.kernels.cutile import Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec, indices, power_of_two, tensors_by_name

FORMS = {"held": "HELD", "online": "ONLINE", "lanes": "LANES"}
"""The op's name of a form -> the constant of kernel.py."""

IGNORED = -1
"""The target of a row that does not count, as nanoGPT has it."""

SPREAD = 3.0
"""Of the logits drawn: with less, all of a large row's gradient but its target is smaller than what 16 bits round off."""


class CrossEntropySpec(OperationSpec):
    """`cross-entropy`: the losses of weighted rows and the gradient of their sum."""

    op = "cross-entropy"
    results = ("loss", "dlogits")

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """Logits, what should have been said, what a row counts; losses and gradient."""
        rows, vocab = int(problem["num_rows"]), int(problem["vocab"])
        square, row = Array(str(problem.get("dtype", "fp32")), (rows, vocab)), Array("fp32", (rows,))
        weights = {"weights": row} if problem.get("weighted", True) else {}
        return {"logits": square, "targets": Array("int32", (rows,)), **weights, "loss": row, "dlogits": square}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One."""
        from spak.kernels.cross_entropy import kernel

        c, rows, vocab = configuration, int(problem["num_rows"]), int(problem["vocab"])
        tile_m, tile_v = int(c["tile_m"]), int(c["tile_v"]) or power_of_two(vocab)
        whole, rest = divmod(vocab, tile_v)
        constants = (tile_m, tile_v, whole, rest > 0, rows % tile_m > 0, bool(problem.get("weighted", True)))
        fold_target = bool(c["use_tma"]) or int(c["num_ctas"]) > 1
        variant = (getattr(kernel, FORMS[str(c["row_form"])]), c["backwards"], c["use_tma"], fold_target)
        call = self.call(problem, (ceil_div(rows, tile_m),), "forward_kernel", "", 1.0, *constants, *variant)
        arrays = {"weights": Array("fp32", (1,)), **call.arrays}
        order = ("logits", "targets", "weights", "loss", "dlogits")
        return (replace(call, arrays={name: arrays[name] for name in order}),)

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Normal logits, even targets, and weights half of which are 0, if there are any."""
        drawn = super().make_inputs(problem, seed=seed, device=device)
        targets = indices(drawn.targets, int(problem["vocab"]), seed)
        weights = {"weights": drawn.weights.relu()} if hasattr(drawn, "weights") else {}
        return replace(drawn, logits=drawn.logits.mul_(SPREAD), targets=targets, **weights)

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """Losses and gradient."""
        return cross_entropy(inputs["logits"], inputs["targets"], inputs.get("weights", 1.0))

    def baselines(self, inputs: Any, problem: Problem) -> Mapping[str, Callable[[], Any]]:  # noqa: ARG002
        """PyTorch's loss and its gradient, in fp32 as autocast has it."""
        return {"torch": lambda: tensors_by_name(**eager(inputs))}


def eager(inputs: Any) -> Mapping[str, Any]:
    """What a model in PyTorch does with its logits: losses in fp32, and the gradient of their sum by autograd."""
    from torch.nn.functional import cross_entropy as losses_of

    logits = inputs.logits.detach().requires_grad_()
    losses = losses_of(logits.float(), inputs.targets.long(), ignore_index=IGNORED, reduction="none")
    losses = losses * getattr(inputs, "weights", 1.0)
    losses.sum().backward()
    return {"loss": losses.detach(), "dlogits": logits.grad}


SPEC = CrossEntropySpec()
