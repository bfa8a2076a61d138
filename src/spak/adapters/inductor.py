"""Inductor's choice between kernels: choices filtered and ordered by laws, its timings as evidence.

Both hooks are those of `torch._inductor.select_algorithm` in torch 2.11 to 2.13. What is not a template of the kernel
that is asked about, PyTorch's own operators above all, is kept whatever laws say.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import spak
from spak.adapters.advice import LOG, Collected, MeasuredBy, TunedKernel, Value

TIMER = (
    "Inductor's benchmarker in its own process or a worker, in ms; no interval is kept, and a cached time may be older"
)

FAILED = "Inductor says that it failed, and logs why"

US_PER_MS = 1000.0

Operand = tuple[tuple[int, ...], str]
"""Shape and dtype of an input (`float16`)."""


def choice_parameters(choice: Any) -> dict[str, Value]:
    """What a template's choice sets, as its description has it: `BLOCK_M=64, ..., num_warps=4`; empty of any other."""
    found: dict[str, Value] = {}
    for part in filter(None, choice.description.split(", ")):
        name, _, text = part.partition("=")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        found[name] = value if isinstance(value, bool | int | float | str) else text
    return found


def operands(choice: Any) -> list[Operand]:
    """Shapes and dtypes of a choice's inputs.

    Raises:
        TypeError: If a size is only known as a symbol.
    """
    nodes = choice.input_nodes
    return [(tuple(map(int, node.get_size())), str(node.get_dtype()).removeprefix("torch.")) for node in nodes]


@dataclass(frozen=True)
class _Batch:
    """Choices of one selection: the kernel at its problem size, and what each sets."""

    kernel: TunedKernel
    parameters: Mapping[Any, Mapping[str, Value]]


class InductorTuning:
    """One kind of template among Inductor's choices, asked of laws, its timings kept.

    Triton's compiler is not cuTile's: laws that were seen with another compiler only order, unless `toolchain` says that
    the times are of code of that one.
    """

    def __init__(
        self,
        kernel: TunedKernel,
        template: str,
        problem_of: Callable[[Sequence[Operand]], Mapping[str, Value]] | None = None,
        *,
        toolchain: str | None = None,
    ) -> None:
        """Begin.

        Args:
            kernel: What is tuned. Constants of the template that are alike in all choices need no name.
            template: How the names of its choices begin (`triton_mm_`).
            problem_of: Problem size by the inputs of a choice; None: the kernel's.
            toolchain: `name version` of the compiler; None: Triton's, or if there is none, torch.
        """
        self.toolchain = {name: found for name in ("torch", "triton") if (found := _version(name))}
        self._kernel = kernel.compiled_by(
            " ".join(list(self.toolchain.items())[-1]) if toolchain is None else toolchain
        )
        self._template, self._problem_of = template, problem_of
        self._batches: dict[Any, _Batch] = {}
        self._collected = Collected()

    @contextmanager
    def installed(self) -> Iterator[InductorTuning]:
        """Take part in every choice that Inductor makes inside."""
        from torch._inductor.select_algorithm import get_algorithm_selector_cache  # noqa: PLC0415

        cache = get_algorithm_selector_cache()
        cache.add_preprocessing_fn(self.preprocess)
        cache.add_feedback_saver(self.feedback)
        try:
            yield self
        finally:
            with suppress(ValueError):  # somebody cleared them
                cache.preprocessing_fns.remove(self.preprocess)
                cache.feedback_saver_fns.remove(self.feedback)

    def preprocess(self, choices: list[Any]) -> list[Any]:
        """`choices` with those of the template that are worth trying, best first, after all others."""
        ours = [choice for choice in choices if choice.name.startswith(self._template)]
        if not ours:
            return choices
        kernel = self._at(ours[0])
        if kernel is None:
            return choices
        told = [choice_parameters(choice) for choice in ours]
        alike = {name for name in told[0] if all(name in one and one[name] == told[0][name] for one in told)}
        unneeded = alike - kernel.names.keys()
        parameters = {
            choice: {name: value for name, value in one.items() if name not in unneeded}
            for choice, one in zip(ours, told, strict=True)
        }
        kept = kernel.sift(ours, parameters.__getitem__).kept
        batch = _Batch(kernel, {choice: parameters[choice] for choice in kept})
        self._batches |= dict.fromkeys(kept, batch)
        return [*(choice for choice in choices if choice not in parameters), *kept]

    def feedback(self, timings: Mapping[Any, float], _name: str, _inputs: Any, choices: Sequence[Any], *_: Any) -> None:
        """Keep what was timed of choices that laws were asked about, and which of them did not compile."""
        found = (self._batches.get(choice) for choice in (*timings, *choices))
        batch = next((one for one in found if one is not None), None)
        if batch is None:
            return
        self._collected.add(batch.kernel, _tried(batch, timings))
        for choice in batch.parameters:
            del self._batches[choice]

    def results(self, at: datetime, *, checked: bool = False, device: str = "") -> tuple[spak.ToolRun, ...]:
        """What was timed, failures included, for `spak.record`; one for each problem size.

        Args:
            at: When, with its distance from UTC.
            checked: Whether results were checked; if not, the times count as reported.
            device: What the driver calls the device.
        """
        by = MeasuredBy(f"torch._inductor {self.toolchain['torch']}", at, TIMER, self.toolchain, checked, device)
        return self._collected.results(by)

    def _at(self, choice: Any) -> TunedKernel | None:
        """The kernel at the problem size of a choice; None if nobody can know it."""
        if self._problem_of is None:
            return self._kernel
        try:
            return replace(self._kernel, problem=self._problem_of(operands(choice)))
        except TypeError as error:
            LOG.warning("all are kept: the problem size is not known: %s", error)
            return None


def _tried(batch: _Batch, timings: Mapping[Any, float]) -> Iterator[spak.Tried]:
    """What is known of each choice: Inductor's ms as microseconds, infinite ones and those that did not compile failed."""
    for choice, parameters in batch.parameters.items():
        time = timings.get(choice)
        if time is not None and math.isfinite(time):
            yield spak.Tried(parameters, time * US_PER_MS)
        elif time is not None:
            yield spak.Tried(parameters, failure=FAILED)
        elif choice.failed:
            yield spak.Tried(parameters, failure=FAILED, stage="compile")


def _version(package: str) -> str:
    """Its version; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
