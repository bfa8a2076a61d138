"""Compilations by content: what was compiled once, for the same source, compiler and target, is never compiled again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.tuner.backend.compile.protocol import Compiled

_FORMAT = 1
"""Changes when what a worker extracts changes, so that older entries are not used."""

_MAX_ENTRY_BYTES = 1 << 28
"""Largest entry read; a cubin of this repository's kernels has some 100 kB."""


@dataclass(frozen=True)
class Identity:
    """What all compilations of a search share, as far as their result depends on it.

    Attributes:
        versions: Component of the toolchain -> version.
        specialises: Problem parameters on which the code depends; None for all of them.
    """

    kernel: str
    source_sha256: str
    arch: str
    versions: Mapping[str, str]
    specialises: Sequence[str] | None = None

    def key(self, problem: ProblemSize, configuration: Configuration) -> str:
        """Hexadecimal SHA-256 of everything the compiled code depends on."""
        names = problem if self.specialises is None else self.specialises
        parts = {
            "format": _FORMAT,
            "kernel": self.kernel,
            "source": self.source_sha256,
            "arch": self.arch,
            "versions": dict(sorted(self.versions.items())),
            "problem": _typed({name: problem[name] for name in names if name in problem}),
            "configuration": _typed(configuration),
        }
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _typed(values: Mapping[str, Scalar]) -> list[tuple[str, Scalar]]:
    return sorted(values.items())


class CompileCache:
    """A folder of results by key. An entry that cannot be trusted is as good as none.

    Any number of processes may use a folder at once: entries appear whole, and two of one key hold the same.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is created with the first entry."""
        self._folder = folder

    def get(self, key: str) -> Compiled | None:
        """The result under `key`; None if there is none, or a damaged one."""
        body = read_entry(self._path(key), key)
        try:
            return None if body is None else msgspec.json.decode(body, type=Compiled)
        except msgspec.DecodeError:
            return None

    def put(self, key: str, result: Compiled) -> None:
        """Keep `result`, unless its failure may have been the machine's doing. A full or read-only disk keeps nothing."""
        if not result.lasting:
            return
        write_entry(self._path(key), key, msgspec.json.encode(result))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def read_entry(path: Path, key: str) -> bytes | None:
    """What was kept in `path` under `key`; None if nothing was, if it is damaged, or if it was kept under another key."""
    try:
        with path.open("rb") as file:
            digest, _, body = file.read(_MAX_ENTRY_BYTES).partition(b"\n")
    except OSError:
        return None
    return body if digest == _digest(key, body) else None


def write_entry(path: Path, key: str, body: bytes) -> None:
    """Keep `body` in `path` under `key`, so that a reader sees it whole. A full or read-only disk keeps nothing."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(key, body) + b"\n" + body)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).hexdigest().encode()


def source_sha256(files: Sequence[str], root: Path) -> str:
    """SHA-256 over names and contents of a kernel's source files, the same wherever the repository lies.

    Args:
        files: Paths as a spec names them, relative to `root` or absolute inside it.
        root: Parent folder of the `kernels` package.

    Raises:
        OSError: If one cannot be read.
    """
    digest = hashlib.sha256()
    base = root.resolve()
    for path in sorted((base / name).resolve() for name in files):
        name = path.relative_to(base) if path.is_relative_to(base) else Path(path.name)
        content = path.read_bytes()
        digest.update(f"{name.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
