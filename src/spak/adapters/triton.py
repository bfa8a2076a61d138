"""Triton's autotuner: configurations pruned and ordered by laws (`prune_configs_by`), its timings as evidence."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import spak
from spak.adapters.advice import LOG, Collected, MeasuredBy, TunedKernel, Value

TIMER = "median of triton.testing.do_bench, or of the do_bench that the kernel names; no interval is kept"

UNTUNED = frozenset({"pre_hook"})
"""What a configuration carries and is no parameter."""

US_PER_MS = 1000.0


def config_parameters(config: Any) -> dict[str, Value]:
    """What a `triton.Config` sets: its keyword arguments, warps, stages and whatever else is not None."""
    return {name: value for name, value in config.all_kwargs().items() if name not in UNTUNED}


class TritonTuning:
    """One kernel under `triton.autotune`, asked of laws, its timings kept.

    Triton's compiler is not cuTile's: laws that were seen with another compiler only order, unless `toolchain` says that
    the times are of code of that one.
    """

    def __init__(
        self,
        kernel: TunedKernel,
        problem_of: Callable[[Mapping[str, Any]], Mapping[str, Value]] | None = None,
        *,
        toolchain: str | None = None,
    ) -> None:
        """Begin.

        Args:
            kernel: What is tuned; its problem size is that of every call for which `problem_of` is not asked.
            problem_of: Problem size by the arguments of a call, by name.
            toolchain: `name version` of the compiler; None: Triton's.
        """
        compiler = f"triton {version('triton')}" if toolchain is None else toolchain
        self._kernel = self._asked = kernel.compiled_by(compiler)
        self._problem_of = problem_of
        self._places: dict[frozenset[tuple[str, Value]], int] = {}
        self._names: frozenset[str] = frozenset()
        self._errors: list[Exception] = []
        self._collected = Collected()

    def prune_configs_by(self, *, top_k: float | None = None) -> dict[str, Any]:
        """What `triton.autotune` takes under this name.

        Args:
            top_k: How many of those worth trying are timed, or a fraction of them up to 1.0; None: all, in Triton's order of
                benchmarking, which is then best first.
        """
        found: dict[str, Any] = {"early_config_prune": self.early_config_prune}
        return found if top_k is None else found | {"perf_model": self.perf_model, "top_k": top_k}

    def early_config_prune(self, configs: Sequence[Any], named_args: Mapping[str, Any], **kwargs: Any) -> list[Any]:
        """`configs` worth trying at the problem size of this call, best first; at least one."""
        self._asked, self._errors = self._kernel, []
        if self._problem_of is not None:
            self._asked = replace(self._kernel, problem=self._problem_of({**named_args, **kwargs}))
        kept = self._asked.sift(configs, config_parameters).kept
        told = [config_parameters(config) for config in kept]
        self._names = frozenset().union(*told)
        self._places = {frozenset(one.items()): place for place, one in enumerate(told)}
        return list(kept)

    def perf_model(self, **arguments: Any) -> float:
        """Where a configuration stands among those worth trying: it orders as a time would, and is none."""
        own = frozenset((name, arguments[name]) for name in self._names if arguments.get(name) is not None)
        return float(self._places[own])

    def watched(self, do_bench: Callable[..., Any]) -> Callable[..., Any]:
        """`do_bench` that keeps why a configuration failed; Triton keeps only that it did."""

        def bench(*args: Any, **kwargs: Any) -> Any:
            try:
                return do_bench(*args, **kwargs)
            except Exception as error:
                self._errors.append(error)
                raise

        return bench

    @contextmanager
    def listening(self) -> Iterator[TritonTuning]:
        """Keep what is timed inside, beside who listens already; Triton 3.9 has such listeners, 3.6 has not: `take` the autotuner there.

        Raises:
            RuntimeError: If this Triton tells nobody.
        """
        from triton import knobs  # noqa: PLC0415 - whoever comes here has it

        if not hasattr(knobs.autotuning, "listener"):
            raise RuntimeError(f"Triton {version('triton')} has no autotuning.listener; call take(kernel) after tuning")
        before = knobs.autotuning.listener

        def listener(**event: Any) -> None:
            self._listen(event["configs_timings"])
            if before is not None:
                before(**event)

        knobs.autotuning.listener = listener
        try:
            yield self
        finally:
            knobs.autotuning.listener = before

    def take(self, autotuner: Any) -> None:
        """Keep what an `Autotuner` timed last."""
        self._listen(getattr(autotuner, "configs_timings", {}))

    def take_cache(self, path: Path) -> None:
        """Keep what a `*.autotune.json` of Triton's cache says, at the problem size of the kernel.

        Raises:
            spak.KgError: If it is no such file.
        """
        try:
            told = json.loads(path.read_text())["configs_timings"]
            timings = [(_cached(config), list(times)) for config, times in told]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise spak.KgError(f"{path}: no *.autotune.json of Triton: {error!r}") from None
        self._collected.add(self._kernel, _tried(timings, []))

    def results(self, at: datetime, *, checked: bool = False, device: str = "") -> tuple[spak.ToolRun, ...]:
        """What was timed, failures included, for `spak.record`; one for each problem size.

        Args:
            at: When, with its distance from UTC.
            checked: Whether results were checked; if not, the times count as reported.
            device: What the driver calls the device.
        """
        toolchain = {"triton": version("triton")}
        return self._collected.results(
            MeasuredBy(f"triton.autotune {version('triton')}", at, TIMER, toolchain, checked, device)
        )

    def _listen(self, timings: Mapping[Any, Any]) -> None:
        told = [(config_parameters(config), times) for config, times in timings.items()]
        if not told or any(frozenset(one.items()) not in self._places for one, _ in told):
            LOG.debug("nothing was timed, or another kernel")
            return
        self._collected.add(self._asked, _tried(told, self._errors))
        self._errors = []


def _cached(config: Mapping[str, Any]) -> dict[str, Value]:
    """What a configuration of a cache file sets."""
    rest = {name: value for name, value in config.items() if name != "kwargs" and name not in UNTUNED}
    return {**config["kwargs"], **{name: value for name, value in rest.items() if value is not None}}


def _tried(timings: Sequence[tuple[Mapping[str, Value], Any]], errors: Sequence[Exception]) -> Iterator[spak.Tried]:
    """Triton's medians in ms, as microseconds; infinite ones failed, in the order of `errors` if all of these are known."""
    medians = [times[0] if isinstance(times, Sequence) else times for _, times in timings]
    known = list(errors) if len(errors) == sum(map(math.isinf, medians)) else []
    for (parameters, _), median in zip(timings, medians, strict=True):
        if math.isfinite(median):
            yield spak.Tried(parameters, median * US_PER_MS)
        elif known:
            error = known.pop(0)
            stage: Any = "runtime" if type(error).__name__ == "OutOfResources" else "compile"
            yield spak.Tried(parameters, failure=f"{type(error).__name__}: {error}", stage=stage)
        else:
            yield spak.Tried(parameters, failure="Triton says that it failed, not why")
