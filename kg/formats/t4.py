"""T4 result files of the auto-tuning community: one entry a configuration, failures included.

Source: Kernel Tuner, `schema/T4/1.0.0/results-schema.json`, and the files of the Auto-Tuning Association's benchmark hub.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from spak.kg.formats.content import decode, refuse
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.formats.timing import Timing, settled
from spak.kg.formats.vocabulary import MICROSECONDS, failure_of, time_unit
from spak.kg.model.base import Scalar
from spak.kg.model.run import Failure, Invalidity, Measurement, Times, Trial

Number = int | float
_Value = int | float | str | list[Number] | None


class T4Measurement(msgspec.Struct):
    """One quantity; `value` is a failure marker (text) where the configuration did not run."""

    name: str
    value: _Value = None
    unit: str = ""


class T4Times(msgspec.Struct):
    """Durations in the file's time unit; both spellings of compilation occur."""

    compilation: Number | None = None
    compilation_time: Number | None = None
    framework: Number | None = None
    search_algorithm: Number | None = None
    validation: Number | None = None
    benchmark: Number | None = None
    runtimes: list[Number] | None = None


class T4Result(msgspec.Struct):
    """One configuration tried."""

    configuration: dict[str, Scalar]
    invalidity: Invalidity
    times: T4Times = msgspec.field(default_factory=T4Times)
    correctness: Number = 1
    measurements: list[T4Measurement] = []
    timestamp: str | None = None


class T4Metadata(msgspec.Struct):
    """The part of the metadata that results are read with."""

    timeunit: str = ""


class T4File(msgspec.Struct):
    """A result file."""

    results: list[T4Result]
    schema_version: str = ""
    metadata: T4Metadata = msgspec.field(default_factory=T4Metadata)


def read_t4(path: Path, content: bytes) -> Recording:
    """The recording in a T4 file.

    Raises:
        InvalidFilesError: If it is malformed, its units are unknown or mixed, or its results disagree on parameters.
    """
    file = decode(path, content, T4File)
    if not file.results:
        refuse(path, "no results", field="results")
    unit = _file_unit(path, file)
    _check_parameters(path, file.results)
    attempts = [
        (_trial(path, place, result, MICROSECONDS[unit] * 1e-3), _timing(path, place, result, unit))
        for place, result in enumerate(file.results)
    ]
    trials, notes = settled(path, attempts)
    stamps = [result.timestamp for result in file.results if result.timestamp]
    return Recording(
        format="t4",
        parameters=seen_parameters(trials),
        declared=False,
        trials=trials,
        notes=notes,
        created=max(stamps, default=""),
    )


def _file_unit(path: Path, file: T4File) -> str:
    """The one unit of every time in the file: what the metadata states, else what the measurements state."""
    stated = {m.unit for result in file.results for m in result.measurements if m.name == "time" and m.unit}
    if file.metadata.timeunit:
        stated.add(file.metadata.timeunit)
    units = {text: time_unit(text) for text in stated}
    unknown = sorted(text for text, unit in units.items() if unit is None)
    if unknown:
        refuse(path, f"unknown time unit {unknown[0]!r}; expected ns, us, ms or s", field="metadata.timeunit")
    if len(set(units.values())) > 1:
        refuse(path, f"times in mixed units ({', '.join(sorted(units))}); convert the file to one", field="results")
    if not units:
        refuse(path, "no time unit stated; set metadata.timeunit to ns, us, ms or s", field="metadata.timeunit")
    return str(next(iter(units.values())))


def _check_parameters(path: Path, results: list[T4Result]) -> None:
    names = results[0].configuration.keys()
    if not names:
        refuse(path, "an empty configuration", field="results[0].configuration")
    for place, result in enumerate(results):
        if result.configuration.keys() != names:
            odd = sorted(names ^ result.configuration.keys())
            refuse(
                path,
                f"parameters differ from those of the first result ({', '.join(odd)})",
                field=f"results[{place}].configuration",
            )


def _timing(path: Path, place: int, result: T4Result, unit: str) -> Timing:
    value = next((m.value for m in result.measurements if m.name == "time"), None)
    if isinstance(value, list):
        refuse(path, "a list where one number is expected", field=f"results[{place}].measurements.time")
    samples = result.times.runtimes or []
    return Timing(f"results[{place}]", value, samples, MICROSECONDS[unit])


def _outcome(path: Path, place: int, result: T4Result) -> tuple[Invalidity, Failure | None]:
    """How the attempt ended; a marker among the measurements and `correctness: 0` overrule `correct`."""
    marker = next((m.value for m in result.measurements if isinstance(m.value, str)), "")
    if result.invalidity != "correct":
        return result.invalidity, Failure(type=marker or result.invalidity, message="")
    if marker:
        return failure_of(path, f"results[{place}].measurements", marker)
    if result.correctness == 0:
        return "correctness", Failure(type="correctness", message="recorded as incorrect")
    return "correct", None


def _trial(path: Path, place: int, result: T4Result, to_ms: float) -> Trial:
    invalidity, failure = _outcome(path, place, result)
    times = result.times
    others = tuple(
        Measurement(name=m.name, value=float(m.value), unit=m.unit or "1")
        for m in result.measurements
        if m.name != "time" and isinstance(m.value, int | float)
    )
    return Trial(
        configuration=result.configuration,
        invalidity=invalidity,
        failure=failure,
        measurements=others,
        times=Times(
            compilation=(times.compilation or times.compilation_time or 0.0) * to_ms,
            validation=(times.validation or 0.0) * to_ms,
            framework=(times.framework or 0.0) * to_ms,
            benchmark=(times.benchmark or 0.0) * to_ms,
        ),
    )
