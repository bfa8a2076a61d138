"""The whole report: from chosen runs to a document that leads with the best recorded configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spak.kg.expression.assignment import show_assignments
from spak.kg.model.figures import counted, digits, extent
from spak.kg.model.hardware import hardware_facts
from spak.tuner.report import bounds, drawing, effects, known, provenance, steps, tiles
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Bullets, Document, Paragraph, Section, Table
from spak.tuner.report.timing import KernelRuns, LibraryRace, Size
from spak.tuner.report.words import APART, NOTHING, against, span, times


def tell(subject: Subject) -> Document:
    """The report of `subject`; the same runs and laws give the same document.

    Raises:
        KgError: If a run's problem or a formula does not fit its op.
    """
    kernel = KernelRuns(subject.op, subject.runs)
    facts = hardware_facts(subject.laws, subject.hw)
    roofs = bounds.Roofs.of(facts)
    own = bounds.roofline_bounds(kernel, roofs)

    earlier = [
        (stage.title, KernelRuns(subject.laws.ops[stage.op], stage.runs)) for stage in subject.earlier if stage.runs
    ]
    bounded = ((title, bounds.roofline_bounds(one, roofs)) for title, one in earlier)
    series = [(kernel.op.title, own), *(pair for pair in bounded if pair[1])]
    walked = steps.steps(subject, kernel)
    sections = (
        _summary(subject, kernel, own, walked),
        _every_size(kernel),
        steps.section(walked, subject, kernel),
        bounds.section(subject, own, drawing.roofline(roofs, series) if roofs and own else None),
        tiles.section(kernel),
        effects.section(effects.parameter_effects(kernel)),
        known.section(subject, known.bearings(subject, kernel, facts)),
        provenance.section(subject),
    )
    count = sum(len(run.trials) for run in subject.runs)
    what = f"{counted(count, 'trial')} in {counted(len(subject.runs), 'run')}, {counted(len(kernel.sizes), 'problem size')}"
    title = f"{kernel.op.title} on {subject.laws.hardware[subject.hw].title}: engineering report"
    return Document(title, f"Measured on the GPU: {what}.", sections)


def _summary(subject: Subject, kernel: KernelRuns, own: Sequence[bounds.RooflineBound], walked: steps.Steps) -> Section:
    timed = [size for size in kernel.sizes if size.best is not None]
    if not timed:
        text = "No configuration gave a result; the run files hold every failure with its message."
        return Section("Summary", "summary", (Paragraph(text),))
    items = [*_best(kernel, walked), *_over_sizes(timed), *_race(kernel.race)]
    words = bounds.bounds_in_words(own, subject.state)
    items += [f"The kernel {words}."] if words else []
    missing = [row.label for row in walked.rows if row.timed is None]
    items += [f"Not measured here: {', '.join(missing)}."] if missing else []
    return Section("Summary", "summary", (Bullets(tuple(items)), *provenance.cautions(subject.runs, own)))


def _best(kernel: KernelRuns, walked: steps.Steps) -> Iterator[str]:
    """The best recorded configuration at the size of the steps, and what it is the better of."""
    size = walked.size
    if size.best is None:
        return
    rate = f", {span(size.tflops)} TFLOPS of useful work" if size.tflops else ""
    yield (
        f"The best recorded configuration at `{size.name}` takes {span(size.best.time_us)} us{rate}: "
        f"{_settings(kernel, size)}, in `{size.winner.run.id}`."
    )
    library = f"the fastest library ({size.library.name})" if size.library else ""
    beside = [(one.name, one) for one in (size.default, walked.first) if one]
    beside[1:1] = [(library, size.library)] if size.library else []
    rounds = {True: "in the same rounds", False: "(timed in other rounds)"}
    told = [f"{times(one.ratio)} the speed of {what} {rounds[one.together]}" for what, one in beside]
    if told:
        yield f"That is {', '.join(told)}."


def _settings(kernel: KernelRuns, size: Size) -> str:
    """`a=1, b=2`, the rest default."""
    changed = kernel.changed(size.best.configuration) if size.best else {}
    return f"`{show_assignments(changed)}`, the rest default" if changed else "the default configuration"


def _over_sizes(timed: Sequence[Size]) -> Iterator[str]:
    rates = [size.tflops.value for size in timed if size.tflops]
    gains = [size.default.ratio.value for size in timed if size.default]
    told = [extent(rates, " TFLOPS")] if rates else []
    told += [f"{extent(gains, 'x')} the speed of the default configuration"] if gains else []
    yield f"Over {counted(len(timed), 'problem size')}: {'; '.join(told)}."


def _race(race: LibraryRace | None) -> Iterator[str]:
    """Against libraries: which, and what the comparison does not say."""
    if race is None:
        return
    count, values = len(race.ratios), [ratio.value for ratio in race.ratios]
    open_ = count - race.faster - race.slower
    yield (
        f"Against the fastest of the libraries that these runs timed ({', '.join(race.libraries)}): faster at {race.faster}, "
        f"slower at {race.slower}, undecided at {open_} of {counted(count, 'size')}, {extent(values, 'x')} its speed, "
        f"geometric mean {race.geometric_mean:.3f}x."
    )
    rule = "No other library took part, and each size has the fastest of many"
    if race.depending:
        rule += f", by settings that fare by the inputs ({', '.join(race.depending)}) on inputs `{', '.join(race.inputs)}` alone"
    yield f"{rule}: one configuration for every use, against other libraries, is another comparison."


def _every_size(kernel: KernelRuns) -> Section:
    rows, chosen = [], []
    for size in kernel.sizes:
        if size.best is None:
            tried = sum(rounds.tried for rounds in size.rounds)
            rows.append((size.name, f"none of {tried} ran", NOTHING, NOTHING, NOTHING))
            continue
        rate = digits(size.tflops.value) if size.tflops else NOTHING
        rows.append((size.name, span(size.best.time_us), rate, against(size.default), against(size.library)))
        library = f"; fastest library {size.library.name}" if size.library else ""
        chosen.append(f"`{size.name}`: {_settings(kernel, size)}; {counted(size.winner.ties, 'tie')}{library}.")
    table = Table(
        caption="The best recorded configuration at each size: microseconds with the 95 % interval, TFLOPS of useful work, and "
        f"its speed-up over the default configuration and over the fastest library; {APART}: not timed in the same rounds.",
        header=("Problem size", "Time, us [95 %]", "TFLOPS", "default", "lib."),
        rows=tuple(rows),
    )
    note = (
        "The fastest of many is partly lucky: its interval does not count that it was picked. "
        "A tie is a configuration of the same rounds whose interval meets the best's."
    )
    more = (Bullets(tuple(chosen), "The settings at each size"), Paragraph(note)) if chosen else ()
    return Section("Every problem size", "sizes", (table, *more))
