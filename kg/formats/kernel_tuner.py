"""Kernel Tuner's cache files, the unclosed ones it leaves behind while it runs included.

Source: Kernel Tuner 1.5, `util.py` (`process_cache`, `store_cache`, `correct_open_cache`) and `schema/cache/1.1.0`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from spak.kg.formats.content import decode, refuse
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.formats.timing import Timing, settled
from spak.kg.formats.vocabulary import MICROSECONDS, NO_RESULT, failure_of
from spak.kg.model.base import Scalar, canonical
from spak.kg.model.run import Failure, Invalidity, Measurement, Times, Trial

CLOSING = b"}\n}"
"""What Kernel Tuner itself appends to a cache that was not closed."""

_BOOKKEEPING = frozenset(
    {"time", "times", "compile_time", "verification_time", "benchmark_time", "strategy_time", "framework_time"}
)

_Value = Scalar | list[float] | dict[str, Scalar] | None


class CacheFile(msgspec.Struct):
    """A cache; the entries' keys are the configurations' values joined by commas."""

    cache: dict[str, dict[str, _Value]]
    tune_params_keys: list[str]
    tune_params: dict[str, list[Scalar]] = {}
    device_name: str = ""
    kernel_name: str = ""
    problem_size: str | int | float | list[int | float | str] | None = None
    objective: str | list[str] = "time"


def read_cache(path: Path, content: bytes) -> Recording:
    """The recording in a cache file; times are milliseconds in this format.

    Raises:
        InvalidFilesError: If it is malformed, empty, or an entry lies outside the file's own search space.
    """
    file = decode(path, _closed(content), CacheFile)
    if not file.cache:
        refuse(path, "no entries", field="cache")
    if not file.tune_params_keys:
        refuse(path, "no parameters", field="tune_params_keys")
    space = {name: frozenset(values) for name, values in file.tune_params.items()}
    attempts = []
    for key, entry in file.cache.items():
        field = f"cache.{key}"
        configuration = _configuration(path, field, file.tune_params_keys, entry, space)
        attempts.append(_trial(path, field, configuration, entry))
    trials, notes = settled(path, attempts)
    declared = {name: canonical(file.tune_params[name]) for name in file.tune_params_keys if name in file.tune_params}
    return Recording(
        format="kernel-tuner",
        parameters=declared or seen_parameters(trials),
        declared=bool(file.tune_params),
        trials=trials,
        device=file.device_name,
        kernel=file.kernel_name,
        problem=_problem(file),
        notes=notes,
        created=max((str(entry["timestamp"]) for entry in file.cache.values() if entry.get("timestamp")), default=""),
    )


def _closed(content: bytes) -> bytes:
    """`content`, closed as Kernel Tuner closes it if it ends in the comma after its last entry, or in that entry."""
    text = content.rstrip()
    if text.endswith(b","):
        return text[:-1] + CLOSING
    depth = text.count(b"{") - text.count(b"}")
    return text + CLOSING if depth == 2 and text.endswith(b"}") else text  # noqa: PLR2004 - the file's and `cache`'s


def _configuration(
    path: Path, field: str, names: list[str], entry: dict[str, _Value], space: dict[str, frozenset[Scalar]]
) -> dict[str, Scalar]:
    configuration: dict[str, Scalar] = {}
    for name in names:
        value = entry.get(name)
        if not isinstance(value, bool | int | float | str):
            refuse(path, f"parameter {name} is missing or no plain value (got {value!r})", field=field)
        if space and value not in space.get(name, frozenset()):
            refuse(path, f"{name}={value!r} is not among the file's own tune_params", field=field)
        configuration[name] = value
    return configuration


def _trial(path: Path, field: str, configuration: dict[str, Scalar], entry: dict[str, _Value]) -> tuple[Trial, Timing]:
    value = entry.get("time")
    samples = entry.get("times")
    invalidity, failure = _outcome(path, field, entry)
    if not isinstance(value, bool | int | float | str | None):
        refuse(path, f"time is no number (got {value!r})", field=field)
    others = tuple(
        Measurement(name=name, value=float(found))
        for name, found in entry.items()
        if name not in _BOOKKEEPING and name not in configuration and isinstance(found, int | float)
    )
    times = Times(
        compilation=_milliseconds(entry, "compile_time"),
        validation=_milliseconds(entry, "verification_time"),
        framework=_milliseconds(entry, "framework_time"),
        benchmark=_milliseconds(entry, "benchmark_time"),
    )
    trial = Trial(
        configuration=configuration,
        invalidity=invalidity,
        failure=failure,
        measurements=others if failure is None else (),
        times=times,
    )
    return trial, Timing(field, value, samples if isinstance(samples, list) else [], MICROSECONDS["ms"])


def _outcome(path: Path, field: str, entry: dict[str, _Value]) -> tuple[Invalidity, Failure | None]:
    error = entry.get("__error__")
    marker = error if isinstance(error, str) else entry.get("time")
    if isinstance(marker, str):
        return failure_of(path, field, marker)
    if isinstance(marker, int | float) and marker >= NO_RESULT:
        return "runtime", Failure(type="RuntimeFailedConfig", message="recorded as time 1e20")
    return "correct", None


def _milliseconds(entry: dict[str, _Value], name: str) -> float:
    value = entry.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _problem(file: CacheFile) -> dict[str, Scalar]:
    """`{"problem_size": "4096x4096"}`; a size computed in Python ("callable") is unknown."""
    size = file.problem_size
    if size is None or size == "callable":
        return {}
    return {"problem_size": "x".join(map(str, size)) if isinstance(size, list) else str(size)}
