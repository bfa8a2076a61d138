"""The four steps, invariant first: proof, first kernel, those between, tuned; a step nobody measured says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spak.kg.expression import parse
from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import Scalar
from spak.kg.model.law import InvariantLaw
from spak.kg.model.run import Run
from spak.tuner.learn.mining.table import problem_of
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Block, Bullets, Paragraph, Section, Table
from spak.tuner.report.timing import Kernel, Rounds, Size, Span, Timed
from spak.tuner.report.words import NOTHING, counted, span, times

UNMEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """One line of the steps: its label, what was timed if anything was, and how it stands."""

    label: str
    timed: Timed | None
    status: str


@dataclass(frozen=True)
class Steps:
    """The steps at one problem size.

    Attributes:
        size: The subject's size that the steps are told at.
        rows: Kernel steps in order; the last is the tuned one.
        first: The time of the line's first kernel; None if it was not measured.
        beside: The subject as timed in the same rounds as the earlier steps; None if no run holds both.
    """

    size: Size
    rows: tuple[Row, ...]
    first: Span | None
    beside: Timed | None


def steps(subject: Subject, kernel: Kernel) -> Steps:
    """The steps, at the size at which most of the earlier kernels were measured."""
    earlier = [(stage, Kernel(subject.laws.ops[stage.op], stage.runs)) for stage in subject.earlier if stage.runs]
    headline = _headline(kernel, [found for _, found in earlier])
    known = {stage.op: found.size_like(headline) for stage, found in earlier}
    rows = [
        row
        for number, stage in enumerate(subject.earlier, start=2)
        for row in _rows(f"{number} {stage.op}", known.get(stage.op))
    ]
    label = f"{len(subject.earlier) + 2} {kernel.op.id}"
    rows += _rows(label, headline)
    moments = {run.created for stage in subject.earlier for run in stage.runs}
    together = [one for one in headline.rounds if one.run.created in moments]
    beside = together[0].best if together else None
    if beside is not None and beside != headline.best:
        rows.append(Row(f"{label}, beside 2", beside, _status(together[0], beside)))
    first = known.get(subject.earlier[0].op) if subject.earlier else None
    return Steps(headline, tuple(rows), first.best.time_us if first and first.best else None, beside)


def _headline(kernel: Kernel, earlier: Sequence[Kernel]) -> Size:
    """The first size, by the op's defaults, among those that share most stages."""
    usual = {name: parameter.default for name, parameter in kernel.op.problem.items()}

    def rank(size: Size) -> tuple[int, bool]:
        return sum(other.size_like(size) is not None for other in earlier), size.problem == usual

    return max(kernel.sizes, key=rank)  # of equals the first


def _rows(label: str, size: Size | None) -> Iterator[Row]:
    if size is None or size.best is None:
        yield Row(label, None, UNMEASURED)
        return
    default = next((one for one in size.rounds if one.default is not None), None)
    if default is not None and default.default is not None and default.default.configuration != size.best.configuration:
        yield Row(f"{label}, default", default.default, "pass" if default.default.checked else "timed")
    tuned = ", tuned" if size.winner.tried - size.winner.failed > 1 else ""
    yield Row(f"{label}{tuned}", size.best, _status(size.winner, size.best))


def _status(rounds: Rounds, timed: Timed) -> str:
    """`pass` only where the run holds the error of the very configuration; then how many were tried."""
    worked = f"{rounds.tried - rounds.failed} of {rounds.tried}" if rounds.failed else str(rounds.tried)
    return f"{'pass' if timed.checked else 'timed'} ({worked})"


def section(found: Steps, subject: Subject, kernel: Kernel) -> Section:
    """The steps as a table with the libraries beside them, what the first rests on, and the configurations."""
    text = (
        f"All figures are at `{found.size.name}`. The mathematics is settled before anything is made fast. Status pass: the run "
        "holds the error against a reference in higher precision, and it is within tolerance; timed: it holds the time "
        "alone, and the numbers were checked elsewhere. In brackets: configurations tried."
    )
    notes = list(_notes(found, subject))
    items = (*_proof(subject), *_configurations(found, kernel))
    blocks: list[Block] = [Paragraph(text), _table(found, subject), Bullets(items)]
    return Section("The four steps", "steps", (*blocks, *([Paragraph(" ".join(notes))] if notes else [])))


def _table(found: Steps, subject: Subject) -> Table:
    default = found.size.default
    base = found.first or (default.time_us if default else None)
    against = "step 2" if found.first else "the default of the last step"

    def figures(time_us: Span | None) -> tuple[str, str, str]:
        if time_us is None:
            return NOTHING, NOTHING, NOTHING
        rate = time_us.rate(found.size.flops).value
        faster = times(base.over(time_us), ends=False) if base else NOTHING
        return span(time_us), f"{rate:.1f}" if rate else NOTHING, faster

    rows = [("1 proof", NOTHING, NOTHING, NOTHING, _proof_status(subject))]
    rows += [(row.label, *figures(row.timed.time_us if row.timed else None), row.status) for row in found.rows]
    rows += [(name, *figures(time), "library") for name, time in found.size.winner.references.items()]
    return Table(
        caption="The steps: time in microseconds with its 95 % interval, TFLOPS of useful work, and speed-up over "
        f"{against}; below them the library baselines, timed in the rounds of the tuned kernel.",
        header=("Step", "Time, us [95 %]", "TFLOPS", "Speed-up", "Status"),
        rows=tuple(rows),
        align=("left", "right", "right", "right", "left"),
    )


def _configurations(found: Steps, kernel: Kernel) -> Iterator[str]:
    for row in found.rows:
        if row.timed is not None and not row.label.endswith(", default"):
            own = row.label.split(" ")[1].removesuffix(",") == kernel.op.id
            settings = kernel.changed(row.timed.configuration) if own else row.timed.configuration
            yield f"Step {row.label}: `{show_assignments(settings) or 'default'}`{', the rest default' if own else ''}."


def _notes(found: Steps, subject: Subject) -> Iterator[str]:
    if found.size.best is None:
        return
    if found.size.winner.ties:
        other = counted(found.size.winner.ties, "other configuration")
        yield f"{other} of the same rounds cannot be told from the best: the 95 % intervals meet."
    if any(stage.runs for stage in subject.earlier) and found.beside != found.size.best:
        yield "The earlier steps were timed in other rounds than the tuned one; a ratio is as good as the clocks are alike."
    if found.beside is not None and found.beside != found.size.best:
        yield "The row beside 2 was timed in the rounds of the earlier steps."
    if any(row.status == UNMEASURED for row in found.rows):
        yield "A step without a run is left empty; no figure of another machine or document stands in for it."


def _proof_status(subject: Subject) -> str:
    if not subject.proofs:
        return UNMEASURED
    right = all(_correct(run) == len(run.trials) for run in subject.proofs)
    return "pass" if right or _confirmed(subject) else "open"


def _confirmed(subject: Subject) -> list[InvariantLaw]:
    """Invariants that a computed run of these steps bears out."""
    proofs = {run.id for run in subject.proofs}
    return [
        law
        for law in subject.laws.laws.values()
        if isinstance(law, InvariantLaw)
        and law.status == "confirmed"
        and any(entry.run in proofs and entry.verdict == "supports" for entry in law.evidence)
    ]


def _correct(run: Run) -> int:
    return sum(trial.invalidity == "correct" for trial in run.trials)


def _proof(subject: Subject) -> Iterator[str]:
    """What the first step rests on, run by run, then the invariants it bears out."""
    for run in subject.proofs:
        errors = [trial.value("relative_error") for trial in run.trials if trial.invalidity == "correct"]
        worst = max((error for error in errors if error is not None), default=None)
        within = "" if worst is None else f" (relative error at most {worst:.2g})"
        yield f"Step 1, `{run.id}`: {counted(len(run.trials), 'case')} computed, {_correct(run)} give right numbers{within}."
    for law in _confirmed(subject):
        yield f"Step 1 bears out `{law.id}` ({law.status}): {law.title}. {_tally(subject, law)}"
    if not subject.proofs:
        yield "Step 1: no computed run was given."


def _tally(subject: Subject, law: InvariantLaw) -> str:
    """How many cases keep to the invariant and are right, and how many break it and are wrong."""
    require = parse(law.claim.require)
    counts = {(keeps, right): 0 for keeps in (True, False) for right in (True, False)}
    for run in subject.proofs:
        for trial in run.trials:
            names = {**problem_of(run, trial), **trial.configuration}
            if require.all_names <= names.keys() and _in_scope(law, names):
                counts[require.holds(names), trial.invalidity == "correct"] += 1
    kept, broken = (sum(counts[keeps, right] for right in (True, False)) for keeps in (True, False))
    return (
        f"Of {counted(kept, 'case')} that keep to it {counts[True, True]} are right; "
        f"of {broken} that break it {counts[False, False]} are wrong."
    )


def _in_scope(law: InvariantLaw, names: Mapping[str, Scalar]) -> bool:
    if not law.scope.when:
        return True
    when = parse(law.scope.when)
    return when.all_names <= names.keys() and when.holds(names)
