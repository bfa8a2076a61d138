"""What `kg check` looks at in laws that load: one module a check, found by being in this folder.

A check module has one of these functions; its findings carry `check` as a stable kebab-case name:

- `check_law(one: OneLaw) -> Iterator[CheckFinding]` looks at one law with the runs it cites, and at nothing else of other
  laws: what it found is remembered, and it is asked again only when one of these files, a node or the code changes.
- `check_run(one: OneRun) -> Iterator[CheckFinding]`: the same, of one run file.
- `check(laws: Laws) -> Iterator[Problem]` looks at the whole root, every time. What it takes from each run it has as
  `of_run(laws: Laws, identifier: str)`, which remembers it: it is asked first while a run is open for the others. What
  takes long it has as `of_root(laws: Laws)`, which remembers it too: it is asked beside the others where processes share.

A law may acknowledge a finding (`acknowledges: ["check-name: reason"]`); it is then a note. Not what is computed from its
own evidence and its op: there is nothing to know better.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from hashlib import blake2b
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.evidence.columns import settings_of
from spak.kg.evidence.groups import Group, bundles, grouped
from spak.kg.files.loader import Laws
from spak.kg.files.processes import Numbers, from_processes, num_processes
from spak.kg.files.seal import recorded_digest
from spak.kg.files.shelf import no_collection
from spak.kg.model.base import Model, Scalar
from spak.kg.model.hardware import Hardware, device_node
from spak.kg.model.hardware import hardware_facts as facts_of  # a check is called hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import Run
from spak.kg.model.system import System
from spak.kg.model.taxonomy import Taxonomy

if TYPE_CHECKING:
    from spak.kg.evidence.witness import RunWitness

_Look = Callable[..., Iterator["CheckFinding"]]


MIN_SHARED_WORK = 256
"""Laws and runs from which on processes share them; fewer are looked at before those have begun."""

SAMPLED_LAWS = 64
"""Laws that are looked up to see whether a root is known."""

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

    @cached_property
    def ops_below(self) -> Callable[[str], tuple[Op, ...]]:
        """The nodes of an op and of its kinds, by its id."""
        tree = Taxonomy("op", self.ops)
        return cache(lambda op: tuple(self.ops[name] for name in tree.descendants(op) if name in self.ops))

    @cached_property
    def facts(self) -> Callable[[str], Mapping[str, Scalar]]:
        """The facts of a piece of hardware without `hw.`, by its id."""
        return cache(partial(facts_of, self))

    @cached_property
    def device(self) -> Callable[[str], str | None]:
        """The node that a device, as its driver names it, is; None if none has that name."""
        return cache(partial(device_node, self.hardware))

    @cached_property
    def above(self) -> Mapping[str, Callable[[str], Collection[str]]]:
        """`hardware`, `op` -> the ids of what a node is, itself among them, by its id."""
        trees = (Taxonomy("hardware", self.hardware), Taxonomy("op", self.ops))
        return {tree.kind: cache(tree.ancestors) for tree in trees}


@dataclass(frozen=True)
class OneLaw:
    """A law and all that a check of one law may look at.

    Attributes:
        path: Relative to the root.
    """

    nodes: Nodes
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
class OneRun:
    """A run and all that a check of one run may look at.

    Attributes:
        run: With the defaults of parameters that its op has gained since.
        trials_sha256: Digest of the trials as the file has them now.
    """

    nodes: Nodes
    run: Run
    trials_sha256: str

    @cached_property
    def settings(self) -> Mapping[str, tuple[Scalar, ...]] | None:
        """Parameter -> its value in each trial; None if trials differ in parameters."""
        return settings_of([trial.configuration for trial in self.run.trials])


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
        looking = _Looking(laws)
        looking.ahead(num_processes())
        found = list(looking.all())
        found += [problem for check in _having("check") for problem in check(laws)]
    finally:
        laws.ledger.save()
    return sorted(
        replace(problem, severity="note") if (problem.path, problem.check) in acknowledged else problem
        for problem in found
    )


class _News(Model, frozen=True, kw_only=True):
    """What a process has found: results of the ledger, digests of run files."""

    results: dict[bytes, bytes]
    digests: dict[str, bytes]


@dataclass(frozen=True)
class _Looking:
    """The checks of one law and of one run, over a root; what they find is remembered."""

    laws: Laws

    @cached_property
    def nodes(self) -> Nodes:
        """What laws and runs are about."""
        return Nodes(self.laws.hardware, self.laws.ops, self.laws.systems)

    @cached_property
    def about(self) -> bytes:
        """A digest of the nodes."""
        nodes = self.nodes
        return blake2b(msgspec.msgpack.encode((nodes.hardware, nodes.ops, nodes.systems)), digest_size=20).digest()

    @cached_property
    def functions(self) -> dict[str, list[Callable[..., Iterator[Any]]]]:
        """What the checks have, by the name of the function."""
        return {name: _having(name) for name in ("check_law", "check_run", "of_run", "of_root")}

    def ahead(self, processes: int) -> None:
        """Have `processes` look at all that is not remembered, if it is much: what they find is remembered then."""
        laws, runs = list(self.own_laws()), self.own_runs()
        if processes == 1 or len(laws) + len(runs) < MIN_SHARED_WORK or self._is_mostly_known(laws):
            return
        shared = bundles(grouped(laws, runs), processes)
        works: list[Callable[[], None]] = [self._of_root, *(partial(self._of_groups, groups) for groups in shared)]
        numbers = Numbers(len(works))
        try:
            for piece in from_processes([partial(self._share, works, numbers)] * processes):
                news = msgspec.msgpack.decode(piece, type=_News)
                self.laws.ledger.learn(news.results)
                self.laws.believe(news.digests)
        finally:
            numbers.close()

    def _is_mostly_known(self, laws: Sequence[Law]) -> bool:
        """Whether what was found in most of a few laws from all over is remembered."""
        asked, known = laws[:: len(laws) // SAMPLED_LAWS + 1], 0
        for law in asked:
            with contextlib.suppress(InvalidFilesError):
                known += self.laws.ledger.knows(self._inputs(law))
        return 2 * known > len(asked)

    def _share(self, works: Sequence[Callable[[], None]], numbers: Iterable[int]) -> Iterator[bytes]:
        """Do the works of those `numbers`; gives `_News` of each, encoded."""
        told = set(self.laws.digests)
        with no_collection():
            for number in numbers:
                works[number]()
                digests = {name: digest for name, digest in self.laws.digests.items() if name not in told}
                told.update(digests)
                yield msgspec.msgpack.encode(_News(results=self.laws.ledger.news(), digests=digests))

    def _of_root(self) -> None:
        """Take what checks of the whole root remember of it."""
        for take in self.functions["of_root"]:
            take(self.laws)

    def _of_groups(self, groups: Iterable[Group]) -> None:
        """Look at some laws and runs."""
        for group in groups:
            for identifier in group.runs:
                list(self.of_run(identifier))
            for law in group.laws:
                self.of_law(law)
            self.laws.close_runs()

    def own_laws(self) -> Iterator[Law]:
        """The laws of the root; others are checked where they lie."""
        return (law for law in self.laws.laws.values() if not self.laws.is_beneath("law", law.id))

    def own_runs(self) -> list[str]:
        """The runs of the root, sorted."""
        return [identifier for identifier in self.laws.run_ids if not self.laws.is_beneath("run", identifier)]

    def all(self) -> Iterator[Problem]:
        """What the checks of one run and of one law find in each."""
        for identifier in self.own_runs():
            yield from self.of_run(identifier)
        for law in self.own_laws():
            for found in self.of_law(law):
                yield finding(self.laws, found.check, law.id, found.field, found.message)

    def of_law(self, law: Law) -> tuple[CheckFinding, ...]:
        """What is found in one law."""
        one = OneLaw(self.nodes, law, self.laws.paths["law"][law.id], self.laws.run, self.laws.witness)
        look = partial(_found, self.functions["check_law"], one)
        try:
            inputs = self._inputs(law)
        except InvalidFilesError:  # what cannot be read has no digest to remember by
            return look()
        return self.laws.ledger.remembered(inputs, look, tuple[CheckFinding, ...])

    def _inputs(self, law: Law) -> tuple[bytes, ...]:
        """All that the checks of one law look at.

        Raises:
            InvalidFilesError: If a run that it cites cannot be read.
        """
        path = self.laws.paths["law"][law.id].encode(errors="surrogateescape")
        runs = (self.laws.run_digest(entry.run) for entry in law.evidence)
        return (b"law", self.about, path, msgspec.msgpack.encode(law), *runs)

    def of_run(self, identifier: str) -> Iterator[Problem]:
        """What is found in one run, first that it cannot be read; and what checks of the whole root take from it is taken."""
        laws, path = self.laws, str(self.laws.path("run", identifier))
        try:
            inputs = (b"run", self.about, identifier.encode(errors="surrogateescape"), laws.run_digest(identifier))
            look = partial(self._found_in_run, identifier)
            for found in laws.ledger.remembered(inputs, look, tuple[CheckFinding, ...]):
                yield Problem(path, 0, 0, found.field, found.message, "finding", found.check)
            for take in self.functions["of_run"]:
                take(laws, identifier)
        except InvalidFilesError as error:
            yield from (replace(problem, severity="finding", check="run") for problem in error.problems)

    def _found_in_run(self, identifier: str) -> tuple[CheckFinding, ...]:
        run, trials = self.laws.run_with_trials(identifier)
        digest = recorded_digest(trials, run.trials_sha256)
        return _found(self.functions["check_run"], OneRun(self.nodes, run, digest))


def _found(looking: Iterable[_Look], one: OneLaw | OneRun) -> tuple[CheckFinding, ...]:
    return tuple(found for look in looking for found in look(one))


def finding(laws: Laws, name: str, identifier: str, field: str, message: str, *, kind: str = "law") -> Problem:
    """A finding of the check `name` about a `field` of the file of a law, or of another kind, with its place."""
    return replace(laws.document(kind, identifier).problem(field, message), severity="finding", check=name)
