"""Writes run files that stay small and diff well: one trial a line, sorted, five significant digits; large ones gzipped."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec

from spak.kg.files.atomic import write
from spak.kg.files.seal import sealed
from spak.kg.model.run import Measurement, Run, Times, Trial

DIGITS = 5
PLAIN_BYTES = 40_000
"""A larger file is gzipped."""
MAX_BYTES = 400_000


def rounded(trial: Trial, *, keep_problem: bool = False) -> Trial:
    """`trial` with rounded numbers and without samples or, unless kept, the problem that its run states."""
    measurements = tuple(
        msgspec.structs.replace(m, value=_round(m.value), low=_round(m.low), high=_round(m.high))
        for m in trial.measurements
    )
    times = Times(compilation=_round(trial.times.compilation) or 0.0)
    problem = trial.problem if keep_problem else {}
    return msgspec.structs.replace(trial, measurements=measurements, times=times, problem=problem)


def rounded_reference(measurement: Measurement) -> Measurement:
    """`measurement` with rounded numbers."""
    return rounded(Trial(configuration={}, measurements=(measurement,))).measurements[0]


def write_run(run: Run, folder: Path) -> Path:
    """Write `run` as `<id>.json`, or `<id>.json.gz` if it is large, in `folder`; trials sorted by configuration.

    Raises:
        ValueError: If the file would be larger than `MAX_BYTES`.
    """
    ordered = sorted(run.trials, key=lambda trial: json.dumps(list(trial.configuration.values())))
    run = sealed(msgspec.structs.replace(run, trials=tuple(ordered)))
    head = json.loads(msgspec.json.encode(msgspec.structs.replace(run, trials=())))
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    trials = ",\n".join(f"    {msgspec.json.encode(trial).decode()}" for trial in run.trials)
    content = ("{\n" + "\n".join(lines) + '\n  "trials": [\n' + trials + "\n  ]\n}\n").encode()
    packed = len(content) > PLAIN_BYTES
    content = gzip.compress(content, mtime=0) if packed else content
    if len(content) > MAX_BYTES:
        raise ValueError(f"{run.id} takes {len(content)} bytes, more than {MAX_BYTES}; sweep fewer configurations")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.id}.json{'.gz' if packed else ''}"
    write(path, content)
    return path


def _round(value: float | None) -> float | None:
    if value is None or value == int(value):
        return value if value is None else int(value)
    return float(f"{value:.{DIGITS}g}")
