"""Which compiler makes the code of a kernel: cuTile's of those here, what the file says of one that is declared elsewhere."""

from __future__ import annotations

from spak.kernels.interface import KernelSpec
from spak.kernels.own.declared import DeclaredSpec
from spak.kernels.own.launches import KernelLanguage
from spak.tuner.backend.compile.toolchain import Toolchain, find_toolchain
from spak.tuner.backend.compile.triton_compiler import triton_toolchain
from spak.tuner.errors import TunerError


def language_of(kernel: KernelSpec) -> KernelLanguage:
    """What a kernel is written in; empty: a callable launches it."""
    return kernel.language if isinstance(kernel, DeclaredSpec) else "cutile"


def toolchain_of(kernel: KernelSpec) -> Toolchain:
    """The compiler of a kernel, to be run without a GPU.

    Raises:
        TunerError: If it is not installed, or none here can look into what the kernel launches.
    """
    language = language_of(kernel)
    if not language:
        raise TunerError(
            f"{kernel.op}: a callable launches it, so nothing can be compiled here; run tune where there is a GPU, "
            "or tune replay recorded trials of it"
        )
    return triton_toolchain() if language == "triton" else find_toolchain()
