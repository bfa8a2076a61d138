"""The whole report: from chosen runs to a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spak.kg.expression.assignment import show_assignments
from spak.kg.law.match import hardware_facts
from spak.kg.model.base import Scalar
from spak.kg.model.run import Run
from spak.tuner.report import bounds, charts, effects, known, landscape, provenance, steps
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Block, Bullets, Caution, Document, Paragraph, Section, Table
from spak.tuner.report.timing import Kernel, Timed
from spak.tuner.report.words import NOTHING, counted, digits, extent, span, times


def tell(subject: Subject) -> Document:
    """The report of `subject`; the same runs and laws give the same document.

    Raises:
        TunerError: If matplotlib is not installed.
        KgError: If a run's problem or a formula does not fit its op.
    """
    kernel = Kernel.of(subject.laws.ops[subject.op], subject.runs)
    facts = hardware_facts(subject.laws, subject.hw)
    roofs = bounds.Roofs.of(facts)
    own = bounds.bounds(kernel, roofs)
    before = [(stage.title, _kernel(subject, stage.runs)) for stage in subject.earlier if stage.runs]
    others = [_kernel(subject, subject.contrast)] if subject.contrast else []
    series = [(kernel.op.title, own), *((title, bounds.bounds(k, roofs)) for title, k in before)]
    series += [(other.op.title, bounds.bounds(other, roofs)) for other in others]
    story = steps.steps(subject, kernel)
    plane = landscape.maps(kernel)
    hints = effects.effects(kernel)
    laws = known.bearings(subject, kernel, facts)
    roof_plot = charts.roofline(roofs, series) if roofs and any(bound.time_us for bound in own) else None
    sections = [
        _summary(subject, kernel, own, story),
        steps.section(story, subject),
        *([_every_size(kernel)] if subject.measured else [_ranked(kernel)]),
        bounds.section(subject, own, [(other.op, bounds.bounds(other, roofs)) for other in others], roof_plot),
        landscape.section(kernel, plane, charts.heat_maps(plane) if plane else None),
        effects.section(kernel.op, hints, charts.forest(hints) if hints else None),
        *known.sections(subject, laws),
        provenance.section(subject),
        _reading(),
    ]
    return Document(_title(subject, kernel), _subtitle(subject, kernel), tuple(sections))


def _kernel(subject: Subject, runs: tuple[Run, ...]) -> Kernel:
    return Kernel.of(subject.laws.ops[runs[0].op], runs)


def _title(subject: Subject, kernel: Kernel) -> str:
    return f"{kernel.op.title} on {subject.laws.hardware[subject.hw].title}: engineering report"


def _subtitle(subject: Subject, kernel: Kernel) -> str:
    count = sum(len(run.trials) for run in subject.runs)
    what = f"{count:,} trials in {counted(len(subject.runs), 'run')}, {counted(len(kernel.sizes), 'problem size')}"
    if subject.measured:
        return f"Measured on the GPU: {what}."
    return f"Compiled only: {what}. Nothing was timed; no figure here is a measured time."


def _summary(subject: Subject, kernel: Kernel, own: Sequence[bounds.Bound], story: steps.Steps) -> Section:
    blocks: list[Block] = list(provenance.cautions(subject.runs, own))
    if not subject.measured:
        blocks.append(
            Caution(
                "No GPU took part. This report tells what the compiler made of each configuration, not how fast it is."
            )
        )
    items = [*_best(kernel, story), *_range(kernel)]
    words = bounds.kind_in_words(own, subject.state)
    if words and subject.measured:
        items.append(f"What kind of system it is: {words}.")
    spills = [one for one in landscape.spilling(kernel) if one.count]
    if spills and not subject.measured:
        items.append(
            f"Spills: {sum(s.count for s in spills):,} of {sum(s.known for s in spills):,} compiled configurations."
        )
    missing = [row.label for row in story.rows if row.timed is None]
    if missing and subject.measured:
        items.append(f"Not measured here: {', '.join(missing)}; the story's speed-up starts at what was.")
    if subject.measured and story.size.best is None:
        blocks.append(Paragraph("No configuration gave a result; the run files hold every failure with its message."))
    if items:
        blocks.append(Bullets(tuple(items)))
    return Section("Summary", "summary", tuple(blocks))


def _best(kernel: Kernel, story: steps.Steps) -> Iterator[str]:
    size = story.size
    if size.best is None:
        return
    yield (
        f"At `{size.name}` the tuned kernel takes {span(size.best.time_us)} us, {span(size.best.tflops)} TFLOPS of useful "
        f"work, with `{show_assignments(_varied(kernel, size.best))}`."
    )
    if story.naive is not None and story.beside is not None:
        gain = story.naive.over(story.beside.time_us)
        yield f"Beside the naive kernel, in the same rounds, it takes {span(story.beside.time_us)} us: {times(gain)} its speed."
    elif story.naive is not None:
        yield f"That is {times(story.naive.over(size.best.time_us))} the speed of the naive kernel."


def _varied(kernel: Kernel, timed: Timed) -> dict[str, Scalar]:
    """The settings of a configuration that the runs varied."""
    return {
        name: timed.configuration[name]
        for name, values in kernel.table.parameters.items()
        if len(values) > 1 and name in timed.configuration
    }


def _range(kernel: Kernel) -> Iterator[str]:
    timed = [size for size in kernel.sizes if size.best is not None]
    if not timed:
        return
    rates = [size.best.tflops.value for size in timed if size.best]
    gains = [size.default.time_us.value / size.best.time_us.value for size in timed if size.default and size.best]
    yield f"Over {counted(len(timed), 'problem size')}: {extent(rates, ' TFLOPS')}" + (
        f"; tuning gains {extent(gains, 'x')} over the default configuration." if gains else "."
    )
    races = [
        (next(iter(size.references.values())).over(size.best.time_us))
        for size in timed
        if size.references and size.best
    ]
    if races:
        won, lost = sum(race.low > 1 for race in races), sum(race.high < 1 for race in races)
        yield (
            f"Against the fastest library baseline: faster at {won}, slower at {lost}, undecided at "
            f"{len(races) - won - lost} of {counted(len(races), 'size')} ({extent([race.value for race in races], 'x')})."
        )


def _every_size(kernel: Kernel) -> Section:
    rows = []
    for size in kernel.sizes:
        if size.best is None:
            rows.append((size.name, f"none of {size.tried} ran", NOTHING, NOTHING, NOTHING))
            continue
        library = next(iter(size.references.items()), None)
        rows.append(
            (
                size.name,
                span(size.best.time_us),
                digits(size.best.tflops.value) if size.flops else NOTHING,
                times(size.default.time_us.over(size.best.time_us), ends=False) if size.default else NOTHING,
                times(library[1].over(size.best.time_us), ends=False) if library else NOTHING,
            )
        )
    table = Table(
        caption="The fastest configuration at each size: microseconds with the 95 % interval, TFLOPS of useful work, and "
        "its speed-up over the default configuration and over the fastest library baseline.",
        header=("Problem size", "Time, us [95 %]", "TFLOPS", "default", "lib."),
        rows=tuple(rows),
    )
    selection = Paragraph(
        "The fastest of many is partly lucky: its interval does not count that it was picked. "
        "Configurations whose intervals meet it are ties, and the table of each run holds them."
    )
    timed = any(size.best is not None for size in kernel.sizes)
    blocks = (charts.throughput(kernel), table, _winners(kernel), selection) if timed else (table,)
    return Section("Every problem size", "sizes", blocks)


def _winners(kernel: Kernel) -> Bullets:
    return Bullets(
        tuple(
            f"`{size.name}`: `{show_assignments(_varied(kernel, size.best))}`, {counted(size.ties, 'tie')}"
            + (f"; fastest library: {next(iter(size.references))}." if size.references else ".")
            for size in kernel.sizes
            if size.best is not None
        )
    )


def _ranked(kernel: Kernel) -> Section:
    """Compiled runs: predicted times if there are any, called so."""
    rows = []
    for run in kernel.runs:
        for trial in run.trials:
            predicted = trial.value("predicted_time")
            if predicted is not None:
                rows.append((predicted, trial))
    if not rows:
        text = "Nothing was timed, and these runs hold no predicted time either."
        return Section("Every problem size", "sizes", (Paragraph(text),))
    rows.sort(key=lambda pair: pair[0])
    tiles = [name for name, values in kernel.table.parameters.items() if len(values) > 1]
    table = Table(
        caption="The ten best predictions of the model, in microseconds. A prediction is no measurement.",
        header=("Configuration", "predicted, us", "spilled bytes"),
        rows=tuple(
            (
                show_assignments({name: trial.configuration[name] for name in tiles if name in trial.configuration}),
                digits(predicted),
                digits(trial.value("spill_bytes") or 0.0),
            )
            for predicted, trial in rows[:10]
        ),
    )
    return Section("Every problem size", "sizes", (table,))


def _reading() -> Section:
    return Section(
        "How to read this",
        "reading",
        (
            Bullets(
                (
                    (
                        "Time: median in microseconds, measured here, after the result was checked against a reference in higher "
                        "precision. An interval in brackets holds the median with 95 %."
                    ),
                    "A ratio's interval is the widest that both intervals allow. Ratios whose interval holds 1 are ties.",
                    "TFLOPS: operations the mathematics needs (masked work left out) divided by the time.",
                    (
                        "Spill: bytes of stack a thread needs beyond its registers. "
                        "Default: the configuration an untuned kernel uses. "
                        "Matched pairs: two configurations equal in all parameters but one."
                    ),
                    "Figures come from run files alone; what no run holds is left empty.",
                )
            ),
        ),
    )
