"""Twice a vector bound to its space (laws/ops/toy.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, CutileSpec, ceil_div
from spak.kernels.interface import Configuration, Problem, Work
from spak.kernels.toy.reference import toy


@dataclass(frozen=True)
class Inputs:
    """X (N,)."""

    x: Any


class ToySpec(CutileSpec):
    """`toy`: one block for each tile."""

    op = "toy"
    inputs = Inputs
    source_files = (str(Path(__file__).with_name("kernel.py")),)

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """X and Y."""
        return {name: Array(str(problem["dtype"]), (int(problem["size"]),)) for name in ("x", OUTPUT)}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """One."""
        del num_sms
        tile = int(configuration["tile"])
        return (Call("toy_kernel", (ceil_div(int(problem["size"]), tile), 1, 1), self.arrays(problem), (), (tile,)),)

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of the launch: no loop, so one iteration."""
        size, tile = int(problem["size"]), int(configuration["tile"])
        ctas = ceil_div(size, tile)
        work = Work(
            iterations=((ctas, 1),),
            tensor_flops_per_iteration=0.0,
            exp2_per_iteration=0.0,
            fp32_per_iteration=float(tile),
            smem_bytes_per_iteration=0.0,
            global_bytes=4.0 * size,
        )
        return (work,)

    def reference(self, inputs: Inputs, problem: Problem) -> Any:
        """(N,), float64."""
        del problem
        return toy(inputs.x)

    def baselines(self, inputs: Inputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's own sum."""
        del problem
        return {"torch": lambda: inputs.x + inputs.x}


SPEC = ToySpec()
