"""Searches many targets at once: problem sizes times devices of one op, with one budget, and each hears of the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from spak.kg.files.loader import Laws
from spak.kg.law.toolchain import compiler_of
from spak.kg.model.op import Op
from spak.kg.model.run import Run, Trial
from spak.kg.space.completion import complete
from spak.tuner.backend.base import Backend
from spak.tuner.backend.source import source_of
from spak.tuner.engine import journal, loop, own, record, session, summary
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.naming import names_several
from spak.tuner.engine.searcher import Result, Searcher
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.engine.targets import SearchOfTargets, TargetSearch
from spak.tuner.knowledge.gather import Gathering, SearchTarget, recorded_trials
from spak.tuner.knowledge.source import label_of, whereabouts
from spak.tuner.learn import writeback
from spak.tuner.learn.across import Across, AcrossLesson, learn_across
from spak.tuner.search import (
    Field,
    SearchRequest,
    SearchResult,
    choosing,
    header_of,
)
from spak.tuner.targeting import PlannedTarget, TargetsPlan, TargetsRequest, plan_targets


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
    plan = plan_targets(request, around)
    for note in plan.notes:
        around.say(note)
    with ExitStack() as stack:
        return _ManySearch(plan).run(stack)


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
class _Opened:
    """One target while it is searched."""

    target: PlannedTarget
    frame: Run
    backend: Backend
    search: TargetSearch
    keep: Callable[[Trial], None]


@dataclass(frozen=True)
class _ManySearch:
    """A search of many targets that has been planned."""

    plan: TargetsPlan

    def run(self, stack: ExitStack) -> TargetsResult:
        """Search, learn, and write what may be written."""
        request, around, begun_s = self.plan.request, self.plan.around, self.plan.around.clock()
        unlimited = request.trials is None and request.seconds is not None
        trials = None if unlimited else max(len(self.plan.targets), self.plan.most - self.plan.tests)
        seconds = (
            request.seconds
            if request.seconds is None or not self.plan.tests
            else request.seconds * (1 - request.confirm)
        )
        opened = self._opened(stack)
        searching = SearchOfTargets([one.search for one in opened], Budget(trials, seconds, 0.0))
        watch = loop.SearchWatch(around.clock, around.watch(trials, seconds), around.doing)
        at_once = self.plan.around.is_fleet and len({target.question.hw for target in self.plan.targets}) > 1
        backends = {one.target.question.hw: one.backend for one in opened}
        interrupted, took_s = searching.run(backends, watch, at_once=at_once)
        results = searching.results(took_s, interrupted=interrupted)
        found = [self._found(one, result) for one, result in zip(opened, results, strict=True)]
        learned = None
        if not interrupted and request.write != "run":
            limit_s = math.inf if request.seconds is None else request.seconds
            left = partial(_left_s, around.clock, begun_s + limit_s)
            learned = self._learned(opened, [one.result.run for one in found], left)
        written = self._written(found, learned, (took_s, interrupted))
        if not interrupted and request.write != "nothing":
            for backend, run in {one.frame.hw: (one.backend, one.frame) for one in reversed(opened)}.values():
                record.write_apart(run, backend.provenance(), around.kept("runs"), around.say)
        return written

    def _opened(self, stack: ExitStack) -> list[_Opened]:
        """Every target with its backend and journal, and what its journal holds restored."""
        around = self.plan.around
        backends: dict[str, Backend] = {}
        for target in self.plan.targets:
            if target.question.hw not in backends:
                made = around.open(self.plan.choice.backend, around.task(target.question, self.plan.request.seed))
                stack.callback(made.close)
                backends[target.question.hw] = made
        return [self._open(stack, one, backends[one[1].question.hw]) for one in enumerate(self.plan.targets)]

    def _open(self, stack: ExitStack, numbered: tuple[int, PlannedTarget], backend: Backend) -> _Opened:
        (number, target), around = numbered, self.plan.around
        question, where, laws = target.question, target.where, around.laws
        source = source_of(question.op.id, question.own)
        frame = record.frame(question, source, backend.provenance(), self.plan.created)
        folder = None if self.plan.request.write == "nothing" else around.kept("journal")
        header = header_of(replace(self.plan.request, resume=""), frame, source, around, self.plan.created)
        keep = stack.enter_context(journal.kept(folder, header, target.begun))
        own_seed = replace(self.plan.request, seed=self.plan.request.seed + number)
        seeking = choosing(laws, where, question.hw, own_seed, compiler_of(frame.toolchain))
        limit = replace(seeking.budget, trials=None, seconds=None)
        searcher = Searcher(replace(seeking, budget=limit), backend.provenance().objective)
        searcher.restore(target.searched)
        about = whereabouts(question.hw, question.problem)
        gathering = self._gathering(question, where)
        searching = TargetSearch(target.name, about, target.weight, searcher, keep, gathering)
        return _Opened(target, frame, backend, searching, keep)

    def _gathering(self, question: session.SearchTask, where: Field) -> Gathering | None:
        """What a target knows at first, where the trials of the others will join."""
        if not self.plan.request.flow:
            return None
        laws = self.plan.around.laws
        recorded = {} if where.known is None else recorded_trials(laws, question.op.id, where.known)
        return Gathering(laws, where.space, SearchTarget(question.hw, "other-problems", question.problem), recorded)

    def _found(self, one: _Opened, result: Result) -> TargetResult:
        """The report and the run of a target."""
        question, around = one.target.question, self.plan.around
        told = summary.search_report(question, one.backend, one.target.where.feasible, result)
        ended = msgspec.structs.replace(
            record.frame(question, one.frame.kernel.source_sha256, one.backend.provenance(), self.plan.created)
            if one.frame.kernel is not None
            else one.frame,
            commit=around.commit(),
            reference_times=one.backend.references(question.problem),
            strategy=self.plan.request.strategy,
            seed=self.plan.request.seed,
            reproduce=self.plan.request.reproduce,
        )
        run = record.searched(ended, around.laws.hardware, result)
        helped = _helped(result.trials, one.search.searcher.objective)
        names = _names(around.laws, self.plan.op)
        shown = tuple((names.get(label, label), count) for label, count in helped.most_common())
        found = SearchResult(told, run, None, (), None, ())
        return TargetResult(one.target.name, question.hw, question.problem_name, one.target.weight, found, shown)

    def _learned(
        self, opened: Sequence[_Opened], runs: Sequence[Run], seconds_left: Callable[[], float]
    ) -> Across | None:
        """What some targets suggest, tested on the others."""
        if self.plan.tests:
            self.plan.around.say(f"testing on some targets what others suggest, at most {self.plan.tests} trials")
        first = opened[0].target
        lesson = AcrossLesson(
            laws=self.plan.around.laws,
            op=self.plan.op,
            budget=self.plan.tests,
            seed=self.plan.request.seed,
            pool=first.where.space,
            remembered={one.search.place: one.target.tests for one in opened},
            seconds_left=seconds_left,
        )
        keeping = {one.search.place: one.keep for one in opened}
        return learn_across(runs, lesson, {one.target.question.hw: one.backend for one in opened}, keeping)

    def _written(
        self, found: Sequence[TargetResult], learned: Across | None, ended: tuple[float, bool]
    ) -> TargetsResult:
        """Write what the request allows; an interrupted search keeps its journals and writes nothing else."""
        request, around = self.plan.request, self.plan.around
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
            if into_laws and self.plan.targets[0].question.own:
                own.write_op(around, self.plan.op)
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
        return TargetsResult(self.plan.op.id, targets, learned, made, seconds, interrupted, kept, self.plan.notes)


def _left_s(clock: Callable[[], float], ends_s: float) -> float:
    return ends_s - clock()


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
