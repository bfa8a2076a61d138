"""What to try first on a piece of hardware: what was recorded there, then what is known elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spak.kg.files.loader import Laws
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.op import Op
from spak.kg.model.run import Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import stated
from spak.kg.space.space import Space, build
from spak.tuner.chance import Indices, Purpose, stream
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.gather import SearchTarget, described, gather, recorded
from spak.tuner.knowledge.known import Knowledge
from spak.tuner.knowledge.part import part
from spak.tuner.knowledge.restriction import Context, restrict
from spak.tuner.knowledge.source import Source
from spak.tuner.replay import recorded_space, with_hardware


@dataclass(frozen=True)
class First:
    """An order to try.

    Attributes:
        hw: Id; it may be new.
        space: What there is to try: of an open op, what was recorded anywhere; of a space of millions, a part.
        knowledge: What the order comes from.
        order: Rows of the space, best first, without what laws remove.
        standing: (N,) for each row of the space, its place among all; equal where nothing known tells rows apart.
    """

    hw: str
    space: Space
    knowledge: Knowledge
    order: Indices
    standing: Indices

    @property
    def sources(self) -> list[tuple[str, float]]:
        """What the order comes from, and how much each counts, largest first."""
        return described(self.knowledge)

    def best(self, count: int) -> list[dict[str, Scalar]]:
        """The first `count` configurations to try; fewer if there are not so many."""
        return [self.space.config(int(row)) for row in self.order[:count]]


def first(laws: Laws, hardware: HardwareName, op_name: str, problem: ProblemSize | str) -> First:
    """The order in which to try configurations of `op_name` on `hardware`.

    What was timed there at this problem size stands where its time puts it; the rest where other sizes, other hardware
    and laws do.

    Args:
        laws: What is known.
        hardware: Need not be known.
        op_name: An id or an alias.
        problem: Problem size by name or by values; the rest has the op's defaults.

    Raises:
        UnknownNameError: If the problem size is a name that the op has not.
        KgError: If the op is unknown, or a file of the law root cannot be used.
        TunerError: If nothing is known of the op.
    """
    known, hw = with_hardware(laws, hardware)
    op = known.ops[Taxonomy("op", known.ops).resolve(op_name)]
    facts = hardware_facts(known, hw)
    size = stated([op], problem) if isinstance(problem, str) else problem
    whole = recorded_space(_anywhere(known, op, size), op, op.id, facts) if op.open else build(op, size, facts)
    found = ranked(known, whole, Context(hw))
    if not found.knowledge.labels:
        raise TunerError(f"nothing is known of op {op.id!r}; import records of it, or search at random")
    return found


def ranked(laws: Laws, whole: Space, context: Context) -> First:
    """The same for a space of one's own; in canonical order where nothing is known.

    Raises:
        InvalidFilesError: If a run file cannot be read.
    """
    target = SearchTarget(context.hw, "all", whole.setting.problem)
    space = part(whole, recorded(laws, whole, target), stream(0, Purpose.PART))
    restriction = restrict(space, laws, context)
    _, knowledge = gather(laws, space, target, restriction)
    standing = _standing(knowledge, recorded(laws, space, target), target)
    order = np.argsort(standing, kind="stable")
    return First(context.hw, space, knowledge, order[~restriction.removed[order]], standing)


def _standing(knowledge: Knowledge, sources: Sequence[Source], target: SearchTarget) -> Indices:
    """By expected slowdown, which is the recorded one where this very target has been tried; those first of equals."""
    expected, is_new = knowledge.expected.copy(), np.ones(len(knowledge.codes), np.bool_)
    for source in sources:
        if source.hw == target.hw and source.problem.items() <= target.problem.items():  # or it states less
            expected[source.rows] = source.slowdown
            is_new[source.rows] = False
    places: Indices = np.unique(np.stack((expected, is_new)), axis=1, return_inverse=True)[1].ravel()
    return places


def _anywhere(laws: Laws, op: Op, problem: ProblemSize) -> Recording:
    """Every configuration of `op` that was recorded anywhere, once."""
    found: dict[tuple[tuple[str, Scalar], ...], Trial] = {}
    for trial in _trials(laws, op):
        found.setdefault(tuple(sorted(trial.configuration.items())), trial)
    if not found:
        raise TunerError(f"nothing is recorded of op {op.id!r}; import records of it")
    trials = tuple(found.values())
    return Recording("run", seen_parameters(trials), False, trials, problem=problem)


def _trials(laws: Laws, op: Op) -> Iterator[Trial]:
    for name in laws.run_ids:
        run = laws.run(name)
        if run.op == op.id:
            yield from run.trials
