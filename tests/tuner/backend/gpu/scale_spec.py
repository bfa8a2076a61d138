"""A small kernel with a spec, Y = 2 X, whose configurations can also misbehave on a real GPU.

`kind`: `good`; `wrong` (half the answer); `unwritten` (leaves the last tile); `wild` (writes far out of bounds);
`hang` (spins for hours, yet ends); `exit` (the process exits in the launch); `refused` (no such configuration);
`uncompilable`.
"""

from __future__ import annotations

import os

import cuda.tile as ct

from spak.kernels.interface import CompileJob

NUM_SPINS = 1 << 20  # squared: hours on any GPU, and yet a machine nobody kills it on becomes free again


@ct.kernel
def scale(X, Y, factor: float, TILE: ct.Constant[int]):
    i = ct.bid(0)
    ct.store(Y, index=(i,), tile=ct.load(X, index=(i,), shape=(TILE,)) * factor)


@ct.kernel
def wild(X, Y, factor: float, TILE: ct.Constant[int]):
    far = (ct.arange(TILE, dtype=ct.int64) + 1) * (1 << 40)
    ct.scatter(Y, far, ct.load(X, index=(0,), shape=(TILE,)) * factor, check_bounds=False)


@ct.kernel
def spin(X, Y, factor: float, TILE: ct.Constant[int]):
    x = ct.load(X, index=(ct.bid(0),), shape=(TILE,))
    for _ in range(NUM_SPINS):
        for _ in range(NUM_SPINS):
            x = x * factor + 1.0
    ct.store(Y, index=(ct.bid(0),), tile=x)


@ct.kernel
def uncompilable(X, Y, factor: float, TILE: ct.Constant[int]):
    ct.store(Y, index=(0,), tile=ct.load(X, index=(0, 0), shape=(TILE,)) * factor)


FUNCTIONS = {"wild": wild, "hang": spin, "uncompilable": uncompilable}


class ScaleSpec:
    op = "scale"
    source_files = (__file__,)

    def compile_jobs(self, problem, configuration):
        from cuda.tile.compilation import (
            ArrayConstraint,
            CallingConvention,
            ConstantConstraint,
            KernelSignature,
            ScalarConstraint,
        )

        if configuration["kind"] == "refused":
            raise ValueError("no such configuration")
        array = ArrayConstraint(
            ct.float32,
            1,
            index_dtype=ct.int32,
            stride_lower_bound_incl=0,
            alias_groups=(),
            may_alias_internally=False,
            stride_constant=(1,),
            shape_divisible_by=16,
            base_addr_divisible_by=16,
        )
        parameters = [array, array, ScalarConstraint(ct.float32), ConstantConstraint(configuration["tile"])]
        signature = KernelSignature(parameters, CallingConvention.cutile_python_v1())
        return [CompileJob(FUNCTIONS.get(configuration["kind"], scale), signature, "scale")]

    def make_inputs(self, problem, *, seed, device):
        import torch

        generator = torch.Generator(device).manual_seed(seed)
        return torch.randn(problem["n"], generator=generator, device=device)

    def make_outputs(self, problem, *, device):
        import torch

        return torch.full((problem["n"],), float("nan"), device=device)

    def launch(self, inputs, outputs, problem, configuration):
        import torch

        kind, tile = configuration["kind"], configuration["tile"]
        if kind == "exit":
            os._exit(7)
        num_tiles = problem["n"] // tile - (kind == "unwritten")
        factor = 1.0 if kind == "wrong" else 2.0
        ct.launch(
            torch.cuda.current_stream(), (num_tiles,), FUNCTIONS.get(kind, scale), (inputs, outputs, factor, tile)
        )

    def reference(self, inputs, problem):
        return inputs.double() * 2

    def tolerance(self, problem):
        return 1e-6

    def baselines(self, inputs, problem):
        return {"torch": lambda: inputs * 2}


SPEC = ScaleSpec()
