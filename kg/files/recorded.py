"""What runs recorded of an op on hardware: of a run that was read before, what it came to is remembered."""

from __future__ import annotations

import gzip
import os
import re
import time
import zlib
from collections.abc import Iterator
from functools import partial, reduce

import msgspec

from spak.kg.expression.assignment import show_assignments
from spak.kg.files.loader import Laws
from spak.kg.files.remembered import YOUNG_NS
from spak.kg.model.base import IMPLIED, Scalar
from spak.kg.model.recorded import RecordedSize
from spak.kg.model.run import CONFIRM, Run, Trial
from spak.kg.model.taxonomy import Taxonomy

_HEAD_BYTES = 4096
"""What is read of a run file to see what it is about: hardware and op come before anything long."""

_FIELD = re.compile(rb'"(hw|op)"\s*:\s*"([^"]*)"')


def recorded_sizes(laws: Laws, hw: str, op: str) -> tuple[RecordedSize, ...]:
    """What was timed of `op` and its kinds on `hw` and what is one, ids both; the problem size with most trials first.

    Raises:
        InvalidFilesError: If a run file cannot be read.
    """
    devices, ops = _beneath(laws, hw, op)
    found: dict[tuple[str, str, str], list[RecordedSize]] = {}
    for run in runs_about(laws, hw, op):
        for size in _sizes(laws, run):
            if size.hw in devices and size.op in ops:
                found.setdefault((size.hw, size.op, show_assignments(size.problem)), []).append(size)
    laws.ledger.save()
    whole = (reduce(_together, sizes) for _, sizes in sorted(found.items()))
    return tuple(sorted(whole, key=lambda size: -size.trials))


def runs_about(laws: Laws, hw: str, op: str) -> list[str]:
    """Ids of the runs of `op` and its kinds on `hw` and what is one, both ids; of those that do not say, too."""
    devices, ops = _beneath(laws, hw, op)
    return [
        run for run, about in _all_about(laws).items() if about.get("hw", hw) in devices and about.get("op", op) in ops
    ]


def _beneath(laws: Laws, hw: str, op: str) -> tuple[frozenset[str], frozenset[str]]:
    devices, ops = (
        frozenset(Taxonomy(kind, nodes).descendants(name))
        for kind, nodes, name in (("hardware", laws.hardware, hw), ("op", laws.ops, op))
    )
    return devices, ops


def _all_about(laws: Laws) -> dict[str, dict[str, str]]:
    """Run -> `_about`, remembered by the stat data of the run files: of thousands of runs few are about a question.

    One that changed less than `YOUNG_NS` ago is read: it may be written again without its stat data changing. The others
    are remembered together, and one by one for when one of them changes.
    """
    root, paths = os.fspath(laws.root), laws.paths["run"]
    files = {run: os.path.join(root, paths[run]) for run in laws.run_ids}  # noqa: PTH118 - of 10,000 files
    known = {run: _stat(path) for run, path in files.items()}
    old = {run: stat.encode(errors="surrogateescape") for run, stat in known.items() if stat}

    def one_by_one() -> dict[str, dict[str, str]]:
        remembered = laws.ledger.remembered
        return {
            run: remembered((b"about", stat), partial(_about, files[run]), dict[str, str]) for run, stat in old.items()
        }

    parts = [b"about all", *(part for run, stat in old.items() for part in (run.encode(), stat))]
    found = laws.ledger.remembered(parts, one_by_one, dict[str, dict[str, str]])
    return {run: found[run] if run in old else _about(path) for run, path in files.items()}


def _stat(path: str) -> str:
    """A file's name and stat data; empty of one that is young, or cannot be asked."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - of 10,000 files
    except OSError:
        return ""
    if max(stat.st_mtime_ns, stat.st_ctime_ns) > time.time_ns() - YOUNG_NS:
        return ""
    return f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\0{stat.st_ino}"


def _about(path: str) -> dict[str, str]:
    """Hardware and op as the head of a run file names them; nothing where it does not, or cannot be read so."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            head = file.read(_HEAD_BYTES)
            if head.startswith(b"\x1f\x8b"):
                file.seek(0)
                head = gzip.GzipFile(fileobj=file).read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return {}
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(head):
        found.setdefault(name.decode(), value.decode(errors="replace"))
    return found


def _sizes(laws: Laws, run: str) -> tuple[RecordedSize, ...]:
    inputs = (b"recorded sizes", run.encode(), laws.run_digest(run))
    return laws.ledger.remembered(inputs, lambda: tuple(_summaries(laws.run(run))), tuple[RecordedSize, ...])


def _summaries(run: Run) -> Iterator[RecordedSize]:
    """A line for each problem size of a run that timed; trials made to test a law were chosen for that, and are left out."""
    groups: dict[str, list[Trial]] = {}
    for trial in run.trials:
        if trial.origin != CONFIRM and trial.invalidity != "constraints":
            groups.setdefault(show_assignments(_problem(run, trial)), []).append(trial)
    for trials in groups.values():
        timed = {time: trial for trial in trials if trial.invalidity == "correct" and (time := trial.value("time"))}
        if timed:
            yield RecordedSize(
                hw=run.hw,
                op=run.op,
                problem=_problem(run, trials[0]),
                trials=len(trials),
                failures=sum(trial.invalidity != "correct" for trial in trials),
                best_us=min(timed),
                best=timed[min(timed)].configuration,
                tier=run.tier,
                runs=(run.id,),
            )


def _problem(run: Run, trial: Trial) -> dict[str, Scalar]:
    whole = {**run.problem, **trial.problem}
    return {name: value for name, value in whole.items() if (name, value) not in IMPLIED.items()}


def _together(one: RecordedSize, other: RecordedSize) -> RecordedSize:
    """Both as one; measured times stand before reported ones."""
    first, second = sorted((one, other), key=lambda size: (size.tier != "measured", size.best_us or 0.0))
    return msgspec.structs.replace(
        first,
        trials=one.trials + other.trials,
        failures=one.failures + other.failures,
        runs=(*first.runs, *second.runs),
    )
