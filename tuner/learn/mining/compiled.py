"""Claims about compiled code: where every configuration spills registers, or does not compile at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spak.tuner.learn.mining.negative import FarRegion, regions
from spak.tuner.learn.mining.predicates import literals
from spak.tuner.learn.mining.table import Bools, TrialTable


@dataclass(frozen=True)
class CompiledClaim:
    """One thing that can be wrong with compiled code.

    Attributes:
        effect: Effect name; a compiled feature, or `failure_rate`.
        at_least: The bound the law states.
        because: Glossary term.
        words: For the title, between the hardware and "where".
        tag: For the law's id.
    """

    effect: str
    at_least: float
    because: str
    words: str
    tag: str

    def shows(self, table: TrialTable) -> tuple[Bools, Bools]:
        """(S, N) cells that say something about it, and those that show it."""
        if self.effect == "failure_rate":
            return table.observed | table.failed | table.compiled, table.failed
        values = table.features.get(self.effect)
        if values is None:
            return np.zeros_like(table.failed), np.zeros_like(table.failed)
        return np.isfinite(values), values >= self.at_least

    def least(self, table: TrialTable, mask: Bools) -> float:
        """The smallest effect inside `mask`."""
        return 1.0 if self.effect == "failure_rate" else float(table.features[self.effect][mask].min())


COMPILED_CLAIMS = (
    CompiledClaim("spill_bytes", 1.0, "register-spill", "spills registers", "spills"),
    CompiledClaim("failure_rate", 1.0, "compile-failure", "does not compile", "no-code"),
)


def compiled_regions(table: TrialTable, claim: CompiledClaim, tiles: tuple[str, ...] | None = None) -> list[FarRegion]:
    """The most general regions whose every configuration shows `claim`; predicates speak of parameters only."""
    relevant, shown = claim.shows(table)
    if not shown.any():
        return []
    return regions(literals(table, tiles=tiles, relevant=relevant), relevant, shown.astype(float), 1.0)
