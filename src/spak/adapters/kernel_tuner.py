"""Kernel Tuner: a live strategy of `tune_kernel`, which asks laws and recorded runs what to try next.

    strategy = SessionStrategy(spak.load("mylaws"), op="convolution", hw=spak.HardwareName("A4000", arch="sm_86"))
    kernel_tuner.tune_kernel(..., strategy=strategy, strategy_options={"max_fevals": 60}, cache="a4000.json")
    strategy.record("mylaws", "a4000.json", datetime.now(UTC))

Kernel Tuner makes the space, compiles, checks, times, keeps cache and budget, and calls observers; the order is ours.

Source: Kernel Tuner 1.5, `interface.py` (any object with `tune` is a strategy) and `strategies/common.py` (`CostFunc`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import spak
from spak.adapters.advice import LOG

OBJECTIVE = "time"
"""Kernel Tuner's default objective: the mean time of a launch, in milliseconds."""


@dataclass(eq=False)
class SessionStrategy:
    """A strategy of Kernel Tuner: the loop of `tune search` on the space that Kernel Tuner made.

    The same laws, seed and times give the trials of `tune replay`. A search that is resumed from a cache begins again,
    and what the cache holds costs no time.

    Attributes:
        laws: What is known.
        op: An id or an alias, or an op of one's own; one that is not known is searched without knowledge.
        hw: Hardware; need not be known. None: what Kernel Tuner calls the device.
        problem: Problem size; the rest, or all, has the op's defaults.
        strategy: Name of one of ours; empty: `transfer` where anything is known, else `random`.
        seed: Draws everything random.
        session: Of the last search: its trials, the laws that they contradict.
    """

    laws: spak.Library
    op: str | spak.Op
    hw: str | spak.HardwareName | None = None
    problem: Mapping[str, Any] | None = None
    strategy: str = ""
    seed: int = 0
    session: spak.Session | None = field(default=None, init=False)

    def tune(self, searchspace: Any, runner: Any, tuning_options: Any) -> list[dict[str, Any]]:
        """Search as Kernel Tuner asks its strategies to: until its budget is spent or all of the space was tried.

        Args:
            searchspace: A `kernel_tuner.searchspace.Searchspace`.
            runner: What evaluates configurations; `CostFunc` meets it.
            tuning_options: With `max_fevals` and `time_limit`, and no further strategy options.

        Returns:
            A result for each configuration that was tried, failures included.

        Raises:
            ValueError: If another objective than the time is asked for, or an unknown strategy option.
            KgError: If a value is none of its parameter's, or no configuration is feasible.
        """
        from kernel_tuner.strategies.common import CostFunc, get_options  # noqa: PLC0415
        from kernel_tuner.util import StopCriterionReached  # noqa: PLC0415

        if list(tuning_options.objective) != [OBJECTIVE]:
            raise ValueError(f"objective: this strategy minimises {OBJECTIVE!r} (got {tuning_options.objective})")
        get_options(tuning_options.strategy_options, {}, unsupported=["x0"])
        names = tuple(tuning_options.tune_params)
        rows = {_plain(row): row for row in searchspace.list}
        space = [dict(zip(names, row, strict=True)) for row in rows]
        self.session = session = self._begin(space, runner, tuning_options)
        cost = CostFunc(searchspace, tuning_options, runner, snap=False)
        with suppress(StopCriterionReached):  # raised after the last trial too, which is told all the same
            for number, configuration in enumerate(iter(session.ask, None)):
                try:
                    cost.eval(rows[tuple(configuration[name] for name in names)], check_restrictions=False)
                finally:
                    for result in cost.results[number:]:
                        session.tell(configuration, **_answer(result))
        return list(cost.results)

    def _begin(self, space: list[dict[str, Any]], runner: Any, tuning_options: Any) -> spak.Session:
        """A session on `space`, and in the log what comes last in it, and by which laws."""
        place: dict[str, Any] = {"hw": self.hw or runner.get_device_info().name, "problem": self.problem}
        op = self.op
        try:
            found = self.laws.filter(space, op=op, **place)
        except spak.UnknownNameError as error:
            if error.kind != "op":
                raise
            LOG.warning("%s; searched without knowledge", error)
            op = spak.op(error.name, {name: _plain(values) for name, values in tuning_options.tune_params.items()})
            found = self.laws.filter(space, op=op, **place)
        counted = Counter(
            pair for left in found.left_out for pair in zip_longest(left.laws, left.reasons, fillvalue="")
        )
        for (law, reason), number in counted.items():
            LOG.info("%d of %d configurations left out by %s: %s", number, len(space), law or "the op", reason)
        budget = tuning_options.budget.max_fevals
        listed = spak.Candidates(op, space)
        return self.laws.session(listed, budget=budget, strategy=self.strategy, seed=self.seed, **place)

    def record(self, root: str | Path, file: str | Path, now: datetime) -> spak.Imported:
        """Make evidence under `root` of what Kernel Tuner measured, failures included.

        Args:
            root: A folder of laws; it need not exist.
            file: Cache, open or closed, or T4 file. A T4 file does not say on what it ran: then `hw` has to.
            now: When it is recorded, where the file does not say when it was measured.

        Raises:
            KgError: If the file does not fit, or says that it ran on other hardware; nothing is written then.
        """
        path = Path(file)
        hw = self.hw or spak.read_recording(path).device
        if not hw:
            raise spak.KgError(f"{path}: does not say on what it ran; give the strategy its hw")
        name = hw if isinstance(hw, spak.HardwareName) else spak.HardwareName(hw)
        op = self.op if isinstance(self.op, str) else self.op.title
        return spak.import_file(Path(root), spak.Import(path, name, op, problem=self.problem or {}), now)


def _plain(values: Iterable[Any]) -> tuple[Any, ...]:
    """Python's own numbers for NumPy's."""
    return tuple(value.item() if hasattr(value, "item") else value for value in values)


def _answer(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a session is told of a result: microseconds, or why there are none."""
    if "__error__" in result:
        return {"failure": str(result["__error__"])}
    milliseconds = float(result[OBJECTIVE])
    if not 0 < milliseconds < math.inf:
        return {"failure": f"{OBJECTIVE} {milliseconds}"}
    return {"time_us": 1e3 * milliseconds}
