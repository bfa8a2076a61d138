"""The checks of what became of microgpt.py's scalars: tile kernels on the simulator, held to the scalar program and its chain rule.

Each kernel is launched as on a GPU, on normal numbers of several magnitudes and on zeros; its outputs are poisoned before.
The program is that of `spak.kernels.microgpt.scalar`, in float64: it knows sums, products and powers of single numbers, and
of gradients nothing but the chain rule, so that no formula of a kernel is held to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spak.kernels import sim
from spak.kernels.checks import CheckResult
from spak.kernels.cutile import OUTPUT
from spak.kernels.interface import Configuration, Problem
from spak.kernels.microgpt.scalar import Variable, backward, linear, rms_normalised, softmax, total
from spak.kernels.operation import OperationSpec, operation

LARGEST_ERROR = 1e-5
"""Largest relative error: sums of some tens of terms in fp32; a product in tf32 has 3e-4."""

_Arrays = Mapping[str, NDArray[Any]]
_TYPES: Mapping[str, Any] = {"fp32": np.float32, "int32": np.int32}

variable_of = np.vectorize(Variable, otypes=[object])
value_of = np.vectorize(lambda variable: variable.value, otypes=[np.float64])
gradient_of = np.vectorize(lambda variable: variable.gradient, otypes=[np.float64])


class ScalarEquivalence:
    """An operation's kernels against the scalar program; `op` names both.

    Attributes:
        form: What is not drawn of a size.
        magnitudes: Standard deviations of the inputs; that of a gradient that comes in is 1.
    """

    op: str
    form: Problem = MappingProxyType({"direction": "backward"})
    magnitudes: Sequence[float] = (1.0, 0.0)

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[_Arrays, _Arrays]] = {}

    @property
    def spec(self) -> OperationSpec:
        """Of the kernels."""
        return operation(self.op)

    @property
    def source_files(self) -> Sequence[str]:
        """The kernels, the program, and this file."""
        return (*self.spec.source_files, "kernels/microgpt/scalar.py", "kernels/microgpt/equivalence.py")

    def sizes(self, seed: int) -> Sequence[Problem]:
        """Two, drawn so that tiles hardly ever divide them."""
        rng = np.random.default_rng(seed)
        return [{**self.size(rng), **self.form} for _ in range(2)]

    def size(self, rng: np.random.Generator) -> Problem:
        """Drawn anew."""
        raise NotImplementedError

    def program(self, problem: Problem, given: _Arrays) -> Any:
        """What the scalar program makes of arrays of variables; nested like the kernel's output."""
        raise NotImplementedError

    def result(self, problem: Problem, configuration: Configuration, seed: int) -> CheckResult:
        """The largest relative error of an output over all magnitudes."""
        error = 0.0
        for magnitude in self.magnitudes:
            given, wanted = self._case(problem, magnitude, seed)
            found = self._simulated(problem, configuration, given)
            error = max(error, *(relative_error(found[name], exact) for name, exact in wanted.items()))
        failure = (
            None if error <= LARGEST_ERROR else ("Inaccurate", f"relative error {error:.2g}, at most {LARGEST_ERROR:g}")
        )
        return CheckResult({"relative_error": float(f"{error:.2g}")}, failure)

    def _case(self, problem: Problem, magnitude: float, seed: int) -> tuple[_Arrays, _Arrays]:
        """Inputs, and what the program makes of them: once for all configurations."""
        key = (*problem.items(), magnitude, seed)
        if key not in self._known:
            rng = np.random.default_rng(seed)
            arrays = self.spec.arrays(problem)
            given = {
                name: (rng.standard_normal(array.shape) * (1 if name == f"d{OUTPUT}" else magnitude)).astype(np.float32)
                for name, array in arrays.items()
                if name not in self.spec.written(problem)
            }
            self._known[key] = given, self._wanted(problem, given)
        return self._known[key]

    def _simulated(self, problem: Problem, configuration: Configuration, given: _Arrays) -> _Arrays:
        arrays = dict(given)
        for name, array in self.spec.arrays(problem).items():
            arrays.setdefault(name, sim.empty(array.shape, _TYPES[array.dtype]))
        for call in self.spec.calls(problem, configuration):
            operands = (arrays[name] for name in call.arrays)
            kernel = self.spec.kernel(call.function, configuration)
            sim.launch(None, call.grid, kernel, (*operands, *call.scalars, *call.constants))
        return arrays

    def _wanted(self, problem: Problem, given: _Arrays) -> _Arrays:
        scalars = {name: variable_of(array.astype(np.float64)) for name, array in given.items()}
        out = np.array(self.program(problem, scalars), dtype=object)
        if f"d{OUTPUT}" not in given:
            return {OUTPUT: value_of(out)}
        arriving = zip(out.flat, given[f"d{OUTPUT}"].flat, strict=True)
        backward(total(one.times(float(slope)) for one, slope in arriving))
        return {name: gradient_of(scalars[name.removeprefix("d")]) for name in self.spec.written(problem)}


class VectorisedLinear(ScalarEquivalence):
    """`vectorised-linear`: Y = X W^T."""

    op = "linear"
    form: Problem = MappingProxyType({"direction": "forward"})
    magnitudes: Sequence[float] = (1.0,)

    def size(self, rng: np.random.Generator) -> Problem:
        """Up to 24 of each."""
        return {name: int(rng.integers(1, 25)) for name in ("tokens", "in_features", "out_features")}

    def program(self, problem: Problem, given: _Arrays) -> Any:
        """Row by row."""
        rows = (rms_normalised(row) if problem["normalised"] else row for row in given["x"])
        return [linear(given["w"].tolist(), row) for row in rows]


class LinearGradients(VectorisedLinear):
    """`linear-gradients`: dX and dW."""

    form: Problem = ScalarEquivalence.form


class FoldedRmsNorm(VectorisedLinear):
    """`folded-rmsnorm`: Y = RMSNorm(X) W^T in one launch; of zeros, too."""

    form: Problem = MappingProxyType({"direction": "forward", "normalised": True})
    magnitudes: Sequence[float] = (1.0, 1e-3, 0.0)


class RmsNormGradient(ScalarEquivalence):
    """`rmsnorm-gradient`: dX."""

    op = "rmsnorm"
    magnitudes: Sequence[float] = (1.0, 1e-3, 0.0)

    def size(self, rng: np.random.Generator) -> Problem:
        """Up to 40 rows of up to 70 elements."""
        return {"num_rows": int(rng.integers(1, 41)), "width": int(rng.integers(1, 71))}

    def program(self, problem: Problem, given: _Arrays) -> Any:  # noqa: ARG002
        """Row by row."""
        return [rms_normalised(row) for row in given["x"]]


class AttentionGradients(ScalarEquivalence):
    """`attention-gradients`: dQ, dK and dV of causal attention."""

    op = "short-attention"
    magnitudes: Sequence[float] = (1.0, 3.0, 0.0)

    def size(self, rng: np.random.Generator) -> Problem:
        """A sequence or two of up to 20 tokens, heads of up to 20 channels."""
        limits = {"batch": 3, "seq": 21, "heads": 4, "head_dim": 21}
        return {name: int(rng.integers(1, limit)) for name, limit in limits.items()}

    def program(self, problem: Problem, given: _Arrays) -> Any:
        """Query by query, over the keys up to its own."""
        size = int(problem["head_dim"])

        def mixed(b: int, row: int, h: int) -> list[Variable]:
            query, keys, seen = given["q"][b, row, h], given["k"][b, : row + 1, h], given["v"][b, : row + 1, h]
            weights = softmax([total(query * key).times(size**-0.5) for key in keys])
            return [total(w * v[i] for w, v in zip(weights, seen, strict=True)) for i in range(size)]

        batch, seq, heads = (range(int(problem[name])) for name in ("batch", "seq", "heads"))
        return [[[mixed(b, row, h) for h in heads] for row in seq] for b in batch]


def relative_error(found: NDArray[Any], exact: NDArray[Any]) -> float:
    """||found - exact|| / ||exact||; where all is 0, 0 if it was found and infinite if not; infinite for NaN."""
    difference, size = (float(np.linalg.norm(x)) for x in (found - exact, exact))
    return difference / size if size and np.isfinite(difference) else 0.0 if difference == 0 else np.inf
