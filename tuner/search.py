"""Searches a kernel's space under the laws, tests what the search suggests, and writes back what was learned."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from spak.kg.files.loader import Laws
from spak.kg.law.toolchain import compiler_of
from spak.kg.model.run import CONFIRM, Run, Trial
from spak.kg.space.space import Space
from spak.tuner.backend.base import Backend
from spak.tuner.backend.registry import AUTO
from spak.tuner.backend.source import source_of
from spak.tuner.chance import Purpose, shuffled, stream
from spak.tuner.engine import journal, loop, own, record, session, summary
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.engine.surroundings import Choice, Surroundings, chosen
from spak.tuner.errors import TunerError
from spak.tuner.knowledge import gather
from spak.tuner.knowledge.fastest import incumbent
from spak.tuner.knowledge.gather import SearchTarget
from spak.tuner.knowledge.part import MAX_PART, part
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.learn import lesson as learn
from spak.tuner.learn import worth, writeback
from spak.tuner.strategy import registry

_POOL = 512
"""Feasible configurations drawn as possible challengers of a candidate."""

Write = Literal["laws", "run", "nothing"]
"""What a search leaves: its run file and laws, its run file alone, or nothing."""


@dataclass(frozen=True)
class SearchRequest:
    """What a person wants of a search.

    Attributes:
        kernel: Op that a kernel implements, an id or an alias; empty: the law root's default.
        hw: Hardware id, alias or device string; empty: this machine's GPU, else the law root's default.
        backend: What evaluates, `auto` for the first that runs here.
        use_laws: Whether laws have a say.
        transfer: Whether laws of related hardware and recorded runs have one too.
        problem: Name of one of the op's problem sizes, `name=value,...`, or empty for its defaults.
        trials: Most trials; None: no limit if `seconds` is one, else the backend's default.
        seconds: Most seconds, tests of what the search suggests included.
        strategy: Its name; empty: that which suits what is known.
        seed: Draws everything random.
        audit: Share of the trials that goes where laws say not to look.
        confirm: Share of the trials, and of the seconds, kept for testing what the search suggests.
        write: What is left when it ends.
        resume: Run id of a journal to go on with; all else but `write` is then as it was.
    """

    kernel: str = ""
    hw: str = ""
    backend: str = AUTO
    use_laws: bool = False
    transfer: bool = True
    problem: str = ""
    trials: int | None = None
    seconds: float | None = None
    strategy: str = ""
    seed: int = 0
    audit: float = 0.05
    confirm: float = 0.25
    write: Write = "nothing"
    resume: str = ""

    @property
    def informed(self) -> bool:
        """Whether it starts from anything that is known elsewhere."""
        return self.use_laws and self.transfer

    @property
    def reproduce(self) -> str:
        """The command that repeats it."""
        words = ["tune", self.kernel]
        named = {"--hw": self.hw, "--problem": self.problem, "--strategy": self.strategy}
        words += [word for name, value in named.items() if value for word in (name, value)]
        words += ["--backend", self.backend, "--use-laws" if self.use_laws else "--no-laws"]
        numbers = {
            "--budget": self.trials,
            "--seconds": self.seconds,
            "--seed": self.seed,
            "--audit": self.audit,
            "--confirm": self.confirm,
        }
        words += [word for name, value in numbers.items() if value is not None for word in (name, f"{value:g}")]
        words += [] if self.transfer else ["--no-transfer"]
        return shlex.join(words)


AnyRequest = TypeVar("AnyRequest", bound=SearchRequest)


@dataclass(frozen=True)
class SearchResult:
    """What a search came to.

    Attributes:
        run: The experiment whole, whether it was written or not.
        run_file: The run file; None if none was written.
        changes: Law files it changed, or if nothing was to be written would change.
        journal: Its journal; None if nothing was to be written.
        notes: What a person should know of how it ran.
    """

    report: summary.SearchReport
    run: Run
    run_file: Path | None
    changes: tuple[writeback.LawEdit, ...]
    journal: Path | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """Where a search looks.

    Attributes:
        feasible: Configurations of the whole space, of which `space` may be a part.
        known: Whose recorded runs the strategy starts from; None if it starts from nothing.
    """

    space: Space
    feasible: int
    known: SearchTarget | None


def field(
    laws: Laws,
    question: session.SearchTask,
    request: SearchRequest,
    done: Sequence[Trial] = (),
    most: int = MAX_PART,
) -> Field:
    """The space of `question`; of a large one the part that a strategy with an opinion on each configuration takes.

    Trials `done` so far belong to the part whatever was recorded since; otherwise it is of `most` configurations.
    """
    whole = question.space
    if not registry.entry(request.strategy).starts_from_knowledge:
        return Field(whole, len(whole), None)
    informed = request.use_laws and request.transfer
    known = SearchTarget(question.hw, "other-problems", question.problem) if informed else None
    sources = [] if known is None else gather.recorded(laws, whole, known)
    tried = [index for trial in done if (index := whole.index(trial.configuration)) is not None]
    return Field(part(whole, sources, stream(request.seed, Purpose.PART), tried, most), len(whole), known)


def choosing(laws: Laws, where: Field, hw: str, request: SearchRequest, toolchain: str = "") -> RunningSearch:
    """All that decides what is tried next: laws on the space, strategy, budget and audit.

    Without laws it is the space alone, through the same path; without a toolchain (`name version`) no law is certain
    enough to remove.
    """
    space, restriction = where.space, Restriction(where.space)
    if request.use_laws:
        restriction = restrict(space, laws, Context(hw, toolchain, request.transfer))
    known = None
    if where.known is not None:
        restriction, known = gather.gather(laws, space, where.known, restriction)
    budget = Budget(request.trials, request.seconds, request.audit if request.use_laws else 0.0)
    return RunningSearch(restriction, lambda: registry.make(request.strategy, known=known), budget, request.seed)


def search(request: SearchRequest, around: Surroundings) -> SearchResult:
    """Run one search from names to files.

    Args:
        request: What is wanted.
        around: Where: law root, clocks, folders, compiler and GPU.

    Raises:
        KgError: For bad names, laws that cannot be used, a law root that cannot be written, or a GPU that is not the
            hardware named.
        TunerError: For a missing compiler, an unknown strategy, or a journal that cannot be resumed.
    """
    plan = _plan(request, around)
    around = plan.around
    for note in plan.notes:
        around.say(note)
    task = around.task(plan.question, plan.request.seed)
    resumed = None if plan.begun is None else plan.begun.begun
    backend = around.open(plan.choice.backend, replace(task, resumed=resumed))
    try:
        return plan.run(backend)
    finally:
        backend.close()


def outside_name(kernel: str, local: Path, resume: str = "") -> str:
    """What names a kernel outside this repository: `kernel`, or the one of the search that is resumed; empty if it is one of ours.

    Args:
        kernel: As in a `SearchRequest`.
        local: Folder of journals.
        resume: Run id of the journal to go on with, if any.

    Raises:
        TunerError: If there is no such journal, or several packages declare a kernel of that name.
    """
    if resume:
        kernel = journal.recall(local / "journal", resume).settings(SearchRequest).kernel
    return kernel if own.place_outside(kernel) else ""


def fleet_of(local: Path, resume: str) -> str:
    """How the fleet was named that a search ran on which is resumed; empty if it ran on one machine, or none is resumed.

    Raises:
        TunerError: If there is no such journal.
    """
    return journal.recall(local / "journal", resume).header.fleet if resume else ""


def _plan(request: SearchRequest, around: Surroundings) -> _Plan:
    begun = None
    if request.resume:
        begun = journal.recall(around.kept("journal"), request.resume)
        settings = begun.settings(SearchRequest)
        request = replace(settings, resume=request.resume, write=request.write)
    request, around, outside, choice = prepare_search(request, around)
    hw = request.hw or choice.device or session.usual(around.laws.hardware, "hardware")
    question = question_of(request.kernel, around.laws, (hw, request.problem), outside)
    choice.check(around.laws, question.hw)
    where = field(around.laws, question, request, () if begun is None else searched_trials(begun.trials))
    notes = compiling_only(choice, request, outside, hw, is_fleet=around.is_fleet)
    notes += [] if outside is None or not notes else own.check_simulated(outside, question.facts)
    if len(where.space) != where.feasible:
        shown = f"{len(where.space)} of {where.feasible} configurations"
        notes.append(f"{request.strategy} searches a part, {shown}: see tune search --help.")
    return _Plan(request, around, question, choice, where, tuple(notes), begun)


def prepare_search(
    request: AnyRequest, around: Surroundings
) -> tuple[AnyRequest, Surroundings, own.OutsideKernel | None, Choice]:
    """The request with kernel and strategy chosen, the surroundings with its kernel, that if it is outside, and the backend.

    Raises:
        KgError, TunerError: As `search`.
    """
    if request.seed < 0:
        raise TunerError(f"seed: 0 or more (got {request.seed})")
    strategy = request.strategy or registry.default(informed=request.informed)
    request = replace(request, kernel=request.kernel or session.usual(around.laws.ops, "op"), strategy=strategy)
    outside = own.find_outside(request.kernel, around.laws)
    around = around if outside is None else own.with_outside(around, outside)
    return request, around, outside, chosen(around, request.backend)


def compiling_only(
    choice: Choice, request: SearchRequest, outside: own.OutsideKernel | None, hw: str, *, is_fleet: bool
) -> list[str]:
    """What a person should know of a search by the compiler alone; nothing of one that measures."""
    if choice.backend.tier == "measured" or (outside is not None and not outside.spec.language):
        return []
    found = f"{'The fleet has no such GPU' if is_fleet else 'No GPU here'}: " if request.backend == AUTO else ""
    counted = outside is None or outside.spec.counts is not None
    times = "times are predicted, none is measured" if counted else "it declares no counts, so no time is predicted"
    return [f"{found}compiling for {hw}; {times}."]


def header_of(
    request: SearchRequest, frame: Run, source: str, around: Surroundings, created: datetime
) -> journal.Header:
    """The first line of the journal of a search: enough to go on."""
    return journal.Header(
        format=journal.FORMAT,
        run=request.resume or frame.id,
        created=created.isoformat(),
        arguments=msgspec.to_builtins(request),
        source_sha256=source,
        toolchain=frame.toolchain,
        fleet=around.fleet,
    )


def question_of(
    kernel: str, laws: Laws, target: tuple[str, str], outside: own.OutsideKernel | None
) -> session.SearchTask:
    """What is searched on which hardware at which problem (`target`), of a kernel here or outside.

    Raises:
        KgError, TunerError: As `search`.
    """
    if outside is None:
        return session.ask(laws, kernel, *target)
    return session.ask(laws, outside.node.id, *target, outside.place)


def searched_trials(done: Sequence[Trial]) -> tuple[Trial, ...]:
    """Trials of a journal before those that test what the search suggests."""
    return tuple(trial for trial in done if trial.origin != CONFIRM)


@dataclass(frozen=True)
class _Plan:
    """A request with every choice made, what a person should know of how it runs, and the journal that it goes on."""

    request: SearchRequest
    around: Surroundings
    question: session.SearchTask
    choice: Choice
    where: Field
    notes: tuple[str, ...]
    begun: journal.JournalContents | None

    @property
    def most(self) -> int | None:
        """Most trials in all."""
        unlimited = self.request.trials is None and self.request.seconds is None
        return self.choice.backend.num_trials if unlimited else self.request.trials

    @property
    def tests(self) -> int:
        """Trials kept for testing what the search suggests; none where nothing is written back."""
        most = self.most or self.choice.backend.num_trials
        return 0 if self.request.write == "run" else round(most * self.request.confirm)

    def run(self, backend: Backend) -> SearchResult:
        """Search, learn, and write what may be written."""
        request, question, laws = self.request, self.question, self.around.laws
        created = self.around.now() if self.begun is None else self.begun.begun
        source = source_of(question.op.id, question.own)
        frame = record.frame(question, source, backend.provenance(), created)
        trials, seconds = None if self.most is None else max(1, self.most - self.tests), request.seconds
        if seconds is not None and self.tests:
            seconds *= 1.0 - request.confirm
        limited, begun_s = replace(request, trials=trials, seconds=seconds), self.around.clock()
        seeking = choosing(laws, self.where, question.hw, limited, compiler_of(frame.toolchain))
        if self.choice.backend.tier == "measured" and self.where.known is not None:
            seeking = replace(seeking, incumbent=incumbent(laws, self.where.space, question.hw, question.problem))
        done = () if self.begun is None else self.begun.trials
        searched = searched_trials(done)
        folder = None if request.write == "nothing" else self.around.kept("journal")
        with journal.kept(folder, header_of(request, frame, source, self.around, created), self.begun) as keep:
            hooks = loop.Hooks(self.around.clock, keep, self.around.watch(trials, seconds), self.around.doing)
            result = loop.run_search(seeking, backend, hooks, searched)
            told = summary.search_report(question, backend, self.where.feasible, result, kept=self.tests)
            ended = msgspec.structs.replace(
                record.frame(question, source, backend.provenance(), created),
                commit=self.around.commit(),
                reference_times=backend.references(question.problem),
                strategy=request.strategy,
                seed=request.seed,
                reproduce=request.reproduce,
            )
            found = record.searched(ended, laws.hardware, result)
            learned = None
            if not told.interrupted and request.write != "run":
                notebook = learn.Notebook(learn.name_confirmation(found.id), keep, done[len(searched) :])
                learned = self._learned(found, backend, notebook, partial(self._seconds_left, begun_s))
            return self._written(found, told, learned, backend)

    def _journal_of(self, run: str) -> Path:
        return journal.path_of(self.around.kept("journal"), run)

    def _seconds_left(self, begun_s: float) -> float:
        """Of the whole search, which began when the clock said so."""
        limit = self.request.seconds
        return math.inf if limit is None else limit - (self.around.clock() - begun_s)

    def _learned(
        self, found: Run, backend: Backend, notebook: learn.Notebook, seconds_left: Callable[[], float]
    ) -> learn.Learned:
        """Test what the search suggests, with the trials and the seconds that were kept for it."""
        laws, question = self.around.laws, self.question
        feasible = question.space
        drawn = islice(shuffled(stream(self.request.seed, Purpose.CHALLENGERS), len(feasible)), _POOL)
        if self.tests:
            left_s = seconds_left()
            limit = "" if math.isinf(left_s) else f" in {max(0.0, left_s):.0f} s"
            self.around.say(f"testing what it suggests on other problem sizes, at most {self.tests} trials{limit}")
        lesson = learn.Lesson(
            learn.subject_of(found, laws),
            question.op,
            question.facts,
            self.tests,
            self.request.seed,
            feasible.part(list(drawn)),
            is_known=writeback.known_before(found.id, laws),
            seconds_left=seconds_left,
        )
        return learn.learn(found, lesson, backend, notebook)

    def _written(
        self, run: Run, told: summary.SearchReport, learned: learn.Learned | None, backend: Backend
    ) -> SearchResult:
        """Write what the request allows. An interrupted search keeps its journal and writes nothing else."""
        request, around = self.request, self.around
        diary = None if request.write == "nothing" else self._journal_of(run.id)
        if told.interrupted or not run.trials:
            return SearchResult(told, run, None, (), diary, self.notes)
        into_laws = request.write == "laws" and around.root.writable
        made: tuple[writeback.LawEdit, ...] = ()
        tests: tuple[Run, ...] = ()
        if learned is not None:
            if learned.trials:
                tests = (learn.confirmation_run(run, learned),)
            noted, new = worth.weighed(learned.candidates, learned.laws, around.laws, (run, *tests))
            run = msgspec.structs.replace(run, suggested=noted)
            if into_laws or request.write == "nothing":
                made = writeback.changes(run, around.laws, new, tests)
        if request.write == "nothing":
            return SearchResult(told, run, None, made, diary, self.notes)
        if into_laws and self.question.own:
            own.write_op(around, self.question.op)
        folder = around.evidence if into_laws else around.kept("runs")
        path, *_ = [record.write_run(one, folder) for one in (run, *tests)]
        record.write_apart(run, backend.provenance(), around.kept("runs"), around.say)
        writeback.apply(made)
        return SearchResult(msgspec.structs.replace(told, run=str(path)), run, path, made, diary, self.notes)
