"""Kernels compiled ahead of time: a store of cubins, and the hook by which a launch finds them.

cuTile compiles a kernel at its first launch: it derives a signature from the arguments, runs its own front end
(some 0.1 s) and tileiras (seconds). The hook answers that request from the store, by the same signature, so that the
measuring process only loads. What is not in the store compiles as usual and is counted.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spak.kernels.interface import CompileJob, TritonJob
from spak.tuner.backend.compile.cache import read_entry, write_entry
from spak.tuner.backend.compile.toolchain import compiler_string
from spak.tuner.backend.compile.triton_compiler import compile_triton


@dataclass(frozen=True)
class Cubin:
    """Machine code of one kernel function, the name to look it up by, and the shared memory that a launch adds to a CTA's."""

    symbol: str
    code: bytes
    dynamic_smem_bytes: int = 0

    def packed(self) -> bytes:
        """All of it as bytes: a line of words, then the code."""
        head = f"{self.symbol} {self.dynamic_smem_bytes}" if self.dynamic_smem_bytes else self.symbol
        return head.encode() + b"\n" + self.code

    @classmethod
    def of(cls, packed: bytes) -> Cubin:
        """The cubin that was packed.

        Raises:
            ValueError: If these bytes are none.
        """
        head, _, code = packed.partition(b"\n")
        symbol, _, dynamic = head.decode().partition(" ")
        return cls(symbol, code, int(dynamic or 0))


class CubinStore:
    """A folder of cubins by key. Writes are atomic, so that many processes can fill it at once."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is created with the first cubin."""
        self._folder = folder

    def get(self, key: str) -> Cubin | None:
        """The cubin under `key`; None if there is none, a damaged one, or one of another key."""
        kept = read_entry(self._path(key), key)
        return None if kept is None else Cubin.of(kept)

    def put(self, key: str, cubin: Cubin) -> None:
        """Keep `cubin` under `key`; a full or read-only disk keeps nothing, and a launch compiles."""
        write_entry(self._path(key), key, cubin.packed())

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.cubin"


def cubin_key(kernel: Any, signature: Any, arch: str, source_sha256: str, compiler: str = "") -> str:
    """What a cubin depends on: function, signature, hints, architecture, source, and the compiler, if not the one here."""
    from cuda.tile.compilation import mangle_kernel_name

    function = kernel._annotated_function.pyfunc  # noqa: SLF001  # cuTile has no public way; pinned to 1.7
    parts = (
        function.__module__,
        function.__qualname__,
        mangle_kernel_name(function.__name__, signature),
        repr(sorted(kernel._compiler_options.hints_by_target().items())),  # noqa: SLF001
        arch,
        source_sha256,
        compiler or compiler_string(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def compile_into(store: CubinStore, job: CompileJob | TritonJob, arch: str, source_sha256: str) -> tuple[str, Cubin]:
    """(key, cubin) of a job, compiled unless the store has it; of a Triton kernel unless Triton's own cache has it.

    Raises:
        Exception: Whatever cuTile, tileiras or Triton raises for code that does not compile.
    """
    if isinstance(job, TritonJob):
        made = compile_triton(job, arch)
        cubin = Cubin(made.symbol, made.code, made.dynamic_smem_bytes)
        key = hashlib.sha256(made.code + source_sha256.encode()).hexdigest()[:40]
        store.put(key, cubin)
        return key, cubin
    from cuda.tile.compilation import export_kernel

    key = cubin_key(job.kernel, job.signature, arch, source_sha256)
    found = store.get(key)
    if found is not None:
        return key, found
    output = io.BytesIO()
    export_kernel(job.kernel, [job.signature.with_symbol(job.symbol)], output, gpu_code=arch, output_format="cubin")
    cubin = Cubin(job.symbol, output.getvalue())
    store.put(key, cubin)
    return key, cubin


@dataclass
class Loaded:
    """How many kernels came from the store, and how many had to be compiled at launch."""

    hits: int = 0
    misses: int = 0


def load_ahead_of_time(store: CubinStore, source_sha256: str, compiler: str = "") -> Loaded:
    """Let cuTile launches of this process take their code from `store`; the result counts on.

    Args:
        store: Where what was compiled is kept.
        source_sha256: Of the kernel's source.
        compiler: What compiled it, as `compiler_string` says there; empty: the compiler here.
    """
    import cuda.tile as ct

    compile_now = ct.kernel._compile  # noqa: SLF001
    loaded = Loaded()

    def load(kernel: Any, signature: Any, context: Any, compute_capability: tuple[int, int] | None = None) -> Any:
        if compute_capability is not None:
            arch = f"sm_{compute_capability[0]}{compute_capability[1]}"
            found = store.get(cubin_key(kernel, signature, arch, source_sha256, compiler))
            if found is not None:
                loaded.hits += 1
                return found.code, found.symbol, None, ()
        loaded.misses += 1
        return compile_now(kernel, signature, context, compute_capability)

    ct.kernel._compile = load  # noqa: SLF001
    return loaded
