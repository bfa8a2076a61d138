"""Measured runs as a set that others can use: a T4 file for each sitting, what each is about, checksums and a datasheet.

Same runs, same bytes: nothing in a set says when or where it was written.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

import msgspec

from spak.kg.errors import KgError
from spak.kg.expression.assignment import show_assignments
from spak.kg.files import atomic
from spak.kg.files.loader import Laws
from spak.kg.formats.datasheet import datasheet
from spak.kg.formats.sitting import FEWEST_SHARED, Repeated, Sitting
from spak.kg.formats.t4_writer import write_t4
from spak.kg.model.base import Scalar
from spak.kg.model.run import IMPORTED, UNSTEADY_TIME, Run
from spak.kg.model.taxonomy import Taxonomy

DATASHEET, INDEX, CHECKSUMS = "README.md", "index.json", "SHA256SUMS"
"""What a set has beside its T4 files: for people, for programs, for `sha256sum -c`."""

_Configuration = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class EvidenceSet:
    """The files of a set, not yet written.

    Attributes:
        files: Path below the set -> content, those of `CHECKSUMS` included, sorted.
        digest: SHA-256 of the checksums: names the set.
    """

    sittings: tuple[Sitting, ...]
    repeated: tuple[Repeated, ...]
    files: Mapping[str, bytes]
    digest: str

    def write(self, folder: Path) -> None:
        """Write every file under `folder`, which must not hold anything else.

        Raises:
            KgError: If it does: a file of an older set would look like one of this.
            OSError: If a file cannot be written.
        """
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        foreign = sorted(there - self.files.keys())
        if foreign:
            raise KgError(f"{folder / foreign[0]}: not of this set; name a new folder, or remove what is there")
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(path, content)


def evidence_set(laws: Laws, *, ops: Collection[str] = (), hardware: Collection[str] = (), licence: str) -> EvidenceSet:
    """Every run timed here of some ops on some hardware, and what they are kinds of; nothing is picked by its outcome.

    Args:
        laws: Where the runs are.
        ops: Ids, aliases or titles; empty: all.
        hardware: The same.
        licence: Under which the set is passed on, in words.

    Raises:
        UnknownNameError: If a name is unknown; carries the nearest.
        KgError: If there is no such run, or one cannot be read.
    """
    wanted = (_below("op", laws.ops, ops), _below("hardware", laws.hardware, hardware))
    runs = [
        run for run in map(laws.run, laws.run_ids) if _is_timed(run) and run.op in wanted[0] and run.hw in wanted[1]
    ]
    runs.sort(key=_file)
    if not runs:
        raise KgError("no run of these ops on this hardware was timed here; kg list runs names what there is")
    texts = {_file(run): write_t4(run) for run in runs}
    sittings = tuple(_sitting(laws, run, file, text) for run, (file, text) in zip(runs, texts.items(), strict=True))
    repeated = tuple(_repeated(runs))
    index = msgspec.json.format(msgspec.json.encode({"files": sittings, "repeated": repeated}), indent=1)
    files = {**texts, INDEX: index, DATASHEET: datasheet(sittings, repeated, licence=licence).encode()}
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()
    return EvidenceSet(
        sittings, repeated, {**dict(sorted(files.items())), CHECKSUMS: sums}, hashlib.sha256(sums).hexdigest()
    )


def _file(run: Run) -> str:
    return f"{run.op}/{run.hw}/{run.id}.json"


def _below(kind: str, nodes: Mapping[str, object], names: Collection[str]) -> set[str]:
    taxonomy = Taxonomy(kind, nodes)  # type: ignore[arg-type]
    found = {node for name in names for node in taxonomy.descendants(taxonomy.resolve(name))}
    return found if names else set(nodes)


def _is_timed(run: Run) -> bool:
    """Whether the run was timed here, with what it takes to say how: not reported, not another program's, not a check's."""
    known = run.noise is not None and run.kernel is not None and run.device is not None
    return run.tier == "measured" and known and run.strategy != IMPORTED and not run.check


def _sitting(laws: Laws, run: Run, file: str, text: bytes) -> Sitting:
    device, noise = run.device, run.noise
    several = any(trial.problem for trial in run.trials)
    outcomes: dict[str, int] = defaultdict(int)
    for trial in run.trials:
        outcomes[trial.invalidity] += 1
    timed = [one for trial in run.trials for one in trial.measurements if one.name == "time"]
    widths = [(m.high - m.low) / (2 * m.value) for m in timed if m.low is not None and m.high is not None]
    return Sitting(
        file=file,
        sha256=hashlib.sha256(text).hexdigest(),
        run=run.id,
        op=run.op,
        hw=run.hw,
        size="" if several else _size_name(laws, run),
        problem=dict(run.problem),
        created=run.created,
        trials=len(run.trials),
        outcomes=dict(sorted(outcomes.items())),
        unsteady=sum(trial.value(UNSTEADY_TIME) is not None for trial in run.trials),
        exhaustive=bool(run.exhaustive_over),
        exhaustive_over=dict(run.exhaustive_over),
        toolchain=dict(run.toolchain),
        driver=device.driver if device else "",
        machine=device.machine if device else "",
        source_sha256=run.kernel.source_sha256 if run.kernel else "",
        rounds=noise.rounds if noise else 0,
        interleaved=bool(noise and noise.interleaved),
        timer=noise.timer if noise else "",
        l2=noise.l2 if noise else "",
        sm_clock_mhz=(device.sm_clock_mhz_min, device.sm_clock_mhz_max) if device else (None, None),
        throttled=device.throttled if device else None,
        samples=any(trial.times.runtimes for trial in run.trials),
        half_width=_rounded(widths),
    )


def _size_name(laws: Laws, run: Run) -> str:
    op = laws.ops[run.op]
    usual = {name: parameter.default for name, parameter in op.problem.items()}
    named = (name for name, size in op.problems.items() if {**usual, **size} == {**usual, **run.problem})
    return next(named, show_assignments(run.problem))


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile, the latter one of the values: at most a twentieth is larger."""
    ordered = sorted(values)
    return median(ordered), ordered[math.ceil(0.95 * len(ordered)) - 1]


def _repeated(runs: Sequence[Run]) -> Iterator[Repeated]:
    """What was timed in two sittings at least, by op, hardware, and what else two sittings have in common."""
    pairs: dict[tuple[str, str, str], list[list[float]]] = {}
    for one, other in combinations(runs, 2):
        if (one.op, one.hw) == (other.op, other.hw):
            before, after = _times(one), _times(other)
            ratios = [after[key] / before[key] for key in before.keys() & after.keys()]
            if ratios:
                pairs.setdefault((one.op, one.hw, _common(one, other)), []).append(ratios)
    for (op, hw, kind), found in sorted(pairs.items()):
        middles = [median(ratios) for ratios in found]
        many = ((ratios, middle) for ratios, middle in zip(found, middles, strict=True) if len(ratios) >= FEWEST_SHARED)
        left = [abs(ratio / middle - 1) for ratios, middle in many for ratio in ratios]
        yield Repeated(
            op=op,
            hw=hw,
            kind=kind,
            sittings=len(found),
            shift=_rounded([abs(middle - 1) for middle in middles]),
            configurations=len(left),
            deviation=_rounded(left),
        )


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    """Median and 95th percentile, of nothing none; six digits: the last bits of a sum differ between machines."""
    return tuple(round(value, 6) for value in quantiles(values)) if values else ()


def _times(run: Run) -> dict[tuple[_Configuration, _Configuration], float]:
    """Time by problem size and configuration, the first where one was timed twice."""
    found: dict[tuple[_Configuration, _Configuration], float] = {}
    for trial in run.trials:
        time = trial.value("time")
        if time is not None and trial.invalidity == "correct":
            problem = {**run.problem, **trial.problem}
            found.setdefault((tuple(sorted(problem.items())), tuple(sorted(trial.configuration.items()))), time)
    return found


def _common(one: Run, other: Run) -> str:
    machines = [run.device.machine if run.device else "" for run in (one, other)]
    gpus = "GPUs unknown" if "" in machines else "one GPU" if machines[0] == machines[1] else "two GPUs"
    same = one.kernel is not None and one.kernel == other.kernel and one.toolchain == other.toolchain
    return f"{gpus}, {'same source and toolchain' if same else 'other source or toolchain'}"
