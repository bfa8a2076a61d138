"""Finds the compiler and the disassembler, and says which versions they are, without importing or running either."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from spak.tuner.errors import TunerError

INSTALL = "install it with: pip install 'spak[compile]'"
PACKAGES = {"cuda-tile": "cuda-tile", "tileiras": "nvidia-cuda-tileiras", "nvdisasm": "nvidia-cuda-nvdisasm"}
"""Component -> PyPI package that holds it."""

_RELEASE = re.compile(r"\bV(\d+(?:\.\d+)+)")


class CompilerMissingError(TunerError):
    """The compiler, or a tool that reads its output, is not installed."""


@dataclass(frozen=True)
class Toolchain:
    """What compiles TileIR bytecode and what disassembles the result; versions are `unknown` where one does not say."""

    tileiras: str
    nvdisasm: str
    versions: dict[str, str]


def find_toolchain() -> Toolchain:
    """The toolchain of this environment: installed packages first, then the search path.

    Raises:
        CompilerMissingError: If a part is missing; says how to install it.
    """
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.tile") is None:
        raise CompilerMissingError(f"cuTile (cuda.tile) is not installed; {INSTALL}")
    tools = {name: _tool(name) for name in ("tileiras", "nvdisasm")}
    versions = {"cuda-tile": importlib.metadata.version("cuda-tile")}
    versions |= {name: _version(name, path) for name, path in tools.items()}
    return Toolchain(tools["tileiras"], tools["nvdisasm"], versions)


def cutile_versions() -> dict[str, str]:
    """Versions of cuTile and of the tileiras that it would run, such as `13.4.92`, installed or on the path; empty if it does not say.

    Raises:
        ImportError: If cuTile is not installed.
    """
    found = _RELEASE.search(compiler_string())
    return {"cuda-tile": importlib.metadata.version("cuda-tile"), "tileiras": found[1] if found else ""}


def compiler_string() -> str:
    """What the tileiras that cuTile would run says of itself, which is part of the key of what it compiles.

    Raises:
        Exception: Whatever cuTile raises where there is none.
    """
    from cuda.tile import _compile

    return str(_compile._get_compiler_version_string())  # noqa: SLF001  # no public way; pinned to 1.7


def _tool(name: str) -> str:
    packaged = _packaged(name)
    found = packaged if packaged is not None else shutil.which(name)
    if found is None:
        raise CompilerMissingError(f"{name} was found neither among the installed packages nor on PATH; {INSTALL}")
    return found


def _packaged(name: str) -> str | None:
    """Path of the tool in the CUDA packages of this environment."""
    if importlib.util.find_spec("nvidia") is None:
        return None
    spec = importlib.util.find_spec("nvidia.cu13")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return next((str(path) for folder in folders if (path := Path(folder, "bin", name)).is_file()), None)


def _version(name: str, path: str) -> str:
    if path == _packaged(name):
        return importlib.metadata.version(PACKAGES[name])
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30)
    found = _RELEASE.search(done.stdout)
    return found[1] if found else "unknown"
