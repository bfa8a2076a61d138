"""Matrix product bound to its space (laws/ops/matmul.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from spak.kernels.interface import CompileJob, Configuration, Problem, Scalar, Work
from spak.kernels.signature import contiguous, convention

TOLERANCES = {"fp16": 1e-3, "bf16": 8e-3}
"""Largest relative error by dtype; the unit roundoffs are 2^-11 and 2^-8."""


@dataclass(frozen=True)
class Sizes:
    """A problem size: (b, m, k) times (b, k, n), inputs and output of `dtype`."""

    batch: int
    m: int
    n: int
    k: int
    dtype: str

    @classmethod
    def of(cls, problem: Problem) -> Sizes:
        """Read a problem."""
        counts = {name: int(problem[name]) for name in ("batch", "m", "n", "k")}
        return cls(**counts, dtype=str(problem["dtype"]))


@dataclass(frozen=True)
class Inputs:
    """A (B, M, K) and B (B, K, N), contiguous."""

    a: Any
    b: Any


@lru_cache
def _hinted(occupancy: int, num_ctas: int, num_worker_warps: int) -> Any:
    """One kernel object for each set of hints: cuTile keeps compiled code with the object."""
    from spak.kernels.matmul.kernel import matmul_kernel

    return matmul_kernel.replace_hints(
        occupancy=occupancy, num_ctas=num_ctas, num_worker_warps=num_worker_warps or None
    )


class MatmulSpec:
    """`matmul`: batched, fp32 accumulation."""

    op = "matmul"
    parameters: Mapping[str, Sequence[Scalar]] = {
        "tile_m": (64, 128, 256),
        "tile_n": (64, 128, 256),
        "tile_k": (32, 64, 128),
        "occupancy": (1, 2),
        "num_worker_warps": (0, 4, 8),
        "num_ctas": (1, 2),
        "latency": (1, 2, 3, 4, 5, 6, 7, 8, 10),
        "use_tma": (False, True),
        "group": (0, 4, 8, 16),
        "persistent": (False, True),
    }
    problem_parameters = ("batch", "m", "n", "k", "dtype")
    invariants = ("fp32 accumulation", "every output tile written exactly once")
    source_files = (str(Path(__file__).parent / "kernel.py"),)

    def _kernel(self, configuration: Configuration) -> Any:
        return _hinted(*(int(configuration[name]) for name in ("occupancy", "num_ctas", "num_worker_warps")))

    def _constants(self, configuration: Configuration) -> tuple[Any, ...]:
        names = ("tile_m", "tile_n", "tile_k", "group", "latency", "use_tma", "persistent")
        return tuple(configuration[name] for name in names)

    def tiles(self, sizes: Sizes, configuration: Configuration) -> int:
        """Output tiles of all batches."""
        rows = -(-sizes.m // int(configuration["tile_m"]))
        return rows * -(-sizes.n // int(configuration["tile_n"])) * sizes.batch

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob]:
        """One job: what `launch` would compile."""
        import cuda.tile as ct
        from cuda.tile.compilation import KernelSignature

        sizes = Sizes.of(problem)
        dtype = {"fp16": ct.float16, "bf16": ct.bfloat16}[sizes.dtype]
        shapes = ((sizes.m, sizes.k), (sizes.k, sizes.n), (sizes.m, sizes.n))
        arrays = [contiguous(dtype, (sizes.batch, *shape)) for shape in shapes]
        signature = KernelSignature(
            [*arrays, *self._constants(configuration)], calling_convention=convention(arrays), symbol="matmul_kernel"
        )
        return (CompileJob(self._kernel(configuration), signature, "matmul_kernel"),)

    def work(self, problem: Problem, configuration: Configuration) -> Work:
        """Counts of one launch, one output tile a CTA; a persistent grid does the same work in fewer CTAs."""
        sizes = Sizes.of(problem)
        tile_m, tile_n, tile_k = (int(configuration[name]) for name in ("tile_m", "tile_n", "tile_k"))
        ctas = self.tiles(sizes, configuration)
        return Work(
            ctas=ctas,
            iterations=((ctas, -(-sizes.k // tile_k)),),
            tensor_flops_per_iteration=2.0 * tile_m * tile_n * tile_k,
            exp2_per_iteration=0.0,
            fp32_per_iteration=0.0,
            smem_bytes_per_iteration=2.0 * (tile_m + tile_n) * tile_k,
            global_bytes=2.0 * sizes.batch * (sizes.m * sizes.k + sizes.k * sizes.n + sizes.m * sizes.n),
            outside_bytes=2.0 * tile_m * tile_n,
            cluster=int(configuration.get("num_ctas", 1)),
        )

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Inputs:
        """Standard normal A and B."""
        import torch

        sizes = Sizes.of(problem)
        generator = torch.Generator(device=device).manual_seed(seed)
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[sizes.dtype]

        def draw(*shape: int) -> Any:
            return torch.randn(shape, generator=generator, device=device, dtype=torch.float32).to(dtype)

        return Inputs(draw(sizes.batch, sizes.m, sizes.k), draw(sizes.batch, sizes.k, sizes.n))

    def make_outputs(self, problem: Problem, *, device: str) -> Any:
        """(B, M, N) of NaN."""
        import torch

        sizes = Sizes.of(problem)
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[sizes.dtype]
        return torch.full((sizes.batch, sizes.m, sizes.n), float("nan"), dtype=dtype, device=device)

    def grid(self, sizes: Sizes, configuration: Configuration, num_sms: int) -> tuple[int, int, int]:
        """Blocks to launch: one for each output tile, or as many as the hints keep resident if persistent."""
        tiles = self.tiles(sizes, configuration)
        resident = max(1, num_sms * int(configuration["occupancy"]) // int(configuration["num_ctas"]))
        return (min(tiles, resident) if configuration["persistent"] else tiles, 1, 1)

    def launch(self, inputs: Inputs, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """One launch on the current stream."""
        import cuda.tile as ct
        import torch

        num_sms = torch.cuda.get_device_properties(outputs.device).multi_processor_count
        grid = self.grid(Sizes.of(problem), configuration, num_sms)
        arguments = (inputs.a, inputs.b, outputs, *self._constants(configuration))
        ct.launch(torch.cuda.current_stream(), grid, self._kernel(configuration), arguments)

    def reference(self, inputs: Inputs, problem: Problem) -> Any:  # noqa: ARG002  # the interface's arguments
        """(B, M, N), float64."""
        from spak.kernels.matmul.reference import matmul

        return matmul(inputs.a, inputs.b)

    def tolerance(self, problem: Problem) -> float:
        """1e-3 for fp16, 8e-3 for bf16."""
        return TOLERANCES[str(problem["dtype"])]

    def baselines(self, inputs: Inputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's product, which is cuBLAS; a batch of one as a plain product, which is faster there."""
        import torch

        if Sizes.of(problem).batch == 1:
            return {"cublas": lambda: torch.mm(inputs.a[0], inputs.b[0]).unsqueeze(0)}
        return {"cublas": lambda: torch.bmm(inputs.a, inputs.b)}


SPEC = MatmulSpec()
