"""Searches many targets at once: problem sizes times devices of one op, with one budget, and each hears of the others."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from spak.kg.files.loader import Laws
from spak.kg.law.toolchain import compiler_of
from spak.kg.model.op import Op
from spak.kg.model.run import Run, Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import complete
from spak.tuner.backend.base import Backend
from spak.tuner.backend.source import source_of
from spak.tuner.engine import journal, loop, own, record, session, summary
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.naming import check_devices_there, named_devices, named_sizes, named_weights, names_several
from spak.tuner.engine.shares import ShareName, Sharing
from spak.tuner.engine.surroundings import Choice, Surroundings
from spak.tuner.engine.targets import SearchOfTargets, TargetSearch
from spak.tuner.knowledge.gather import Gathering, SearchTarget, recorded_trials
from spak.tuner.knowledge.part import MAX_PART, same_part
from spak.tuner.knowledge.source import label_of, whereabouts
from spak.tuner.learn import writeback
from spak.tuner.learn.across import Across, AcrossLesson, learn_across
from spak.tuner.search import (
    Field,
    SearchRequest,
    SearchResult,
    choosing,
    compiling_only,
    field,
    header_of,
    prepare_search,
    question_of,
    searched_trials,
)

ALL_PARTS = 8 * MAX_PART
"""Configurations of the parts of all targets together: it bounds the memory, some 8 bytes for each and each thing known."""

LEAST_PART = 4096
"""Configurations that a part has at least."""


@dataclass(frozen=True)
class TargetsRequest(SearchRequest):
    """What a person wants of a search of many targets. Its trials and seconds are those of all together.

    Attributes:
        problem: Names of problem sizes with commas between, or `all`; a size written `name=value,...` is one.
        hw: Devices with commas between, or `all`: those that the backend can work for.
        weights: `name=number,...`: what the time of a problem size counts beside that of the others; 1 where not named.
        share: How trials are dealt out: where they are expected to save most, or in turn.
        flow: Whether each target hears what the others try.
    """

    weights: str = ""
    share: ShareName = "worth"
    flow: bool = True

    @property
    def informed(self) -> bool:
        """Whether a target starts from anything that is known elsewhere, or hears of it later."""
        return super().informed or self.flow

    @property
    def reproduce(self) -> str:
        """The command that repeats it."""
        words = [super().reproduce]
        words += [f"--weights {self.weights}"] if self.weights else []
        words += [f"--share {self.share}"] if self.share != "worth" else []
        return " ".join([*words, *([] if self.flow else ["--no-flow"])])


@dataclass(frozen=True)
class TargetResult:
    """What a search of many came to for one target.

    Attributes:
        name: Hardware id and problem size, as a person calls it.
        result: Its own report and run; its law files are those of the whole search.
        helped: Targets, and records of others, whose knowledge led to what was the best here at the time, the most often first.
    """

    name: str
    hw: str
    problem_name: str
    weight: float
    result: SearchResult
    helped: tuple[tuple[str, int], ...]

    @property
    def gain(self) -> float | None:
        """Time of the default over that of the best; None where either was not tried or did not run."""
        report = self.result.report
        return report.default.value / report.ranked[0].value if report.default is not None else None


@dataclass(frozen=True)
class TargetsResult:
    """What a search of many targets came to.

    Attributes:
        targets: In the order in which they were asked for: all sizes of a device, then those of the next.
        learned: What was suggested by some targets and tested on others; None if nothing was to be learned.
        changes: Law files that it changed, or if nothing was to be written would change.
        journal: Run id to resume it by; empty if nothing was to be written.
        notes: What a person should know of how it ran.
    """

    op: str
    targets: tuple[TargetResult, ...]
    learned: Across | None
    changes: tuple[writeback.LawEdit, ...]
    seconds: float
    interrupted: bool
    journal: str
    notes: tuple[str, ...]


def search_targets(request: TargetsRequest, around: Surroundings) -> TargetsResult:
    """Search every problem size on every device that the request names.

    Args:
        request: What is wanted.
        around: Where.

    Raises:
        KgError: For bad names, laws that cannot be used, or a law root that cannot be written.
        TunerError: As `search`; for a weight of no target, or a device that the backend does not work for.
    """
    plan = _plan(request, around)
    for note in plan.notes:
        around.say(note)
    with ExitStack() as stack:
        return plan.run(stack)


def names_targets(request: SearchRequest, local: Path) -> bool:
    """Whether a search of that kernel, hardware and problem, or the one it resumes, is one of many targets.

    Args:
        request: As for `search`.
        local: Folder of journals.

    Raises:
        TunerError: If there is no such journal.
    """
    if request.resume:
        return "flow" in journal.recall(local / "journal", request.resume).header.arguments
    return names_several(request.hw) or names_several(request.problem)


@dataclass(frozen=True)
class _Target:
    """One target before it is searched."""

    question: session.SearchTask
    where: Field
    weight: float
    begun: journal.JournalContents | None

    @property
    def name(self) -> str:
        return f"{self.question.hw} {self.question.problem_name}"

    @property
    def searched(self) -> tuple[Trial, ...]:
        """Trials of its journal before those that test something."""
        return searched_trials(self.begun.trials) if self.begun is not None else ()

    @property
    def tests(self) -> tuple[Trial, ...]:
        """Those that test something."""
        return self.begun.trials[len(self.searched) :] if self.begun is not None else ()


@dataclass(frozen=True)
class _Opened:
    """One target while it is searched."""

    target: _Target
    frame: Run
    backend: Backend
    search: TargetSearch
    keep: Callable[[Trial], None]


@dataclass(frozen=True)
class _TargetsPlan:
    """A request with every choice made."""

    request: TargetsRequest
    around: Surroundings
    choice: Choice
    targets: tuple[_Target, ...]
    created: datetime
    notes: tuple[str, ...]

    @property
    def op(self) -> Op:
        return self.targets[0].question.op

    @property
    def most(self) -> int:
        """Most trials of all targets together, as far as they are limited, tests included."""
        if self.request.trials is not None:
            return self.request.trials
        return self.choice.backend.num_trials * len(self.targets)

    @property
    def tests(self) -> int:
        """Trials kept for testing on some targets what others suggest."""
        return 0 if self.request.write == "run" or len(self.targets) == 1 else round(self.most * self.request.confirm)

    def run(self, stack: ExitStack) -> TargetsResult:
        """Search, learn, and write what may be written."""
        request = self.request
        unlimited = request.trials is None and request.seconds is not None
        trials = None if unlimited else max(len(self.targets), self.most - self.tests)
        opened = self._opened(stack, trials)
        budget = Budget(trials, request.seconds, 0.0)
        searching = SearchOfTargets([one.search for one in opened], Sharing(request.share), budget)
        at_once = bool(self.around.devices()) and len({target.question.hw for target in self.targets}) > 1
        interrupted, seconds = searching.run(at_once=at_once)
        results = searching.results(interrupted=interrupted)
        found = [self._found(one, result) for one, result in zip(opened, results, strict=True)]
        learned = None
        if not interrupted and request.write != "run":
            learned = self._learned(opened, [one.result.run for one in found])
        return self._written(found, learned, (seconds, interrupted))

    def _opened(self, stack: ExitStack, trials: int | None) -> list[_Opened]:
        """Every target with its backend and journal, and what its journal holds restored."""
        around, request = self.around, self.request
        backends: dict[str, Backend] = {}
        for target in self.targets:
            if target.question.hw not in backends:
                made = around.open(self.choice.backend, around.task(target.question, request.seed))
                stack.callback(made.close)
                backends[target.question.hw] = made
        started, show = around.clock(), around.watch(trials, request.seconds)
        count = itertools.count(sum(len(one.searched) for one in self.targets) + 1)
        hooks = loop.Hooks(
            around.clock, lambda _: None, lambda _, elapsed_s: show(next(count), elapsed_s), around.doing
        )
        numbered = enumerate(self.targets)
        return [self._open(stack, one, backends[one[1].question.hw], hooks, started) for one in numbered]

    def _open(
        self, stack: ExitStack, numbered: tuple[int, _Target], backend: Backend, hooks: loop.Hooks, started: float
    ) -> _Opened:
        (number, target), around = numbered, self.around
        question, where, laws = target.question, target.where, around.laws
        source = source_of(question.op.id, question.own)
        frame = record.frame(question, source, backend.provenance(), self.created)
        folder = None if self.request.write == "nothing" else around.kept("journal")
        header = header_of(replace(self.request, resume=""), frame, source, self.created)
        keep = stack.enter_context(journal.kept(folder, header, target.begun))
        own_seed = replace(self.request, seed=self.request.seed + number)
        seeking = choosing(laws, where, question.hw, own_seed, compiler_of(frame.toolchain))
        limit = replace(seeking.budget, trials=None, seconds=None)
        searcher = loop.Searcher(replace(seeking, budget=limit), backend.provenance().objective)
        searcher.restore(target.searched)
        running = loop.Running(searcher, backend, replace(hooks, record=keep), started)
        about = whereabouts(question.hw, question.problem)
        searching = TargetSearch(target.name, about, target.weight, running, self._gathering(question, where))
        return _Opened(target, frame, backend, searching, keep)

    def _gathering(self, question: session.SearchTask, where: Field) -> Gathering | None:
        """What a target knows at first, where the trials of the others will join."""
        if not self.request.flow:
            return None
        laws = self.around.laws
        recorded = {} if where.known is None else recorded_trials(laws, question.op.id, where.known)
        return Gathering(laws, where.space, SearchTarget(question.hw, "other-problems", question.problem), recorded)

    def _found(self, one: _Opened, result: loop.Result) -> TargetResult:
        """The report and the run of a target."""
        question, around = one.target.question, self.around
        told = summary.search_report(question, one.backend, one.target.where.feasible, result)
        ended = msgspec.structs.replace(
            record.frame(question, one.frame.kernel.source_sha256, one.backend.provenance(), self.created)
            if one.frame.kernel is not None
            else one.frame,
            commit=around.commit(),
            reference_times=one.backend.references(question.problem),
            strategy=self.request.strategy,
            seed=self.request.seed,
            reproduce=self.request.reproduce,
        )
        run = record.searched(ended, around.laws.hardware, result)
        helped = _helped(result.trials, one.search.searcher.objective)
        names = _names(around.laws, self.op)
        shown = tuple((names.get(label, label), count) for label, count in helped.most_common())
        found = SearchResult(told, run, None, (), None, ())
        return TargetResult(one.target.name, question.hw, question.problem_name, one.target.weight, found, shown)

    def _learned(self, opened: Sequence[_Opened], runs: Sequence[Run]) -> Across | None:
        """What some targets suggest, tested on the others."""
        if self.tests:
            self.around.say(f"testing on some targets what others suggest, at most {self.tests} trials")
        first = opened[0].target
        lesson = AcrossLesson(
            laws=self.around.laws,
            op=self.op,
            budget=self.tests,
            seed=self.request.seed,
            pool=first.where.space,
            remembered={one.search.place: one.target.tests for one in opened},
        )
        keeping = {one.search.place: one.keep for one in opened}
        return learn_across(runs, lesson, {one.target.question.hw: one.backend for one in opened}, keeping)

    def _written(
        self, found: Sequence[TargetResult], learned: Across | None, ended: tuple[float, bool]
    ) -> TargetsResult:
        """Write what the request allows; an interrupted search keeps its journals and writes nothing else."""
        request, around = self.request, self.around
        seconds, interrupted = ended
        nothing = request.write == "nothing"
        kept = "" if nothing else found[0].result.run.id
        runs = [one.result.run for one in found] if learned is None else list(learned.runs)
        filled = [run for run in runs if run.trials]
        into_laws = request.write == "laws" and around.root.writable
        made: tuple[writeback.LawEdit, ...] = ()
        if filled and not interrupted and (into_laws or nothing):
            tests = () if learned is None else learned.tests
            made = writeback.changes(
                filled[0], around.laws, () if learned is None else learned.kept, (*filled[1:], *tests)
            )
        if not nothing and not interrupted:
            if into_laws and self.targets[0].question.own:
                own.write_op(around, self.op)
            folder = around.evidence if into_laws else around.kept("runs")
            for test in () if learned is None else learned.tests:
                record.write_run(test, folder)
            paths = {run.id: record.write_run(run, folder) for run in filled}
            writeback.apply(made)
            found = [_with_file(one, paths) for one in found]
        by_id = {run.id: run for run in runs}
        targets = tuple(
            replace(one, result=replace(one.result, run=by_id.get(one.result.run.id, one.result.run))) for one in found
        )
        return TargetsResult(self.op.id, targets, learned, made, seconds, interrupted, kept, self.notes)


def _with_file(one: TargetResult, paths: Mapping[str, Path]) -> TargetResult:
    path = paths.get(one.result.run.id)
    if path is None:
        return one
    told = msgspec.structs.replace(one.result.report, run=str(path))
    return replace(one, result=replace(one.result, report=told, run_file=path))


def _helped(trials: Sequence[Trial], objective: str) -> Counter[str]:
    """Whose knowledge spoke most for each trial that was the best until then, after the first one."""
    found: Counter[str] = Counter()
    best: float | None = None
    for trial in trials:
        value = trial.value(objective) if trial.invalidity == "correct" else None
        if value is not None and (best is None or value < best):
            if best is not None and trial.whose:
                found[trial.whose[0]] += 1
            best = value
    return found


def _names(laws: Laws, op: Op) -> dict[str, str]:
    """What a person calls the hardware and problem size of each label of the op's named sizes."""
    return {
        label_of(whereabouts(hw, complete(op, size))): f"{hw} {name}"
        for hw in laws.hardware
        for name, size in op.problems.items()
    }


def _plan(request: TargetsRequest, around: Surroundings) -> _TargetsPlan:
    begun = None
    if request.resume:
        begun = journal.recall(around.kept("journal"), request.resume)
        request = replace(begun.settings(TargetsRequest), resume=request.resume, write=request.write)
    request, around, outside, choice = prepare_search(request, around)
    laws = around.laws
    op = laws.ops[Taxonomy("op", laws.ops).resolve(outside.node.id if outside is not None else request.kernel)]
    there = tuple(around.devices()) if choice.device else ()
    devices = named_devices(request.hw, laws, choice, there)
    sizes = named_sizes(request.problem, op)
    request = replace(request, hw=",".join(devices), problem=",".join(sizes))
    created = around.now() if begun is None else begun.begun
    questions = [question_of(request.kernel, laws, (hw, problem), outside) for hw in devices for problem in sizes]
    check_devices_there(devices, laws, choice, there)
    weights = named_weights(request.weights, {question.problem_name for question in questions})
    targets: list[_Target] = []
    for question in questions:
        contents = _begun(around, choice, question, created) if begun is not None else None
        done = () if contents is None else searched_trials(contents.trials)
        where = _where(laws, (question, len(questions)), request, done, targets[0].where if targets else None)
        targets.append(_Target(question, where, weights.get(question.problem_name, 1.0), contents))
    shown = f"{len(devices)} devices" if len(devices) > 1 else devices[0]
    notes = [
        f"{len(targets)} targets: {len(sizes)} problem sizes on {shown}.",
        *compiling_only(choice, request, outside, shown),
    ]
    return _TargetsPlan(request, around, choice, tuple(targets), created, tuple(notes))


def _where(
    laws: Laws,
    asked: tuple[session.SearchTask, int],
    request: TargetsRequest,
    done: Sequence[Trial],
    first: Field | None,
) -> Field:
    """Where one of so many targets is searched: of a large space a part, the same for all, smaller the more there are."""
    question, count = asked
    most = max(LEAST_PART, min(MAX_PART, ALL_PARTS // count))
    if first is None or len(first.space) == first.feasible:
        return field(laws, question, request, done, most)
    whole = question.space
    tried = [index for trial in done if (index := whole.index(trial.configuration)) is not None]
    known = None if first.known is None else SearchTarget(question.hw, "other-problems", question.problem)
    return Field(same_part(whole, first.space, tried), len(whole), known)


def _begun(
    around: Surroundings, choice: Choice, question: session.SearchTask, created: datetime
) -> journal.JournalContents | None:
    """What the journal of a target holds; None if the search ended before it began."""
    assert choice.backend.tier is not None  # noqa: S101 - a backend that makes trials has one
    name = record.name_run(choice.backend.tier, question, created)
    folder = around.kept("journal")
    return journal.recall(folder, name) if journal.path_of(folder, name).is_file() else None
