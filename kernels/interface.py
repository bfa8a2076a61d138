"""What a kernel's spec.py provides: how to compile, launch, check and count it. No dependency beyond the standard library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Scalar = bool | int | float | str
Configuration = Mapping[str, Scalar]
Problem = Mapping[str, Scalar]


@dataclass(frozen=True)
class CompileJob:
    """One kernel function with everything `cuda.tile.compilation.export_kernel` needs.

    Attributes:
        kernel: The cuTile kernel with its hints (`occupancy`, `num_ctas`, `num_worker_warps`) applied.
        signature: Its `KernelSignature`.
        symbol: Name of the function in the cubin.
    """

    kernel: Any
    signature: Any
    symbol: str


@dataclass(frozen=True)
class TritonJob:
    """One Triton kernel with everything its compiler needs.

    Attributes:
        kernel: The `triton.jit` function.
        arguments: In the order of its parameters: arrays (`spak.kernels.cutile.Array`) and numbers.
        options: `num_warps`, `num_stages` and so on.
        symbol: Name of the function in the cubin.
    """

    kernel: Any
    arguments: tuple[Any, ...]
    options: Mapping[str, int]
    symbol: str


@dataclass(frozen=True)
class Operand:
    """An input that CTAs read part by part, and which of them read the same part.

    In launch order `run` CTAs read one part, the next `run` the next one; after `cycle` parts the first comes again, or
    the launch is through with them.

    Attributes:
        bytes_per_iteration: What one CTA reads of it in a pass.
        bytes: All of it.
        part_bytes: One part, such as the keys and values of a head.
        run: Neighbouring CTAs that read the same part.
        cycle: Parts between two runs of CTAs that read the same one.
    """

    bytes_per_iteration: float
    bytes: float
    part_bytes: float
    run: int
    cycle: int


@dataclass(frozen=True)
class Work:
    """What one launch makes the machine do; the predicted-time model's view of a kernel. Counts are exact, not fitted.

    Attributes:
        iterations: Hot-loop iterations of the CTAs in launch order, equal neighbours together: (count of CTAs, iterations).
        tensor_flops_per_iteration: Multiply and add counted as two, for one CTA.
        exp2_per_iteration: Special-function evaluations, for one CTA.
        fp32_per_iteration: Other element-wise float32 operations, for one CTA.
        smem_bytes_per_iteration: Operand bytes staged through shared memory, for one CTA.
        global_bytes: Least bytes the whole launch reads and writes in device memory.
        repeats: Times that `iterations` follows itself: the heads of a batch, one after the other.
        outside_bytes: Bytes of the tile that a CTA keeps outside its loop: the query or the output tile.
        cluster: CTAs that share the work of what is called a CTA here, `num_ctas`; each does an equal part.
        loops: Loops, one after the other, over which a CTA's iterations spread; each has to wait for its first load.
        chained_products: Products of a pass that wait for one another: the second multiplies what became of the first.
        row_reductions: Maxima and sums over a row in every pass, each of which threads have to agree on.
        operands_serve_all: Operands of the first product of a pass serve the last as well.
        walkers_per_sm: CTAs that a persistent grid launches for each SM, clusters counted whole; they take the CTAs
            described here in turn. 0: each of these is a CTA of its own.
        operands: What is read in passes, as far as CTAs share it.
        added_bytes_per_iteration: Bytes that a CTA adds in a pass to sums in device memory, where L2 adds them.
        function: Name of the compiled function that is launched; empty for the first of `compile_jobs`.
    """

    iterations: tuple[tuple[int, int], ...]
    tensor_flops_per_iteration: float
    exp2_per_iteration: float
    fp32_per_iteration: float
    smem_bytes_per_iteration: float
    global_bytes: float
    repeats: int = 1
    outside_bytes: float = 0.0
    loops: int = 1
    chained_products: int = 1
    row_reductions: int = 0
    operands_serve_all: bool = False
    cluster: int = 1
    walkers_per_sm: float = 0.0
    operands: tuple[Operand, ...] = ()
    added_bytes_per_iteration: float = 0.0
    function: str = ""

    @property
    def ctas(self) -> int:
        """CTAs of the launch, or the tiles that a persistent grid walks over."""
        return self.repeats * sum(count for count, _ in self.iterations)

    @property
    def passes(self) -> int:
        """Hot-loop iterations of all CTAs together."""
        return self.repeats * sum(count * iterations for count, iterations in self.iterations)


class KernelSpec(Protocol):
    """Binds an op's space to code. laws/ops/<op>.yaml owns the space: configurations and problems come complete and within it."""

    op: str
    """Op id; also the kernel's name."""

    @property
    def source_files(self) -> Sequence[str]:
        """Files whose text identifies the kernel, for the hash in a run file."""
        ...

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob | TritonJob]:
        """The functions one launch needs, the hot one first; none if no compiler here knows it. Needs no GPU.

        Raises:
            ValueError: If the configuration cannot run at this problem size; the message says why.
        """
        ...

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of each launch, one after the other; launches may be counted together as one."""
        ...

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Fresh random torch inputs on `device`."""
        ...

    def given_inputs(self, arrays: Mapping[str, Any], problem: Problem) -> Any:
        """Torch tensors of somebody else, by name, as inputs.

        Raises:
            ValueError: If one lacks, is none of them, or has another shape or type; names it.
        """
        ...

    def make_outputs(self, problem: Problem, *, device: str) -> Any:
        """Torch outputs filled with NaN, so that what a kernel does not write cannot pass."""
        ...

    def launch(self, inputs: Any, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """Launch on torch's current stream; asynchronous."""
        ...

    def reference(self, inputs: Any, problem: Problem) -> Any:
        """The outputs in float64 (a torch tensor on the inputs' device)."""
        ...

    def tolerance(self, problem: Problem) -> float:
        """Largest allowed relative error, ||out - ref|| / ||ref||."""
        ...

    def baselines(self, inputs: Any, problem: Problem) -> Mapping[str, Any]:
        """Library implementations by name, each a callable of no arguments that runs on the inputs."""
        ...
