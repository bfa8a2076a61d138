"""What a search learns: candidates from its trials, frozen, then tested on problem sizes they were not found on.

Each candidate is tried in up to three scopes, widest first: every kind of problem that was tested, those that are of
the same size wherever a size specialises the code, exactly the kind it was found on. The scopes are fixed before anything is tested; the widest that holds is
the law, and what did not hold is recorded as refuted in the run file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from typing import Literal

import msgspec

from spak.kg.evidence.judge import judge
from spak.kg.evidence.rows import Judgement
from spak.kg.evidence.table import TrialTable, from_runs
from spak.kg.law.kinds import meaning
from spak.kg.law.status import status
from spak.kg.law.toolchain import compiler_of, parse_toolchain
from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.hardware import compute_capability
from spak.kg.model.law import Evidence, EvidenceVerdict, Law
from spak.kg.model.op import Op
from spak.kg.model.run import CONFIRM, Candidate, Run, Trial, attributed
from spak.kg.model.store import Store
from spak.kg.space.space import Space
from spak.tuner.backend.base import Backend, Patience, Request
from spak.tuner.chance import Purpose, stream
from spak.tuner.learn.confirm.plan import HeldOut, plan, trial_key
from spak.tuner.learn.mining.candidates import Topic, mine, mine_compiled, narrowing, scope_of, with_name
from spak.tuner.learn.mining.predicates import numeric

MAX_HELD_OUT = 4
"""Problem sizes candidates are tested on: two are needed, more make a law wider at the same cost each."""

_Outcome = Literal["confirmed", "refuted", "inconclusive"]
_OUTCOMES: dict[EvidenceVerdict, _Outcome] = {
    "supports": "confirmed",
    "refutes": "refuted",
    "inconclusive": "inconclusive",
}
"""What a judgement makes of a candidate."""


@dataclass(frozen=True)
class Lesson:
    """What one search is to learn from.

    Attributes:
        facts: Hardware facts without `hw.`.
        budget: Most trials spent on testing candidates.
        seconds_left: Seconds that testing them may still take, at each call.
        seed: Draws the random challengers.
        pool: Feasible configurations, some of which no trial has seen.
        is_known: Whether a candidate says nothing new; those are tested with what the others leave of the budget.
    """

    subject: Topic
    op: Op
    facts: Mapping[str, Scalar]
    budget: int
    seed: int
    pool: Space | None = None
    is_known: Callable[[Law], bool] = lambda _: False
    seconds_left: Callable[[], float] = lambda: math.inf


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Attributes:
        candidates: Every candidate with its outcome, for the run that suggested them.
        trials: Trials made to test them, in order; each carries its problem size.
        laws: Laws that passed, with the suggesting and the confirming run as evidence and the status that gives.
    """

    candidates: tuple[Candidate, ...]
    trials: tuple[Trial, ...]
    laws: tuple[Law, ...]


@dataclass(frozen=True)
class Notebook:
    """Where tests are kept while they are made.

    Attributes:
        run: Id of the run file that they will be kept in.
        record: Called with each finished test before the next begins.
        remembered: Tests of an interrupted search, not made again.
    """

    run: str
    record: Callable[[Trial], None] = lambda _: None
    remembered: tuple[Trial, ...] = ()


def learn(found: Run, lesson: Lesson, backend: Backend, notebook: Notebook) -> Learned:
    """Mine `found`, test what it suggests on other problem sizes with `backend` (not closed), and keep what holds."""
    if all(trial.invalidity == "constraints" for trial in found.trials):
        return Learned((), (), ())
    objective = backend.provenance().objective
    table = from_runs([found], objective=objective)
    held_out = select_held_out(lesson.op, table.problems, lesson.subject.kinds)
    families = law_families(table, found.tier, held_out, lesson.subject)
    families.sort(key=lambda family: lesson.is_known(family[0]))
    widest = [family[0] for family in families]
    rng = stream(lesson.seed, Purpose.TESTS)
    asked, tested = plan(widest, table, HeldOut(held_out, lesson.budget, lesson.pool), lesson.facts, rng)
    trials = tuple(_evaluate(asked, backend, notebook, lesson.seconds_left))
    if not trials:
        return Learned(tuple(map(_untested, widest)), (), ())
    seen = from_runs([msgspec.structs.replace(found, problem={}, trials=trials)], objective=objective)
    judged = _judged(families, {law.id for law in tested}, seen, lesson, notebook.run)
    return replace(judged, trials=trials)


def learn_from_runs(found: Sequence[Run], others: Sequence[Run], lesson: Lesson) -> Learned:
    """The same from recorded runs: mined from some, tested on others, nothing measured.

    Args:
        found: Runs the candidates come from; `lesson.subject.run` names the first.
        others: Runs at other problem sizes; the first one's id is the confirming evidence.
        lesson: What they are about.
    """
    table, seen = from_runs(found), from_runs(others)
    families = law_families(table, found[0].tier, seen.problems, lesson.subject)
    return _judged(families, {family[0].id for family in families}, seen, lesson, others[0].id)


def law_families(
    table: TrialTable, tier: str, held_out: Sequence[ProblemSize], subject: Topic
) -> list[tuple[Law, ...]]:
    """What the trials suggest, each law in its scopes."""
    mined = (*(mine(table, subject) if tier == "measured" else ()), *mine_compiled(table, subject))
    return [tuple(scopes_of(law, table, held_out, subject)) for law in mined]


def _untested(law: Law) -> Candidate:
    return Candidate(law=law, outcome="untested", reason="no budget left to test it")


def _judged(
    families: Sequence[tuple[Law, ...]], tested: Collection[str], seen: TrialTable, lesson: Lesson, confirmation: str
) -> Learned:
    """Each family's widest scope that holds becomes a law; the rest are recorded."""
    candidates: list[Candidate] = []
    laws: list[Law] = []
    for family in families:
        if family[0].id not in tested:
            candidates.append(_untested(family[0]))
            continue
        for law in family:
            said = judge(law, seen, lesson.facts)
            candidates.append(Candidate(law=law, outcome=_OUTCOMES[said.verdict], reason=said.reason))
            if said.verdict == "supports":
                laws.append(_confirmed(law, said, confirmation, lesson.subject))
                break
    return Learned(tuple(candidates), (), tuple(laws))


def _confirmed(law: Law, said: Judgement, confirmation: str, subject: Topic) -> Law:
    entry = Evidence(
        run=confirmation,
        verdict="supports",
        tier=subject.tier,  # type: ignore[arg-type]
        role="independent",
        effect=said.effect,
        interval=said.interval,
        problems=said.problems,
        toolchain=subject.toolchain_seen,
        occasion=subject.occasion,
    )
    grown = msgspec.structs.replace(law, evidence=(*law.evidence, entry))
    return msgspec.structs.replace(grown, status=status(grown))


def select_held_out(
    op: Op, found: Sequence[Mapping[str, Scalar]], kinds: Sequence[str]
) -> tuple[dict[str, Scalar], ...]:
    """Problem sizes of the op that no candidate was found on: the same kind first, then other kinds, in turn.

    Args:
        op: Its named problem sizes are what can be chosen.
        found: Problem sizes the candidates come from.
        kinds: Problem parameters that specialise the code.
    """
    defaults = {name: parameter.default for name, parameter in op.problem.items()}
    seen = [{**defaults, **problem} for problem in found]
    left = [p for p in ({**defaults, **problem} for problem in op.problems.values()) if p not in seen]
    own = [[problem.get(kind) for kind in kinds] for problem in seen]
    grouped: dict[str, list[dict[str, Scalar]]] = {}
    for problem in left:
        grouped.setdefault(repr([problem.get(kind) for kind in kinds]), []).append(problem)
    order = sorted(grouped, key=lambda kind: kind not in map(repr, own))
    rounds = zip_longest(*(grouped[kind] for kind in order))
    return tuple(islice(filter(None, chain.from_iterable(rounds)), MAX_HELD_OUT))


def scopes_of(law: Law, table: TrialTable, held_out: Sequence[ProblemSize], subject: Topic) -> Iterator[Law]:
    """The law in its scopes, widest first, without repeats."""
    own = table.problems
    numbers = [kind for kind in subject.kinds if numeric(problem.get(kind) for problem in own)]
    sizes = [problem for problem in held_out if any(_same(problem, p, numbers) for p in own)]
    exact = [problem for problem in held_out if any(_same(problem, p, subject.kinds) for p in own)]
    seen: set[str] = set()
    for others in (held_out, sizes, exact):
        scope = scope_of([*own, *others], subject.naming(meaning(law).names), narrowing(law, own))
        if repr(scope) not in seen:
            seen.add(repr(scope))
            yield with_name(msgspec.structs.replace(law, scope=scope), subject)


def _same(first: Mapping[str, Scalar], second: Mapping[str, Scalar], names: Sequence[str]) -> bool:
    return all(first.get(name) == second.get(name) for name in names)


def _evaluate(
    asked: Sequence[Request], backend: Backend, notebook: Notebook, seconds_left: Callable[[], float]
) -> Iterator[Trial]:
    """Trials of each problem size together, so that what is compared is measured in the same rounds.

    All are asked for at once, so that those of the last problem size compile while those of the first are timed. Where
    the time is limited, what has not compiled when it is over is not tested, nor are problem sizes not begun by then.
    """
    known = {trial_key(trial): trial for trial in notebook.remembered}
    problems: dict[str, list[Request]] = {}
    for request in asked:
        configuration, problem = trial_key(request)
        if (trial := known.get((configuration, problem))) is not None:
            yield trial
        else:
            problems.setdefault(problem, []).append(request)
    for same in in_time(list(problems.values()), backend, seconds_left):
        for _, made in backend.evaluate(same):
            notebook.record(made)
            yield made


def in_time(
    problems: Sequence[Sequence[Request]], backend: Backend, seconds_left: Callable[[], float]
) -> Iterator[list[Request]]:
    """What can be tested before the time is over; all at once where it is not limited."""
    everything = [request for same in problems for request in same]
    left = seconds_left()
    if math.isinf(left):
        yield everything
        return
    late = backend.late(everything, Patience(left, whole=True)) if everything and left > 0 else range(len(everything))
    unready = {id(everything[place]) for place in late}
    for same in problems:
        ready = [request for request in same if id(request) not in unready]
        if ready and seconds_left() > 0:
            yield ready


def subject_of(run: Run, store: Store) -> Topic:
    """What a run's trials are about: laws from it are for the compute capability, with this compiler's release."""
    op = store.ops[run.op]
    seen = compiler_of(run.toolchain)
    name, version = parse_toolchain(seen) if seen else ("", None)
    release = f"{name} >={version.major}.{version.minor},<{version.major + 1}" if version else ""
    topic = Topic.of(op, compute_capability(store, run.hw) or run.hw, run.id)
    return replace(topic, toolchain=release, tier=run.tier, toolchain_seen=seen, occasion=run.occasion)


def name_confirmation(run_id: str) -> str:
    """Id of the run of the tests of what the run of that id suggests; it has at most 100 characters, as all have."""
    return f"{run_id[:90]}-confirm"


def confirmation_run(found: Run, learned: Learned) -> Run:
    """The run file of the tests; each trial carries its own problem size."""
    run = msgspec.structs.replace(
        found,
        id=name_confirmation(found.id),
        problem={},
        strategy=CONFIRM,
        audit=None,
        tested=(),
        suggested=(),
        reference_times={},
        note=f"tests what {found.id} suggested, on problem sizes it was not found on",
        trials=learned.trials,
    )
    return attributed(run)
