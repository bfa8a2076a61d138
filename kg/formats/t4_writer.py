"""T4 result files written from runs, for the tools that read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from spak.kg.model.run import UNSTEADY_TIME, Run, Trial

SCHEMA_VERSION = "1.0.0"


def write_t4(run: Run) -> bytes:
    """`run` as a T4 file: times in milliseconds, every trial, failures with the marker that readers expect.

    What T4 has no place for (intervals, laws, clocks) is left out, and so are samples taken while the device had drifted,
    which a reader would take for a time; a run that holds several problem sizes writes the
    problem parameters into each configuration, as T4 has no other place for them.
    """
    several = len({tuple(_problem(run, trial).items()) for trial in run.trials}) > 1
    results = [_result(run, trial, several=several) for trial in run.trials]
    file = {"schema_version": SCHEMA_VERSION, "metadata": {"timeunit": "milliseconds"}, "results": results}
    return msgspec.json.format(msgspec.json.encode(file), indent=1)


def _problem(run: Run, trial: Trial) -> Mapping[str, Any]:
    return trial.problem or run.problem


def _result(run: Run, trial: Trial, *, several: bool) -> dict[str, Any]:
    times = trial.times
    return {
        "timestamp": run.created,
        "configuration": {**(_problem(run, trial) if several else {}), **trial.configuration},
        "times": {
            "compilation": times.compilation,
            "benchmark": times.benchmark,
            "framework": times.framework,
            "search_algorithm": times.search_algorithm,
            "validation": times.validation,
            "runtimes": list(times.runtimes) if trial.value(UNSTEADY_TIME) is None else [],
        },
        "invalidity": trial.invalidity,
        "correctness": int(trial.invalidity == "correct"),
        "measurements": list(_measurements(trial)),
        "objectives": ["time"],
    }


def _measurements(trial: Trial) -> Iterable[dict[str, Any]]:
    if trial.failure is not None:
        yield {"name": "time", "value": trial.failure.type, "unit": "ms"}
    for measurement in trial.measurements:
        in_us = measurement.name == "time" and measurement.unit == "us"
        yield {
            "name": measurement.name,
            "value": measurement.value * 1e-3 if in_us else measurement.value,
            "unit": "ms" if in_us else measurement.unit,
        }
