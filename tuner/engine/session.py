"""Puts a search together: names to ids, laws to a restriction, a kernel and a backend to something that evaluates."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spak.kernels.interface import KernelSpec
from spak.kernels.registry import SPECS
from spak.kg.errors import UnknownNameError
from spak.kg.expression.assignment import parse_assignments, show_assignments
from spak.kg.law.match import hardware_facts
from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy, nearest, plain
from spak.kg.space.completion import complete
from spak.kg.space.space import Space, build
from spak.tuner.backend.base import Backend
from spak.tuner.backend.compile.cache import CompileCache, Identity, source_sha256
from spak.tuner.backend.compile.toolchain import Toolchain
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.restriction import Context, Restriction, restrict

BackendName = Literal["gpu", "compile"]

DEFAULT_HW = "rtx5070"
"""What is searched for where no GPU is found and none is named: the card of the documents this project began with."""

DEFAULT_TRIALS: Mapping[BackendName, int] = {"compile": 16, "gpu": 128}
"""Trials where no budget is given: about a minute of compiling on two idle cores; some ten minutes on a GPU."""


@dataclass(frozen=True)
class Question:
    """What is searched, in canonical ids.

    Attributes:
        hw: Hardware node.
        op: The op and its space.
        problem: The problem size, complete.
        problem_name: Its name in the op's list, else its values that differ from the op's defaults.
        facts: Every fact that holds for the hardware.
    """

    hw: str
    op: Op
    problem: dict[str, Scalar]
    problem_name: str
    facts: dict[str, Scalar]


@dataclass(frozen=True)
class Workplace:
    """Where a search runs.

    Attributes:
        cache: Folder of compiled results.
        workers: Compiling processes.
    """

    cache: Path
    workers: int


def ask(store: Store, kernel: str, hw: str, problem: str) -> Question:
    """The question that names and a problem as typed mean.

    Args:
        store: The law root.
        kernel: Kernel name, an op's id or alias.
        hw: Hardware id, alias or device string.
        problem: Name of one of the op's problems, `name=value,...`, or empty for the defaults.

    Raises:
        UnknownNameError: If a name is unknown; carries the nearest.
        TunerError: If no kernel implements the op, or the hardware is no device.
    """
    known = [(plain(name), name) for name in SPECS]
    op_id = Taxonomy("op", store.ops).resolve(kernel)
    if op_id not in SPECS:
        raise UnknownNameError("kernel", kernel, nearest(plain(kernel), known) or sorted(SPECS))
    node = Taxonomy("hardware", store.hardware).resolve(hw)
    op = store.ops[op_id]
    size = _problem(op, problem)
    return Question(node, op, size, name_of(op, size), hardware_facts(store, node))


def _problem(op: Op, text: str) -> dict[str, Scalar]:
    if not text:
        return complete(op, {})
    if text in op.problems:
        return complete(op, op.problems[text])
    if "=" not in text:
        names = [(plain(name), name) for name in op.problems]
        raise UnknownNameError("problem size", text, nearest(text, names))
    return complete(op, parse_assignments(text, what="--problem"))


def name_of(op: Op, problem: Mapping[str, Scalar]) -> str:
    """The name of a problem size, else what differs from the defaults."""
    for name, values in op.problems.items():
        if complete(op, values) == problem:
            return name
    other = {name: value for name, value in problem.items() if value != op.problem[name].default}
    return show_assignments(other, separator="-").replace("=", "") or "default"


def space(question: Question) -> Space:
    """The feasible space."""
    return build(question.op, question.problem, question.facts)


def laws_on(store: Store, feasible: Space, hw: str, toolchain: str, *, use_laws: bool, transfer: bool) -> Restriction:
    """The space with the laws on it; without laws the space alone, through the same path.

    Args:
        store: The law root.
        feasible: What is searched.
        hw: Hardware node it is searched for.
        toolchain: `name version`.
        use_laws: Whether laws have a say.
        transfer: Whether laws of related hardware may reorder.
    """
    return restrict(feasible, store, Context(hw, toolchain, transfer)) if use_laws else Restriction(feasible)


def kernel_spec(op: str) -> tuple[KernelSpec, str, str]:
    """The kernel for `op`, the `module:attribute` of its spec, and the hash of its source."""
    from spak.kernels.registry import spec  # noqa: PLC0415 - a kernel's spec loads when it is searched

    found = spec(op)
    return found, f"{SPECS[op]}:SPEC", source_sha256(found.source_files, _root())


def _root() -> Path:
    import kernels  # noqa: PLC0415

    return Path(str(kernels.__file__)).parent.parent


def compile_backend(question: Question, toolchain: Toolchain, workplace: Workplace) -> Backend:
    """A backend that compiles for the question's hardware.

    Raises:
        TunerError: If the hardware facts do not say what to compile for, or are not enough to predict a time.
    """
    from spak.tuner.backend.compile.backend import CompileBackend, Target  # noqa: PLC0415

    spec, path, _ = kernel_spec(question.op.id)
    module = sys.modules[SPECS[question.op.id]]
    source = source_sha256([*spec.source_files, str(module.__file__)], _root())  # the spec states the signature
    arch = question.facts.get("gpu_code")
    if arch is None:
        raise TunerError(f"{question.hw} names no compute capability to compile for; name a device, such as rtx5070")
    specialises = [name for name, parameter in question.op.problem.items() if parameter.specialises]
    identity = Identity(question.op.id, source, str(arch), toolchain.versions, specialises or None)
    target = Target(spec, path, identity, question.facts)
    return CompileBackend(target, toolchain, CompileCache(workplace.cache), workers=workplace.workers)
