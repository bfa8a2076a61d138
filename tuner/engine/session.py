"""What is searched: names as typed to ids, a problem to a size, an op to its space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spak.kernels.registry import SPECS
from spak.kg.errors import UnknownNameError
from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import Hardware, hardware_facts
from spak.kg.model.op import Op
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy, alike
from spak.kg.space.completion import complete, stated
from spak.kg.space.space import Space, build
from spak.tuner.errors import TunerError


@dataclass(frozen=True)
class SearchTask:
    """What is searched, in canonical ids.

    Attributes:
        problem: The problem size, complete.
        problem_name: Its name in the op's list, else its values that differ from the op's defaults.
        facts: Every fact that holds for the hardware, without `hw.`.
        own: Place of a kernel that is declared outside this repository.
    """

    hw: str
    op: Op
    problem: dict[str, Scalar]
    problem_name: str
    facts: dict[str, Scalar]
    own: str = ""

    @property
    def space(self) -> Space:
        """The feasible space."""
        return build(self.op, self.problem, self.facts)

    @property
    def problem_text(self) -> str:
        """The problem size as commands and functions take it: its name, else `name=value,...` of what is no default."""
        if self.problem_name in self.op.problems:
            return self.problem_name
        defaults = {name: parameter.default for name, parameter in self.op.problem.items()}
        other = {name: value for name, value in self.problem.items() if value != defaults[name]}
        return show_assignments(other, separator=",")


def usual(nodes: Mapping[str, Hardware] | Mapping[str, Op], kind: str) -> str:
    """Id of the hardware or op (`kind`) to take where none is found and none is named.

    Raises:
        TunerError: If the law root has no default.
    """
    found = sorted(name for name, node in nodes.items() if node.default)
    if not found:
        raise TunerError(f"no {kind} is named, and none of the law root says `default: true`; name one")
    return found[0]


def ask(store: Store, kernel: str, hw: str, problem: str, own: str = "") -> SearchTask:
    """The question that names and a problem as typed mean.

    Args:
        store: The law root.
        kernel: An op's id or alias.
        hw: Hardware id, alias or device string.
        problem: Name of one of the op's problems, `name=value,...`, or empty for the defaults.
        own: Where the kernel is declared, if it is none of this repository.

    Raises:
        UnknownNameError: If a name is unknown; carries the nearest.
        TunerError: If no kernel implements the op, or the hardware is no device.
    """
    op_id = Taxonomy("op", store.ops).resolve(kernel)
    if not own and store.ops[op_id].declared_in:
        file = store.ops[op_id].declared_in
        raise TunerError(f"kernel {kernel!r} is declared in {file}; name that: tune {file}")
    if not own and op_id not in SPECS:
        raise UnknownNameError("kernel", kernel, alike(kernel, SPECS) or sorted(SPECS))
    node = Taxonomy("hardware", store.hardware).resolve(hw)
    op = store.ops[op_id]
    size = complete(op, stated([op], problem))
    return SearchTask(node, op, size, name_of(op, size), hardware_facts(store, node), own)


def name_of(op: Op, problem: Mapping[str, Scalar]) -> str:
    """The name of a problem size, else what differs from the defaults."""
    for name, values in op.problems.items():
        if complete(op, values) == problem:
            return name
    other = {name: value for name, value in problem.items() if value != op.problem[name].default}
    return show_assignments(other, separator="-").replace("=", "") or "default"
