"""FMHA bound to its space (laws/ops/fmha.yaml): compile, launch, check, count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kernels.interface import CompileJob, Configuration, Problem, Scalar, Work
from kernels.signature import contiguous, convention

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Shape:
    """A problem size of attention, typed.

    Attributes:
        q_offset: Query row i sees keys up to i + q_offset when causal.
        dtype: fp16 or bf16.
    """

    batch: int
    heads: int
    kv_heads: int
    seq_q: int
    seq_kv: int
    q_offset: int
    head_dim: int
    causal: bool
    dtype: str

    @classmethod
    def of(cls, problem: Problem) -> Shape:
        """Read a problem.

        Raises:
            ValueError: If kv_heads does not divide heads, or head_dim is outside 16..256.
        """
        counts = {name: int(problem[name]) for name in ("batch", "heads", "kv_heads", "seq_q", "seq_kv", "head_dim")}
        if counts["heads"] % counts["kv_heads"]:
            raise ValueError(f"kv_heads {counts['kv_heads']} does not divide heads {counts['heads']}")
        if not 16 <= counts["head_dim"] <= 256:  # noqa: PLR2004 - the kernel's documented range
            raise ValueError(f"head_dim must be 16..256 (got {counts['head_dim']})")
        return cls(
            **counts,
            q_offset=int(problem.get("q_offset", 0)),
            causal=bool(problem["causal"]),
            dtype=str(problem["dtype"]),
        )

    @property
    def tile_d(self) -> int:
        """head_dim rounded up to a power of two, as tiles need it."""
        return 1 << (self.head_dim - 1).bit_length()

    @property
    def group(self) -> int:
        """Query heads that share one KV head."""
        return self.heads // self.kv_heads


def key_tiles(shape: Shape, tile_m: int, tile_n: int) -> list[int]:
    """Key tiles each query tile visits, first query tile first: what the kernel's loop bounds give."""
    every = -(-shape.seq_kv // tile_n)
    query_tiles = -(-shape.seq_q // tile_m)
    if not shape.causal:
        return [every] * query_tiles
    return [min(every, -(-((x + 1) * tile_m + shape.q_offset) // tile_n)) for x in range(query_tiles)]


@dataclass(frozen=True)
class Inputs:
    """Q (B, H, Sq, D), K and V (B, KV, Skv, D), contiguous."""

    q: Any
    k: Any
    v: Any


@lru_cache
def _hinted(occupancy: int, num_ctas: int, num_worker_warps: int) -> Any:
    """One kernel object for each set of hints: cuTile keeps compiled code with the object."""
    from kernels.attention.fmha.kernel import fmha_kernel

    warps = num_worker_warps or None
    return fmha_kernel.replace_hints(occupancy=occupancy, num_ctas=num_ctas, num_worker_warps=warps)


class FmhaSpec:
    """`fmha`: see the module and kernel.py."""

    op = "fmha"
    parameters: Mapping[str, Sequence[Scalar]] = {
        "tile_m": (32, 64, 128, 256),
        "tile_n": (32, 64, 128),
        "occupancy": (1, 2, 3, 4),
        "num_worker_warps": (0, 4, 8),
        "num_ctas": (1, 2),
        "k_latency": (1, 2, 3, 4, 6),
        "v_latency": (1, 2, 3, 4, 5, 6),
        "use_tma": (False, True),
        "split_loop": (False, True),
        "heavy_first": (False, True),
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
        c = configuration
        return (
            shape.heads,
            shape.group,
            shape.head_dim,
            shape.tile_d,
            c["tile_m"],
            c["tile_n"],
            c["k_latency"],
            c["v_latency"],
            shape.causal,
            c["split_loop"],
            bool(c["heavy_first"]) and shape.causal,
            c["use_tma"],
            lse,
        )

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob]:
        """One job: what `launch` would compile. Sizes matter only in being multiples of 16."""
        import cuda.tile as ct
        from cuda.tile.compilation import KernelSignature, ScalarConstraint

        shape = Shape.of(problem)
        dtype = {"fp16": ct.float16, "bf16": ct.bfloat16}[shape.dtype]
        queries = contiguous(dtype, (shape.batch, shape.heads, shape.seq_q, shape.head_dim))
        keys = contiguous(dtype, (shape.batch, shape.kv_heads, shape.seq_kv, shape.head_dim))
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
            global_bytes=2.0
            * shape.batch
            * shape.head_dim
            * (2 * shape.heads * shape.seq_q + 2 * shape.kv_heads * shape.seq_kv),
        )

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Inputs:
        """Standard normal Q, K, V."""
        import torch

        shape = Shape.of(problem)
        generator = torch.Generator(device=device).manual_seed(seed)
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[shape.dtype]

        def draw(heads: int, rows: int) -> Any:
            size = (shape.batch, heads, rows, shape.head_dim)
            return torch.randn(size, generator=generator, device=device, dtype=torch.float32).to(dtype)

        return Inputs(
            draw(shape.heads, shape.seq_q), draw(shape.kv_heads, shape.seq_kv), draw(shape.kv_heads, shape.seq_kv)
        )

    def make_outputs(self, problem: Problem, *, device: str) -> Any:
        """(B, H, Sq, D) of NaN."""
        import torch

        shape = Shape.of(problem)
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[shape.dtype]
        size = (shape.batch, shape.heads, shape.seq_q, shape.head_dim)
        return torch.full(size, float("nan"), dtype=dtype, device=device)

    def launch(self, inputs: Inputs, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """One launch on the current stream, without log-sum-exp."""
        self.launch_with_lse(inputs, outputs, None, (problem, configuration))

    def launch_with_lse(self, inputs: Inputs, outputs: Any, lse: Any, what: tuple[Problem, Configuration]) -> None:
        """One launch; `lse` (B, H, Sq) fp32 is written unless it is None."""
        import cuda.tile as ct
        import torch

        problem, configuration = what
        shape = Shape.of(problem)
        grid = (-(-shape.seq_q // int(configuration["tile_m"])), shape.batch * shape.heads, 1)
        spare = lse if lse is not None else torch.empty((1, 1, 1), dtype=torch.float32, device=outputs.device)
        arguments = (inputs.q, inputs.k, inputs.v, outputs, spare, shape.head_dim**-0.5, shape.q_offset)
        constants = self.constants(shape, configuration, lse=lse is not None)
        ct.launch(torch.cuda.current_stream(), grid, self.kernel(configuration), (*arguments, *constants))

    def reference(self, inputs: Inputs, problem: Problem) -> Any:
        """(B, H, Sq, D), float64."""
        from kernels.attention.fmha.reference import attention

        shape = Shape.of(problem)
        return attention(inputs.q, inputs.k, inputs.v, causal=shape.causal, q_offset=shape.q_offset)[0]

    def tolerance(self, problem: Problem) -> float:
        """1e-3 for fp16, 8e-3 for bf16 (their unit roundoffs are 2^-11 and 2^-8)."""
        return {"fp16": 1e-3, "bf16": 8e-3}[str(problem["dtype"])]

    def baselines(self, inputs: Inputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's SDPA: its default choice, cuDNN and FlashAttention; none where the mask is not one they know."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        shape = Shape.of(problem)
        if shape.causal and (shape.q_offset or shape.seq_q != shape.seq_kv):
            return {}

        def run(backend: Any | None) -> Callable[[], Any]:
            def call() -> Any:
                attend = torch.nn.functional.scaled_dot_product_attention
                kind = {"is_causal": shape.causal, "enable_gqa": shape.group > 1}
                if backend is None:
                    return attend(inputs.q, inputs.k, inputs.v, **kind)
                with sdpa_kernel(backend):
                    return attend(inputs.q, inputs.k, inputs.v, **kind)

            return call

        return {
            "sdpa": run(None),
            "sdpa-cudnn": run(SDPBackend.CUDNN_ATTENTION),
            "sdpa-flash": run(SDPBackend.FLASH_ATTENTION),
        }


SPEC = FmhaSpec()
