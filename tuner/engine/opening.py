"""How a search opens on what is known: laws on its space, runs of others, and the strategy that begins with them."""

from __future__ import annotations

from dataclasses import dataclass

from spak.kg.files.loader import Laws
from spak.kg.space.space import Space
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.knowledge.gather import SearchTarget, gather
from spak.tuner.knowledge.known import Knowledge
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.strategy import registry
from spak.tuner.strategy.asking import Explain


@dataclass(frozen=True)
class Manner:
    """How to search.

    Attributes:
        strategy: Its name; empty: the default, another where anything is known.
        toolchain: `name version` that the search compiles with; empty if unknown.
    """

    budget: Budget
    strategy: str = ""
    seed: int = 0
    toolchain: str = ""


@dataclass(frozen=True)
class Opening:
    """A search that can begin, the name of its strategy, and what is known before; None if nothing was asked."""

    search: RunningSearch
    strategy: str
    knowledge: Knowledge | None


def opening(
    laws: Laws | None, space: Space, target: SearchTarget, manner: Manner, explain: Explain | None = None
) -> Opening:
    """A search of `space` that begins with what `laws` know of it.

    Args:
        laws: None to know nothing at all; the target's hardware is among them, the space's op need not be.
        space: What is searched.
        target: For what, and which of its own runs count.
        manner: How.
        explain: Told why each configuration is proposed.

    Raises:
        TunerError: If there is no such strategy.
        InvalidFilesError: If a run file cannot be read.
    """
    restriction, known = Restriction(space), None
    if laws is not None:
        if space.op in laws.ops:
            restriction = restrict(space, laws, Context(target.hw, manner.toolchain))
        restriction, known = gather(laws, space, target, restriction)
    informed = known is not None and bool(known.labels)
    name = manner.strategy or registry.default(informed=informed)
    registry.entry(name)
    order = known.order() if known is not None and informed else None
    return Opening(
        RunningSearch(restriction, lambda: registry.make(name, explain, known), manner.budget, manner.seed, order),
        name,
        known,
    )
