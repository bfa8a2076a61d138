"""Which runs a report is told from: those named, or the recorded ones of an op on a piece of hardware."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spak.kg.answers.lineage import lineage
from spak.kg.errors import UnknownNameError
from spak.kg.files.loader import Laws, completed_run, read_run
from spak.kg.model.run import Run
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.errors import TunerError

_TOLD = {"measured", "compiled", "computed"}
"""Tiers a report takes; a reported run holds what somebody said, and no trial of it can be looked at."""


@dataclass(frozen=True)
class Stage:
    """One kernel of the line that led to the one reported.

    Attributes:
        op: Op id; the root may lack it while nobody built it.
        title: For people.
        state: What the kernel carries from one tile to the next, in words; empty if its system does not say.
        runs: Its measured runs.
    """

    op: str
    title: str
    state: str
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes:
        laws: The law root.
        op: Op id.
        hw: Hardware id.
        runs: Runs of the op, all measured or all compiled.
        earlier: The stages before it, oldest first.
        state: What the kernel itself carries, in words.
        proofs: Runs that computed numbers, for the first step.
        contrast: Measured runs of another op on the same hardware, to tell the two kinds of system apart.
    """

    laws: Laws
    op: str
    hw: str
    runs: tuple[Run, ...]
    earlier: tuple[Stage, ...]
    state: str
    proofs: tuple[Run, ...]
    contrast: tuple[Run, ...]

    @property
    def measured(self) -> bool:
        """Whether anything was timed."""
        return self.runs[0].tier == "measured"


@dataclass(frozen=True)
class Choice:
    """What was asked for, as typed.

    Attributes:
        runs: Run ids or paths of run files; empty: what is recorded.
        op: Op to report on when no run is named.
        hw: Hardware, when no run is named; empty: the only one with runs.
        contrast: Run ids or paths of another op.
    """

    runs: Sequence[str] = ()
    op: str = "fmha"
    hw: str = ""
    contrast: Sequence[str] = ()


def choose(laws: Laws, choice: Choice) -> Subject:
    """The subject of a report.

    Raises:
        UnknownNameError: If a run, an op or hardware is unknown.
        InvalidFilesError: If a file is no run file.
        TunerError: If the runs do not belong together, or nothing is recorded.
    """
    contrast = tuple(_read(laws, name) for name in choice.contrast)
    if choice.runs:
        runs = [_read(laws, name) for name in dict.fromkeys(choice.runs)]
        return _subject(laws, runs, contrast)
    op = Taxonomy("op", laws.ops).resolve(choice.op)
    recorded = [laws.run(name) for name in laws.run_ids]
    hw = Taxonomy("hardware", laws.hardware).resolve(choice.hw) if choice.hw else _only_hardware(recorded, op)
    own = _of_best_tier([run for run in recorded if (run.op, run.hw) == (op, hw)])
    if not own:
        raise TunerError(f"no measured or compiled run of {op} on {hw} is recorded; run: tune {op} --hw {hw}")
    line = {stage.op for stage in line_of(laws, op)}
    before = [run for run in recorded if run.op in line - {op} and run.hw == hw and run.tier == "measured"]
    family = _family(laws, line)
    proofs = [run for run in recorded if run.tier == "computed" and run.op in family]
    others = contrast or tuple(
        run for run in recorded if run.op == CONTRAST != op and run.hw == hw and run.tier == "measured"
    )
    return _subject(laws, [*own, *before, *proofs], others)


CONTRAST = "matmul"
"""The op that the documents set against attention: one einsum, no state.

Source: matmul-and-fmha, table of the two systems under test.
"""


def line_of(store: Store, op: str) -> tuple[Stage, ...]:
    """The kernels that led to `op`, oldest first, itself last, from the line of systems that `op` alone builds."""
    systems = [name for name, system in store.systems.items() if name == op or system.built_from == (op,)]
    lines = sorted((lineage(store, name) for name in systems), key=lambda steps: (len(steps), steps[-1].system.id))
    stages: dict[str, Stage] = {}
    for step in lines[0] if lines else ():
        system = step.system
        for found in system.built_from or (system.id,):
            stages.setdefault(
                found, Stage(found, _title(store, found, system.title), system.design_space.get("state", ""))
            )
    if op not in stages:
        stages[op] = Stage(op, _title(store, op, op), "")
    return tuple(stages.values())


def _title(store: Store, op: str, otherwise: str) -> str:
    return store.ops[op].title if op in store.ops else otherwise


def _family(store: Store, line: Iterable[str]) -> set[str]:
    """The ops of a line and what they are kinds of."""
    taxonomy = Taxonomy("op", store.ops)
    return {up for op in line if op in store.ops for up in taxonomy.ancestors(op)} | set(line)


def _read(laws: Laws, name: str) -> Run:
    """A run by id, or from a file where `name` looks like a path."""
    if name in laws.run_ids:
        return laws.run(name)
    path = Path(name)
    if path.suffix in {".json", ".gz"} or path.exists():
        run = read_run(path)
        return completed_run(run, laws.ops.get(run.op))
    return laws.run(name)  # says which ids are near


def _subject(laws: Laws, runs: Sequence[Run], contrast: tuple[Run, ...]) -> Subject:
    for run in (*runs, *contrast):
        _check_known(laws, run)
    kernels = [run for run in runs if run.tier != "computed"]
    if not kernels:
        raise TunerError("only computed runs are named; name at least one measured or compiled run of a kernel")
    op = _last_op(laws, {run.op for run in kernels})
    hw = _one({run.hw for run in kernels}, "runs of several hardware", "report on one at a time")
    stages = line_of(laws, op)
    family = _family(laws, {stage.op for stage in stages})
    stray = sorted({run.op for run in runs} - family)
    if stray:
        raise TunerError(f"runs of several ops: {', '.join([op, *stray])}; report on one at a time")
    own = [run for run in kernels if run.op == op]
    _one({run.tier for run in own}, f"{op} runs of several tiers", "name the measured ones or the compiled ones")
    return Subject(
        laws=laws,
        op=op,
        hw=hw,
        runs=tuple(own),
        earlier=tuple(
            Stage(s.op, s.title, s.state, tuple(r for r in kernels if r.op == s.op and r.tier == "measured"))
            for s in stages[:-1]
        ),
        state=next((stage.state for stage in reversed(stages) if stage.state), ""),
        proofs=tuple(run for run in runs if run.tier == "computed"),
        contrast=contrast,
    )


def _check_known(laws: Laws, run: Run) -> None:
    if run.tier not in _TOLD:
        raise TunerError(f"{run.id} is a {run.tier} run; a report takes measured, compiled and computed ones")
    if run.op not in laws.ops:
        raise UnknownNameError("op", run.op, Taxonomy("op", laws.ops).nearest(run.op))
    if run.hw not in laws.hardware:
        raise UnknownNameError("hardware", run.hw, Taxonomy("hardware", laws.hardware).nearest(run.hw))
    if not run.trials:
        raise TunerError(f"{run.id} holds no trial; there is nothing to report")


def _last_op(laws: Laws, ops: set[str]) -> str:
    """The op whose line holds all the others: what the story ends with."""
    ends = [op for op in sorted(ops) if ops <= {stage.op for stage in line_of(laws, op)}]
    return _one(set(ends) or ops, "runs of several ops", "report on one at a time")


def _one(found: set[str], what: str, advice: str) -> str:
    if len(found) != 1:
        raise TunerError(f"{what}: {', '.join(sorted(found))}; {advice}")
    return next(iter(found))


def _only_hardware(recorded: Sequence[Run], op: str) -> str:
    for tier in ("measured", "compiled"):
        found = {run.hw for run in recorded if run.op == op and run.tier == tier}
        if found:
            return _one(found, f"{tier} runs of {op} on several hardware", "name one with --hw")
    raise TunerError(f"no measured or compiled run of {op} is recorded; run: tune {op}")


def _of_best_tier(runs: Sequence[Run]) -> list[Run]:
    measured = [run for run in runs if run.tier == "measured"]
    return measured or [run for run in runs if run.tier == "compiled"]
