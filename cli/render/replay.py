"""A replay as JSON, which is stable, and as text."""

from __future__ import annotations

from typing import Any

import msgspec

from spak.cli.render.text import as_dictionary, wrap
from spak.kg.model.figures import counted
from spak.kg.model.run import Trial
from spak.tuner.knowledge.gather import described
from spak.tuner.replay import FRACTIONS, Replay, Replayed, cost_s

_SHOWN = 10

_KNOWN = 5
"""Sources named, the weightiest."""


def as_json(done: Replayed, what: Replay) -> str:
    """Every trial in order, the best, and the evaluations to each fraction of the recorded optimum."""
    evaluations = {f"{fraction}": done.evaluations_to(fraction) for fraction in FRACTIONS}
    content: dict[str, Any] = {
        "hw": done.hw,
        "op": done.op,
        "strategy": done.strategy,
        "seed": what.seed,
        "use_laws": what.laws is not None,
        "own_runs": what.own_runs,
        "space": len(done.space),
        "removed_by_laws": int(done.restriction.removed.sum()),
        "knowledge": [{"source": label, "weight": weight} for label, weight in _knowledge(done)],
        "optimum": _trial(done.optimum),
        "best": _trial(done.best),
        "evaluations": len(done.trials),
        "evaluations_to": evaluations,
        "random_expects": {f"{fraction}": count for fraction, count in done.random.items()},
        "seconds_to": {name: done.seconds_to(count) for name, count in evaluations.items()},
        "trials": [
            {"n": place + 1, **(_trial(trial) or {}), "origin": trial.origin, "from": done.reasons.get(place, "")}
            for place, trial in enumerate(done.trials)
        ],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def as_text(done: Replayed) -> str:
    """A few lines: what was known, the first trials and where they came from, the best, the evaluations."""
    lines = [f"{done.op} on {done.hw}: {len(done.space)} recorded configurations, strategy {done.strategy}"]
    known = _knowledge(done)
    lines += [
        line for label, weight in known[:_KNOWN] for line in wrap(f"known: {label}, weight {weight:.2f}", indent=2)
    ]
    lines += [f"  and {counted(len(known) - _KNOWN, 'more source')}: --format json"] if len(known) > _KNOWN else []
    for place, trial in enumerate(done.trials[:_SHOWN]):
        time = trial.value("time")
        shown = f"{time:.4g} us" if time is not None else trial.invalidity
        lines.append(f"  {place + 1:3} {shown:>12}  {done.reasons.get(place, trial.origin)}")
    best, optimum = done.best, done.optimum
    if best is not None:
        share = (optimum.value("time") or 0.0) / (best.value("time") or 1.0)
        lines.append(f"best of {len(done.trials)}: {best.value('time'):.4g} us, {share:.1%} of the optimum")
        lines += as_dictionary("best", best.configuration)
    for fraction in FRACTIONS:
        count = done.evaluations_to(fraction)
        seconds = done.seconds_to(count)
        words = "evaluation" if count == 1 else "evaluations"
        reached = "not reached" if count is None else f"{count} {words}, {seconds:.1f} s of compiling and running"
        expected = f"random search expects {done.random[fraction]:.1f}"
        lines.append(f"to {fraction:.0%} of the recorded optimum: {reached} ({expected})")
    return "\n".join(lines) + "\n"


def _knowledge(done: Replayed) -> list[tuple[str, float]]:
    return described(done.knowledge) if done.knowledge is not None else []


def _trial(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    failure = {"failure": trial.failure.type} if trial.failure is not None else {}
    return {
        "configuration": trial.configuration,
        "time_us": trial.value("time"),
        "invalidity": trial.invalidity,
        "cost_s": cost_s(trial),
        **failure,
    }
