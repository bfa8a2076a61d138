"""Every strategy by name; adding one adds an entry here. Modules load on first use."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from spak.tuner.errors import TunerError

if TYPE_CHECKING:
    from spak.tuner.knowledge.known import Knowledge
    from spak.tuner.strategy.asking import Explain
    from spak.tuner.strategy.base import Strategy


@dataclass(frozen=True)
class StrategyEntry:
    """One strategy.

    Attributes:
        path: `module:class`.
        summary: What it tries next, in a few words.
        starts_from_knowledge: Whether it has an opinion on every configuration from the start: its class takes what is
            known elsewhere, and of a large space it searches a part.
    """

    path: str
    summary: str
    starts_from_knowledge: bool = False


STRATEGIES = {
    "random": StrategyEntry("spak.tuner.strategy.random:Random", "at random, never twice"),
    "exhaustive": StrategyEntry("spak.tuner.strategy.exhaustive:Exhaustive", "everything in order"),
    "transfer": StrategyEntry(
        "spak.tuner.strategy.transfer:Transfer", "what recorded runs and trials promise", starts_from_knowledge=True
    ),
    "genetic": StrategyEntry("spak.tuner.strategy.genetic:Genetic", "children of the best"),
    "forest": StrategyEntry("spak.tuner.strategy.forest:Forest", "what a model of the trials promises"),
}
"""Name -> strategy; of those alike in whether they start from knowledge, the first is the default."""


def entry(name: str) -> StrategyEntry:
    """The strategy of that name.

    Raises:
        TunerError: If there is none; names them all.
    """
    if name not in STRATEGIES:
        raise TunerError(f"unknown strategy {name!r}; there are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def default(*, informed: bool) -> str:
    """Name of the strategy to take where nobody chose one: another where something is known (`informed`)."""
    return next(name for name, found in STRATEGIES.items() if found.starts_from_knowledge == informed)


def listed() -> str:
    """All names, each with what it tries next."""
    return ", ".join(f"{name} ({found.summary})" for name, found in STRATEGIES.items())


def make(name: str, explain: Explain | None = None, known: Knowledge | None = None) -> Strategy:
    """A new strategy, not started.

    Args:
        name: Which.
        explain: Told why each configuration is proposed.
        known: What is known elsewhere, about the whole space; only strategies that start from knowledge look at it.

    Raises:
        TunerError: If there is none of that name; names them all.
    """
    found = entry(name)
    module, _, attribute = found.path.partition(":")
    given = {"known": known} if found.starts_from_knowledge else {}
    strategy: Strategy = getattr(import_module(module), attribute)(explain=explain, **given)
    return strategy
