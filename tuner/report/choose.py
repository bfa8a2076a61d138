"""Which runs a report is told from: those named, or the recorded ones of an op on a piece of hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spak.kg.answers.lineage import lineage
from spak.kg.files.loader import Laws, completed_run, read_run
from spak.kg.model.op import Op
from spak.kg.model.run import Run
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.errors import TunerError


@dataclass(frozen=True)
class ReportRequest:
    """What was asked for, as typed.

    Attributes:
        runs: Run ids or paths of run files; empty: what is recorded.
        op: Op to report on when no run is named; empty: the one with most measured trials.
        hw: Hardware, when no run is named; empty: the only one the op was measured on.
    """

    runs: Sequence[str] = ()
    op: str = ""
    hw: str = ""


@dataclass(frozen=True)
class Stage:
    """A kernel of a line, its measured runs, and what its system says it carries from tile to tile."""

    op: str
    title: str
    state: str
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What a report is about: measured runs of an op on hardware.

    Attributes:
        earlier: The stages that led to it, oldest first.
        state: What the kernel itself carries, in words.
        proofs: Runs that computed numbers, for the first step.
    """

    laws: Laws
    op: Op
    hw: str
    runs: tuple[Run, ...]
    earlier: tuple[Stage, ...]
    state: str
    proofs: tuple[Run, ...]


def choose_runs(laws: Laws, request: ReportRequest) -> Subject:
    """The subject of a report.

    Raises:
        UnknownNameError: If a run, an op or hardware is unknown.
        InvalidFilesError: If a file is no run file.
        TunerError: If the runs do not belong together, or nothing is measured.
    """
    return _subject(laws, [_read(laws, name) for name in dict.fromkeys(request.runs)] or _recorded(laws, request))


def line_of(store: Store, op: str) -> tuple[Stage, ...]:
    """The kernels that led to `op`, oldest first, itself last, from the line of systems that `op` alone builds."""
    systems = [name for name, system in store.systems.items() if name == op or system.built_from == (op,)]
    lines = sorted((lineage(store, name) for name in systems), key=lambda steps: (len(steps), steps[-1].system.id))
    stages: dict[str, Stage] = {}
    for step in lines[0] if lines else ():
        system = step.system
        for found in system.built_from or (system.id,):
            title = store.ops[found].title if found in store.ops else system.title
            stages.setdefault(found, Stage(found, title, system.design_space.get("state", "")))
    stages.setdefault(op, Stage(op, store.ops[op].title, ""))
    return tuple(stages.values())


def _read(laws: Laws, name: str) -> Run:
    """A run by id, or from a file where `name` looks like a path; one that a report can take."""
    path = Path(name)
    if name not in laws.run_ids and (path.suffix in {".json", ".gz"} or path.exists()):
        run = read_run(path)
        run = completed_run(run, laws.ops.get(run.op))
    else:
        run = laws.run(name)  # says which ids are near
    if run.tier not in {"measured", "computed"}:
        raise TunerError(f"{run.id} is a {run.tier} run, nothing in it was measured; name measured and computed runs")
    Taxonomy("op", laws.ops).resolve(run.op)
    Taxonomy("hardware", laws.hardware).resolve(run.hw)
    if not _tried(run):
        raise TunerError(f"{run.id} holds no trial; there is nothing to report")
    return run


def _tried(run: Run) -> bool:
    """Whether anything in it was tried, and not only left out by the space's conditions or a law."""
    return any(trial.invalidity != "constraints" for trial in run.trials)


def _recorded(laws: Laws, request: ReportRequest) -> list[Run]:
    """The measured runs of the op asked for and of its line on one hardware, and the computed ones of its kin."""
    hw = Taxonomy("hardware", laws.hardware).resolve(request.hw) if request.hw else ""
    recorded = [laws.run(name) for name in laws.run_ids]
    measured = [run for run in recorded if run.tier == "measured" and _tried(run) and run.hw == (hw or run.hw)]
    trials = Counter(run.op for run in measured for _ in run.trials)
    on, option = (f" on {hw}", f" --hw {hw}") if hw else ("", "")
    if not (request.op or trials):
        raise TunerError(f"nothing measured is recorded{on}; run: tune{option}")
    op = Taxonomy("op", laws.ops).resolve(request.op) if request.op else trials.most_common(1)[0][0]
    if op not in trials:
        raise TunerError(f"no measured run of {op}{on} is recorded; run: tune {op}{option}")
    hw = hw or Counter(run.hw for run in measured if run.op == op for _ in run.trials).most_common(1)[0][0]
    line = {stage.op for stage in line_of(laws, op)}
    proofs = [run for run in recorded if run.tier == "computed" and run.op in _kin(laws, line)]
    return [*(run for run in measured if run.op in line and run.hw == hw), *proofs]


def _subject(laws: Laws, runs: Sequence[Run]) -> Subject:
    measured = [run for run in runs if run.tier == "measured"]
    if not measured:
        raise TunerError("only computed runs are named; name at least one measured run of a kernel")
    ops = {run.op for run in measured}
    ends = {op for op in ops if ops <= {stage.op for stage in line_of(laws, op)}}
    op = _one(ends or ops, "runs of several ops", "report on one at a time")
    hw = _one({run.hw for run in measured}, "runs of several hardware", "report on one at a time")
    stages = line_of(laws, op)
    stray = sorted({run.op for run in runs} - _kin(laws, {stage.op for stage in stages}))
    if stray:
        raise TunerError(f"runs of several ops: {', '.join([op, *stray])}; report on one at a time")
    return Subject(
        laws=laws,
        op=laws.ops[op],
        hw=hw,
        runs=_of(op, measured),
        earlier=tuple(replace(stage, runs=_of(stage.op, measured)) for stage in stages[:-1]),
        state=next((stage.state for stage in reversed(stages) if stage.state), ""),
        proofs=tuple(run for run in runs if run.tier == "computed"),
    )


def _of(op: str, runs: Iterable[Run]) -> tuple[Run, ...]:
    return tuple(run for run in runs if run.op == op)


def _kin(store: Store, line: Iterable[str]) -> set[str]:
    """The ops of a line and what they are kinds of."""
    taxonomy = Taxonomy("op", store.ops)
    return {up for op in line if op in store.ops for up in taxonomy.ancestors(op)} | set(line)


def _one(found: set[str], what: str, advice: str) -> str:
    if len(found) != 1:
        raise TunerError(f"{what}: {', '.join(sorted(found))}; {advice}")
    return next(iter(found))
