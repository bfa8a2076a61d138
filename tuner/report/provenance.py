"""Where every figure of a report comes from: device, clocks, toolchain, source, method, facts, commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spak.kg.expression.assignment import show_scalar
from spak.kg.model.run import Noise, Run
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.engine.session import name_of
from spak.tuner.learn.mining.table import problem_of
from spak.tuner.report.bounds import Bound
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Block, Bullets, Caution, Paragraph, Section, Table
from spak.tuner.report.words import NOTHING, counted

FACTS = ("fp16_tflops", "bandwidth_gb_per_s", "num_sms", "boost_clock_ghz")
"""Facts that the figures of a report rest on."""


def cautions(runs: Sequence[Run], own: Sequence[Bound]) -> Iterator[Caution]:
    """What a reader must know before believing a time: clocks, missing intervals, figures above the peak."""
    above = [bound.size.name for bound in own if bound.arithmetic > 1]
    if above:
        yield Caution(
            f"The throughput at {', '.join(above)} is above the printed peak: the clock was above the one the peak is printed "
            "for, or operations or times are counted wrongly."
        )
    slowed = [run for run in runs if run.device is not None and run.device.throttled]
    if slowed:
        lowest = min((run.device.sm_clock_mhz_min or 0.0) for run in slowed if run.device is not None)
        yield Caution(
            f"The GPU lowered its clock in {len(slowed)} of {counted(len(runs), 'run')} (down to {lowest:.0f} MHz). "
            "Configurations of a run are interleaved, so that comparisons inside it hold; absolute times may be slow by "
            "as much as the clock."
        )
    unknown = [run for run in runs if run.tier == "measured" and run.noise is None]
    if unknown:
        yield Caution(f"{counted(len(unknown), 'run')} does not say how it was timed; its times carry no interval.")


def section(subject: Subject) -> Section:
    """Everything a person needs to repeat or doubt the figures."""
    everything = (*subject.runs, *(run for stage in subject.earlier for run in stage.runs), *subject.contrast)
    blocks: list[Block] = [
        _runs_table(subject, everything),
        Bullets((*_origin(subject, everything), *_methods(everything), *_notes(everything))),
        Paragraph(f"Facts about `{subject.hw}` that the bounds rest on, units in their names:"),
        Bullets(tuple(_facts(subject))),
        Paragraph("Each run repeats with its own command:"),
        Bullets(tuple(_commands(everything))),
    ]
    return Section("Provenance", "provenance", tuple(blocks))


def _runs_table(subject: Subject, runs: Sequence[Run]) -> Table:
    rows = []
    for run in runs:
        device = run.device
        clock = NOTHING
        if device is not None and device.sm_clock_mhz_max is not None:
            clock = f"{device.sm_clock_mhz_min or 0:.0f} to {device.sm_clock_mhz_max:.0f}"
        throttled = "unknown" if device is None or device.throttled is None else "yes" if device.throttled else "no"
        op = subject.laws.ops[run.op]
        size = name_of(op, {**{n: p.default for n, p in op.problem.items()}, **problem_of(run, run.trials[0])})
        sizes = {str(sorted(problem_of(run, trial).items())) for trial in run.trials}
        named = size if len(sizes) == 1 else counted(len(sizes), "size")
        other = "" if run.op == subject.op else f"{run.op} "
        rows.append((f"{other}{named}", str(len(run.trials)), clock, throttled))
    return Table(
        caption="Runs: trials, SM clock in MHz while timing, and whether the driver reported a lowered clock.",
        header=("Run", "Trials", "SM clock", "Lowered"),
        rows=tuple(rows),
    )


def _facts(subject: Subject) -> Iterator[str]:
    taxonomy = Taxonomy("hardware", subject.laws.hardware)
    for name in FACTS:
        for node in taxonomy.ancestors(subject.hw):
            fact = subject.laws.hardware[node].facts.get(name) if node in subject.laws.hardware else None
            if fact is not None:
                sure = "confirmed" if fact.confirmed else "unconfirmed"
                told = "; ".join(filter(None, (fact.source, fact.note)))
                yield f"`{name}` = {show_scalar(fact.value)} ({sure}): {told}."
                break


def _origin(subject: Subject, runs: Sequence[Run]) -> Iterator[str]:
    devices = sorted({f"{run.device.name}, driver {run.device.driver or 'unknown'}" for run in runs if run.device})
    yield f"Device: {'; '.join(devices) or 'none took part, the code was compiled only'}."
    days = sorted({run.created[:10] for run in runs})
    yield f"Days: {', '.join(days)}."
    chains = sorted({", ".join(f"{name} {version}" for name, version in run.toolchain.items()) for run in runs})
    yield f"Toolchain: {'; '.join(filter(None, chains)) or 'not recorded'}."
    for op in sorted({run.op for run in runs}):
        hashes = sorted({run.kernel.source_sha256[:12] for run in runs if run.op == op and run.kernel is not None})
        commits = sorted({run.commit for run in runs if run.op == op and run.commit})
        yield f"Source of {op}: SHA-256 {', '.join(hashes) or 'not recorded'}, commit {', '.join(commits) or 'not recorded'}."
    rule = subject.runs[0].flop_rule or "useful"
    if len(subject.runs) > 1 and subject.measured:
        yield (
            "The figures of a problem size come from one run, its largest, so that what is compared was timed in the same "
            "rounds; smaller runs of a size add the effects of parameters that the largest holds fixed."
        )
    yield f"FLOPs are counted by the rule `{rule}`: a throughput is that count divided by the time."


def _methods(runs: Sequence[Run]) -> Iterator[str]:
    for noise in dict.fromkeys(run.noise for run in runs if run.noise is not None):
        names = sorted({run.op for run in runs if run.noise == noise})
        yield f"Timing of {', '.join(names)}: {_noise_text(noise)}."


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    for note in dict.fromkeys(run.note for run in runs if run.note):
        yield f"{', '.join(f'`{run.id}`' for run in runs if run.note == note)}: {note}"


def _noise_text(noise: Noise) -> str:
    order = "interleaved rounds" if noise.interleaved else "rounds"
    parts = [f"{noise.rounds} {order} of {counted(noise.repeats, 'launch').replace('launchs', 'launches')}"]
    parts += [f"L2 {noise.l2}"] if noise.l2 else []
    parts += [noise.timer] if noise.timer else []
    return "; ".join(parts)


def _commands(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        yield f"`{run.id}`: `{run.reproduce}`" if run.reproduce else f"`{run.id}`: not recorded"
