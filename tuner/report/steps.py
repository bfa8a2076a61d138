"""The four steps, invariant first: proof, first kernel, those between, tuned; a step nobody measured says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spak.kg.evidence.table import problem_of
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import Stance
from spak.kg.law.scope import inside
from spak.kg.model.figures import counted
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.run import Run
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Bullets, Paragraph, Section, Table
from spak.tuner.report.timing import Beside, KernelRuns, Rounds, Size, Timed
from spak.tuner.report.words import NOTHING, span

UNMEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """One line of the steps: its label, what was timed if anything was, how it stands, and whether it is the subject's."""

    label: str
    timed: Timed | None
    status: str
    own: bool = False


@dataclass(frozen=True)
class Steps:
    """The steps at one problem size of the subject.

    Attributes:
        first: The line's first kernel beside the subject, of the same rounds where a run holds both; None if unmeasured.
    """

    size: Size
    rows: tuple[Row, ...]
    first: Beside | None


def steps(subject: Subject, kernel: KernelRuns) -> Steps:
    """The steps, at the size at which most of the earlier kernels were measured."""
    earlier = {s.op: KernelRuns(subject.laws.ops[s.op], s.runs) for s in subject.earlier if s.runs}
    usual = {name: parameter.default for name, parameter in kernel.op.problem.items()}

    def rank(size: Size) -> tuple[int, bool]:
        return sum(other.size_like(size) is not None for other in earlier.values()), size.problem == usual

    headline = max(kernel.sizes, key=rank)  # of equals the first
    known = [(s.op, earlier[s.op].size_like(headline) if s.op in earlier else None) for s in subject.earlier]
    rows = [row for number, (op, size) in enumerate(known, start=2) for row in _rows(f"{number} {op}", size)]
    label = f"{len(known) + 2} {kernel.op.id}"
    rows += _rows(label, headline, own=True)
    moments = {run.created for stage in subject.earlier for run in stage.runs}
    together = next((one for one in headline.rounds if one.run.created in moments and one.best), headline.winner)
    if together is not headline.winner and together.best is not None:
        rows.append(Row(f"{label}, beside 2", together.best, _status(together, together.best), own=True))
    first = known[0][1].best if known and known[0][1] else None
    if first is None or together.best is None:
        return Steps(headline, tuple(rows), None)
    ratio = first.time_us.over(together.best.time_us)
    return Steps(headline, tuple(rows), Beside(known[0][0], ratio, together.run.created in moments))


def _rows(label: str, size: Size | None, *, own: bool = False) -> Iterator[Row]:
    if size is None or size.best is None:
        yield Row(label, None, UNMEASURED)
        return
    default = next((one.default for one in size.rounds if one.default is not None), None)
    if default is not None and default.configuration != size.best.configuration:
        yield Row(f"{label}, default", default, "pass" if default.checked else "timed")
    tuned = ", tuned" if size.winner.worked > 1 else ""
    yield Row(f"{label}{tuned}", size.best, _status(size.winner, size.best), own)


def _status(rounds: Rounds, timed: Timed) -> str:
    """`pass` only where the run holds the error of the very configuration; then how many were tried."""
    failed = "" if rounds.worked == rounds.tried else f"{rounds.worked} of "
    return f"{'pass' if timed.checked else 'timed'} ({failed}{rounds.tried})"


def section(found: Steps, subject: Subject, kernel: KernelRuns) -> Section:
    """The steps as a table with the libraries beside them, what the first rests on, and the configurations."""
    text = (
        f"All figures are at `{found.size.name}`. The mathematics is settled before anything is made fast. Status pass: the run "
        "holds the error against a reference in higher precision, and it is within tolerance; timed: it holds the time "
        "alone, and the numbers were checked elsewhere. In brackets: configurations tried. A step without a run is empty."
    )
    items = [*_proof(subject), *_configurations(found, kernel)]
    if found.rows[-1].label.endswith("beside 2"):
        items.append("The row beside 2 was timed in the rounds of the earlier steps, the one above it in others.")
    return Section("The four steps", "steps", (Paragraph(text), _table(found, subject), Bullets(tuple(items))))


def _table(found: Steps, subject: Subject) -> Table:
    timed = [(row.label, row.timed.time_us if row.timed else None, row.status) for row in found.rows]
    timed += [(name, time, "library") for name, time in found.size.winner.references.items()]
    against, base = next(((label, time) for label, time, _ in timed if time is not None), ("", None))
    rows = [("1 proof", NOTHING, NOTHING, NOTHING, _proof_status(subject))]
    for label, time, status in timed:
        if time is None or base is None:
            rows.append((label, NOTHING, NOTHING, NOTHING, status))
        else:
            rate = f"{time.rate(found.size.flops).value:.1f}" if found.size.flops else NOTHING
            rows.append((label, span(time), rate, f"{base.value / time.value:.2f}x", status))
    return Table(
        caption="The steps: time in microseconds with its 95 % interval, TFLOPS of useful work, and speed-up over "
        f"step {against}; below them the library baselines, timed in the rounds of the tuned kernel.",
        header=("Step", "Time, us [95 %]", "TFLOPS", "Speed-up", "Status"),
        rows=tuple(rows),
        left=("Status",),
    )


def _configurations(found: Steps, kernel: KernelRuns) -> Iterator[str]:
    for row in found.rows:
        if row.timed is not None and not row.label.endswith(", default"):
            settings = kernel.changed(row.timed.configuration) if row.own else row.timed.configuration
            rest = ", the rest default" if row.own else ""
            yield (
                f"Step {row.label}: `{show_assignments(settings)}`{rest}."
                if settings
                else f"Step {row.label}: default."
            )


def _proof_status(subject: Subject) -> str:
    if not subject.proofs:
        return UNMEASURED
    right = all(_correct(run) == len(run.trials) for run in subject.proofs)
    return "pass" if right or _confirmed(subject) else "open"


def _confirmed(subject: Subject) -> Sequence[Law]:
    """Invariants that a computed run of these steps bears out."""
    proofs = {run.id for run in subject.proofs}
    laws = [law for law in subject.laws.laws.values() if meaning(law).is_safety and law.status == "confirmed"]
    return [law for law in laws if any(e.run in proofs and e.verdict == "supports" for e in law.evidence)]


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


def _tally(subject: Subject, law: Law) -> str:
    """How many cases keep to the invariant and are right, and how many break it and are wrong."""
    sides: dict[Stance, list[bool]] = {"for": [], "against": []}
    for run in subject.proofs:
        facts = {f"hw.{name}": value for name, value in hardware_facts(subject.laws, run.hw).items()}
        for trial in run.trials:
            known = {**facts, **problem_of(run, trial), **trial.configuration}
            stance = meaning(law).verdict(known).stance
            if stance in sides and inside(law.scope, known).surely:  # a case that leaves the scope open tells nothing
                sides[stance].append(trial.invalidity == "correct")
    kept, broken = sides["for"], sides["against"]
    return (
        f"Of {counted(len(kept), 'case')} that keep to it {sum(kept)} are right; "
        f"of {len(broken)} that break it {len(broken) - sum(broken)} are wrong."
    )
