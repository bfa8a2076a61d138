"""Helion: laws as `autotune_config_filter`, records as `autotune_seed_configs`, and its log as evidence.

    advice = HelionAdvice(TunedKernel(laws, "matmul", hw="h200", names={"block_sizes[0]": "tile_m", ...}))
    @helion.kernel(autotune_config_filter=advice.filter, autotune_seed_configs=advice.seeds(default), autotune_log="run")
    spak.record(root, advice.results("run.csv", by))

Source: Helion 1.5, `runtime/settings.py` (the settings), `autotuner/base_search.py` (`_apply_config_filter`: None skips),
`autotuner/logger.py` (the columns of the log).
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeVar

import spak
from spak.adapters.advice import LOG, MeasuredBy, TunedKernel, Value

C = TypeVar("C", bound=Mapping[str, Any])
"""A `helion.Config`, or a mapping like it."""

STAGES: Mapping[str, Literal["timeout", "compile", "runtime", "correctness"]] = {
    "error": "runtime",
    "timeout": "timeout",
    "peer_compilation_fail": "compile",
    "accuracy_error": "correctness",
}
"""Status in Helion's log -> stage that failed. `error` is compiling or running, which the log does not tell apart."""

_PLACE = re.compile(r"(.+)\[(\d+)\]")


def parameters(config: Mapping[str, Any]) -> dict[str, Value]:
    """What a configuration sets: `block_sizes=[64, 32]` is `block_sizes[0]` and `block_sizes[1]`; None sets nothing."""
    found: dict[str, Value] = {}
    for name, value in config.items():
        if isinstance(value, list | tuple):
            found |= parameters({f"{name}[{place}]": one for place, one in enumerate(value)})
        elif value is not None:
            found[name] = value
    return found


@dataclass
class HelionAdvice:
    """What is known of a Helion kernel, in the form of its settings.

    Attributes:
        kernel: The kernel in the terms of an op; its `names` are those of `parameters`. Of the many settings that a
            Helion kernel has, those with an empty name are taken as whatever they are; one that is not named at all
            is unknown to the laws, and a configuration that sets it passes.
    """

    kernel: TunedKernel
    _said: dict[frozenset[tuple[str, Value]], bool] = field(default_factory=dict, init=False, repr=False)
    _stands: Mapping[str, Any] | None = field(default=None, init=False, repr=False)

    def filter(self, config: C) -> C | None:
        """`config`, or None if it is not feasible or laws remove it; the first that is asked passes, so one always does."""
        key = frozenset(parameters(config).items())
        if key not in self._said:
            self._said[key] = self._passes(config)
        return config if self._said[key] else None

    def _passes(self, config: Mapping[str, Any]) -> bool:
        """Whether it is kept beside one that passed: alone, the worst is kept."""
        if self._stands is None:
            self._stands = config
            return True
        kept = self.kernel.sift([self._stands, config], parameters, ranked=False).kept
        if self._stands not in kept:
            self._stands = config
        return config in kept

    def seeds(self, default: Mapping[str, Any], count: int = 5) -> list[dict[str, Any]]:
        """The `count` configurations that records and laws put first, as Helion's; none where nothing is known.

        Args:
            default: A whole configuration of the kernel, from which what the op does not say is taken
                (`bound_kernel.config_spec.default_config()`).
            count: At most so many; those that set what the kernel has fixed otherwise are passed over.
        """
        hw, kernel = self.kernel.hw, self.kernel
        name = hw if isinstance(hw, spak.HardwareName) else spak.HardwareName(hw)
        try:
            first = spak.first(kernel.laws.laws, name, kernel.known_op.id, kernel.problem)
        except (spak.KgError, spak.TunerError) as error:
            LOG.warning("no seeds: %s", error)
            return []
        fits = (one for one in first.best(len(first.order)) if all(one[n] == v for n, v in kernel.fixed.items()))
        found = [self._helion(one, default) for one, _ in zip(fits, range(count), strict=False)]
        LOG.info("%d seeds from %s", len(found), ", ".join(source for source, weight in first.sources if weight))
        return found

    def _helion(self, configuration: Mapping[str, Value], default: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: list(value) if isinstance(value, list | tuple) else value for name, value in default.items()}
        for theirs, ours in self.kernel.names.items():
            place = _PLACE.fullmatch(theirs)
            if ours and place:
                found[place[1]][int(place[2])] = configuration[ours]
            elif ours:
                found[theirs] = configuration[ours]
        return found

    def results(self, log: str | Path, by: MeasuredBy) -> spak.ToolRun:
        """What Helion measured, for `spak.record`: the median of a configuration's times, else how it failed.

        Args:
            log: The `.csv` that `autotune_log` makes; what was filtered or never finished is not in it as a result.
            by: Who measured. Helion checks results where `autotune_accuracy_check` is on, as it is by default: say so.

        Raises:
            spak.KgError: If the file has other columns, or none of its results can be said in the op's terms.
        """
        times: dict[str, list[float]] = {}
        failed: dict[str, str] = {}
        with Path(log).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if not row.keys() >= {"config", "status", "perf_ms"}:
                    raise spak.KgError(f"{log}: columns {', '.join(row)}; Helion's log has config, status and perf_ms")
                if row["status"] == "ok" and row["perf_ms"]:
                    times.setdefault(row["config"], []).append(float(row["perf_ms"]))
                elif row["status"] in STAGES:
                    failed[row["config"]] = row["status"]
        tried = [spak.Tried(_configuration(one), 1e3 * median(found)) for one, found in times.items()]
        tried += [
            spak.Tried(_configuration(one), failure=status, stage=STAGES[status])
            for one, status in failed.items()
            if one not in times
        ]
        return self.kernel.results(tried, by)


def _configuration(text: str) -> dict[str, Value]:
    """The parameters of a logged `Config(block_sizes=[64, 32], num_warps=4)`, read and never evaluated."""
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call):
        raise spak.KgError(f"not a Helion configuration: {text[:80]}")
    return parameters({word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg})
