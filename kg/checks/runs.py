"""A run file is what its op, its hardware and its own words say: nothing in it is possible nowhere, and nothing was changed since."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice, product, repeat
from operator import attrgetter

from spak.kg.checks import CheckFinding, OneRun
from spak.kg.errors import KgError
from spak.kg.evidence.columns import Alike, measured, settings_of
from spak.kg.expression import Expression, parse
from spak.kg.expression.assignment import show_assignments, show_scalar
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.op import Op
from spak.kg.model.run import DRIFT, IMPORTED, UNSTEADY_TIME, Measurement, Run, Trial, utc
from spak.kg.model.taxonomy import alike
from spak.kg.space.completion import complete

MOST_NAMED = 3
"""Findings of one kind that a run is told about; what is wrong in one trial is often wrong in all."""

MAX_CROSSED = 1 << 20
"""Rows of the product that a run may say it holds whole: more than any run file has room for."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

_UNSTEADY = frozenset({UNSTEADY_TIME, DRIFT})
_TIMES = frozenset({"time", UNSTEADY_TIME})

_VALUE, _INTERVAL = attrgetter("value"), attrgetter("low", "high")

_Found = Iterator[tuple[str, str]]
"""Field and message."""


def check_run(one: OneRun) -> Iterator[CheckFinding]:
    """A finding for each thing that cannot be as the file says; of a reported run only what a person can write wrongly."""
    run = one.run
    found = [*_digest(one), *_names(one), *_times_of_day(run), *_exhaustive(one)]
    if run.tier != "reported":
        found += [*_kernel(run), *_device(one), *_problems(one)]
        for look in (_settings, _conditions, _outcomes):
            found += islice(look(one), MOST_NAMED)
    for field, message in found:
        yield CheckFinding(check="run", field=field, message=message)


def _digest(one: OneRun) -> _Found:
    stated = one.run.trials_sha256
    if not stated:
        yield "trials_sha256", "no digest of its trials, so that nobody sees a later edit; add it with kg seal"
    elif stated != one.trials_sha256:
        message = f"the trials are not those that were recorded (their digest is {one.trials_sha256}); restore the file"
        yield "trials_sha256", message


def _names(one: OneRun) -> _Found:
    for field, name, known in (("op", one.run.op, one.nodes.ops), ("hw", one.run.hw, one.nodes.hardware)):
        if name not in known:
            nearest = ", ".join(alike(name, known))
            yield field, f"unknown {field} {name!r}" + (f"; nearest: {nearest}" if nearest else "")


def _times_of_day(run: Run) -> _Found:
    if utc(run.created) is None:
        yield (
            "created",
            f"no ISO 8601 time with its distance from UTC (got {run.created!r}); 2026-01-31T12:00:00Z is one",
        )


def _kernel(run: Run) -> _Found:
    if run.kernel is not None and not _SHA256.fullmatch(run.kernel.source_sha256):
        yield "kernel.source_sha256", f"64 hex digits of a SHA-256 (got {run.kernel.source_sha256!r})"


def _device(one: OneRun) -> _Found:
    """What was timed ran on a device, and the device is the hardware that the run is said to be about."""
    run = one.run
    if run.tier != "measured" or run.hw not in one.nodes.hardware:
        return
    if run.device is None:
        if run.strategy != IMPORTED:
            yield "device", "it was measured, and does not say on what device; a run without one is no measurement"
        return
    yield from _machines(run)
    node = one.nodes.device(run.device.name)
    if node is None and run.strategy != IMPORTED:
        yield (
            "device.name",
            f"no hardware node is called {run.device.name!r}; add it to the aliases of {run.hw} if it is one",
        )
    elif node not in {None, run.hw}:
        yield "device.name", f"it ran on {run.device.name!r}, which is {node}, not {run.hw}; the run is about {node}"


def _machines(run: Run) -> _Found:
    """The GPU that trials ran on is said once: by the run if it was one, else by every trial that has a time."""
    named = {trial.machine for trial in run.trials if trial.machine}
    if not named or run.device is None:
        return
    if run.device.machine:
        yield "device.machine", f"its trials ran on {', '.join(sorted(named))}, as they say; then the device says none"
    elif len(named) == 1 and all(trial.machine for trial in run.trials if trial.invalidity == "correct"):
        yield "device.machine", f"all that ran did on {named.pop()}; the device says it, and no trial"


def _op(one: OneRun) -> Op | None:
    """The op, if it has a space: one that only groups others says nothing of parameters."""
    op = one.nodes.ops.get(one.run.op)
    return op if op is not None and op.parameters else None


def _problems(one: OneRun) -> _Found:
    op = one.nodes.ops.get(one.run.op)
    if op is None or not op.problem:
        return
    for field, problem in {**_sizes(one.run), "problem": one.run.problem}.items():
        try:
            complete(op, problem)
        except KgError as error:
            yield field, str(error)


def _sizes(run: Run) -> dict[str, ProblemSize]:
    """Every problem size that trials have of their own, by the field of the first that has it."""
    sizes: dict[str, tuple[str, ProblemSize]] = {}
    for place, trial in enumerate(run.trials):
        if trial.problem:
            sizes.setdefault(show_assignments(trial.problem), (f"trials[{place}].problem", trial.problem))
    return dict(sizes.values())


def _settings(one: OneRun) -> _Found:
    """Parameters that the op has, with values that they have."""
    op = _op(one)
    if op is None or _known(op, one.settings):
        return
    values = {name: {_key(value) for value in parameter.values} for name, parameter in op.parameters.items()}
    seen: set[object] = set()
    for place, trial in enumerate(one.run.trials):
        for name, value in trial.configuration.items():
            fault = (name, _key(value)) if name in values else name
            if fault in seen or (name in values and (op.open or _key(value) in values[name])):
                continue
            seen.add(fault)
            field = f"trials[{place}].configuration.{name}"
            if name not in values:
                nearest = ", ".join(alike(name, values))
                yield field, f"op {op.id!r} has no parameter {name!r}" + (f"; nearest: {nearest}" if nearest else "")
            else:
                known = ", ".join(map(show_scalar, op.parameters[name].values))
                yield field, f"{name} of op {op.id!r} is one of {known} (got {show_scalar(value)})"


def _known(op: Op, columns: Mapping[str, Sequence[Scalar]] | None) -> bool:
    """Whether every setting of trials is one that `op` has: what `_settings` looks for, without saying where."""
    if columns is None or not columns.keys() <= op.parameters.keys():
        return False
    return op.open or all(
        _distinct(column) <= set(map(_key, op.parameters[name].values)) for name, column in columns.items()
    )


def _distinct(column: Sequence[Scalar]) -> set[tuple[bool, Scalar]]:
    """`_key` of each value of a column; of one type, as nearly all are, once for each that occurs."""
    return set(map(_key, column if len(set(map(type, column))) > 1 else set(column)))


def _conditions(one: OneRun) -> _Found:
    """What was made satisfies the conditions of the space; what was refused for them is kept as that."""
    op = _op(one)
    if op is None or _satisfied(one, op):
        return
    facts = _facts(one)
    for place, trial in enumerate(one.run.trials):
        if trial.invalidity != "constraints":
            names = {**facts, **_whole(op, trial.problem or one.run.problem), **trial.configuration}
            broken = _broken(op, names)
            if broken:
                field = f"trials[{place}].configuration"
                yield field, f"{broken} does not hold, so op {op.id!r} has no such configuration"


def _satisfied(one: OneRun, op: Op) -> bool:
    """Whether no trial breaks a condition: what `_conditions` looks for, each distinct combination of values once."""
    made = [trial for trial in one.run.trials if trial.invalidity != "constraints"]
    if not made:
        return True
    is_all = len(made) == len(one.run.trials)
    columns = one.settings if is_all else settings_of([trial.configuration for trial in made])
    if columns is None or any(trial.problem for trial in made):
        return False  # nobody knows yet: they are looked at one by one
    given = {**_facts(one), **_whole(op, one.run.problem)}
    for condition in op.conditions:
        _, named = _parsed(condition.require)
        if all(name in columns or name in given for name in named):
            rows = [columns[name] if name in columns else repeat(given[name], len(made)) for name in named]
            combinations = set(zip(*rows, strict=True)) if rows else {()}
            if not all(_holds(condition.require, values) for values in combinations):
                return False
    return True


def _facts(one: OneRun) -> dict[str, Scalar]:
    known = one.nodes.facts(one.run.hw) if one.run.hw in one.nodes.hardware else {}
    return {f"hw.{name}": value for name, value in known.items()}


def _whole(op: Op, problem: ProblemSize) -> dict[str, Scalar]:
    return {name: parameter.default for name, parameter in op.problem.items()} | dict(problem)


@cache
def _parsed(text: str) -> tuple[Expression, tuple[str, ...]]:
    """A condition, and the names in it in some order."""
    required = parse(text)
    return required, tuple(sorted(required.all_names))


def _broken(op: Op, names: Mapping[str, Scalar]) -> str:
    """The first condition that these settings break; one about what is not among them is not broken."""
    for condition in op.conditions:
        named = _parsed(condition.require)[1]
        if all(name in names for name in named) and not _holds(condition.require, tuple(names[name] for name in named)):
            return condition.require
    return ""


@lru_cache(maxsize=1 << 16)
def _holds(condition: str, values: tuple[Scalar, ...]) -> bool:
    """Whether a condition holds for values of the names in it; trials by the thousand share them."""
    required, named = _parsed(condition)
    try:
        return bool(required.holds(dict(zip(named, values, strict=True))))
    except (KgError, TypeError, ZeroDivisionError, OverflowError):  # a value of another type is told of by itself
        return True


def _outcomes(one: OneRun) -> _Found:
    """A trial has a result or a reason why not, and what it measured is a number with the interval around it."""
    run = one.run
    if all(_is_plain(run, run.trials, alike) and _are_sound(alike) for alike in measured(run.trials)):
        return
    for place, trial in enumerate(run.trials):
        for field, message in _outcome(run, trial):
            yield f"trials[{place}].{field}", message


def _is_plain(run: Run, trials: Sequence[Trial], alike: Alike) -> bool:
    """Whether trials are as nearly all are, so that `_outcome` has nothing to say of them but perhaps of a number."""
    own = [trials[place] for place in alike.places]
    correct = {trial.invalidity == "correct" for trial in own}
    if any((trial.failure is None) != (trial.invalidity == "correct") for trial in own):
        return False
    if len(set(alike.names)) < len(alike.names) or not _UNSTEADY.isdisjoint(alike.names):
        return False
    if "time" not in alike.names:
        return run.tier != "measured" or correct == {False}
    timed = alike.columns[alike.names.index("time")]
    return run.tier == "measured" and correct == {True} and all(t.unit == "us" and t.low is not None for t in timed)


def _are_sound(alike: Alike) -> bool:
    """Whether every number is as `_is_sound` wants it; of what is no time and has no intervals it is enough that it is finite."""
    for name, column in zip(alike.names, alike.columns, strict=True):
        if name in _TIMES or set(map(_INTERVAL, column)) != {(None, None)}:
            if not all(map(_is_sound, column)):
                return False
        elif not all(map(math.isfinite, map(_VALUE, column))):
            return False
    return True


def _outcome(run: Run, trial: Trial) -> _Found:
    if (trial.failure is not None) != (trial.invalidity != "correct"):
        yield "failure", f"says why there is no result if and only if it is not correct (it is {trial.invalidity})"
    names = [measurement.name for measurement in trial.measurements]
    if len(set(names)) < len(names):
        yield "measurements", f"names one quantity twice ({', '.join(names)}); a trial has one value of each"
    for place, measurement in enumerate(trial.measurements):
        if not _is_sound(measurement):
            said = f"{measurement.value:g}, {measurement.low} to {measurement.high}"
            yield f"measurements[{place}]", f"a finite value inside its interval, a time above 0 (got {said})"
    timed = next((m for m in trial.measurements if m.name == "time"), None)
    if timed is not None and run.tier != "measured":
        yield "measurements", f"a {run.tier} run has no time; a model's is called predicted_time"
    elif timed is not None and trial.invalidity != "correct":
        yield "measurements", f"it has a time though it failed ({trial.invalidity}); correctness comes before timing"
    elif (UNSTEADY_TIME in names) != (DRIFT in names):
        yield (
            "measurements",
            f"an {UNSTEADY_TIME} has a {DRIFT} beside it that says why it does not count, and no other",
        )
    elif timed is not None and UNSTEADY_TIME in names:
        yield "measurements", f"a time that counts and an {UNSTEADY_TIME}: a device is steady or it is not"
    elif run.tier == "measured" and trial.invalidity == "correct" and UNSTEADY_TIME not in names:
        yield from _timing(timed, imported=run.strategy == IMPORTED)


def _timing(timed: Measurement | None, *, imported: bool) -> _Found:
    if timed is None:
        yield "measurements", "it is correct and has no time, though the run is measured"
    elif timed.unit != "us":
        yield "measurements", f"times are in us (got {timed.unit})"
    elif timed.low is None and not imported:
        yield "measurements", "a time without its 95 % interval; without it nobody can judge by it"


def _is_sound(measurement: Measurement) -> bool:
    value, low, high = measurement.value, measurement.low, measurement.high
    if (low is None) != (high is None):
        return False
    low, high = (value, value) if low is None or high is None else (low, high)
    return low <= value <= high and math.isfinite(high - low) and (low > 0 or measurement.name not in _TIMES)


def _exhaustive(one: OneRun) -> _Found:
    """The trials hold every feasible member of the product that the run says they are; failed ones are held too."""
    run, crossed = one.run, one.run.exhaustive_over
    if not crossed:
        return
    if math.prod(map(len, crossed.values())) > MAX_CROSSED:
        yield "exhaustive_over", f"spans more than {MAX_CROSSED} configurations, which no run holds"
        return
    strange = [name for name in crossed if not all(name in trial.configuration for trial in run.trials)]
    if strange or not run.trials:
        yield "exhaustive_over", f"the trials do not all have {', '.join(strange) or 'anything'}"
        return
    by_problem: dict[str, list[Trial]] = {}
    for trial in run.trials:
        by_problem.setdefault(show_assignments(trial.problem), []).append(trial)
    for trials in by_problem.values():
        missing = list(_missing(one, trials))
        if missing:
            first = show_assignments(missing[0])
            yield "exhaustive_over", f"{len(missing)} of its configurations are in no trial, such as {first}"


def _missing(one: OneRun, trials: Sequence[Trial]) -> Iterator[Configuration]:
    """Feasible members of the product that none of `trials`, which are of one problem size, has."""
    crossed, op = one.run.exhaustive_over, _op(one)
    problem = trials[0].problem or one.run.problem
    around = {**_facts(one), **(_whole(op, problem) if op is not None else problem), **_shared(trials, crossed)}
    present = {tuple(_key(trial.configuration[name]) for name in crossed) for trial in trials}
    for values in product(*crossed.values()):
        member = dict(zip(crossed, values, strict=True))
        if tuple(map(_key, values)) not in present and (op is None or not _broken(op, {**around, **member})):
            yield member


def _shared(trials: Iterable[Trial], besides: Collection[str]) -> dict[str, Scalar]:
    """What all trials have set alike, besides the parameters named: it holds for the members that are missing too."""
    values: dict[str, dict[object, Scalar]] = {}
    for trial in trials:
        for name, value in trial.configuration.items():
            if name not in besides:
                values.setdefault(name, {})[_key(value)] = value
    return {name: next(iter(seen.values())) for name, seen in values.items() if len(seen) == 1}


def _key(value: Scalar) -> tuple[bool, Scalar]:
    """Python takes True for 1; a parameter's values do not."""
    return isinstance(value, bool), value
