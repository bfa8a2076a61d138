"""Repeats a law's own experiment: judges it again by every recorded run that can speak, or by new trials."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from spak.kg.evidence.entries import mended, mismatches, unnoted, with_roles
from spak.kg.evidence.judge import MIN_REFERENCES, in_scope
from spak.kg.evidence.rows import Judgement
from spak.kg.evidence.table import Bools, TrialTable, from_runs, problem_text
from spak.kg.evidence.witness import RunWitness
from spak.kg.expression.assignment import parse_assignments
from spak.kg.files import grow
from spak.kg.files.loader import Laws
from spak.kg.law.kinds import meaning
from spak.kg.law.scope import Matcher, Question
from spak.kg.law.status import bounds, needed_tier, standing
from spak.kg.model.base import Scalar
from spak.kg.model.features import COMPILED_FEATURES
from spak.kg.model.law import Evidence, EvidenceVerdict, Law, Status
from spak.kg.model.op import Op
from spak.kg.model.run import CONFIRM, LawVerdict, Run, Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import complete
from spak.kg.space.space import Space, build
from spak.tuner.backend.base import Backend, Provenance, Request
from spak.tuner.backend.source import source_of
from spak.tuner.chance import Purpose, stream
from spak.tuner.engine import record, session
from spak.tuner.engine.checking import executed
from spak.tuner.engine.surroundings import Choice, Surroundings, chosen
from spak.tuner.errors import TunerError
from spak.tuner.learn import writeback
from spak.tuner.learn.confirm.plan import HeldOut, plan, trial_key
from spak.tuner.learn.writeback import LawEdit

REPLAY = "replay"
"""The backend that answers with recorded trials; of a law that names a check, that check makes new ones."""

MAX_PROBLEMS = 4
"""Problem sizes tried anew unless more are asked for."""

SAMPLED = 1000
"""Configurations of the law's region, and as many outside it, that new trials are drawn from."""


@dataclass(frozen=True)
class Line:
    """What the trials of a run say at one problem size, and whether the law's file has an entry of that run."""

    run: str
    said: Judgement
    problem: str
    is_noted: bool


@dataclass(frozen=True)
class Verification:
    """What came of repeating a law's experiment.

    Attributes:
        lines: In the order of run ids.
        differing: Run id and what its evidence entry says that its trials do not.
        before: Status in the law's file.
        after: Status it would have with this evidence, for this `reason`.
        unnoted: What recorded runs say of the law that its file does not hold.
    """

    law: str
    lines: tuple[Line, ...]
    differing: tuple[tuple[str, str], ...]
    before: Status
    after: Status
    reason: str
    unnoted: tuple[Evidence, ...] = ()

    @property
    def verdict(self) -> EvidenceVerdict:
        """Of all lines: one that refutes refutes, one that supports is needed to support."""
        verdicts = {line.said.verdict for line in self.lines}
        return "refutes" if "refutes" in verdicts else "supports" if "supports" in verdicts else "inconclusive"

    @property
    def holds(self) -> bool:
        """Whether trials support the law, none refutes it, and its evidence is true to its runs."""
        return self.verdict == "supports" and not self.differing


def replay_law(law: Law, witnesses: Sequence[RunWitness], found: Collection[str] = ()) -> Verification:
    """Judge `law` by every run that can speak of it (the root's `witnesses`), and its evidence entries by their runs.

    It was found in the runs `found`: what they say and its file lacks suggests the law, and never confirms it.
    """
    by_run = {witness.run.id: witness for witness in witnesses}
    differing = [
        (law.evidence[found.entry].run, f"{found.field}: {found.message}") for found in mismatches(law, by_run.get)
    ]
    true = msgspec.structs.replace(law, evidence=mended(law, by_run.get))
    unsaid = [
        msgspec.structs.replace(entry, role="suggested") if entry.run in found else entry
        for entry in unnoted(law, witnesses)
    ]
    new = with_roles(true, unsaid, by_run.get)
    return replace(_verified(law, witnesses, [*true.evidence, *new], differing), unnoted=new)


def with_check(found: Verification, law: Law, run: Run, laws: Laws) -> Verification:
    """`found` and what its check says, executed now as `run`; unless that supports the law, they differ.

    It changes no status: nothing was written. `kg verify LAW --probe` makes it evidence.
    """
    witness = RunWitness(run, laws)
    named = f"{run.check}, executed now"
    lines = tuple(replace(line, run=named) for line in _lines(law, witness, is_noted=True))
    foreign = Judgement("inconclusive", reason=f"it is about op {run.op}, the law about {law.scope.op}")
    said = witness.says(law) if witness.covers(law) else foreign
    if said.verdict == "supports":
        return replace(found, lines=(*found.lines, *lines))
    seen = ", ".join(f"{name} {value:g}" for name, value in said.effect.items())
    what = f"{said.verdict}: {seen or said.reason}; kg verify {law.id} --probe makes it evidence"
    return replace(found, lines=(*found.lines, *lines), differing=(*found.differing, (named, what)))


def witnesses(laws: Laws) -> list[RunWitness]:
    """Every run of the root; of which laws they can speak is seen later.

    Raises:
        KgError: If a run file cannot be read.
    """
    return [RunWitness(laws.run(run), laws) for run in laws.run_ids]


def _verified(
    law: Law, witnesses: Sequence[RunWitness], evidence: Sequence[Evidence], differing: Sequence[tuple[str, str]] = ()
) -> Verification:
    noted = {entry.run for entry in law.evidence}
    lines = [line for witness in witnesses for line in _lines(law, witness, is_noted=witness.run.id in noted)]
    after = standing(msgspec.structs.replace(law, evidence=tuple(evidence)))
    return Verification(law.id, tuple(lines), tuple(differing), law.status, after.status, after.reason)


def _lines(law: Law, witness: RunWitness, *, is_noted: bool) -> Iterator[Line]:
    """Each problem size that says anything; what rests on too few trials to be fair is inconclusive."""
    if not (witness.covers(law) or is_noted) or not witness.can_judge(law):
        return
    for problem in witness.problems:
        said = witness.says(law, (problem,))
        if said.effect:
            if not witness.is_fair(law, said):
                said = Judgement("inconclusive", said.effect, said.interval, said.problems, "too few trials beside it")
            yield Line(witness.run.id, said, problem, is_noted)


def with_verdict(law: Law, run: Run, laws: Laws) -> Run:
    """`run`, which was made to test `law`, with what it says of it: who reads it later knows that it did not find the law."""
    witness = RunWitness(run, laws)
    said = witness.says(law) if witness.covers(law) else Judgement("inconclusive")
    verdict = LawVerdict(
        law=law.id, verdict=said.verdict, effect=said.effect, interval=said.interval, problems=said.problems
    )
    return msgspec.structs.replace(run, tested=(verdict,))


def verified(law: Law, run: Run, laws: Laws) -> Verification:
    """What a run that was made to test `law` says of it."""
    witness = RunWitness(run, laws)
    new = with_roles(law, unnoted(law, [witness]), lambda name: witness if name == run.id else laws.witness(name))
    return _verified(law, [witness], [*law.evidence, *new])


@dataclass(frozen=True)
class VerifyRequest:
    """What a person wants of new trials of a law.

    Attributes:
        hw: Where; empty: on the GPU found, or for the law's own hardware.
        num_problems: Most problem sizes.
        probe: Whether a law about safety may be broken on purpose.
        write: Whether the run file and its evidence are written.
    """

    law: str
    backend: str
    hw: str = ""
    num_problems: int = MAX_PROBLEMS
    seed: int = 0
    write: bool = False
    probe: bool = False


@dataclass(frozen=True)
class Repetition:
    """What came of new trials of a law.

    Attributes:
        run: The experiment whole, whether it was written or not.
        run_file: The run file; None if none was written.
        changes: Law files changed, or without writing those that would be.
    """

    found: Verification
    run: Run
    run_file: Path | None
    changes: tuple[LawEdit, ...]


def repeat(request: VerifyRequest, around: Surroundings) -> Repetition:
    """Try configurations that a law names and others, judge it by them, and write what they say.

    Raises:
        KgError: For unknown names, a root that cannot be written, or a GPU that is not the hardware named.
        TunerError: If the backend cannot tell, is missing, or there is nothing to try.
    """
    laws = around.laws
    laws.path("law", request.law)  # names the nearest if there is none
    law = laws.laws[request.law]
    if request.write:
        around.root.require_writable()
    check_probe(law, request)
    made = _checked(law, request, around) if meaning(law).check else _tried(law, request, around)
    run = with_verdict(law, made, laws)
    changes = writeback.changes(run, laws)
    path = None
    if request.write:
        path = record.write_run(run, around.evidence)
        around.say(f"run file: {path}")
        writeback.apply(changes)
    return Repetition(verified(law, run, laws), run, path, changes)


def check_probe(law: Law, request: VerifyRequest) -> None:
    """Refuse to break a law about safety unasked, and to ask for that where it is none.

    Raises:
        TunerError: If `probe` and the law, or `probe` and the backend, do not fit.
    """
    check, making = meaning(law).check, request.backend != REPLAY
    if meaning(law).is_safety and not request.probe:
        what = "what breaks it may hang a GPU or compute wrong numbers"
        raise TunerError(f"{law.id}: {what}, so nothing tries it unasked; --probe does, in a process of its own")
    if request.probe and not meaning(law).is_safety and not check:
        raise TunerError(f"{law.id}: it is not about safety, and every search tries what it names; leave out --probe")
    if check and making:
        raise TunerError(f"{law.id}: its check {check} shows its numbers, on a CPU; leave out --backend")
    if not check and not making:
        raise TunerError(f"{law.id}: it names no check, and replay makes no trials; use --backend gpu")


def _checked(law: Law, request: VerifyRequest, around: Surroundings) -> Run:
    """The check of the law, executed, as a run file."""
    return executed([law], around.laws, request.seed, around.now())[law.id]


def _tried(law: Law, request: VerifyRequest, around: Surroundings) -> Run:
    """Configurations that the law names and others, on a backend, as a run file."""
    laws = around.laws
    choice = chosen(around, request.backend)
    check_tier(law, choice.backend.tier)
    question = _question(law, request, choice, laws)
    choice.check(laws, question.hw)
    test = Experiment(law, question.op, question.facts, request.seed, request.num_problems)
    backend = around.open(choice.backend, around.task(question, request.seed))
    try:
        made = trials(test, laws, backend)
        return record.experiment(_frame(request, question, backend.provenance(), around), laws.hardware, made)
    finally:
        backend.close()


def _question(law: Law, request: VerifyRequest, choice: Choice, laws: Laws) -> session.SearchTask:
    """Where the experiment is made: hardware and op as the law has them, unless another is named.

    Raises:
        TunerError: If the law does not speak of that hardware.
    """
    hw = request.hw or choice.device or _compiled_for(laws, law.scope.hw)
    question = session.ask(laws, law.scope.op, hw, "")
    found = Matcher(laws, Question(question.hw, question.op.id)).match(law)
    if found is None or found.hw == "transferred":
        raise TunerError(f"{law.id}: speaks of {law.scope.hw}, and {question.hw} is none; name another with --hw")
    return question


def _compiled_for(laws: Laws, hw: str) -> str:
    """A device that `hw` is or is a kind of, the usual one if it is among them; `hw` if none is known."""
    below = Taxonomy("hardware", laws.hardware).descendants(hw)
    devices = sorted(node for node in (hw, *below) if laws.hardware[node].kind == "device")
    return next((node for node in devices if laws.hardware[node].default), next(iter(devices), hw))


def _frame(request: VerifyRequest, question: session.SearchTask, provenance: Provenance, around: Surroundings) -> Run:
    task = replace(question, problem={}, problem_name=f"verify-{request.law}")
    words = f"kg verify {request.law} --backend {request.backend} --hw {question.hw}{' --probe' * request.probe}"
    return msgspec.structs.replace(
        record.frame(task, source_of(question.op.id), provenance, around.now()),
        flop_rule="",
        seed=request.seed,
        reproduce=f"{words} --problems {request.num_problems} --seed {request.seed}",
    )


def note(laws: Laws, found: Verification) -> int:
    """Add to the law's file what recorded runs say and it lacks; how many runs were added.

    Raises:
        KgError: If the file cannot be edited.
    """
    new = () if laws.is_beneath("law", found.law) else found.unnoted
    return len(new) if new and grow.append(laws.root, laws.path("law", found.law), new) else 0


@dataclass(frozen=True)
class Experiment:
    """A law's experiment, to be made anew where these hardware facts (without `hw.`) hold."""

    law: Law
    op: Op
    facts: Mapping[str, Scalar]
    seed: int = 0
    num_problems: int = MAX_PROBLEMS

    @property
    def problems(self) -> tuple[dict[str, Scalar], ...]:
        """Problem sizes of the law's evidence, then the op's named ones, as far as the law speaks of them."""
        own = [parse_assignments(text, what="problems") for entry in self.law.evidence for text in entry.problems]
        named = [complete(self.op, size) for size in (*own, *self.op.problems.values())]
        distinct = {problem_text(size): size for size in named}
        speaking = in_scope(self.law, list(distinct.values()), self.facts)
        return tuple(size for size, speaks in zip(distinct.values(), speaking, strict=True) if speaks)[
            : self.num_problems
        ]


def check_tier(law: Law, tier: str | None) -> None:
    """Refuse what a backend of `tier` cannot tell.

    Raises:
        TunerError: If the law's claim is about time and nothing would be timed.
    """
    needed = sorted({needed_tier(law, name) for name in bounds(law)})
    if tier == "compiled" and not bounds(law).keys() & COMPILED_FEATURES:
        raise TunerError(f"{law.id}: its claim is {needed[0]}, not compiled; use --backend gpu or --backend replay")


def trials(test: Experiment, laws: Laws, backend: Backend) -> tuple[Trial, ...]:
    """Evaluate configurations of the law's region and outside it, at its problem sizes; the backend is not closed.

    Raises:
        TunerError: If the law's region has no configuration to try.
    """
    problems = test.problems
    if not problems:
        raise TunerError(f"{test.law.id}: no problem size of its evidence or of op {test.op.id!r} is in its scope")
    asked = _asks(test, problems, _known(test.law, laws))
    if not asked:
        raise TunerError(f"{test.law.id}: found no configuration that it names; it cannot be tried like this")
    ordered = [request for problem in problems for request in asked if request.problem == problem]
    return tuple(trial for _, trial in backend.evaluate(ordered))


def _known(law: Law, laws: Laws) -> TrialTable | None:
    """Trials so far of runs that speak of the law; they say which configurations its region has, and which are fast."""
    runs = [witness.run for witness in witnesses(laws) if witness.covers(law) and witness.run.op == law.scope.op]
    timed = any(run.tier == "measured" for run in runs)
    return from_runs(runs, objective="time" if timed else "predicted_time") if runs else None


def _asks(test: Experiment, problems: Sequence[dict[str, Scalar]], known: TrialTable | None) -> list[Request]:
    rng = stream(test.seed, Purpose.REPETITION)
    space = build(test.op, problems[0], test.facts)
    inside, outside = _pools(test, space, rng)
    found = known or TrialTable.untried(space.part([*inside, *outside]), ({},))
    limit = len(problems) * (len(inside) + len(outside) + len(found.space))
    asked, _ = plan([test.law], found, HeldOut(tuple(problems), limit, space.part(inside)), test.facts, rng)
    if not asked:
        return []
    have = set(map(trial_key, asked))
    others = [
        Request(configuration, problem, CONFIRM)
        for problem in problems
        for configuration in map(space.config, outside[:MIN_REFERENCES])
    ]
    return [*asked, *(request for request in others if trial_key(request) not in have)]


def _pools(test: Experiment, space: Space, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Places of configurations in the law's region and outside it; where it waits for the compiler, any are outside."""
    named: Bools = np.zeros(len(space), dtype=bool)
    removal = meaning(test.law).removal
    if removal is not None and space.speaks_of(removal):
        named = space.holds(removal)
    inside, outside = (rng.permutation(np.flatnonzero(rows))[:SAMPLED].tolist() for rows in (named, ~named))
    return inside, outside
