"""Every strategy by name; adding one adds a line here. Modules load on first use."""

from __future__ import annotations

from importlib import import_module

from spak.tuner.errors import TunerError
from spak.tuner.strategy.asking import Explain
from spak.tuner.strategy.base import Strategy

STRATEGIES = {
    "exhaustive": "spak.tuner.strategy.exhaustive:Exhaustive",
    "forest": "spak.tuner.strategy.forest:Forest",
    "genetic": "spak.tuner.strategy.genetic:Genetic",
    "random": "spak.tuner.strategy.random:Random",
    "transfer": "spak.tuner.strategy.transfer:Transfer",
}
"""Name -> `module:class`."""


def make(name: str, explain: Explain | None = None) -> Strategy:
    """A new strategy, not started; `explain` is told why each configuration is proposed.

    Raises:
        TunerError: If there is none of that name; names them all.
    """
    if name not in STRATEGIES:
        raise TunerError(f"unknown strategy {name!r}; there are {', '.join(STRATEGIES)}")
    module, _, attribute = STRATEGIES[name].partition(":")
    strategy: Strategy = getattr(import_module(module), attribute)(explain=explain)
    return strategy
