"""The kernel that a backend evaluates: where a worker finds its spec, and the hash of its source."""

from __future__ import annotations

import sys
from pathlib import Path

import spak.kernels as package
from spak.kernels.registry import SPECS, spec
from spak.tuner.backend.compile.cache import source_sha256

ROOT = Path(str(package.__file__)).resolve().parents[1]
"""Parent folder of the kernels: hashes have names below it, wherever it lies."""


def spec_path(op: str) -> str:
    """`module:attribute` of the spec of the kernel for `op`."""
    return f"{SPECS[op]}:SPEC"


def source_of(op: str, *, with_spec: bool = False) -> str:
    """SHA-256 of the source of the kernel for `op`; `with_spec` of what states its signature as well."""
    files = list(spec(op).source_files)
    return source_sha256([*files, str(sys.modules[SPECS[op]].__file__)] if with_spec else files, ROOT)
