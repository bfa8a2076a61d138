"""FMHA bound to its space (laws/ops/fmha.yaml): compile, launch, check, count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from spak.kernels.attention.problem import AttentionSpec, Inputs, Shape
from spak.kernels.interface import CompileJob, Configuration, Problem, Scalar, Work
from spak.kernels.signature import contiguous, convention

_HERE = Path(__file__).parent


PLAIN: Mapping[str, Scalar] = {
    "pipeline": "plain",
    "masked_tiles": "after",
    "running_max": True,
    "q_registers": False,
    "sum_lanes": 1,
    "heads_fastest": False,
    "persistent": False,
}
"""Later parameters at the value that leaves the kernel as it was without them: recorded configurations still run."""


MOST_BLOCKS = 65535
"""Blocks of a grid in its second or third dimension. Source: CUDA programming guide, compute capabilities."""


def key_tiles(shape: Shape, tile_m: int, tile_n: int) -> list[int]:
    """Key tiles each query tile visits, first query tile first: what the kernel's loop bounds give."""
    every = -(-shape.seq_kv // tile_n)
    query_tiles = -(-shape.seq_q // tile_m)
    if not shape.causal:
        return [every] * query_tiles
    return [min(every, -(-((x + 1) * tile_m + shape.q_offset) // tile_n)) for x in range(query_tiles)]


@lru_cache
def _hinted(occupancy: int, num_ctas: int, num_worker_warps: int) -> Any:
    """One kernel object for each set of hints: cuTile keeps compiled code with the object."""
    from spak.kernels.attention.fmha.kernel import fmha_kernel

    warps = num_worker_warps or None
    return fmha_kernel.replace_hints(occupancy=occupancy, num_ctas=num_ctas, num_worker_warps=warps)


class FmhaSpec(AttentionSpec):
    """`fmha`: see the module and kernel.py."""

    op = "fmha"
    parameters: Mapping[str, Sequence[Scalar]] = {
        "tile_m": (32, 64, 128, 256),
        "tile_n": (32, 64, 128),
        "occupancy": (1, 2, 3, 4),
        "num_worker_warps": (0, 4, 8),
        "num_ctas": (1, 2),
        "k_latency": (1, 2, 3, 4, 5, 6, 8),
        "v_latency": (1, 2, 3, 4, 5, 6, 8),
        "use_tma": (False, True),
        "split_loop": (False, True),
        "pipeline": ("plain", "early-scores", "late-values"),
        "masked_tiles": ("after", "inline"),
        "running_max": (True, False),
        "q_registers": (False, True),
        "sum_lanes": (1, 8),
        "heavy_first": (False, True),
        "heads_fastest": (False, True),
        "persistent": (False, True),
    }
    problem_parameters = ("batch", "heads", "kv_heads", "seq_q", "seq_kv", "q_offset", "head_dim", "causal", "dtype")
    invariants = ("online-softmax recurrence", "mask floor is finite", "a row without keys is 0")
    source_files = (str(_HERE / "kernel.py"),)

    def kernel(self, configuration: Configuration) -> Any:
        """The cuTile kernel with the configuration's hints."""
        return _hinted(
            int(configuration["occupancy"]), int(configuration["num_ctas"]), int(configuration["num_worker_warps"])
        )

    def constants(self, shape: Shape, configuration: Configuration, *, lse: bool = False) -> tuple[Any, ...]:
        """The kernel's constant arguments, in order."""
        c = {**PLAIN, **configuration}
        return (
            shape.heads,
            shape.group,
            shape.tile_d,
            c["tile_m"],
            c["tile_n"],
            c["k_latency"],
            c["v_latency"],
            shape.causal,
            shape.seq_kv % int(c["tile_n"]) != 0,
            self.parameters["pipeline"].index(c["pipeline"]),
            c["split_loop"],
            self.parameters["masked_tiles"].index(c["masked_tiles"]),
            c["running_max"],
            c["q_registers"],
            c["sum_lanes"],
            bool(c["heavy_first"]) and shape.causal,
            c["heads_fastest"],
            shape.batch * shape.heads > MOST_BLOCKS,
            c["persistent"],
            c["use_tma"],
            lse,
        )

    def grid(self, shape: Shape, configuration: Configuration, num_sms: int) -> tuple[int, int, int]:
        """Blocks to launch: one for each query tile and head, or as many as the hints keep resident if persistent."""
        c = {**PLAIN, **configuration}
        query_tiles = -(-shape.seq_q // int(c["tile_m"]))
        if c["persistent"]:
            resident = max(1, num_sms * int(c["occupancy"]) // int(c["num_ctas"]))
            return min(query_tiles * shape.batch * shape.heads, resident), 1, 1
        heads = shape.batch * shape.heads
        if heads > MOST_BLOCKS:
            return heads, query_tiles, 1
        return (1, heads, query_tiles) if c["heads_fastest"] else (1, query_tiles, heads)

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob]:
        """One job: what `launch` would compile. Sizes matter only in being multiples of 16."""
        import cuda.tile as ct
        from cuda.tile.compilation import KernelSignature, ScalarConstraint

        shape = Shape.of(problem)
        dtype = {"fp16": ct.float16, "bf16": ct.bfloat16}[shape.dtype]
        queries, keys = contiguous(dtype, shape.queries), contiguous(dtype, shape.keys)
        arrays = [queries, keys, keys, queries, contiguous(ct.float32, (1, 1, 1))]
        scalars = [ScalarConstraint(ct.float32), ScalarConstraint(ct.int32)]
        signature = KernelSignature(
            [*arrays, *scalars, *self.constants(shape, configuration)],
            calling_convention=convention(arrays),
            symbol="fmha_kernel",
        )
        return (CompileJob(self.kernel(configuration), signature, "fmha_kernel"),)

    def work(self, problem: Problem, configuration: Configuration) -> Work:
        """Counts of one launch; fully masked key tiles are not visited and not counted."""
        shape = Shape.of(problem)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        tiles = key_tiles(shape, tile_m, tile_n)
        pairs = shape.batch * shape.heads
        kinds = sorted({count: tiles.count(count) * pairs for count in tiles}.items(), reverse=True)
        area = tile_m * tile_n
        return Work(
            ctas=len(tiles) * pairs,
            iterations=tuple((number, count) for count, number in kinds),
            tensor_flops_per_iteration=4.0 * area * shape.tile_d,
            exp2_per_iteration=float(area + tile_m),
            fp32_per_iteration=float(area * 4 + tile_m * shape.tile_d),
            smem_bytes_per_iteration=2.0 * 2 * tile_n * shape.tile_d,
            global_bytes=shape.min_bytes,
            outside_bytes=2.0 * tile_m * shape.tile_d,
            loops=2 if shape.causal and {**PLAIN, **configuration}["masked_tiles"] == "after" else 1,
            cluster=int(configuration.get("num_ctas", 1)),
        )

    def launch(self, inputs: Inputs, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """One launch on the current stream, without log-sum-exp."""
        self.launch_with_lse(inputs, outputs, None, (problem, configuration))

    def launch_with_lse(self, inputs: Inputs, outputs: Any, lse: Any, what: tuple[Problem, Configuration]) -> None:
        """One launch; `lse` (B, H, Sq) fp32 is written unless it is None."""
        import cuda.tile as ct
        import torch

        problem, configuration = what
        shape = Shape.of(problem)
        grid = self.grid(shape, configuration, torch.cuda.get_device_properties(outputs.device).multi_processor_count)
        spare = lse if lse is not None else torch.empty((1, 1, 1), dtype=torch.float32, device=outputs.device)
        arguments = (inputs.q, inputs.k, inputs.v, outputs, spare, shape.head_dim**-0.5, shape.q_offset)
        constants = self.constants(shape, configuration, lse=lse is not None)
        ct.launch(torch.cuda.current_stream(), grid, self.kernel(configuration), (*arguments, *constants))


SPEC = FmhaSpec()
