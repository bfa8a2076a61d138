"""A run file: one experiment whole, written once, atomically, when it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from spak.kg.expression.assignment import show_assignments
from spak.kg.files import atomic
from spak.kg.files.seal import run_content
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import Hardware, check_device
from spak.kg.model.law import EvidenceVerdict, Tier
from spak.kg.model.run import Audit, Kernel, LawVerdict, Run, Trial, attributed
from spak.tuner.backend.base import Provenance
from spak.tuner.engine.searcher import Result
from spak.tuner.engine.session import SearchTask
from spak.tuner.engine.tally import Finding, contradicted

_NOT_IN_ID = re.compile(r"[^a-z0-9_.-]+")
_MAX_ID = 100
_MAX_NAME = 68
"""With `-confirm` behind it and an indent before it a name fits a line of 80 columns."""
_APART = "-apart-"


def name_run(tier: str, task: SearchTask, now: datetime) -> str:
    """`compiled-rtx5070-fmha-d64-s1024-causal-20260101t120000123`: sorts by what it is about, then by time.

    To the millisecond, so that searches started together do not share a journal, nor run files of two machines a name.
    """
    stamp = f"{now:%Y%m%dt%H%M%S}{now.microsecond // 1000:03}"
    parts = (tier, task.hw, task.op.id, task.problem_name, stamp)
    words = [_NOT_IN_ID.sub("-", part.lower()).strip("-.") for part in parts]
    longest = _MAX_NAME - sum(len(word) + 1 for word in words if word is not words[3])
    words[3] = words[3][: max(longest, 0)].strip("-.")
    return "-".join(word for word in words if word)


def frame(task: SearchTask, source_sha256: str, provenance: Provenance, created: datetime) -> Run:
    """The run file of `task` before its trials, and before how they were chosen.

    Args:
        task: What is tried; the kernel has its op's name.
        source_sha256: Hash of the kernel's source files.
        provenance: Where the trials come from.
        created: Start of the search, UTC.
    """
    return Run(
        id=name_run(provenance.tier, task, created),
        tier=msgspec.convert(provenance.tier, type=Tier),
        created=created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        hw=task.hw,
        op=task.op.id,
        toolchain=provenance.toolchain,
        device=provenance.device,
        kernel=Kernel(name=task.op.id, source_sha256=source_sha256),
        problem=task.problem,
        flop_rule="useful",
        noise=provenance.noise,
        note=provenance.note,
    )


def searched(frame: Run, hardware: Mapping[str, Hardware], result: Result) -> Run:
    """The run file of a search that ended, whether its budget was spent or the user stopped it.

    Raises:
        KgError: If it ran on other hardware than the frame names.
    """
    return msgspec.structs.replace(
        experiment(frame, hardware, result.trials),
        audit=Audit(
            trials=result.audited,
            contradicted=tuple(contradicted(result.findings)),
            suspended=dict(result.restriction.suspended),
        ),
        tested=tuple(_verdicts(result.findings, frame.problem)),
    )


def experiment(frame: Run, hardware: Mapping[str, Hardware], trials: Sequence[Trial]) -> Run:
    """The run file of any trials.

    Args:
        frame: What surrounds them.
        hardware: Every hardware node by id: what ran is recorded for the one it ran on, and for no other.
        trials: Each loses the problem size that the whole run shares, and the GPU if all ran on one.

    Raises:
        KgError: If they ran on other hardware than the frame names.
    """
    if frame.device is not None:
        check_device(hardware, frame.hw, frame.device.name)
    own = (msgspec.structs.replace(one, problem={}) if one.problem == frame.problem else one for one in trials)
    return attributed(msgspec.structs.replace(frame, trials=tuple(own)))


def apart(run: Run, provenance: Provenance) -> Iterator[Run]:
    """What was measured beside `run` by GPUs that were taken out: a run file of each, of which nothing counts for `run`."""
    for one in provenance.apart:
        yield attributed(
            msgspec.structs.replace(
                run,
                id=f"{run.id[: _MAX_ID - len(one.device) - len(_APART)]}{_APART}{one.device}",
                device=one.provenance.device,
                noise=one.provenance.noise,
                audit=None,
                tested=(),
                suggested=(),
                reference_times={},
                note=f"measured beside {run.id} on {one.device}, which was taken out: {one.why}",
                trials=one.trials,
            )
        )


def write_apart(run: Run, provenance: Provenance, folder: Path, say: Callable[[str], None]) -> None:
    """Keep what GPUs that were taken out measured beside `run`, where no law root takes it for evidence, and say so.

    Raises:
        OSError: If it cannot be written.
    """
    for one in apart(run, provenance):
        say(f"{one.note.partition(' on ')[2]}; what it measured is in {write_run(one, folder)}")


def _verdicts(findings: Sequence[Finding], problem: Mapping[str, Scalar]) -> Iterator[LawVerdict]:
    """One verdict for each law that some trial speaks of: one contradiction refutes, agreement of all supports."""
    size = show_assignments(dict(sorted(problem.items())), separator=",")
    for law in sorted({finding.law for finding in findings}):
        own = [finding for finding in findings if finding.law == law]
        against = [finding for finding in own if finding.outcome == "contradicts"]
        told = [finding for finding in own if finding.outcome == "agrees"]
        verdict: EvidenceVerdict = "refutes" if against else "supports" if told else "inconclusive"
        shown = against or told
        yield LawVerdict(law=law, verdict=verdict, count=len(shown), effect=_extremes(shown), problems=(size,))


def _extremes(findings: Sequence[Finding]) -> dict[str, float]:
    """Each effect where it is weakest: of a claim of at least so much the least that was seen, else the most."""
    values: dict[str, list[float]] = {}
    for finding in findings:
        for name, value in finding.effect.items():
            values.setdefault(name, []).append(value)
    upper = {name for finding in findings for name in finding.at_most}
    return {name: max(seen) if name in upper else min(seen) for name, seen in sorted(values.items())}


def write_run(run: Run, folder: Path) -> Path:
    """Write `run` under `folder`, with the digest of its trials; its path.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    path = folder / f"{run.id}.json"
    atomic.write(path, run_content(run, packed=False))
    return path
