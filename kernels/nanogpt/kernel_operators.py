"""A training step's operators by kernels: each where something is known to fit, PyTorch's own where nothing does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from spak.kernels.advice import Advise
from spak.kernels.cutile import OUTPUT
from spak.kernels.interface import Configuration, Problem
from spak.kernels.launch_device import LaunchDevice
from spak.kernels.nanogpt.kernel_problems import OP_NAMES, kernel_problems
from spak.kernels.nanogpt.operators import OPERATOR_NAMES, Operators, Tensor

if TYPE_CHECKING:
    from spak.kernels.nanogpt.parameters import GptConfig
    from spak.kernels.nanogpt.training_step import StepSettings

LIBRARY = "PyTorch: a library's product of large matrices"
"""Why operators are as they are that no kernel here is for."""

KERNELS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "embedding": (("embedding",), "embedding"),
    "embedding_backward": (("embedding_backward",), "embedding"),
    "norm": (("add_norm", "add_norm_backward"), "add-norm"),
    "column_sum": (("linear_weight_gradient",), "column-sum"),
    "linear_gelu": (("linear_gelu",), "linear-gelu"),
    "linear_gelu_backward": (("linear_gelu_backward",), "linear-gelu"),
    "attention": (("attention", "attention_backward"), "fmha"),
    "cross_entropy": (("cross_entropy",), "cross-entropy"),
    "adamw": (("gradient_norm", "adamw"), "adam"),
}
"""Operators that stand and fall together, and the op of their kernel."""


def kernel_operators(advise: Advise, device: LaunchDevice, config: GptConfig, step: StepSettings) -> Operators:
    """Operators for one model and shape of a step whose activations are bf16, with the reason of each choice."""
    from spak.kernels.nanogpt.torch_operators import torch_operators

    problems, found = kernel_problems(config, step), dict[str, Callable[..., Any]]()
    reasons = dict.fromkeys(OPERATOR_NAMES, LIBRARY)
    for group, (names, op) in KERNELS.items():
        asked = {name: _asked(name, op) for name in names}
        advice = {name: advise(kernel, problems[name], where) for name, (kernel, where) in asked.items()}
        missing = [each.because for each in advice.values() if each.configuration is None]
        reasons |= {
            name: f"PyTorch: {missing[0]}" if missing else f"kernel {asked[name][0]}: {each.because}"
            for name, each in advice.items()
        }
        if not missing:
            known = Known(advise, op, advice[names[0]].configuration or {})
            bound = _BOUND[group](known) if group in _BOUND else _attention(advise, device)
            found |= dict(zip(names, bound, strict=True))
    return replace(torch_operators(), **found, reasons=reasons)


def _asked(operator: str, op: str) -> tuple[str, str]:
    """The op to ask for, and the condition; attention's passes are two ops."""
    from spak.kernels.attention.operator.plan import ROBUST

    return {"attention": (op, ROBUST), "attention_backward": (f"{op}-backward", "")}.get(operator, (op, ""))


class Known:
    """Configurations of one op, each looked up once."""

    def __init__(self, advise: Advise, op: str, first: Configuration) -> None:
        """`first` fits the step, and is run where nothing fits another size."""
        self._advise, self._op, self.first = advise, op, first
        self._found: dict[tuple[Any, ...], Configuration] = {}

    def __call__(self, problem: Problem) -> Configuration:
        """The configuration for a problem size."""
        key = tuple(problem.items())
        if key not in self._found:
            self._found[key] = self._advise(self._op, problem).configuration or self.first
        return self._found[key]


def _embedding(known: Known) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.embedding.operator import embed

    return (partial(embed, configuration=known.first),)


def _embedding_backward(known: Known) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.embedding.operator import add_embedding_gradients

    return (partial(add_embedding_gradients, configuration=known.first),)


def _norm(known: Known) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.add_norm.operator import AddNormKernels

    kernels = AddNormKernels(known)
    return kernels.forward, kernels.backward


def _column_sum(known: Known) -> tuple[Callable[..., Any], ...]:
    """The product by the library, the bias gradient by a kernel."""
    from spak.kernels.column_sum.spec import SPEC
    from spak.kernels.nanogpt.torch_operators import plain_linear_weight_gradient

    def linear_weight_gradient(dy: Tensor, x: Tensor, dweight: Tensor, dbias: Tensor | None) -> None:
        """See `LinearWeightGradient`."""
        plain_linear_weight_gradient(dy, x, dweight, None)
        if dbias is not None:
            out_dtype = OP_NAMES[str(dbias.dtype).removeprefix("torch.")]
            problem = {"num_rows": dy.shape[0], "width": dy.shape[1], "dtype": "bf16", "out_dtype": out_dtype}
            configuration = known(problem)
            SPEC.issue(SPEC.calls(problem, configuration), {"x": dy.contiguous(), OUTPUT: dbias}, configuration)

    return (linear_weight_gradient,)


def _linear_gelu(known: Known) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.linear_gelu.operator import LinearGeluKernels

    return (LinearGeluKernels(known).forward,)


def _linear_gelu_backward(known: Known) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.linear_gelu.operator import LinearGeluKernels

    return (LinearGeluKernels(known).backward,)


def _cross_entropy(known: Known) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.cross_entropy.operator import cross_entropy_in_place

    return (partial(cross_entropy_in_place, configuration=known.first),)


def _adamw(known: Known) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.adam.operator import AdamwKernels

    kernels = AdamwKernels(known)
    return kernels.norm, kernels.update


_BOUND: Mapping[str, Callable[[Known], tuple[Callable[..., Any], ...]]] = {
    "embedding": _embedding,
    "embedding_backward": _embedding_backward,
    "norm": _norm,
    "column_sum": _column_sum,
    "linear_gelu": _linear_gelu,
    "linear_gelu_backward": _linear_gelu_backward,
    "cross_entropy": _cross_entropy,
    "adamw": _adamw,
}
"""Group of `KERNELS` -> its operators, in order; attention has no configuration of its own op alone."""


def _attention(advise: Advise, device: LaunchDevice) -> tuple[Callable[..., Any], ...]:
    from spak.kernels.attention.operator.packed import PackedAttention

    kernels = PackedAttention(lambda op, problem, _, where: advise(op, problem, where).configuration, device)
    return kernels.forward, kernels.backward
