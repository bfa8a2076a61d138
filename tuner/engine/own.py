"""A kernel that is declared outside this repository, in a file or by an installed package, among the laws it is searched under."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Protocol, runtime_checkable

import msgspec

from spak.kernels.interface import KernelSpec
from spak.kernels.own.declared import DeclaredSpec, WrongDeclarationError
from spak.kernels.own.file import file_of, names_file
from spak.kernels.registry import SPECS, resolve_spec
from spak.kg.errors import InvalidFilesError
from spak.kg.expression.assignment import show_assignments
from spak.kg.files import atomic, fmt, references
from spak.kg.files.loader import Laws
from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.kg.space.completion import complete
from spak.kg.space.space import Space, build
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.errors import TunerError

GROUP = "spak.kernels"
"""Entry-point group: an installed package names `module:attribute` of each kernel that it declares, by the kernel's name."""

MOST_SIMULATED = 24
"""Configurations that the simulator computes before a search: those that differ from the default in one parameter."""


@runtime_checkable
class _Declared(Protocol):
    """What `spak.kernel` gives, as far as a search needs it."""

    node: Op


@dataclass(frozen=True)
class OutsideKernel:
    """A kernel that lies outside this repository.

    Attributes:
        place: `FILE.py`, absolute, `FILE.py::NAME` or `module:attribute`.
        spec: What is declared there.
        node: The op that it declares.
    """

    place: str
    spec: DeclaredSpec
    node: Op


def find_outside(kernel: str, laws: Laws) -> OutsideKernel | None:
    """The kernel that `kernel` names by a file, or by the name that an installed package gives it; None for one of ours.

    Raises:
        TunerError: If what is declared is wrong, or has the name of an op that is another one.
    """
    place = place_outside(kernel)
    if not place:
        return None
    try:
        spec: KernelSpec = resolve_spec(place)
    except WrongDeclarationError as error:
        raise TunerError(str(error)) from None
    except (ImportError, AttributeError) as error:
        raise TunerError(f"{kernel}: the installed package names {place}, which cannot be had: {error}") from None
    if not isinstance(spec, DeclaredSpec) or not isinstance(spec, _Declared):
        raise TunerError(f"{kernel}: {place} is no kernel made by spak.kernel (got {type(spec).__name__})")
    node = spec.node if names_file(place) else msgspec.structs.replace(spec.node, declared_in=place)
    known = laws.ops.get(node.id)
    if node.id in SPECS or (known is not None and (not known.declared_in or laws.is_beneath("op", node.id))):
        raise TunerError(f"{spec.place}: {node.id} is the name of an op of {laws.root}; call the kernel something else")
    if known is not None and known.declared_in != node.declared_in:
        raise TunerError(
            f"{spec.place}: {node.id} is declared in {known.declared_in} already; call one of them otherwise"
        )
    return OutsideKernel(place, spec, node)


def place_outside(kernel: str) -> str:
    """Where `kernel` is declared, if it names a file or is the name that an installed package gives its own; else empty.

    Raises:
        TunerError: If several packages declare a kernel of that name.
    """
    if names_file(kernel):
        name = kernel.partition("::")[2]
        return f"{file_of(kernel)}{'::' + name if name else ''}"
    if not kernel or kernel in SPECS:
        return ""
    named = [entry for entry in entry_points(group=GROUP) if entry.name == kernel]
    if len(named) > 1:
        packages = ", ".join(sorted(str(entry.dist and entry.dist.name) for entry in named))
        raise TunerError(f"{kernel}: {len(named)} installed packages declare a kernel of that name: {packages}")
    return named[0].value if named else ""


def with_outside(around: Surroundings, kernel: OutsideKernel) -> Surroundings:
    """The same place with the kernel's op in the law root, as its file declares it now.

    Raises:
        InvalidFilesError: If laws of the root say what the op no longer has.
        TunerError: If the op names another that the root lacks.
    """
    laws, node = around.laws, kernel.node
    missing = [name for name in node.is_a if name not in laws.ops]
    if missing:
        raise TunerError(f"{kernel.spec.place}: is_a: no op {missing[0]!r} in {laws.root}")
    if laws.ops.get(node.id) == node:
        return around
    files = {**laws.paths, "op": {**laws.paths["op"], node.id: _relative(node)}}
    changed = msgspec.structs.replace(laws.contents, ops={**laws.ops, node.id: node}, files=files)
    if node.id in laws.ops:
        present = {kind: set(found) for kind, found in files.items()}
        problems = references.problems(changed, present, laws.document)
        if problems:
            raise InvalidFilesError(problems)
    return replace(around, laws=replace(laws, contents=changed))


def write_op(around: Surroundings, node: Op) -> None:
    """Write the op of an outside kernel into the law root, which is made if it is not there.

    Raises:
        OSError: If it cannot be written.
    """
    around.root.make()
    path = around.root.path / _relative(node)
    text = fmt.new_text(msgspec.to_builtins(node), "op", path.name)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic.write_text(path, text)


def _relative(node: Op) -> str:
    return f"ops/{node.id}.yaml"


def check_simulated(kernel: OutsideKernel, facts: Mapping[str, Scalar]) -> Iterator[str]:
    """Compute a cuTile kernel on the simulator at its small size, and say what came of it; nothing if it names none.

    Raises:
        TunerError: If the default configuration, or one that differs from it in one parameter, gives wrong numbers.
    """
    small = kernel.spec.check.small
    if small is None or kernel.spec.language != "cutile":
        return
    missing = [name for name in ("torch", "ml_dtypes") if find_spec(name) is None]
    if missing:
        yield f"not computed on the simulator, which needs {' and '.join(missing)}"
        return
    from spak.kernels.own.simulated import simulated_error  # noqa: PLC0415 - only who is asked for it loads cuTile

    problem = complete(kernel.node, small)
    worst, tried = 0.0, 0
    for configuration in _near_default(build(kernel.node, problem, facts)):
        where = f"{show_assignments(configuration, separator=',')} at {show_assignments(dict(small), separator=',')}"
        try:
            found = simulated_error(kernel.spec, problem, configuration)
        except WrongDeclarationError as wrong:
            raise TunerError(str(wrong)) from None
        except Exception as wrong:
            said = " ".join(str(wrong).split())
            raise TunerError(f"{kernel.spec.place}: {where}: {type(wrong).__name__}: {said}") from wrong
        if not found <= kernel.spec.check.tolerance:
            message = f"relative error {found:.3g} above {kernel.spec.check.tolerance:g}"
            raise TunerError(f"{kernel.spec.place}: wrong numbers on the simulator with {where}: {message}")
        worst, tried = max(worst, found), tried + 1
    yield (
        f"{tried} configurations computed on the simulator at {show_assignments(dict(small), separator=',')}: "
        f"relative error {worst:.1e} at most, {kernel.spec.check.tolerance:g} is allowed"
    )


def _near_default(space: Space) -> Iterator[dict[str, Scalar]]:
    codes = space.default_codes
    if codes is None:
        return
    near = [int(index) for index in (space.distance(codes) <= 1).nonzero()[0]]
    yield from (dict(space.config(index)) for index in near[:MOST_SIMULATED])
