"""What the specs of a training step's operations do alike: names of gradients, references by differentiation, counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import make_dataclass
from functools import lru_cache
from math import prod
from typing import Any, cast

from spak.kernels.cutile import OUTPUT, TOLERANCES, Array, Call, CutileSpec
from spak.kernels.interface import Configuration, Problem, Scalar, Work
from spak.kernels.registry import spec

FP32_TOLERANCE = 1e-5
"""Largest relative error: sums of some thousand terms, each rounded to 2^-24; a product in tf32 has 3e-4."""

FP32_BYTES = 4
BYTES = {"fp32": FP32_BYTES, "int32": 4, "bf16": 2, "fp16": 2}
"""Of an element."""


@lru_cache
def _bundle(names: tuple[str, ...]) -> type:
    return make_dataclass("Tensors", names, frozen=True)


def tensors_by_name(**tensors: Any) -> Any:
    """A frozen dataclass of `tensors`."""
    return _bundle(tuple(tensors))(**tensors)


def power_of_two(count: int) -> int:
    """The least power of two that is at least `count`: the length of a tile that holds all of an axis."""
    return 1 << (count - 1).bit_length()


def indices(like: Any, below: int, seed: int) -> Any:
    """Whole numbers from 0 to below - 1, of the shape, type and device of `like`."""
    import torch

    generator = torch.Generator(device=like.device).manual_seed(seed)
    return torch.randint(below, like.shape, generator=generator, device=like.device, dtype=like.dtype)


class OperationSpec(CutileSpec):
    """An operation, and its gradient where the problem's `direction` is `backward`.

    Backward it is given the inputs and `dout`, the gradient of `out`, and writes `dx` for each `x` of `gradients`. What is
    right there is told by differentiating the definition in float64; no formula of a gradient is written twice.

    Attributes:
        gradients: Inputs that have a gradient.
        results: What it writes forward.
    """

    inputs = staticmethod(tensors_by_name)
    outputs = staticmethod(tensors_by_name)
    gradients: tuple[str, ...] = ()
    results: tuple[str, ...] = (OUTPUT,)

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """Inputs and results of the forward direction."""
        raise NotImplementedError

    def definition(self, problem: Problem, **inputs: Any) -> Any:
        """The result, or all of them, of torch tensors in any type; differentiable."""
        raise NotImplementedError

    def written(self, problem: Problem) -> Sequence[str]:
        """Results, or gradients."""
        return tuple(f"d{name}" for name in self.gradients) if _is_backward(problem) else self.results

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """Inputs, then what is written."""
        forward = dict(self.operands(problem))
        if not _is_backward(problem):
            return forward
        out = forward.pop(OUTPUT)
        return {**forward, f"d{OUTPUT}": out, **{f"d{name}": forward[name] for name in self.gradients}}

    def call(
        self,
        problem: Problem,
        grid: Sequence[int],
        function: str,
        names: str = "",
        *arguments: Scalar,
    ) -> Call:
        """One launch on the arrays of these names, all of them if none is named.

        Args:
            problem: Of which the arrays are.
            grid: Blocks, in up to three dimensions.
            function: Its name in kernel.py.
            names: Separated by blanks.
            arguments: Floats are scalars, all others constants.
        """
        arrays = self.arrays(problem)
        chosen = {name: arrays[name] for name in names.split() or arrays}
        scalars = tuple(value for value in arguments if isinstance(value, float))
        constants = tuple(value for value in arguments if not isinstance(value, float))
        first, second, third = (*grid, 1, 1)[:3]
        return Call(function, (first, second, third), chosen, scalars, constants)

    def products(self, problem: Problem) -> Sequence[float]:
        """FLOPs of the matrix products of each launch; none where there is no product."""
        del problem
        return ()

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of each launch: its arrays travel once, each element costs an operation, products come on top."""
        calls = self.calls(problem, configuration)
        return tuple(
            Work(
                iterations=((ctas := prod(call.grid), 1),),
                tensor_flops_per_iteration=flops / ctas,
                exp2_per_iteration=0.0,
                fp32_per_iteration=elements / ctas,
                smem_bytes_per_iteration=FP32_BYTES * elements / ctas,
                global_bytes=float(sum(prod(array.shape) * BYTES[array.dtype] for array in call.arrays.values())),
                function=call.function,
            )
            for call, flops in zip(calls, self.products(problem) or [0.0] * len(calls), strict=True)
            for elements in [sum(prod(array.shape) for array in call.arrays.values())]
        )

    def reference(self, inputs: Any, problem: Problem) -> Any:
        """What is written, in float64."""
        return self._evaluated({name: _wide(tensor) for name, tensor in vars(inputs).items()}, problem)

    def tolerance(self, problem: Problem) -> float:
        """1e-5 of what is written, or what the problem's type allows."""
        return TOLERANCES.get(str(problem.get("dtype")), FP32_TOLERANCE)

    def baselines(self, inputs: Any, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch, operation by operation."""
        return {"torch": lambda: self._evaluated(vars(inputs), problem)}

    def _evaluated(self, inputs: Mapping[str, Any], problem: Problem) -> Any:
        import torch

        if not _is_backward(problem):
            found, names = self.definition(problem, **inputs), self.written(problem)
            return tensors_by_name(**dict(zip(names, found if len(names) > 1 else [found], strict=True)))
        given = {name: tensor.detach() for name, tensor in inputs.items() if name != f"d{OUTPUT}"}
        sources = [given[name].requires_grad_() for name in self.gradients]
        out = self.definition(problem, **given)
        found = torch.autograd.grad(out, sources, inputs[f"d{OUTPUT}"])
        return tensors_by_name(**dict(zip(self.written(problem), found, strict=True)))


def operation(op: str) -> OperationSpec:
    """The spec of the kernel for `op`, which is one of these."""
    return cast("OperationSpec", spec(op))


def _is_backward(problem: Problem) -> bool:
    return problem.get("direction") == "backward"


def _wide(tensor: Any) -> Any:
    return tensor.double() if tensor.is_floating_point() else tensor
