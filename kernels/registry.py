"""Every kernel by op id; adding one adds a line here. Modules load on first use."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import cast

from spak.kernels.interface import KernelSpec

SPECS = {
    "matmul": "spak.kernels.matmul.spec",
    "naive-attention": "spak.kernels.attention.naive.spec",
    "fused-attention": "spak.kernels.attention.fused.spec",
    "fmha": "spak.kernels.attention.fmha.spec",
    "fmha-backward": "spak.kernels.attention.backward.spec",
    "short-attention": "spak.kernels.attention.short.spec",
    "embedding": "spak.kernels.embedding.spec",
    "rmsnorm": "spak.kernels.rmsnorm.spec",
    "linear": "spak.kernels.linear.spec",
    "add-norm": "spak.kernels.add_norm.spec",
    "column-sum": "spak.kernels.column_sum.spec",
    "linear-gelu": "spak.kernels.linear_gelu.spec",
    "activation": "spak.kernels.activation.spec",
    "residual": "spak.kernels.residual.spec",
    "cross-entropy": "spak.kernels.cross_entropy.spec",
    "adam": "spak.kernels.adam.spec",
    "microgpt": "spak.kernels.microgpt.spec",
}
"""Op id -> module with a `SPEC`."""


def spec(op: str) -> KernelSpec:
    """The spec of the kernel for `op`.

    Raises:
        KeyError: If no kernel here implements `op`.
    """
    found: KernelSpec = import_module(SPECS[op]).SPEC
    return found


def resolve_spec(place: str) -> KernelSpec:
    """The spec at `module:attribute`, or the one that `FILE.py` or `FILE.py::NAME` declares.

    Raises:
        WrongDeclarationError: If a file cannot be read or executed, or declares no such kernel.
        ImportError: If there is no such module.
        AttributeError: If it has no such attribute.
    """
    from spak.kernels.own.file import declared_in, names_file

    return cast("KernelSpec", declared_in(place) if names_file(place) else pkgutil.resolve_name(place))
