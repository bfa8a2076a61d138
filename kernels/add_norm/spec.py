"""Residual addition and normalisation bound to their space (laws/ops/add-norm.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from spak.kernels.add_norm.reference import NORM_EPSILON, norm_statistics, scaled_norm
from spak.kernels.column_sum.spec import FINISH_TILE, finish_grid
from spak.kernels.cutile import DTYPES, TOLERANCES, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import FP32_TOLERANCE, OperationSpec, tensors_by_name

FORWARD = ("residual", "branch", "gain", "bias", "new_residual", "y", "statistics")
"""Arguments of the launch forward, in order."""

BACKWARD = ("dy", "dnew_residual", "new_residual", "statistics", "gain", "dresidual", "dbranch")
"""Those of the pass over rows backward; the sums of its CTAs follow."""

SUMS = ("dgain", "dbias", "dbranch_bias")
"""Sums over rows that the second launch backward writes."""


@dataclass(frozen=True)
class NormProblem:
    """A problem of `add-norm`, typed; laws/ops/add-norm.yaml says what each parameter means."""

    num_rows: int
    width: int
    direction: str
    norm: str
    bias: bool
    branch: bool
    from_above: bool
    branch_bias: bool
    dtype: str
    residual_dtype: str
    gradient_dtype: str

    @classmethod
    def of(cls, problem: Problem) -> NormProblem:
        """The problem, complete."""
        values: dict[str, Any] = {field.name: problem[field.name] for field in fields(cls)}
        return cls(**values)

    @property
    def backward(self) -> bool:
        """Gradients are asked for."""
        return self.direction == "backward"

    @property
    def has_mean(self) -> bool:
        """Rows lose their mean."""
        return self.norm == "layer"

    @property
    def casts(self) -> bool:
        """The branch's gradient differs in type from that of the residual stream, and is written beside it."""
        return self.branch and self.dtype != self.residual_dtype

    @property
    def num_sums(self) -> int:
        """Sums over rows."""
        return 1 + self.bias + self.branch_bias

    def inputs(self) -> dict[str, Array | None]:
        """What is given, by name; None: this problem does without."""
        stream, rows, vector, statistics = self._kinds()
        if self.backward:
            above = stream if self.from_above else None
            return {
                "dy": rows,
                "dnew_residual": above,
                "new_residual": stream,
                "statistics": statistics,
                "gain": vector,
            }
        branch, bias = rows if self.branch else None, vector if self.bias else None
        return {"residual": stream, "branch": branch, "gain": vector, "bias": bias}

    def outputs(self) -> dict[str, Array | None]:
        """What is written; without a branch the new residual stream is the old one."""
        stream, rows, _, statistics = self._kinds()
        if not self.backward:
            return {"new_residual": stream if self.branch else None, "y": rows, "statistics": statistics}
        wanted = dict(zip(SUMS, (True, self.bias, self.branch_bias), strict=True))
        gradient = Array(self.gradient_dtype, (self.width,))
        sums = {name: gradient if is_wanted else None for name, is_wanted in wanted.items()}
        return {"dresidual": stream, "dbranch": rows if self.casts else None, **sums}

    def arguments(self, names: Sequence[str]) -> dict[str, Array]:
        """Arrays of a launch; what there is not is stood for by one element, under a name of its own."""
        every = {**self.inputs(), **self.outputs()}
        vectors = ("bias", *SUMS)
        place_holders = {name: Array("fp32", (1,) if name in vectors else (1, 1)) for name in names}
        return {name if every[name] else f"no_{name}": every[name] or place_holders[name] for name in names}

    def _kinds(self) -> tuple[Array, Array, Array, Array]:
        square = (self.num_rows, self.width)
        statistics = Array("fp32", (1 + self.has_mean, self.num_rows))
        return Array(self.residual_dtype, square), Array(self.dtype, square), Array("fp32", square[1:]), statistics


class AddNormSpec(OperationSpec):
    """`add-norm`: one launch forward; backward one over the rows and a small one for the sums over them."""

    op = "add-norm"

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """Inputs, then what is written."""
        of = NormProblem.of(problem)
        return {name: array for name, array in {**of.inputs(), **of.outputs()}.items() if array}

    def written(self, problem: Problem) -> Sequence[str]:
        """What there is of the outputs."""
        return tuple(name for name, array in NormProblem.of(problem).outputs().items() if array)

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One forward, two backward."""
        of = NormProblem.of(problem)
        tile_m, tile_c, strips = (int(configuration[name]) for name in ("tile_m", "tile_c", "strips"))
        tiles = ceil_div(of.num_rows, tile_m)
        ctas = min(strips, tiles) or tiles
        shape = (of.width, tile_m, tile_c, ceil_div(of.width, tile_c), of.has_mean, of.bias)
        loads = (bool(configuration["use_tma"]), int(configuration["latency"]))
        if not of.backward:
            flags = (of.branch, *loads)
            return (Call("forward_kernel", (ctas, 1, 1), of.arguments(FORWARD), (NORM_EPSILON,), (*shape, *flags)),)
        partials = {"partials": Array("fp32", (of.num_sums, ctas, of.width))}
        arrays = {**of.arguments(BACKWARD), **partials}
        constants = (*shape, of.branch_bias, of.from_above, of.casts, *loads)
        return (Call("backward_kernel", (ctas, 1, 1), arrays, (), constants), _finish(of, partials))

    def hints(self, function: str, configuration: Configuration) -> Mapping[str, int]:
        """Those of the pass over rows."""
        return {} if function == "finish_kernel" else super().hints(function, configuration)

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Normal; backward, the statistics of a row are those of its numbers."""
        drawn = super().make_inputs(problem, seed=seed, device=device)
        if not NormProblem.of(problem).backward:
            return drawn
        return replace(drawn, statistics=norm_statistics(drawn.new_residual.double(), str(problem["norm"])).float())

    def tolerance(self, problem: Problem) -> float:
        """That of the least exact type that is written."""
        arrays, written = self.arrays(problem), self.written(problem)
        return max(TOLERANCES.get(arrays[name].dtype, FP32_TOLERANCE) for name in written)

    def baselines(self, inputs: Any, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's operators, given what the kernels are given: backward, statistics as well."""
        of = NormProblem.of(problem)
        compute = _gradients_by_torch if of.backward else _forward_by_torch

        def run() -> Any:
            found = compute(inputs, of)
            return tensors_by_name(**{name: found[name] for name in self.written(problem)})

        return {"torch": run}

    def _evaluated(self, inputs: Mapping[str, Any], problem: Problem) -> Any:
        of = NormProblem.of(problem)
        found = _gradients(inputs, of) if of.backward else _forward(inputs, of)
        return tensors_by_name(**{name: found[name] for name in self.written(problem)})


def _finish(of: NormProblem, partials: Mapping[str, Array]) -> Call:
    constants = (of.bias, of.branch_bias, *FINISH_TILE)
    arrays = {**partials, **of.arguments(SUMS)}
    return Call("finish_kernel", (finish_grid(of.width), of.num_sums, 1), arrays, (), constants, hot=False)


def _forward_by_torch(inputs: Any, of: NormProblem) -> Mapping[str, Any]:
    import torch

    from spak.kernels.add_norm.by_torch import add_norm_by_torch

    added, bias = getattr(inputs, "branch", None), getattr(inputs, "bias", None)
    dtype = getattr(torch, DTYPES[of.dtype])
    found = add_norm_by_torch(inputs.residual, added, inputs.gain, bias, dtype, of.norm)
    return dict(zip(("new_residual", "y", "statistics"), found, strict=True))


def _gradients_by_torch(inputs: Any, of: NormProblem) -> Mapping[str, Any]:
    import torch

    from spak.kernels.add_norm.by_torch import add_norm_gradients_by_torch

    saved = inputs.new_residual, inputs.gain, inputs.statistics
    above, dtype = getattr(inputs, "dnew_residual", None), getattr(torch, DTYPES[of.gradient_dtype])
    dx, dgain, dbias = add_norm_gradients_by_torch(inputs.dy, above, saved, of.norm, has_bias=of.bias)
    sums = {"dgain": dgain, "dbias": dbias, "dbranch_bias": dx.float().sum(0) if of.branch_bias else None}
    rounded = {name: None if each is None else each.to(dtype) for name, each in sums.items()}
    return {"dresidual": dx, "dbranch": dx.to(getattr(torch, DTYPES[of.dtype])), **rounded}


def _forward(inputs: Mapping[str, Any], of: NormProblem) -> Mapping[str, Any]:
    x = inputs["residual"] + inputs["branch"] if of.branch else inputs["residual"]
    y = scaled_norm(x, inputs["gain"], inputs.get("bias"), of.norm)
    return {"new_residual": x, "y": y, "statistics": norm_statistics(x, of.norm)}


def _gradients(inputs: Mapping[str, Any], of: NormProblem) -> Mapping[str, Any]:
    """By differentiating the norm; what comes from above is added, and the branch has the gradient of the sum."""
    import torch

    gain = inputs["gain"].detach().requires_grad_()
    x, bias = inputs["new_residual"].detach().requires_grad_(), torch.zeros_like(gain).requires_grad_()
    y = scaled_norm(x, gain, bias, of.norm)
    dx, dgain, dbias = torch.autograd.grad(y, (x, gain, bias), inputs["dy"].to(y.dtype))
    dx = dx + inputs["dnew_residual"] if of.from_above else dx
    return {"dresidual": dx, "dbranch": dx, "dgain": dgain, "dbias": dbias, "dbranch_bias": dx.sum(0)}


SPEC = AddNormSpec()
