"""Runs one `tune search`: meets the machine, the clock and the disk, so that the library does not have to."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from spak.cli.app import Globals
from spak.cli.progress import Progress
from spak.cli.roots import cache_directory, open_laws, open_root
from spak.kg.files.loader import EVIDENCE
from spak.tuner.backend import registry as backends
from spak.tuner.backend.source import source_of
from spak.tuner.chance import Purpose, permutation, stream
from spak.tuner.engine import journal, loop, record, session
from spak.tuner.engine import summary as report
from spak.tuner.engine.budget import Budget
from spak.tuner.errors import TunerError
from spak.tuner.learn import lesson as learn
from spak.tuner.strategy import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from spak.kg.files.loader import Laws
    from spak.kg.model.run import Run, Trial
    from spak.kg.space.space import Space
    from spak.tuner.backend.base import Backend, Provenance
    from spak.tuner.engine.journal import Diary
    from spak.tuner.knowledge.gather import Target
    from spak.tuner.knowledge.restriction import Restriction
    from spak.tuner.learn.writeback import Change
    from spak.tuner.strategy.base import Strategy

_POOL = 512
"""Feasible configurations drawn as possible challengers of a candidate."""

_STEM = 90
"""Characters of a run id that its confirmation's id keeps: both are at most 100."""

LOCAL = Path(".spak")
"""Where journals lie, and run files that no law root takes."""


@dataclass(frozen=True)
class Options:
    """The command line of a search, as typed.

    Attributes:
        hw: Empty: what is found.
        trials: None: the backend's default.
        write: `laws`: run file and laws; `run`: run file alone; `nothing`.
        resume: Run id of a journal; empty for a new search.
    """

    kernel: str
    hw: str
    backend: str
    use_laws: bool
    transfer: bool
    problem: str
    trials: int | None
    seconds: float | None
    strategy: str
    seed: int
    audit: float
    confirm: float
    write: Literal["laws", "run", "nothing"]
    resume: str


@dataclass(frozen=True)
class Outcome:
    """What a search came to.

    Attributes:
        report: What it tells.
        run_file: The run file it wrote; None if it wrote none.
        changes: Law files it changed, or with `--dry-run` would change.
        laws: The law root.
        journal: Its journal; None with `--dry-run`.
        notes: What a person should know of how it ran.
    """

    report: report.Report
    run_file: Path | None
    changes: tuple[Change, ...]
    laws: Path
    journal: Path | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """Options with every choice made.

    Attributes:
        notes: What a person should know of how it runs.
        space: What is searched.
        feasible: Configurations of the whole space, of which that may be a part.
        known: Whose recorded runs the strategy starts from; None if it starts from nothing.
    """

    options: Options
    question: session.Question
    backend: backends.Entry
    notes: tuple[str, ...]
    space: Space
    feasible: int
    known: Target | None


def search(state: Globals, options: Options) -> Outcome:
    """Run one search from options to files.

    Raises:
        KgError: For bad names, laws that cannot be used, or a law root that cannot be written.
        TunerError: For a missing compiler, an unknown strategy, or a journal that cannot be resumed.
    """
    if options.resume:
        options = _resumed(options)
    laws = open_laws(state)
    plan = _plan(laws, options)
    for note in plan.notes:
        print(note, file=sys.stderr)  # noqa: T201 - progress goes to stderr
    backend = _backend(plan)
    try:
        return _search(state, laws, plan, backend)
    finally:
        backend.close()


def _plan(laws: Laws, options: Options) -> _Plan:
    from spak.tuner.backend.gpu.detect import detect

    gpu = detect() if backends.wants_device(options.backend) else None
    backend = backends.choose(options.backend, has_device=gpu is not None)
    hw = options.hw or (gpu.name if gpu is not None else session.DEFAULT_HW)
    notes = []
    if backend.tier != "measured":
        found = "No GPU here: " if options.backend == backends.AUTO else ""
        notes.append(f"{found}compiling for {hw}; times are predicted, none is measured.")
    question = session.ask(laws, options.kernel, hw, options.problem)
    whole, known = session.space(question), None
    space = whole
    if registry.entry(options.strategy).starts_from_knowledge:
        space, known = _part(laws, options, question, whole)
    if space is not whole:
        notes.append(
            f"{options.strategy} searches a part, {len(space)} of {len(whole)} configurations: see tune search --help."
        )
    return _Plan(options, question, backend, tuple(notes), space, len(whole), known)


def _part(laws: Laws, options: Options, question: session.Question, whole: Space) -> tuple[Space, Target | None]:
    """What a strategy that has an opinion on every configuration searches, and whose runs it starts from."""
    from spak.tuner.knowledge.gather import Target, recorded
    from spak.tuner.knowledge.part import part

    known = Target(question.hw, "other-problems", question.problem) if options.use_laws and options.transfer else None
    sources = [] if known is None else recorded(laws, whole, known)
    done = _contents(options.resume).trials if options.resume else ()
    tried = [whole.index(trial.configuration) for trial in _searched(done)]
    rng = stream(options.seed, Purpose.PART)
    return part(whole, sources, rng, [index for index in tried if index is not None]), known


def _searched(done: tuple[Trial, ...]) -> tuple[Trial, ...]:
    """Trials of a journal before those that test what the search suggests."""
    return tuple(trial for trial in done if trial.origin != learn.CONFIRM)


def _backend(plan: _Plan) -> Backend:
    question = plan.question
    task = backends.Task(
        question.hw, question.op, question.facts, cache_directory(), os.cpu_count() or 1, plan.options.seed
    )
    return plan.backend.open(task)


def _search(state: Globals, laws: Laws, plan: _Plan, backend: Backend) -> Outcome:
    options, question = plan.options, plan.question
    provenance = backend.provenance()
    compiler = f"tileiras {provenance.toolchain['tileiras']}"
    restriction = session.laws_on(
        laws, plan.space, question.hw, compiler, use_laws=options.use_laws, transfer=options.transfer
    )
    most = _most_trials(plan)
    trials = None if most is None else max(1, most - _confirm_trials(plan))
    seeking = loop.Search(
        restriction,
        _strategy(laws, plan, restriction),
        Budget(trials, options.seconds, options.audit if options.use_laws else 0.0),
        options.seed,
    )
    frame = _frame(plan, provenance)
    diary, done = _diary(plan, frame)
    searched = _searched(done)
    progress = Progress(sys.stderr, trials, options.seconds)
    try:
        result = loop.run(seeking, backend, loop.Hooks(time.monotonic, diary.add, progress.show), searched)
        progress.end()
        subject = report.Subject(question.hw, question.op.id, backend.name, provenance.objective, plan.feasible)
        told = report.build(subject, result)
        ended = replace(frame, provenance=backend.provenance(), references=backend.references(question.problem))
        run = record.build(ended, result)
        if told.interrupted or options.write == "run":
            return _written(state, laws, plan, _Finished(run, told, None))
        notebook = learn.Notebook(f"{run.id[:_STEM]}-confirm", diary.add, done[len(searched) :])
        return _written(state, laws, plan, _Finished(run, told, _learned(laws, plan, backend, (run, notebook))))
    finally:
        diary.close()
        progress.end()


@dataclass(frozen=True)
class _Finished:
    """A search that ended, and what was learned from it (None: nothing was to be)."""

    run: Run
    told: report.Report
    learned: learn.Learned | None


def _learned(laws: Laws, plan: _Plan, backend: Backend, found: tuple[Run, learn.Notebook]) -> learn.Learned:
    """Test what the search suggests, with the trials that were kept for it."""
    from spak.tuner.learn.writeback import known_before

    (run, notebook), options, question = found, plan.options, plan.question
    rng = stream(options.seed, Purpose.CHALLENGERS)
    feasible = session.space(question)
    pool = tuple(feasible.config(int(i)) for i in permutation(rng, len(feasible))[:_POOL])
    budget = _confirm_trials(plan)
    print(f"testing what it suggests on other problem sizes, at most {budget} trials", file=sys.stderr)  # noqa: T201
    lesson = learn.Lesson(
        learn.subject_of(run, laws),
        question.op,
        question.facts,
        budget,
        options.seed,
        pool,
        is_known=known_before(run.id, laws),
    )
    return learn.learn(run, lesson, backend, notebook)


def _confirm_trials(plan: _Plan) -> int:
    """The share of the trials that is kept for testing; none where nothing is written back."""
    most = _most_trials(plan) or plan.backend.num_trials
    return 0 if plan.options.write == "run" else round(most * plan.options.confirm)


def _strategy(laws: Laws, plan: _Plan, restriction: Restriction) -> Callable[[], Strategy]:
    """What proposes; under laws it may start from what other hardware and other problem sizes recorded."""
    from spak.tuner.knowledge.gather import gather

    known = None if plan.known is None else gather(laws, restriction.space, plan.known, restriction)
    return lambda: registry.make(plan.options.strategy, known=known)


def _most_trials(plan: _Plan) -> int | None:
    options = plan.options
    unlimited = options.trials is None and options.seconds is None
    return plan.backend.num_trials if unlimited else options.trials


def _frame(plan: _Plan, provenance: Provenance) -> record.Frame:
    question, options = plan.question, plan.options
    subject = record.Subject(
        hw=question.hw,
        op=question.op.id,
        problem=question.problem,
        problem_name=question.problem_name,
        source_sha256=source_of(question.op.id),
        commit=_commit(),
    )
    method = record.Method(options.strategy, options.seed, reproduce(options))
    created = datetime.now(UTC)
    if options.resume:
        created = datetime.fromisoformat(_contents(options.resume).header.created)
    return record.Frame(subject, method, provenance, created)


def _diary(plan: _Plan, frame: record.Frame) -> tuple[Diary, tuple[Trial, ...]]:
    """Where finished trials go, and those that are there already."""
    options = plan.options
    if options.resume:
        contents = _contents(options.resume)
        _check_same(contents.header, frame)
        if options.write == "nothing":
            return journal.Nowhere(), contents.trials
        return journal.Journal.reopen(_journal_path(options.resume)), contents.trials
    if options.write == "nothing":
        return journal.Nowhere(), ()
    header = journal.Header(
        format=journal.FORMAT,
        run=frame.run_id,
        created=frame.created.isoformat(),
        arguments=msgspec.to_builtins(options),
        source_sha256=frame.subject.source_sha256,
        toolchain=frame.provenance.toolchain,
    )
    return journal.Journal.create(_journal_path(frame.run_id), header), ()


def _check_same(header: journal.Header, frame: record.Frame) -> None:
    """Trials of other code, or of another compiler, are not trials of this search.

    Raises:
        TunerError: If the kernel or the toolchain changed since.
    """
    if header.source_sha256 != frame.subject.source_sha256:
        raise TunerError(f"--resume {header.run}: the kernel's source changed since; start a new search")
    if header.toolchain != frame.provenance.toolchain:
        raise TunerError(f"--resume {header.run}: the toolchain changed since; start a new search")


def _resumed(options: Options) -> Options:
    """The options that the journal's search began with; how to write is this command line's."""
    arguments = _contents(options.resume).header.arguments
    begun = msgspec.convert(arguments, type=Options)
    return replace(begun, resume=options.resume, write=options.write)


def _contents(run: str) -> journal.Contents:
    path = _journal_path(run)
    if not path.is_file():
        known = sorted(found.stem for found in path.parent.glob("*.jsonl"))
        raise TunerError(f"--resume {run}: no journal {path}; there {_list(known)}")
    return journal.read(path)


def _list(names: list[str]) -> str:
    return f"are {', '.join(names)}" if names else "are none"


def _journal_path(run: str) -> Path:
    return LOCAL / "journal" / f"{Path(run).name}.jsonl"


def _written(state: Globals, laws: Laws, plan: _Plan, finished: _Finished) -> Outcome:
    """Write what the options allow. An interrupted search keeps its journal and writes nothing else."""
    from spak.tuner.learn import writeback

    (run, told, learned), options = (finished.run, finished.told, finished.learned), plan.options
    diary = None if options.write == "nothing" else _journal_path(run.id)
    if told.interrupted or not run.trials:
        return Outcome(told, None, (), laws.root, diary, plan.notes)
    law_root = open_root(state)
    into_laws = options.write == "laws" and law_root.writable
    made: tuple[Change, ...] = ()
    tests = None
    if learned is not None:
        run = msgspec.structs.replace(run, suggested=learned.candidates)
        if learned.trials:
            tests = learn.confirmation_run(run, learned, f"{run.id[:_STEM]}-confirm")
        if into_laws or options.write == "nothing":
            made = writeback.changes(run, laws, learned.laws, () if tests is None else (tests,))
    if options.write == "nothing":
        return Outcome(told, None, made, laws.root, diary, plan.notes)
    folder = law_root.path / EVIDENCE if into_laws else LOCAL / "runs"
    path = record.write(run, folder)
    if tests is not None:
        record.write(tests, folder)
    writeback.apply(made)
    path = _short(path)
    return Outcome(msgspec.structs.replace(told, run=str(path)), path, made, laws.root, diary, plan.notes)


def _short(path: Path) -> Path:
    """`path` as seen from the current folder, if it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def reproduce(options: Options) -> str:
    """The command that repeats a search."""
    words = ["tune", options.kernel]
    named = {"--hw": options.hw, "--problem": options.problem, "--strategy": options.strategy}
    words += [word for name, value in named.items() if value for word in (name, value)]
    words += ["--backend", options.backend, "--use-laws" if options.use_laws else "--no-laws"]
    numbers = {
        "--budget": options.trials,
        "--seconds": options.seconds,
        "--seed": options.seed,
        "--audit": options.audit,
        "--confirm": options.confirm,
    }
    words += [word for name, value in numbers.items() if value is not None for word in (name, f"{value:g}")]
    words += [] if options.transfer else ["--no-transfer"]
    return shlex.join(words)


def _commit() -> str:
    """Commit of the working tree, `-dirty` if files differ from it; empty outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
