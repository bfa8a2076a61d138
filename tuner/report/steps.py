"""The four steps, invariant first: proof in NumPy, naive, fused, tuned; a step nobody measured says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spak.kg.expression import parse
from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import Scalar
from spak.kg.model.law import InvariantLaw
from spak.kg.model.run import Run
from spak.tuner.learn.mining.table import problem_of
from spak.tuner.report.choose import Stage, Subject
from spak.tuner.report.document import Block, Bullets, Paragraph, Section, Table
from spak.tuner.report.timing import Kernel, Size, Span, Timed
from spak.tuner.report.words import NOTHING, counted, span, times

UNMEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """One line of the four steps.

    Attributes:
        label: Step number and name.
        timed: What was timed; None if nothing was.
        status: How it stands.
    """

    label: str
    timed: Timed | None
    status: str


@dataclass(frozen=True)
class Steps:
    """The four steps at one problem size.

    Attributes:
        size: The subject's size that the steps are told at.
        rows: Kernel steps in order; the last is the tuned one.
        naive: The fastest time of the first kernel of the line; None if it was not measured.
        proof: Status of the first step.
        beside: The subject as timed in the same rounds as the naive kernel; None if no run holds both.
    """

    size: Size
    rows: tuple[Row, ...]
    naive: Span | None
    proof: str
    beside: Timed | None = None


def steps(subject: Subject, kernel: Kernel) -> Steps:
    """The four steps, at the size at which most of the earlier kernels were measured."""
    earlier = [(stage, _kernel(subject, stage)) for stage in subject.earlier]
    headline = _headline(kernel, [found for _, found in earlier if found])
    rows: list[Row] = []
    naive = None
    for number, (stage, found) in enumerate(earlier, start=2):
        size = found.size_like(headline) if found else None
        if number == 2 and size is not None and size.best is not None:  # noqa: PLR2004 - the step after the proof
            naive = size.best.time_us
        rows += _rows(f"{number} {stage.op}", size)
    label = f"{len(earlier) + 2} {kernel.op.id}"
    beside = list(_same_rounds(label, subject, headline))
    rows += [*_rows(label, headline), *beside]
    return Steps(headline, tuple(rows), naive, _proof_status(subject), beside[0].timed if beside else None)


def _kernel(subject: Subject, stage: Stage) -> Kernel | None:
    return Kernel.of(subject.laws.ops[stage.op], stage.runs) if stage.runs else None


def _headline(kernel: Kernel, earlier: Sequence[Kernel]) -> Size:
    """The first size, by the op's defaults, among those that share most stages."""
    usual = {name: parameter.default for name, parameter in kernel.op.problem.items()}
    return max(
        kernel.sizes,
        key=lambda size: (
            sum(other.size_like(size) is not None for other in earlier),
            size.problem == usual,
            -size.row,
        ),
    )


def _rows(label: str, size: Size | None) -> Iterator[Row]:
    if size is None or size.best is None:
        yield Row(label, None, UNMEASURED)
        return
    if size.default is not None and size.default.configuration != size.best.configuration:
        yield Row(f"{label}, default", size.default, _status(size.default))
    worked = size.tried - size.failed
    label = f"{label}, tuned" if worked > 1 else label
    yield Row(label, size.best, _status(size.best, f"{worked} of {size.tried}" if size.failed else str(size.tried)))


def _same_rounds(label: str, subject: Subject, headline: Size) -> Iterator[Row]:
    """The subject as it was timed beside the earlier steps, where a run of the same moment holds it."""
    moments = {run.created for stage in subject.earlier for run in stage.runs}
    beside = [run for run in subject.runs if run.created in moments]
    size = Kernel.of(subject.laws.ops[subject.op], beside).size_like(headline) if beside else None
    if size is not None and size.best is not None and size.best != headline.best:
        yield Row(f"{label}, beside 2", size.best, _status(size.best, str(size.tried)))


def _status(timed: Timed, words: str = "") -> str:
    """`pass` only where the run holds the error of the very configuration."""
    verdict = "pass" if timed.relative_error is not None else "timed"
    return f"{verdict} ({words})" if words else verdict


def _proof_status(subject: Subject) -> str:
    if not subject.proofs:
        return UNMEASURED
    if _confirmed(subject) or all(_correct(run) == len(run.trials) for run in subject.proofs):
        return "pass"
    return "open"


def _confirmed(subject: Subject) -> list[InvariantLaw]:
    """Invariants that a computed run of this story bears out."""
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


def section(found: Steps, subject: Subject) -> Section:
    """The steps as a table, what the first rests on, the configurations, and the libraries beside them."""
    blocks: list[Block] = [
        Paragraph(
            f"All figures are at `{found.size.name}`. The mathematics is settled before anything is made fast. Status "
            "pass: the run holds the error against a reference in higher precision, and it is within tolerance; timed: it holds "
            "the time alone, and the numbers were checked elsewhere. In brackets: configurations tried."
        ),
        _table(found),
        Bullets((*_proof(subject), *_configurations(found))),
    ]
    gains = list(_gains(found, subject))
    return Section("The four steps", "steps", (*blocks, *([Paragraph(" ".join(gains))] if gains else [])))


def _table(found: Steps) -> Table:
    against = "step 2" if found.naive else "the default of the last step"
    base = found.naive or (found.size.default.time_us if found.size.default else None)
    rows = [("1 proof in NumPy", NOTHING, NOTHING, NOTHING, found.proof)]
    rows += [(row.label, *_figures(row.timed, base), row.status) for row in found.rows]
    for name, time in found.size.references.items():
        rate = time.rate(found.size.flops / 1e6)
        faster = base.over(time) if base else None
        rows.append((name, span(time), _tflops(rate), _times(faster), "library"))
    return Table(
        caption="The four steps: time in microseconds with its 95 % interval, TFLOPS of useful work, and speed-up over "
        f"{against}; below them the library baselines, timed in the rounds of the tuned kernel.",
        header=("Step", "Time, us [95 %]", "TFLOPS", "Speed-up", "Status"),
        rows=tuple(rows),
        align=("left", "right", "right", "right", "left"),
    )


def _figures(timed: Timed | None, base: Span | None) -> tuple[str, str, str]:
    if timed is None:
        return NOTHING, NOTHING, NOTHING
    return span(timed.time_us), _tflops(timed.tflops), _times(base.over(timed.time_us) if base else None)


def _tflops(rate: Span) -> str:
    return f"{rate.value:.1f}" if rate.value else NOTHING


def _times(ratio: Span | None) -> str:
    return NOTHING if ratio is None else times(ratio, ends=False)


def _proof(subject: Subject) -> Iterator[str]:
    """What the first step rests on, run by run, then the invariants it bears out."""
    for run in subject.proofs:
        right = [trial for trial in run.trials if trial.invalidity == "correct"]
        errors = [value for trial in right if (value := trial.value("relative_error")) is not None]
        worst = f" (relative error at most {max(errors):.2g})" if errors else ""
        yield f"Step 1, `{run.id}`: {counted(len(run.trials), 'case')} computed, {len(right)} give right numbers{worst}."
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


def _configurations(found: Steps) -> Iterator[str]:
    for row in found.rows:
        if row.timed is not None:
            yield f"Step {row.label}: `{show_assignments(row.timed.configuration)}`."


def _gains(found: Steps, subject: Subject) -> Iterator[str]:
    size = found.size
    if size.best is None:
        return
    if size.default is not None:
        yield f"Tuning alone gains {times(size.default.time_us.over(size.best.time_us))} over the default configuration."
    if size.ties:
        yield f"{counted(size.ties, 'other configuration')} cannot be told from the best: the 95 % intervals meet."
    if size.references:
        name, fastest = next(iter(size.references.items()))
        yield f"Against the fastest library baseline timed in the same rounds, {name}: {times(fastest.over(size.best.time_us))}."
    moments = {run.created for stage in subject.earlier for run in stage.runs}
    if moments and any(run.created not in moments for run in subject.runs):
        yield "Earlier steps were timed in other rounds than the last; a ratio between them is as good as the clocks are alike."
    if found.beside is not None:
        yield (
            "The row beside 2 was timed in the same rounds as the earlier steps, and may have settings that the sweep of the "
            "last step holds fixed."
        )
    if found.naive is None and any(row.status == UNMEASURED for row in found.rows):
        yield "A step without a run is left empty; no figure of another machine or document stands in for it."
