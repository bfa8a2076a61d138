"""A launch of somebody's kernel as data: what is compiled without a GPU, run on the simulator and launched is the same.

cuTile and Triton are told apart by the kernel object. Neither is imported before one of its kernels is there.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from spak.kernels.cutile import DTYPES, Array
from spak.kernels.interface import CompileJob, Scalar, TritonJob
from spak.kernels.signature import contiguous, convention

KernelLanguage = Literal["cutile", "triton", ""]
"""What a kernel is written in; empty: whatever a callable launches."""


@dataclass(frozen=True)
class KernelLaunch:
    """One launch of a cuTile or Triton kernel.

    Attributes:
        kernel: The function under `@cuda.tile.kernel` or `@triton.jit`, as it is.
        grid: Blocks, in up to three dimensions.
        arguments: In the order of the kernel's parameters: the name of an array, or a number or truth value as it is.
        options: The compiler's, by their own names: cuTile's hints (`occupancy`, `num_ctas`, `num_worker_warps`; 0 leaves
            one to the compiler), Triton's `num_warps`, `num_stages` and so on.
    """

    kernel: Any
    grid: Sequence[int]
    arguments: Sequence[Scalar]
    options: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no launch."""
        if not self.language:
            kind = type(self.kernel).__name__
            raise TypeError(f"kernel: a function under @cuda.tile.kernel or @triton.jit (got {kind})")
        if not 1 <= len(self.grid) <= 3 or any(size < 1 for size in self.grid):  # noqa: PLR2004 - CUDA's dimensions
            raise ValueError(f"grid: one to three numbers of at least 1 (got {tuple(self.grid)})")

    @property
    def language(self) -> KernelLanguage:
        """What the kernel is written in; empty for an object that is neither."""
        home = type(self.kernel).__module__
        return "cutile" if home.startswith("cuda.tile") else "triton" if home.startswith("triton.") else ""

    @property
    def function(self) -> Any:
        """The Python function of the kernel."""
        return self.kernel._pyfunc if self.language == "cutile" else self.kernel.fn  # noqa: SLF001 - cuTile's has no public name

    def named(self, arrays: Mapping[str, Any]) -> list[Any]:
        """The arguments with arrays in place of their names.

        Raises:
            ValueError: If one names no array.
        """
        unknown = [one for one in self.arguments if isinstance(one, str) and one not in arrays]
        if unknown:
            raise ValueError(f"arguments: {unknown[0]!r} is none of the arrays {', '.join(arrays)}")
        return [arrays[one] if isinstance(one, str) else one for one in self.arguments]

    def job(self, arrays: Mapping[str, Array]) -> CompileJob | TritonJob:
        """What a compiler needs of it."""
        if self.language == "triton":
            return TritonJob(self.kernel, tuple(self.named(arrays)), dict(self.options), self.function.__name__)
        return CompileJob(self.hinted, self._signature(arrays), self.function.__name__)

    @property
    def hinted(self) -> Any:
        """The cuTile kernel with the hints that `options` names."""
        return _hinted(self.kernel, tuple((name, value or None) for name, value in self.options.items()))

    def _signature(self, arrays: Mapping[str, Array]) -> Any:
        import cuda.tile as ct
        from cuda.tile.compilation import KernelSignature, ScalarConstraint

        parameters: list[Any] = []
        shaped: list[Any] = []
        for value, constant in zip(self.named(arrays), self._constants(), strict=True):
            if isinstance(value, Array):
                shaped.append(contiguous(getattr(ct, DTYPES[value.dtype]), value.shape))
                parameters.append(shaped[-1])
            elif constant:
                parameters.append(value)
            else:
                parameters.append(ScalarConstraint(ct.float32 if isinstance(value, float) else ct.int32))
        return KernelSignature(parameters, calling_convention=convention(shaped), symbol=self.function.__name__)

    def _constants(self) -> list[bool]:
        """Which parameters of a cuTile kernel are `ct.Constant`."""
        marked = [bool(node.constant) for node in self.kernel._annotated_function.parameter_annotations]  # noqa: SLF001
        if len(marked) != len(self.arguments):
            name = self.function.__name__
            raise ValueError(f"arguments: {name} has {len(marked)} parameters (got {len(self.arguments)} arguments)")
        return marked

    def simulate(self, tensors: Mapping[str, Any]) -> None:
        """Run a cuTile kernel on the simulator, on tensors of a CPU.

        Raises:
            ValueError: If it is another one's.
        """
        if self.language != "cutile":
            raise ValueError(f"{self.language} kernels run on a GPU; there is a simulator of cuTile alone")
        from spak.kernels import sim

        sim.launch(None, tuple(self.grid), self.kernel, self.named(tensors))

    def issue(self, tensors: Mapping[str, Any]) -> None:  # pragma: no cover  # needs a GPU: tests/gpu
        """Launch on torch's current stream."""
        if self.language == "triton":
            self.kernel[tuple(self.grid)](*self.named(tensors), **self.options)
            return
        import cuda.tile as ct
        import torch

        ct.launch(torch.cuda.current_stream(), tuple(self.grid), self.hinted, tuple(self.named(tensors)))


@functools.lru_cache
def _hinted(kernel: Any, hints: tuple[tuple[str, int | None], ...]) -> Any:
    """One kernel object for each set of hints: cuTile keeps compiled code with the object."""
    return kernel.replace_hints(**dict(hints)) if hints else kernel
