"""What one file says of another: ids, names in expressions, values of parameters, and chains that must not be circles."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from spak.kg.errors import KgError, Problem
from spak.kg.expression import ExpressionError, parse
from spak.kg.files.validate import Flaw
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Mention
from spak.kg.law.toolchain import ToolchainError, parse_requirement, parse_toolchain
from spak.kg.model.base import IMPLIED
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law, Related
from spak.kg.model.op import PROBLEM_TYPES, Op
from spak.kg.model.store import Store
from spak.kg.model.system import System
from spak.kg.model.taxonomy import Taxonomy, alike, plain_name
from spak.kg.space.completion import complete, stated

if TYPE_CHECKING:
    from spak.kg.files.yaml_reader import YamlDocument


Found = Iterator[Flaw]


def problems(
    contents: Store, present: Mapping[str, Collection[str]], reread: Callable[[str, str], YamlDocument]
) -> list[Problem]:
    """Every problem between files.

    `present` has the stems of all files of a kind, also of those that are wrong in themselves: a reference to them is no
    second problem. `reread` gives a file with its places, and is asked only where there is a problem.
    """
    world = _World(contents, present)
    checks: tuple[tuple[str, Mapping[str, Any], Callable[[_World, Any], Found]], ...] = (
        ("law", contents.laws, _law),
        ("op", contents.ops, _op),
        ("system", contents.systems, _system),
        ("hardware", contents.hardware, _hardware),
    )
    found = [
        (kind, name, flaw) for kind, nodes, check in checks for name in nodes for flaw in check(world, nodes[name])
    ]
    documents = cache(reread)
    return [documents(kind, name).problem(**flaw._asdict()) for kind, name, flaw in (*found, *_cycles(contents))]


@dataclass(frozen=True)
class _World:
    """Everything a name can mean."""

    contents: Store
    present: Mapping[str, Collection[str]]

    @cached_property
    def facts(self) -> frozenset[str]:
        """Names of hardware facts, `hw.` in front."""
        return frozenset(f"hw.{name}" for node in self.contents.hardware.values() for name in node.facts)

    @cached_property
    def owners(self) -> dict[str, str]:
        """Alias of hardware -> the first node that has it."""
        nodes = list(self.contents.hardware.values())
        return {plain_name(alias): node.id for node in reversed(nodes) for alias in node.aliases}

    @cached_property
    def names(self) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
        """Op -> tunable parameters and problem parameters of it and of the ops below it."""
        ops = self.contents.ops
        descendants = Taxonomy("op", ops).descendants
        below = {op: [ops[node] for node in descendants(op) if node in ops] for op in ops}
        empty: frozenset[str] = frozenset()
        return {
            op: (empty.union(*(node.parameters for node in nodes)), empty.union(*(node.problem for node in nodes)))
            for op, nodes in below.items()
        }


def _unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """`unknown op 'x'; nearest: a, b`; no nearest where nothing is known."""
    found = alike(name, known)
    return f"unknown {noun} {name!r}" + (f"; nearest: {', '.join(found)}" if found else "")


def _law(world: _World, law: Law) -> Found:
    scope = law.scope
    yield from _ids(world, "hardware", {"scope.hw": scope.hw})
    yield from _ids(world, "op", {"scope.op": scope.op})
    yield from _ids(world, "run", {f"evidence[{i}].run": entry.run for i, entry in enumerate(law.evidence)})
    named = {f"related[{i}].id": link.id for i, link in enumerate(law.related) if link.type != "renamed-from"}
    yield from _ids(world, "law", named)
    yield from _toolchains(law)
    if scope.op in world.contents.ops:
        yield from _law_names(world, law)
    yield from (Flaw(flaw.field, flaw.message, at_key=flaw.at_key) for flaw in meaning(law).flaws())
    for mention in meaning(law).mentions():
        yield from _mentioned(world, law, mention)
    if (law.status == "withdrawn") != (law.withdrawn is not None):
        yield Flaw("status", "a law is withdrawn if and only if it says when and why; use kg withdraw")


def _law_names(world: _World, law: Law) -> Found:
    parameters, problem = world.names[law.scope.op]
    settings = parameters | problem | COMPILED_FEATURES.keys() | world.facts
    if law.scope.when:
        yield from expression("scope.when", law.scope.when, problem | world.facts, "problem parameter")
    for name, examples in (("avoided", law.examples.avoided), ("admitted", law.examples.admitted)):
        for index, example in enumerate(examples):
            yield from _keys(f"examples.{name}[{index}]", example, settings)


def _mentioned(world: _World, law: Law, mention: Mention) -> Found:
    """What is wrong with one name, or the names of one expression, in a claim."""
    if mention.what == "system":
        yield from _ids(world, "system", {mention.field: mention.value})
    elif law.scope.op in world.contents.ops:
        parameters, problem = world.names[law.scope.op]
        if mention.what == "expression":
            known = parameters | problem | COMPILED_FEATURES.keys() | world.facts
            yield from expression(mention.field, mention.value, known, "name")
        elif mention.at_key:
            yield from _keys(mention.field, [mention.value], parameters)
        elif mention.value not in parameters:
            yield Flaw(mention.field, _unknown("parameter", mention.value, parameters))


def _toolchains(law: Law) -> Found:
    named = [(f"evidence[{i}].toolchain", parse_toolchain, entry.toolchain) for i, entry in enumerate(law.evidence)]
    for field, read, text in (("scope.toolchain", parse_requirement, law.scope.toolchain), *named):
        try:
            if text:
                read(text)
        except ToolchainError as error:
            yield Flaw(field, str(error))


def _ids(world: _World, kind: str, names: Mapping[str, str]) -> Found:
    for field, name in names.items():
        if name not in world.present[kind]:
            yield Flaw(field, _unknown(kind, name, world.present[kind]))


def _keys(field: str, setting: Iterable[str], known: Collection[str]) -> Found:
    for name in setting:
        if name not in known:
            yield Flaw(f"{field}.{name}", _unknown("parameter", name, known), at_key=True)


def expression(field: str, text: str, known: Collection[str], noun: str) -> Found:
    """What is wrong with the expression `text` at `field` whose names must be `known`."""
    try:
        names = parse(text).all_names
    except ExpressionError as error:
        yield Flaw(field, error.message, error.column)
        return
    for name in sorted(names - set(known)):
        kind = "hardware fact" if name.startswith("hw.") else noun
        yield Flaw(field, _unknown(kind, name, known), _column(text, name))


def _column(text: str, name: str) -> int:
    """1-based column of the whole word `name`; 0 where spaces inside hide it (`hw . fact`)."""
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)
    return found.start() + 1 if found else 0


def _op(world: _World, op: Op) -> Found:
    yield from _ids(world, "op", {f"is_a[{i}]": name for i, name in enumerate(op.is_a)})
    yield from _ids(world, "op", {f"part_of[{i}]": name for i, name in enumerate(op.part_of)})
    yield from _parameters(op)
    names = op.parameters.keys() | op.problem.keys() | world.facts
    for index, condition in enumerate(op.conditions):
        yield from expression(f"conditions[{index}].require", condition.require, names, "name")
    for key in op.phrases:
        yield from expression(f"phrases.{key}", key, op.parameters.keys() | op.problem.keys(), "name")
    sizes = {f"limits[{index}].require": limit.require for index, limit in enumerate(op.limits)}
    sizes |= {f"flops.{name}.expression": formula.expression for name, formula in op.flops.items()}
    sizes |= {"bytes.expression": op.bytes.expression} if op.bytes is not None else {}
    for field, text in sizes.items():
        yield from expression(field, text, op.problem.keys(), "problem parameter")
    for named, setting in op.problems.items():
        yield from _keys(f"problems.{named}", setting, op.problem.keys())
    typed = [(f"problem.{name}.default", name, size.default) for name, size in op.problem.items()]
    typed += [
        (f"problems.{one}.{name}", name, value) for one in op.problems for name, value in op.problems[one].items()
    ]
    for field, name, value in typed:
        if name in op.problem and type(value) not in PROBLEM_TYPES[op.problem[name].type]:
            yield Flaw(field, f"expected {op.problem[name].type} (got {value!r})")


def _parameters(op: Op) -> Found:
    for name in op.parameters.keys() & op.problem.keys():
        yield Flaw(f"problem.{name}", f"{name} is a tunable parameter too; a name means one thing", at_key=True)
    for name, parameter in op.parameters.items():
        if parameter.default not in parameter.values:
            yield Flaw(f"parameters.{name}.default", f"{parameter.default!r} is not one of the values")
        for index, value in enumerate(parameter.core):
            if value not in parameter.values:
                yield Flaw(f"parameters.{name}.core[{index}]", f"{value!r} is not one of the values")
        yield from _keys(f"parameters.{name}.depends_on", parameter.depends_on, op.problem)
    for name, meant in IMPLIED.items():
        if name in op.problem and op.problem[name].default != meant:
            yield Flaw(f"problem.{name}.default", f"{meant!r} is meant where none is said; make it the default")


def _system(world: _World, system: System) -> Found:
    yield from _ids(world, "op", {f"built_from[{i}]": name for i, name in enumerate(system.built_from)})
    yield from _ids(world, "system", {f"derived_from[{i}]": name for i, name in enumerate(system.derived_from)})
    yield from _ids(world, "law", {f"inherits[{i}]": name for i, name in enumerate(system.inherits)})
    yield from _ids(world, "op", {f"configurations.{name}": name for name in system.configurations})
    yield from _ids(world, "op", {f"tuning_space[{i}].op": part.op for i, part in enumerate(system.tuning_space)})
    for index, saving in enumerate(system.saved):
        yield from _ids(world, "op", {f"saved[{index}].op": saving.op})
        yield from _ids(world, "hardware", {f"saved[{index}].hw": saving.hw})
        yield from _ids(world, "law", {f"saved[{index}].laws[{i}]": law for i, law in enumerate(saving.laws)})
    for name, setting in system.configurations.items():
        if name in world.contents.ops:
            yield from _keys(f"configurations.{name}", setting, world.contents.ops[name].parameters)
    for index, part in enumerate(system.tuning_space):
        if part.op in world.contents.ops:
            op = world.contents.ops[part.op]
            known = op.parameters
            try:
                complete(op, stated([op], part.problem, what="the problem"))
            except KgError as error:
                yield Flaw(f"tuning_space[{index}].problem", str(error))
            for place, name in enumerate(part.parameters):
                if name not in known:
                    yield Flaw(f"tuning_space[{index}].parameters[{place}]", _unknown("parameter", name, known))


def _hardware(world: _World, node: Hardware) -> Found:
    yield from _ids(world, "hardware", {f"is_a[{i}]": name for i, name in enumerate(node.is_a)})
    for index, alias in enumerate(node.aliases):
        first = world.owners[plain_name(alias)]
        if first != node.id:
            yield Flaw(f"aliases[{index}]", f"{alias!r} is an alias of {first} already")


def _cycles(contents: Store) -> Iterator[tuple[str, str, Flaw]]:
    """Each circle once, at the member with the least id."""
    edges: dict[tuple[str, str], Mapping[str, tuple[str, ...]]] = {
        ("hardware", "is_a"): {name: node.is_a for name, node in contents.hardware.items()},
        ("op", "is_a"): {name: node.is_a for name, node in contents.ops.items()},
        ("op", "part_of"): {name: node.part_of for name, node in contents.ops.items()},
        ("system", "derived_from"): {name: node.derived_from for name, node in contents.systems.items()},
        ("law", "related"): {
            name: tuple(link.id for link in law.related if link.type != "renamed-from" and not _replaces(link, name))
            for name, law in contents.laws.items()
        },
    }
    for (kind, field), graph in edges.items():
        for circle in circles(graph):
            shown = " -> ".join([*circle, circle[0]])
            yield kind, circle[0], Flaw(field, f"goes in a circle: {shown}; remove one link", at_key=True)


def _replaces(link: Related, law: str) -> bool:
    """Whether a link of a law is to the one beneath whose id it has; `settle` looks whether there is one."""
    return link.type == "supersedes" and link.id == law


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """One circle of every set of nodes that reach each other, at least, each from its least member on."""
    left = {node: [end for end in ends if end in graph] for node, ends in sorted(graph.items())}
    found = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = error.args[1][:0:-1]  # it goes from what is named to who names it, and ends where it begins
            least = circle.index(min(circle))
            found.append(circle[least:] + circle[:least])
            left[circle[0]].remove(circle[1 % len(circle)])
        else:
            return found
