"""A run file: one experiment whole, written once, atomically, when it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from spak.kg.expression.assignment import show_assignments
from spak.kg.files import atomic
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import Hardware, check_device
from spak.kg.model.law import Tier, Verdict
from spak.kg.model.run import Audit, Kernel, LawVerdict, Measurement, Run, Trial
from spak.tuner.backend.base import Provenance
from spak.tuner.engine.audit import Finding, contradicted
from spak.tuner.engine.loop import Result

_NOT_IN_ID = re.compile(r"[^a-z0-9_.-]+")
_MAX_ID = 100


@dataclass(frozen=True)
class RunSubject:
    """What was searched, in canonical ids.

    Attributes:
        hw: Hardware node.
        op: Op id; the kernel has its name.
        problem: The problem size.
        problem_name: Its name in the op's list, or its values.
        source_sha256: Hash of the kernel's source files.
        commit: Commit of the working tree, empty if unknown.
        flop_rule: Formula that a throughput would be counted with.
    """

    hw: str
    op: str
    problem: Mapping[str, Scalar]
    problem_name: str
    source_sha256: str
    commit: str = ""
    flop_rule: str = "useful"


@dataclass(frozen=True)
class SearchMethod:
    """How it was searched.

    Attributes:
        strategy: Name of the strategy.
        seed: Its seed; None if it draws nothing.
        reproduce: Command that repeats it.
        note: What a reader must know.
    """

    strategy: str
    seed: int | None
    reproduce: str
    note: str = ""


def run_id(tier: str, subject: RunSubject, now: datetime) -> str:
    """`compiled-rtx5070-fmha-d64-s1024-causal-20260101t120000123`: sorts by what it is about, then by time.

    To the millisecond, so that searches started together do not share a journal, nor run files of two machines a name.
    """
    stamp = f"{now:%Y%m%dt%H%M%S}{now.microsecond // 1000:03}"
    parts = (tier, subject.hw, subject.op, subject.problem_name, stamp)
    words = [_NOT_IN_ID.sub("-", part.lower()).strip("-.") for part in parts]
    longest = _MAX_ID - sum(len(word) + 1 for word in words if word is not words[3])
    words[3] = words[3][:longest].strip("-.")
    return "-".join(word for word in words if word)


@dataclass(frozen=True)
class RunFrame:
    """What surrounds the trials of a run.

    Attributes:
        subject: What was searched.
        method: How.
        provenance: Where the trials come from.
        created: Start of the search, UTC.
        references: Library baselines by name.
        hardware: Every hardware node by id: what ran is recorded for the one it ran on, and for no other.
    """

    subject: RunSubject
    method: SearchMethod
    provenance: Provenance
    created: datetime
    references: Mapping[str, Measurement] = field(default_factory=dict)
    hardware: Mapping[str, Hardware] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """Id of the run file."""
        return run_id(self.provenance.tier, self.subject, self.created)


def build(frame: RunFrame, result: Result) -> Run:
    """The run file of a search that ended, whether its budget was spent or the user stopped it."""
    return msgspec.structs.replace(
        experiment(frame, result.trials),
        audit=Audit(trials=result.audited, contradicted=tuple(contradicted(result.findings))),
        tested=tuple(_verdicts(result.findings, frame.subject.problem)),
    )


def experiment(frame: RunFrame, trials: Sequence[Trial]) -> Run:
    """The run file of any trials.

    Raises:
        KgError: If they ran on other hardware than the frame names.
    """
    subject, method, provenance = frame.subject, frame.method, frame.provenance
    if provenance.device is not None:
        check_device(frame.hardware, subject.hw, provenance.device.name)
    return Run(
        id=frame.run_id,
        tier=msgspec.convert(provenance.tier, type=Tier),
        created=frame.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        hw=subject.hw,
        op=subject.op,
        toolchain=provenance.toolchain,
        device=provenance.device,
        kernel=Kernel(name=subject.op, source_sha256=subject.source_sha256),
        commit=subject.commit,
        problem=dict(subject.problem),
        flop_rule=subject.flop_rule,
        noise=provenance.noise,
        reference_times=dict(frame.references),
        strategy=method.strategy,
        seed=method.seed,
        reproduce=method.reproduce,
        note=method.note,
        trials=tuple(_without(trial, subject.problem) for trial in trials),
    )


def _without(trial: Trial, problem: Mapping[str, Scalar]) -> Trial:
    """`trial` without the problem size that the whole run shares."""
    return msgspec.structs.replace(trial, problem={}) if trial.problem == problem else trial


def _verdicts(findings: Sequence[Finding], problem: Mapping[str, Scalar]) -> Iterator[LawVerdict]:
    """One verdict for each law that some trial speaks of: one contradiction refutes, agreement of all supports."""
    size = show_assignments(dict(sorted(problem.items())), separator=",")
    for law in sorted({finding.law for finding in findings}):
        own = [finding for finding in findings if finding.law == law]
        against = [finding for finding in own if finding.outcome == "contradicts"]
        told = [finding for finding in own if finding.outcome == "agrees"]
        verdict: Verdict = "refutes" if against else "supports" if told else "inconclusive"
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


def write(run: Run, folder: Path) -> Path:
    """Write `run` under `folder`; its path.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    path = folder / f"{run.id}.json"
    atomic.write(path, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    return path
