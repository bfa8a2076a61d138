"""What a search of many targets is about: which problem sizes on which devices, each with its space, its weight and its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from spak.kg.files.loader import Laws
from spak.kg.model.op import Op
from spak.kg.model.run import Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.engine import journal, record, session
from spak.tuner.engine.naming import check_devices_there, named_devices, named_sizes, named_weights
from spak.tuner.engine.surroundings import Choice, Surroundings
from spak.tuner.knowledge.gather import SearchTarget
from spak.tuner.knowledge.part import MAX_PART, same_part
from spak.tuner.search import Field, SearchRequest, compiling_only, field, prepare_search, question_of, searched_trials

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
        flow: Whether each target hears what the others try.
    """

    weights: str = ""
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
        return " ".join([*words, *([] if self.flow else ["--no-flow"])])


@dataclass(frozen=True)
class PlannedTarget:
    """One target before it is searched."""

    question: session.SearchTask
    where: Field
    weight: float
    begun: journal.JournalContents | None

    @property
    def name(self) -> str:
        """Hardware id and problem size, as a person calls it."""
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
class TargetsPlan:
    """A request with every choice made."""

    request: TargetsRequest
    around: Surroundings
    choice: Choice
    targets: tuple[PlannedTarget, ...]
    created: datetime
    notes: tuple[str, ...]

    @property
    def op(self) -> Op:
        """The op of all."""
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


def plan_targets(request: TargetsRequest, around: Surroundings) -> TargetsPlan:
    """What `request` names, or what the journals of the search that it resumes hold.

    Raises:
        KgError: For bad names, laws that cannot be used, or a law root that cannot be written.
        TunerError: As `search`; for a weight of no target, or a device that the backend does not work for.
    """
    begun = None
    if request.resume:
        begun = journal.recall(around.kept("journal"), request.resume)
        request = replace(begun.settings(TargetsRequest), resume=request.resume, write=request.write)
    request, around, outside, choice = prepare_search(request, around)
    laws = around.laws
    op = laws.ops[Taxonomy("op", laws.ops).resolve(outside.node.id if outside is not None else request.kernel)]
    there = tuple(around.devices()) if choice.device else ()
    named = named_devices(request.hw, laws, choice, there)
    devices = named.ids
    sizes = named_sizes(request.problem, op)
    request = replace(request, hw=",".join(devices), problem=",".join(sizes))
    created = around.now() if begun is None else begun.begun
    questions = [question_of(request.kernel, laws, (hw, problem), outside) for hw in devices for problem in sizes]
    check_devices_there(devices, laws, choice, there)
    weights = named_weights(request.weights, {question.problem_name for question in questions})
    targets: list[PlannedTarget] = []
    for question in questions:
        contents = _begun(around, choice, question, created) if begun is not None else None
        done = () if contents is None else searched_trials(contents.trials)
        where = _where(laws, (question, len(questions)), request, done, targets[0].where if targets else None)
        targets.append(PlannedTarget(question, where, weights.get(question.problem_name, 1.0), contents))
    shown = f"{len(devices)} devices" if len(devices) > 1 else devices[0]
    notes = [
        f"{len(targets)} targets: {len(sizes)} problem sizes on {shown}.",
        *named.notes,
        *compiling_only(choice, request, outside, shown, is_fleet=around.is_fleet),
    ]
    return TargetsPlan(request, around, choice, tuple(targets), created, tuple(notes))


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
