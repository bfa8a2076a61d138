"""An operator of PyTorch out of plain functions on tensors: shapes without data, gradients, one call in a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Function = Callable[..., Any]


@dataclass(frozen=True)
class Passes:
    """Both passes of an operator. No function changes what it is given, or returns a view of it.

    Attributes:
        schema: Of the forward pass, as PyTorch writes it: `(Tensor x, float scale) -> (Tensor, Tensor)`.
        forward: Gives a tuple; all but its first `num_results` are for the backward pass, and nobody else uses them.
        forward_shapes: Empty tensors like those, of the same arguments.
        kept: Of the forward pass' inputs and results, both tuples: what the backward pass needs.
        backward_schema: Of the backward pass: the gradients of the results, then what was kept -> gradients of inputs.
        backward: Gives them. Where it takes several gradients, those of results that nobody used are None.
        backward_shapes: Empty tensors like those.
        num_results: Results that have a gradient.
        spread: Of what `backward` gives: the gradients of the first inputs, in order; later ones have none. That of an input
            that is no tensor is left out.
    """

    schema: str
    forward: Function
    forward_shapes: Function
    kept: Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]
    backward_schema: str
    backward: Function
    backward_shapes: Function
    num_results: int = 1
    spread: Callable[[Any], tuple[Any, ...]] = lambda found: (found,)


def torch_operator(library: Any, name: str, passes: Passes) -> Function:
    """Registers `name` and `name`_backward in a `torch.library.Library`; to differentiate twice is an error.

    Not by `torch.library.custom_op`, which loads PyTorch's compiler: seconds for whoever does not compile.
    """
    backward = _defined(library, f"{name}_backward", passes.backward_schema, passes.backward, passes.backward_shapes)
    forward = _defined(library, name, passes.schema, passes.forward, passes.forward_shapes)

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        ctx.are_tensors = [isinstance(one, torch.Tensor) for one in inputs]
        ctx.set_materialize_grads(False)  # results that are kept get none: no zeros of their size
        kept = passes.kept(inputs, output)
        ctx.settings = [None if isinstance(one, torch.Tensor) else one for one in kept]
        ctx.save_for_backward(*(one if isinstance(one, torch.Tensor) else None for one in kept))

    def differentiate(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        pairs = zip(ctx.saved_tensors, ctx.settings, strict=True)
        kept = [setting if tensor is None else tensor for tensor, setting in pairs]
        found = passes.spread(backward(*gradients[: passes.num_results], *kept))
        every = (*found, *[None] * (len(ctx.are_tensors) - len(found)))
        return tuple(one if is_tensor else None for one, is_tensor in zip(every, ctx.are_tensors, strict=True))

    def refuse(ctx: Any, *gradients: Any) -> Any:
        del ctx, gradients
        raise RuntimeError(f"{library.ns}.{name} can be differentiated once, not twice")

    torch.library.register_autograd(f"{library.ns}::{name}", differentiate, setup_context=keep, lib=library)
    torch.library.register_autograd(f"{library.ns}::{name}_backward", refuse, lib=library)
    return forward


def _defined(library: Any, name: str, schema: str, compute: Function, shapes: Function) -> Function:
    library.define(name + schema)
    for key in ("CPU", "CUDA"):
        library.impl(name, compute, key)
    torch.library.register_fake(f"{library.ns}::{name}", shapes, lib=library)
    return getattr(getattr(torch.ops, library.ns), name).default  # type: ignore[no-any-return]


def autocast(*arguments: Any) -> tuple[Any, ...]:
    """Arguments as autocast has them where it is on: tensors of the first one's device in its dtype, but those of float64."""
    kind = arguments[0].device.type if isinstance(arguments[0], torch.Tensor) else "meta"
    if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        return arguments
    dtype = torch.get_autocast_dtype(kind)
    return tuple(one.to(dtype) if _is_cast(one, kind) else one for one in arguments)


def _is_cast(argument: Any, kind: str) -> bool:
    return (
        isinstance(argument, torch.Tensor)
        and argument.is_floating_point()
        and argument.dtype != torch.float64
        and argument.device.type == kind
    )
