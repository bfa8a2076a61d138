"""The check `toy`: wide tiles give NaN, because it says so."""

from __future__ import annotations

from collections.abc import Sequence

from spak.kernels.checks import CheckResult
from spak.kernels.interface import Configuration, Problem


class Toy:
    """See the module."""

    op = "attention"
    source_files = ("kernels/toy.py",)

    def sizes(self, seed: int) -> Sequence[Problem]:
        """One size."""
        return ({"seq_q": 1 + seed % 7},)

    def result(self, problem: Problem, configuration: Configuration, seed: int) -> CheckResult:
        """A NaN in each row where the tile is wide."""
        del seed
        return CheckResult({"nan_rows": float(problem["seq_q"]) if configuration["tile_n"] == 64 else 0.0})
