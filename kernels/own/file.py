"""Finds what a file declares, by its path, in this process and in the workers; what is wrong in it has a place."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from spak.kernels.own.declared import DeclaredSpec, WrongDeclarationError

_PLACE = re.compile(r"(?P<path>.+\.py)(?:::(?P<name>\w+))?")


def names_file(place: str) -> bool:
    """Whether `place` is `FILE.py` or `FILE.py::NAME`."""
    return _PLACE.fullmatch(place) is not None


def file_of(place: str) -> Path:
    """The file of a place that names one, absolute."""
    found = _PLACE.fullmatch(place)
    return Path(found["path"] if found else place).resolve()


def declared_in(place: str) -> DeclaredSpec:
    """The kernel that a file declares: the only one, or the one called NAME in it.

    Raises:
        WrongDeclarationError: If it cannot be read or executed, or declares no such kernel; in one line, with the place.
    """
    found = _PLACE.fullmatch(place)
    path, wanted = file_of(place), found["name"] if found else None
    module = _module(path)
    kernels = {name: one for name, one in vars(module).items() if isinstance(one, DeclaredSpec)}
    if wanted is None and len({id(one) for one in kernels.values()}) == 1:
        return next(iter(kernels.values()))
    if wanted in kernels:
        return kernels[wanted]
    if not kernels:
        raise WrongDeclarationError(f"{path}: declares no kernel; it says `name = spak.kernel(...)`")
    names = ", ".join(f"{path.name}::{name}" for name in sorted(kernels))
    raise WrongDeclarationError(f"{path}: declares {len(kernels)} kernels; name one of {names}")


def _module(path: Path) -> ModuleType:
    """The file as it is now as a module, executed once a process, under a name that is the same in every one."""
    if not path.is_file():
        raise WrongDeclarationError(f"{path}: no such file")
    digest = hashlib.sha256(str(path).encode() + b"\0" + path.read_bytes()).hexdigest()[:12]
    name = f"spak_own_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise WrongDeclarationError(f"{path}: is no Python that can be imported")
    module = importlib.util.module_from_spec(specification)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # what lies beside a script is found from it
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise WrongDeclarationError(placed(error, path)) from error
    return module


def placed(error: BaseException, path: Path) -> str:
    """`file:line:col: what is wrong`, where in `path` an exception came from; in one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    if "KgError" not in {kind.__name__ for kind in type(error).__mro__}:  # those are made for a person to read
        said = f"{type(error).__name__}: {said}"
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{error.filename or path}:{error.lineno}:{error.offset or 1}: {error.msg}"
    inside = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if not inside:
        return f"{path}: {said}"
    return f"{path}:{inside[-1].lineno}:{(inside[-1].colno or 0) + 1}: {said}"


def sources_from(path: Path, values: dict[str, Any]) -> tuple[str, ...]:
    """The file and those of modules it takes something from that lie in its folder or below: its source.

    Args:
        path: The file.
        values: What its module holds.
    """
    found, waiting = {str(path)}, [values]
    while waiting:
        for one in list(waiting.pop().values()):
            home = one if isinstance(one, ModuleType) else sys.modules.get(str(getattr(one, "__module__", "")))
            file = str(getattr(home, "__file__", None) or "")
            if home is not None and file not in found and Path(file).is_relative_to(path.parent):
                found.add(file)
                waiting.append(vars(home))
    return tuple(sorted(found))
