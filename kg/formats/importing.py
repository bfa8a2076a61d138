"""Importing results into a law root: a run file, and the hardware and op nodes it needs; all of it or nothing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from spak.kg.errors import KgError
from spak.kg.files import atomic, fmt, yaml_reader
from spak.kg.files.listing import EVIDENCE
from spak.kg.files.loader import Laws, load
from spak.kg.files.lock import locked
from spak.kg.files.seal import run_content
from spak.kg.formats.nodes import HardwareName, hardware_nodes, op_node
from spak.kg.formats.reader import read_recording
from spak.kg.formats.recording import Recording, by_problem, with_problem
from spak.kg.formats.t1 import SearchSpace, read_t1
from spak.kg.formats.tried import ToolRun
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import Hardware, device_node
from spak.kg.model.law import Tier
from spak.kg.model.op import Op
from spak.kg.model.run import IMPORTED, Device, Noise, Run

PACKED_FROM_BYTES = 1 << 18
"""Run files larger than this are gzipped: a few hundred trials stay readable in a pull request."""

_MAX_STEM = 91
"""Characters of a run's id before its digest; an id has at most 100."""


@dataclass(frozen=True)
class Import:
    """What is imported.

    Attributes:
        file: T4 file, Kernel Tuner cache, or run file.
        op: Op name; a new one is registered.
        space: T1 file that declares the op's space, if there is one.
        problem: Problem size, over what the file states.
        problem_parameters: Parameters of the file that are of the problem and not of the kernel: each combination of
            their values is a problem size of its own.
    """

    file: Path
    hardware: HardwareName
    op: str
    space: Path | None = None
    problem: Mapping[str, Scalar] = field(default_factory=dict)
    problem_parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        run: The run file's id; where the results are of several problem sizes, each of `runs` holds one.
        trials: Number of distinct configurations and problem sizes; `failures` of them failed.
        written: Paths that were written, empty if the same results were there already.
    """

    run: str
    hw: str
    op: str
    trials: int
    failures: int
    written: tuple[Path, ...]
    notes: tuple[str, ...]
    runs: tuple[str, ...] = ()


def import_file(root: Path, what: Import, now: datetime) -> Imported:
    """Import one file under `root`, which is created if need be.

    Raises:
        KgError: If the file, a name or the space does not fit; nothing is written then.
        OSError: If a file cannot be read or written; what was written is taken back.
    """
    recording = read_recording(what.file)
    space = read_t1(what.space) if what.space else None
    names = what.problem_parameters or (space.problem_parameters if space else ())
    try:
        recording = with_problem(recording, what.problem, names)
    except KgError as error:
        raise KgError(f"{what.file}: {error}") from None
    results = _Results(recording, what.hardware, what.op, str(what.file), space=space and space.without(names))
    return _imported(root, results, f"{recording.format} file {what.file.name}", now)


def record(root: Path, told: ToolRun) -> Imported:
    """Write what another tool measured under `root`, which is created if need be; the same twice changes nothing.

    Raises:
        KgError: If a trial, a name or the space does not fit; nothing is written then.
        OSError: If a file cannot be written; what was written is taken back.
    """
    recording = with_problem(told.recording(), told.problem, ())
    tier: Tier = "measured" if told.checked else "reported"
    results = _Results(recording, told.hardware, told.op, told.tool, tier, dict(told.toolchain))
    if told.timer:
        results = replace(results, timer=told.timer)
    return _imported(root, results, f"tried by {told.tool}", told.at)


@dataclass(frozen=True)
class _Results:
    """What is to be written, from wherever it comes; `origin` is what an error begins with."""

    recording: Recording
    hardware: HardwareName
    op: str | Op
    origin: str
    tier: Tier = "measured"
    toolchain: dict[str, str] = field(default_factory=dict)
    timer: str = "as the imported file states it; samples are not kept"
    space: SearchSpace | None = None


def _imported(root: Path, results: _Results, source: str, now: datetime) -> Imported:
    with locked(root, create=True):  # what is read of the root is what the result is merged into
        return _merged(root, results, source, now)


def _merged(root: Path, results: _Results, source: str, now: datetime) -> Imported:
    laws, recording = load(root), results.recording
    try:
        hw, hardware = hardware_nodes(laws.hardware, results.hardware)
        op, op_changed = op_node(laws.ops, results.op, recording, results.space)
    except KgError as error:
        raise KgError(f"{results.origin}: {error}") from None
    stated = device_node(laws.hardware, recording.device) if recording.device else None
    if stated not in {None, hw}:
        raise KgError(f"{results.origin}: it says that it ran on {recording.device!r}, which is {stated}, not {hw}")
    runs = [_run(replace(results, recording=one), hw, op.id, source, now) for one in by_problem(recording)]
    new = [run for run in runs if run.id not in laws.run_ids]
    files = _files(root, laws, hardware, op if op_changed else None, new) if new else {}
    if files:
        atomic.write_all(files, lambda: load(root))
    return Imported(
        run=runs[0].id,
        hw=hw,
        op=op.id,
        trials=len(recording.trials),
        failures=sum(trial.invalidity != "correct" for trial in recording.trials),
        written=tuple(files),
        notes=recording.notes,
        runs=tuple(run.id for run in runs),
    )


def digest(recording: Recording) -> str:
    """Eight hex digits of what was measured; the same results in another format, order or precision have the same."""
    lines = sorted(
        f"{sorted(trial.configuration.items())} {trial.invalidity} {trial.value('time') or 0:.9g}"
        for trial in recording.trials
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def _run(results: _Results, hw: str, op: str, source: str, now: datetime) -> Run:
    recording = results.recording
    return Run(
        id=f"{f'imported-{hw}-{op}'[:_MAX_STEM]}-{digest(recording)}",
        tier=results.tier,
        created=_created(recording.created, now),
        hw=hw,
        op=op,
        toolchain=results.toolchain,
        device=Device(name=recording.device) if recording.device else None,
        problem=dict(recording.problem),
        noise=Noise(timer=results.timer),
        strategy=IMPORTED,
        source=source,
        note="; ".join(recording.notes),
        trials=recording.trials,
    )


def _created(stated: str, now: datetime) -> str:
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(stated)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")
    return now.astimezone(UTC).isoformat(timespec="seconds")


def _files(root: Path, laws: Laws, hardware: list[Hardware], op: Op | None, runs: Sequence[Run]) -> dict[Path, bytes]:
    """Path -> content of everything to write, the run files last."""
    files = {root / "hardware" / f"{node.id}.yaml": yaml_text(node).encode() for node in hardware}
    if op is not None:
        known = op.id in laws.ops
        path = laws.path("op", op.id) if known else root / "ops" / f"{op.id}.yaml"
        files[path] = (updated_op(laws.document("op", op.id), op) if known else yaml_text(op)).encode()
    for run in runs:
        packed = len(msgspec.json.encode(run)) > PACKED_FROM_BYTES
        files[root / EVIDENCE / f"{run.id}.json{'.gz' * packed}"] = run_content(run, packed=packed)
    return files


def yaml_text(node: Hardware | Op) -> str:
    """`node` as a new file.

    Raises:
        FormatError: If it has a value that no file can hold.
    """
    kind = "op" if isinstance(node, Op) else "hardware"
    return fmt.new_text(msgspec.to_builtins(node), kind, f"{node.id}.yaml")


def updated_op(document: yaml_reader.YamlDocument, op: Op) -> str:
    """An op's file with the values, problem parameters, conditions and openness of `op`; comments stay.

    Raises:
        FormatError: If it has a value that no file can hold.
    """
    root, known = fmt.tree_of(document), msgspec.convert(document.value, Op)
    for name, parameter in op.parameters.items():
        fmt.put(root, ("parameters", name, "values"), parameter.values, document.path)
    for name, problem in op.problem.items():
        if problem != known.problem.get(name):
            fmt.put(root, ("problem", name), msgspec.to_builtins(problem), document.path)
    if op.conditions != known.conditions:
        fmt.put(root, ("conditions",), msgspec.to_builtins(op.conditions), document.path)
    root.drop("open")
    if op.open:
        fmt.put(root, ("open",), value=True, path=document.path)
    return fmt.text_of(root, "op", document.path)
