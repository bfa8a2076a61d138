"""The kernel that a backend evaluates: where a worker finds its spec, and the hash of its source."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import spak.kernels as package
from spak.kernels.registry import SPECS, resolve_spec, spec
from spak.tuner.backend.compile.cache import source_sha256

ROOT = Path(str(package.__file__)).resolve().parents[1]
"""Parent folder of the kernels: hashes have names below it, wherever it lies."""


def spec_path(op: str, own: str = "") -> str:
    """Where the spec of the kernel for `op` is, as `resolve_spec` takes it: at `own`, or here."""
    return own or f"{SPECS[op]}:SPEC"


def source_of(op: str, own: str = "", *, with_spec: bool = False) -> str:
    """SHA-256 of the source of the kernel for `op`; `with_spec` of all that states its launches as well.

    A kernel that is declared elsewhere (`own`) states its launches in its source.
    """
    if own:
        return source_sha256(list(resolve_spec(own).source_files), ROOT)
    files = list(spec(op).source_files)
    return source_sha256([*files, *_stating(sys.modules[SPECS[op]])] if with_spec else files, ROOT)


def _stating(module: ModuleType) -> list[str]:
    """Files of a spec's module and of what it takes from other modules of the kernels."""
    found: dict[str, ModuleType] = {}
    open_: list[str] = [module.__name__]
    while open_:
        name = open_.pop()
        if name not in found and name.startswith(f"{package.__name__}."):
            found[name] = sys.modules[name]
            taken = vars(found[name]).values()
            open_ += [
                str(one.__name__ if isinstance(one, ModuleType) else getattr(one, "__module__", "")) for one in taken
            ]
    return sorted(str(one.__file__) for one in found.values())
