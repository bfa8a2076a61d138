"""Where every figure of a report comes from: device, clocks, toolchain, source, method, commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spak.kg.model.figures import counted
from spak.kg.model.run import Noise, Run
from spak.tuner.report.bounds import RooflineBound
from spak.tuner.report.choose import Subject
from spak.tuner.report.document import Bullets, Caution, Section


def cautions(runs: Sequence[Run], own: Sequence[RooflineBound]) -> Iterator[Caution]:
    """What a reader must know before believing a time: clocks, missing intervals, figures above the peak."""
    above = [bound.size.name for bound in own if bound.arithmetic > 1]
    if above:
        yield Caution(
            f"The throughput at {', '.join(above)} is above the printed peak: the clock was above the one the peak is printed "
            "for, or operations or times are counted wrongly."
        )
    slowed = [run.device for run in runs if run.device is not None and run.device.throttled]
    if slowed:
        lowest = min(device.sm_clock_mhz_min or 0.0 for device in slowed)
        yield Caution(
            f"The GPU lowered its clock in {len(slowed)} of {counted(len(runs), 'run')} (down to {lowest:.0f} MHz). "
            "Configurations of a run are interleaved, so that comparisons inside it hold; absolute times may be slow by "
            "as much as the clock."
        )
    unknown = [run for run in runs if run.noise is None]
    if unknown:
        yield Caution(f"{counted(len(unknown), 'run')} does not say how it was timed; its times carry no interval.")


def section(subject: Subject) -> Section:
    """Everything a person needs to repeat or doubt the figures."""
    runs = (*subject.runs, *(run for stage in subject.earlier for run in stage.runs))
    commands = Bullets(tuple(map(_run, runs)), "Each run, and the command that repeats it")
    return Section("Provenance", "provenance", (Bullets(tuple(_origin(runs))), commands))


def _run(run: Run) -> str:
    device, clock = run.device, ""
    if device is not None and device.sm_clock_mhz_max is not None:
        clock = f", SM clock {device.sm_clock_mhz_min or 0:.0f} to {device.sm_clock_mhz_max:.0f} MHz"
    lowered = ", lowered by the driver" if device is not None and device.throttled else ""
    command = f"`{run.reproduce}`" if run.reproduce else "command not recorded"
    return f"`{run.id}`: {counted(len(run.trials), 'trial')}{clock}{lowered}; {command}"


def _origin(runs: Sequence[Run]) -> Iterator[str]:
    devices = {f"{run.device.name}, driver {run.device.driver or 'unknown'}" for run in runs if run.device}
    yield f"Device: {'; '.join(sorted(devices)) or 'not recorded'}."
    yield f"Days: {', '.join(sorted({run.created[:10] for run in runs}))}."
    chains = {", ".join(f"{name} {version}" for name, version in run.toolchain.items()) for run in runs}
    yield f"Toolchain: {'; '.join(filter(None, sorted(chains))) or 'not recorded'}."
    for op in sorted({run.op for run in runs}):
        hashes = sorted({run.kernel.source_sha256[:12] for run in runs if run.op == op and run.kernel is not None})
        commits = sorted({run.commit for run in runs if run.op == op and run.commit})
        yield f"Source of {op}: SHA-256 {', '.join(hashes) or 'not recorded'}, commit {', '.join(commits) or 'not recorded'}."
    rules = sorted({run.flop_rule or "useful" for run in runs})
    yield f"FLOPs are counted by the rule `{', '.join(rules)}`: a throughput is that count divided by the time."
    for noise in dict.fromkeys(run.noise for run in runs if run.noise is not None):
        names = sorted({run.op for run in runs if run.noise == noise})
        yield f"Timing of {', '.join(names)}: {_noise_text(noise)}."
    for note in dict.fromkeys(run.note for run in runs if run.note):
        yield f"{', '.join(f'`{run.id}`' for run in runs if run.note == note)}: {note}"


def _noise_text(noise: Noise) -> str:
    order = "interleaved rounds" if noise.interleaved else "rounds"
    launches = counted(noise.repeats, "launch", "launches")
    told = (f"{noise.rounds} {order} of {launches}", f"L2 {noise.l2}" if noise.l2 else "", noise.timer)
    return "; ".join(filter(None, told))
