"""A law root that answers: what is known, why, on whose evidence, and what that means for configurations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spak.kg.answers.query import Answer, Ask, nearest_first, query, related
from spak.kg.errors import Problem
from spak.kg.files import cache as parsed
from spak.kg.files import loader, root
from spak.kg.files.recorded import recorded_sizes
from spak.kg.law.toolchain import newest_toolchain, parse_toolchain
from spak.kg.model.base import Configuration
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import complete, stated

if TYPE_CHECKING:
    from spak.candidates import Filtered, Ranking
    from spak.choice import Choice
    from spak.kg.answers.brief import Brief
    from spak.kg.answers.citation import Citation
    from spak.kg.answers.explain import Explanation
    from spak.kg.answers.graph import Graph
    from spak.kg.answers.lineage import Step
    from spak.kg.answers.listing import Listed, ListedKind
    from spak.kg.answers.why import Account
    from spak.kg.diff.report import Difference
    from spak.kg.files.loader import Laws
    from spak.kg.files.scaffold import Draft
    from spak.kg.formats.evidence_set import EvidenceSet
    from spak.kg.formats.kernel_tuner_export import Export
    from spak.kg.formats.nodes import HardwareName
    from spak.kg.model.op import Op
    from spak.kg.model.recorded import RecordedSize
    from spak.kg.model.run import Run
    from spak.session import Session
    from spak.tunable import Candidates, Size
    from spak.tuner.engine.budget import Budget


@dataclass(frozen=True)
class Library:
    """The laws, hardware, ops, systems and runs of one root, loaded. `load` makes one.

    Attributes:
        laws: The typed files: `laws.laws`, `laws.hardware`, `laws.ops`, `laws.systems` by id, `laws.run(id)`.
        toolchain: `name version` that answers are for: it decides what is stale and what may remove; empty if unknown.
        writable: Whether laws may be written back; the packaged ones may not.
        over: What the root lies over once a search has made it; empty for one that is there.
    """

    laws: Laws
    toolchain: str = ""
    writable: bool = True
    over: str = ""

    @property
    def root(self) -> Path:
        """The folder."""
        return self.laws.root

    def query(
        self,
        *,
        hw: str,
        op: str,
        problem: Size | None = None,
        kinds: Collection[str] = (),
        statuses: Collection[str] = (),
        params: Collection[str] = (),
    ) -> Answer:
        """What is known about an op on a piece of hardware, nearest laws first.

        Args:
            hw: Hardware: an id, an alias, or what a driver calls the device.
            op: An id or an alias.
            problem: What is known of the problem size, or the name of one; a law with a condition is decided by it.
            kinds: Only laws of these kinds; empty means all.
            statuses: Only laws of these statuses; empty means all but withdrawn ones.
            params: Only laws about one of these names; empty means all.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
        """
        ask = self._ask(hw, op, problem)
        only = replace(ask, kinds=frozenset(kinds), statuses=frozenset(statuses), params=frozenset(params))
        answer = query(self.laws, only)
        return replace(answer, recorded=self._recorded(answer, ask))

    def brief(
        self,
        *,
        hw: str,
        op: str,
        problem: Size | None = None,
        kinds: Collection[str] = (),
        statuses: Collection[str] = (),
        params: Collection[str] = (),
    ) -> Brief:
        """How many laws `query` finds, asked alike, and the 40 surest of each verb; of thousands few are decoded.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
        """
        from spak.kg.answers.brief import MOST_OF_A_VERB, brief  # noqa: PLC0415 - each answer loads what it needs

        ask = self._ask(hw, op, problem)
        only = replace(ask, kinds=frozenset(kinds), statuses=frozenset(statuses), params=frozenset(params))
        found = brief(self.laws, only, MOST_OF_A_VERB)
        return replace(found, recorded=self._recorded(found, ask))

    def _recorded(self, answer: Answer | Brief, ask: Ask) -> tuple[RecordedSize, ...]:
        recorded = recorded_sizes(self.laws, answer.hw, answer.op)
        return nearest_first(recorded, answer.op, ask.problem, self.laws.ops)

    def _ask(self, hw: str, op: str, problem: Size | None) -> Ask:
        if isinstance(problem, str):
            problem = stated(related(self.laws, Taxonomy("op", self.laws.ops).resolve(op)), problem)
        return Ask(hw, op, problem=problem or {}, toolchain=self.toolchain)

    def why(self, op: str, *, hw: str, config: Configuration, problem: Size | None = None) -> Account:
        """Which laws speak for or against a configuration, which cannot tell, and what they would need.

        What is missing from `config` and `problem` is unknown, not a default.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
            KgError: If a parameter has no such value.
        """
        from spak.kg.answers.why import why  # noqa: PLC0415 - each answer loads what it needs

        return why(self.laws, self._ask(hw, op, problem), config)

    def explain(self, law: str, *, num_trials: int = 3) -> Explanation:
        """A law whole: what it says, on whose evidence, and the best `num_trials` trials on each side of its claim.

        Raises:
            UnknownNameError: If no law has that id, now or before it was renamed.
        """
        from spak.kg.answers.explain import explain  # noqa: PLC0415

        return explain(self.laws, law, load_run=self._run, num_trials=num_trials)

    def op(self, name: str) -> Op:
        """The op called `name`, an id, an alias or a title: its parameters, their values, its problem sizes.

        Raises:
            UnknownNameError: If there is none; carries the nearest.
        """
        return self.laws.ops[Taxonomy("op", self.laws.ops).resolve(name)]

    def cite(self, law: str) -> Citation:
        """A law as a reviewer wants it cited: one sentence, its status, its strongest tier and its evidence. No run is read.

        Raises:
            UnknownNameError: If no law has that id, now or before it was renamed.
        """
        from spak.kg.answers.citation import cite  # noqa: PLC0415
        from spak.kg.answers.explain import law_called  # noqa: PLC0415

        return cite(self.laws, law_called(self.laws, law))

    def lineage(self, system: str) -> tuple[Step, ...]:
        """The line of systems that led to `system`, oldest first: what each added and which laws it took over.

        Raises:
            UnknownNameError: If no system has that id, alias or title.
            KgError: If systems are derived from each other in a circle.
        """
        from spak.kg.answers.lineage import lineage  # noqa: PLC0415

        return lineage(self.laws, system)

    def page(self) -> str:
        """The graph as one self-contained HTML page for people, which needs no network and no server."""
        from spak.kg.answers.view.document import view_document, view_json  # noqa: PLC0415
        from spak.kg.answers.view.page import html  # noqa: PLC0415
        from spak.kg.law.conflict import Conflicts  # noqa: PLC0415

        laws = self.laws
        conflicts = Conflicts(laws).all()
        return html(view_json(view_document(laws, paths=laws.paths["law"], load_run=self._run, conflicts=conflicts)))

    def restrictions(self, op: str, *, hw: str, problem: Size | None = None, soft: bool = False) -> Export:
        """What is known for a search by Kernel Tuner: `tune_params`, `restrictions` with sources, and what they cannot say.

        Args:
            op: An id or an alias.
            hw: Hardware: an id, an alias, or what a driver calls the device.
            problem: Problem size by name or by values; the rest, or all, has the op's defaults.
            soft: Whether laws that may only reorder become restrictions too.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
            KgError: If the op has no parameters, or one of its conditions cannot be said.
        """
        from spak.kg.formats.kernel_tuner_export import export  # noqa: PLC0415

        node = self.op(op)
        size = complete(node, stated([node], problem) if isinstance(problem, str) else problem or {})
        known = Taxonomy("hardware", self.laws.hardware).resolve(hw)
        found = export(self.laws, known, node.id, size, toolchain=self.toolchain, soft=soft)
        return msgspec.structs.replace(found, recorded=recorded_sizes(self.laws, known, node.id))

    def t4(self, run: str) -> str:
        """A recorded run as a T4 file.

        Raises:
            UnknownNameError: If there is no such run; carries the nearest.
            KgError: If its file cannot be read.
        """
        from spak.kg.formats.t4_writer import write_t4  # noqa: PLC0415

        return write_t4(self.laws.run(run)).decode()

    def evidence_set(
        self, *, ops: Collection[str] = (), hardware: Collection[str] = (), licence: str = "not stated"
    ) -> EvidenceSet:
        """Every run timed here of some ops on some hardware as T4 files with a datasheet; `write` of it makes the folder.

        Args:
            ops: Ids, aliases or titles, their kinds included; empty: all.
            hardware: The same.
            licence: Under which the set is passed on, in words.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
            KgError: If there is no such run, or one cannot be read.
        """
        from spak.kg.formats.evidence_set import evidence_set  # noqa: PLC0415

        return evidence_set(self.laws, ops=ops, hardware=hardware, licence=licence)

    def _run(self, run: str) -> Run | None:
        return self.laws.run(run) if run in self.laws.paths["run"] else None

    def withdraw(self, law: str, *, reason: str, date: str) -> Path:
        """Withdraw a law: its file says when and why, and nothing obeys it any more. The library stays as loaded.

        Args:
            law: Id.
            reason: For whoever reads the law later.
            date: Day of the withdrawal, `YYYY-MM-DD`.

        Returns:
            The law's file.

        Raises:
            UnknownNameError: If there is no such law; carries the nearest.
            KgError: If the laws may not be written, or date or reason are none.
        """
        from spak.kg.files.edit import LawFile, withdraw  # noqa: PLC0415
        from spak.kg.files.lock import locked  # noqa: PLC0415

        root.LawRoot(self.root, self.writable).require_writable()
        path = self.laws.own_path("law", law)
        with locked(self.root):
            file = LawFile.read(path)
            withdraw(file, date=date, reason=reason)
            file.save()
        return path

    def draft(self, draft: Draft) -> tuple[str, str]:
        """Where the file of a new law belongs, and its text, as `propose` would write it. Nothing is written.

        Returns:
            Path relative to the root; text.

        Raises:
            KgError: If its id is taken, or the laws would not load with it.
        """
        from spak.kg.files.scaffold import drafted  # noqa: PLC0415

        return drafted(self.laws, draft)

    def propose(self, draft: Draft) -> Path:
        """Write the file of a new law, proposed and without evidence. The library stays as loaded.

        Returns:
            The law's file.

        Raises:
            KgError: If the laws may not be written, or would not load with it; nothing is written then.
        """
        from spak.kg.files.scaffold import write_new  # noqa: PLC0415

        root.LawRoot(self.root, self.writable).require_writable()
        return write_new(self.laws, draft)

    def filter(
        self,
        configurations: Sequence[Configuration],
        *,
        op: str | Op,
        hw: str | HardwareName,
        problem: Size | None = None,
    ) -> Filtered:
        """Configurations without those that are not feasible or that laws remove, each with laws and reasons.

        At least one is kept: the default, else the one that fewest laws remove. Laws only remove what they may in a
        search: confirmed ones, on the same compute capability, of a toolchain that matches.

        Args:
            configurations: Each complete, or in part: the rest has the op's defaults.
            op: An id or an alias, or an op of one's own (`spak.op`).
            hw: Hardware; need not be known.
            problem: Problem size by name or by values; the rest, or all, has the op's defaults.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
            InfeasibleError: If none is feasible.
            KgError: If none is given, or a value is none of its parameter's.
        """
        from spak.candidates import filtered  # noqa: PLC0415
        from spak.tunable import tunable  # noqa: PLC0415

        return filtered(tunable(self.laws, op, hw, problem), configurations, self.toolchain)

    def rank(
        self,
        configurations: Sequence[Configuration],
        *,
        op: str | Op,
        hw: str | HardwareName,
        problem: Size | None = None,
    ) -> Ranking:
        """Configurations in the order in which to try them, and what that order comes from, as `first` has it.

        Arguments and errors as for `filter`; a configuration given twice comes once.
        """
        from spak.candidates import ranking  # noqa: PLC0415
        from spak.tunable import tunable  # noqa: PLC0415

        return ranking(tunable(self.laws, op, hw, problem), configurations, self.toolchain)

    def choose(self, op: str | Op, *, hw: str | HardwareName, problem: Size | None = None, where: str = "") -> Choice:
        """The configuration to run where nothing may be tried first, and why that one.

        It is the fastest recorded on this hardware at the nearest problem size, else on hardware of the same compute
        capability, else the first of what is known elsewhere, else the op's default; never one that is not feasible,
        or that laws remove.

        Args:
            op: An id or an alias, or an op of one's own (`spak.op`).
            hw: Hardware; need not be known.
            problem: Problem size by name or by values; the rest, or all, has the op's defaults.
            where: What it has to satisfy, over parameters and problem parameters, in the language of laws; empty: nothing.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
            KgError: If `where` cannot be read, or nothing satisfies it.
        """
        from spak.choice import Chooser  # noqa: PLC0415

        return Chooser(self.laws, op, hw, self.toolchain).choose(problem, where)

    def session(
        self,
        op: str | Op | Candidates,
        *,
        hw: str | HardwareName,
        problem: Size | None = None,
        budget: int | Budget | None = None,
        strategy: str = "",
        seed: int = 0,
    ) -> Session:
        """A search that the caller drives: `ask`, try, `tell`.

        Of a space above 65,536 configurations a part is searched: what was recorded elsewhere, what is near the best of
        it, and a random sample. Runs of the same hardware and problem size take no part.

        Args:
            op: An id or an alias, an op of one's own (`spak.op`), or some configurations of one (`spak.Candidates`), of
                which the feasible ones are searched.
            hw: Hardware; need not be known.
            problem: Problem size by name or by values; the rest, or all, has the op's defaults.
            budget: Most trials, of which a twentieth is audit, or a `Budget`, of which seconds do not count: a session
                has no clock. None: the whole space.
            strategy: Its name; empty: `transfer` where anything is known, else `random`.
            seed: Draws everything random.

        Raises:
            UnknownNameError: If a name is unknown; carries the nearest.
            KgError: If nothing is feasible at that size, or a candidate has a name or a value that its op has not.
            TunerError: If there is no such strategy.
        """
        from spak.session import begin  # noqa: PLC0415
        from spak.tunable import Candidates, tunable  # noqa: PLC0415
        from spak.tuner.engine.budget import Budget  # noqa: PLC0415
        from spak.tuner.engine.opening import Manner  # noqa: PLC0415

        spend = budget if isinstance(budget, Budget) else Budget(budget)
        op, among = (op.op, op.configurations) if isinstance(op, Candidates) else (op, ())
        return begin(tunable(self.laws, op, hw, problem), Manner(spend, strategy, seed, self.toolchain), among)

    def without_knowledge(self) -> Library:
        """The same hardware, ops and systems without a law or a run: for a search as if nothing were known."""
        contents = self.laws.contents
        bare = msgspec.structs.replace(contents, laws={}, files={**contents.files, "law": {}, "run": {}})
        return replace(self, laws=replace(self.laws, contents=bare))

    def listing(self, what: ListedKind) -> tuple[Listed, ...]:
        """Everything of one kind, by id: `hardware`, `ops`, `kernels`, `laws`, `systems` or `runs`; no run is opened."""
        from spak.kernels.registry import SPECS  # noqa: PLC0415
        from spak.kg.answers.listing import listing  # noqa: PLC0415

        return listing(self.laws, what, kernels=SPECS, runs=self.laws.run_ids)

    def check(self) -> tuple[Problem, ...]:
        """What every check of the laws against their own evidence finds, by place; acknowledged ones are notes."""
        from spak.kg import checks  # noqa: PLC0415

        return tuple(checks.run_checks(self.laws))

    def graph(self) -> Graph:
        """Hardware, ops, parameters, systems, kernels, laws and runs as a `networkx.MultiDiGraph`, joined by verbs."""
        from spak.kg.answers.graph import build_graph  # noqa: PLC0415
        from spak.kg.law.conflict import Conflicts  # noqa: PLC0415

        return build_graph(self.laws, Conflicts(self.laws).all())


def load(
    path: str | Path | None = None,
    *,
    toolchain: str | None = None,
    cache: Path | None = None,
    kernel: str | Path | None = None,
) -> Library:
    """The law root at `path`, checked and loaded. Reads no environment variable.

    Args:
        path: A folder of laws; None: the nearest `laws/` upwards from here, else the one that came with the package.
        toolchain: `name version` that answers are for; None: the newest that any evidence is from; empty: unknown.
        cache: Folder in which parsed roots are kept, for a start of a tenth of a second; None: every file is read.
        kernel: File that declares a kernel of one's own, or the name that an installed package gives one: then the laws
            that take what is learned of it, a new root over the packaged ones beside it (or here) if there is no other.

    Raises:
        InvalidFilesError: With every problem of every file.
        KgError: If there is no law root, or `toolchain` cannot be read.
    """
    found = root.find_root(path, Path.cwd()) if kernel is None else root.own_root(path, _folder_of(str(kernel)))
    folder = root.shipped_root() if found.over else found.path
    laws = loader.load(folder) if cache is None else parsed.load_cached(folder, parsed.Cache(cache))
    if found.over:
        laws = laws.under(found.path)
    return replace(_library(laws, toolchain, writable=found.writable), over=found.over)


def _folder_of(kernel: str) -> Path:
    """Where the file lies that `kernel` names; of an installed package's, where the person stands."""
    from spak.kernels.own.file import file_of, names_file  # noqa: PLC0415 - only who brings a kernel needs it

    return file_of(kernel).parent if names_file(kernel) else Path.cwd()


@contextmanager
def revision(source: str, root: Path, *, toolchain: str | None = None) -> Iterator[Library]:
    """The law root as it was, for as long as the context lasts.

    Args:
        source: A git revision of the repository that `root` lies in, or a folder of laws; empty: `root` as it is.
        root: The law root of the working tree.
        toolchain: As for `load`.

    Raises:
        InvalidFilesError: With every problem of every file.
        KgError: If `source` is neither, or git cannot say.
    """
    from spak.kg.diff.sources import open_source  # noqa: PLC0415

    with open_source(source, root) as laws:
        yield _library(laws, toolchain, writable=False)


def _library(laws: Laws, toolchain: str | None, *, writable: bool) -> Library:
    if toolchain:
        parse_toolchain(toolchain)
    return Library(laws, newest_toolchain(laws.contents.toolchains) if toolchain is None else toolchain, writable)


def diff(before: Library, after: Library) -> Difference:
    """What changed in meaning from one root to another, and what a search does differently, for the second's toolchain.

    Raises:
        KgError: If a run file that it needs cannot be read.
    """
    from spak.kg.diff.report import difference  # noqa: PLC0415

    return difference((before.laws, after.laws), after.toolchain)
