"""What `kg check` looks at in laws that load: one module a check, found by being in this folder.

A check module has one of these functions; its findings carry `check` as a stable kebab-case name:

- `check_law(one: OneLaw) -> Iterator[CheckFinding]` looks at one law with the runs it cites, and at nothing else of other
  laws: what it found is remembered, and it is asked again only when one of these files, a node or the code changes.
- `check_run(one: OneRun) -> Iterator[CheckFinding]`: the same, of one run file.
- `check(laws: Laws) -> Iterator[Problem]` looks at the whole root, every time. What it takes from each run it has as
  `of_run(laws: Laws, identifier: str)`, which remembers it: it is asked first while a run is open for the others.

A law may acknowledge a finding (`acknowledges: ["check-name: reason"]`); it is then a note. Not what is computed from its
own evidence and its op: there is nothing to know better.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.files.loader import Laws
from spak.kg.files.seal import recorded_digest
from spak.kg.model.base import Model
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import Run
from spak.kg.model.system import System

if TYPE_CHECKING:
    from spak.kg.evidence.witness import RunWitness

_Look = Callable[..., Iterator["CheckFinding"]]


COMPUTED = frozenset({"derived", "left-out", "region", "status", "verdict"})
"""Checks whose findings nobody may acknowledge: they hold a file against what is computed from its evidence or its op."""


class CheckFinding(Model, frozen=True, kw_only=True):
    """What the check called `check` found at `field` (dotted path) of one file."""

    check: str
    field: str
    message: str


@dataclass(frozen=True)
class Nodes:
    """The hardware, ops and systems of a root: what every law and run is about. There are few of them."""

    hardware: Mapping[str, Hardware]
    ops: Mapping[str, Op]
    systems: Mapping[str, System]


@dataclass(frozen=True)
class OneLaw(Nodes):
    """A law and all that a check of one law may look at.

    Attributes:
        path: Relative to the root.
    """

    law: Law
    path: str
    _read: Callable[[str], Run]
    _ask: Callable[[str], RunWitness | None]

    def run(self, identifier: str) -> Run:
        """A run that the law cites.

        Raises:
            InvalidFilesError: If it cannot be read.
        """
        return self._read(self._cited(identifier))

    def witness(self, identifier: str) -> RunWitness | None:
        """A run that the law cites, to be asked what its trials say; None if it cannot be read."""
        return self._ask(self._cited(identifier))

    def _cited(self, identifier: str) -> str:
        if identifier not in {entry.run for entry in self.law.evidence}:
            raise KeyError(identifier)
        return identifier


@dataclass(frozen=True)
class OneRun(Nodes):
    """A run and all that a check of one run may look at.

    Attributes:
        run: With the defaults of parameters that its op has gained since.
        trials_sha256: Digest of the trials as the file has them now.
    """

    run: Run
    trials_sha256: str


def checks() -> dict[str, ModuleType]:
    """Every check by the name of its module, sorted."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def _having(function: str) -> list[Callable[..., Iterator[Any]]]:
    """That function of every check that has it."""
    return [getattr(module, function) for module in checks().values() if hasattr(module, function)]


def run_checks(laws: Laws) -> list[Problem]:
    """What every check finds, by place; findings that a law acknowledges are notes."""
    acknowledged = {
        (str(laws.path("law", law.id)), entry.partition(":")[0].strip())
        for law in laws.laws.values()
        for entry in law.acknowledges
        if entry.partition(":")[0].strip() not in COMPUTED
    }
    try:  # a check of many laws that is stopped goes on from there
        found = [problem for look in (_of_runs, _of_laws) for problem in look(laws)]
        found += [problem for check in _having("check") for problem in check(laws)]
    finally:
        laws.ledger.save()
    return sorted(
        replace(problem, severity="note") if (problem.path, problem.check) in acknowledged else problem
        for problem in found
    )


def _of_laws(laws: Laws) -> Iterator[Problem]:
    """What the checks of one law find in each."""
    looking, nodes = _having("check_law"), Nodes(laws.hardware, laws.ops, laws.systems)
    about = _digest(nodes)
    for law in laws.laws.values():
        if laws.is_beneath("law", law.id):
            continue  # checked where it lies
        path = laws.paths["law"][law.id]
        one = OneLaw(nodes.hardware, nodes.ops, nodes.systems, law, path, laws.run, laws.witness)
        inputs = (b"law", about, path.encode(errors="surrogateescape"), msgspec.msgpack.encode(law))
        look = partial(_found, looking, one)
        try:
            runs = [laws.run_digest(entry.run) for entry in law.evidence]
        except InvalidFilesError:  # what cannot be read has no digest to remember by
            found = look()
        else:
            found = laws.ledger.remembered((*inputs, *runs), look, tuple[CheckFinding, ...])
        for one_found in found:
            yield finding(laws, one_found.check, law.id, one_found.field, one_found.message)


def _of_runs(laws: Laws) -> Iterator[Problem]:
    """What the checks of one run find in each; a run that cannot be read is a finding."""
    looking, taking = _having("check_run"), _having("of_run")
    nodes = Nodes(laws.hardware, laws.ops, laws.systems)
    about = _digest(nodes)
    for identifier in _own_runs(laws) if looking else ():
        path = str(laws.path("run", identifier))
        try:
            inputs = (b"run", about, identifier.encode(errors="surrogateescape"), laws.run_digest(identifier))
            look = partial(_found_in_run, looking, nodes, laws, identifier)
            for found in laws.ledger.remembered(inputs, look, tuple[CheckFinding, ...]):
                yield Problem(path, 0, 0, found.field, found.message, "finding", found.check)
            for take in taking:
                take(laws, identifier)
        except InvalidFilesError as error:
            yield from (replace(problem, severity="finding", check="run") for problem in error.problems)


def _own_runs(laws: Laws) -> list[str]:
    return [identifier for identifier in laws.run_ids if not laws.is_beneath("run", identifier)]


def _found(looking: Iterable[_Look], one: OneLaw | OneRun) -> tuple[CheckFinding, ...]:
    return tuple(found for look in looking for found in look(one))


def _found_in_run(looking: Iterable[_Look], nodes: Nodes, laws: Laws, identifier: str) -> tuple[CheckFinding, ...]:
    run = laws.run(identifier)
    digest = recorded_digest(laws.path("run", identifier))
    return _found(looking, OneRun(nodes.hardware, nodes.ops, nodes.systems, run, digest))


def _digest(nodes: Nodes) -> bytes:
    return blake2b(msgspec.msgpack.encode((nodes.hardware, nodes.ops, nodes.systems)), digest_size=20).digest()


def finding(laws: Laws, name: str, identifier: str, field: str, message: str, *, kind: str = "law") -> Problem:
    """A finding of the check `name` about a `field` of the file of a law, or of another kind, with its place."""
    return replace(laws.document(kind, identifier).problem(field, message), severity="finding", check=name)
