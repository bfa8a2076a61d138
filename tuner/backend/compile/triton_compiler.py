"""Triton's own compiler, for any architecture and without a GPU, from the description of a launch.

Arguments are described to Triton's binder, which a launch uses too, so that what is compiled here is what a launch of
arrays of these shapes would compile: whole numbers that are 1 or multiples of 16 are specialised alike.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spak.kernels.cutile import DTYPES, Array
from spak.kernels.interface import TritonJob
from spak.tuner.backend.compile.toolchain import CompilerMissingError, Toolchain

WARP_SIZE = 32
"""Threads of a warp on every NVIDIA GPU."""


@dataclass(frozen=True)
class TritonCubin:
    """Machine code of a Triton kernel.

    Attributes:
        symbol: Name of the function in it.
        dynamic_smem_bytes: Shared memory of a CTA that a launch adds to what the code says.
    """

    code: bytes
    symbol: str
    dynamic_smem_bytes: int


def compile_triton(job: TritonJob, arch: str) -> TritonCubin:
    """The cubin of a job for an architecture such as `sm_90`. Triton keeps what it compiled in a cache of its own.

    Raises:
        Exception: Whatever Triton raises for code that does not compile.
    """
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile, make_backend  # noqa: A004 - Triton's name
    from triton.runtime.jit import create_function_from_signature

    target = GPUTarget("cuda", int(arch.removeprefix("sm_")), WARP_SIZE)
    backend = make_backend(target)
    options = {"debug": False, **job.options}
    binder = create_function_from_signature(job.kernel.signature, job.kernel.params, backend)
    bound, specialization, _ = binder(*map(_described, job.arguments), **options)
    parsed, signature, constants, attributes = job.kernel._pack_args(  # noqa: SLF001 - what a launch calls; Triton has no public way
        backend, options, bound, specialization, {}
    )
    made = compile(ASTSource(job.kernel, signature, constants, attributes), target=target, options=vars(parsed))
    return TritonCubin(made.asm["cubin"], made.metadata.name, int(made.metadata.shared))


def triton_toolchain() -> Toolchain:
    """Triton, and the disassembler that it brings, of this environment.

    Raises:
        CompilerMissingError: If Triton is not installed.
    """
    found = importlib.util.find_spec("triton")
    if found is None or found.origin is None:
        raise CompilerMissingError("Triton is not installed; install it with: pip install triton")
    nvdisasm = Path(found.origin).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
    return Toolchain("", str(nvdisasm), {"triton": importlib.metadata.version("triton")})


def _described(argument: Any) -> Any:
    if not isinstance(argument, Array):
        return argument
    import torch
    from triton.runtime.jit import MockTensor

    return MockTensor(getattr(torch, DTYPES[argument.dtype]), list(argument.shape))
