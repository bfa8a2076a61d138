"""What a file says of its kernel beside the space, as a `KernelSpec`: arrays, launches, reference, tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from spak.kernels.cutile import DTYPES, Array, checked_arrays, require_array, sms_of
from spak.kernels.interface import CompileJob, Configuration, Problem, TritonJob, Work
from spak.kernels.own.launches import KernelLanguage, KernelLaunch

MANY_SMS = 1 << 20
"""Multiprocessors that a launch is told of where its work is counted: a persistent grid then has a block for each piece."""

Arrays = Mapping[str, Array]
Tensors = Mapping[str, Any]
Launching = Callable[[Problem, Configuration, int], KernelLaunch | Sequence[KernelLaunch]]


class WrongDeclarationError(Exception):
    """A file or an installed package declares a kernel wrongly; the message has the place, in one line."""


@dataclass(frozen=True)
class Runs:
    """A launch that no compiler here can look into: CUDA through torch or CuPy, or a library.

    Attributes:
        function: (tensors by name, problem, configuration) launches on torch's current stream and writes the outputs.
    """

    function: Callable[[Tensors, Problem, Configuration], object]


@dataclass(frozen=True)
class OutputCheck:
    """What is right.

    Attributes:
        reference: (inputs by name, floating ones in float64; problem) -> the output, or outputs by name, in float64.
        tolerance: Largest relative error, ||out - ref|| / ||ref||.
        outputs: Arrays that the kernel writes.
        inputs: (problem, seed, device) -> torch tensors by name; None: standard normal numbers.
        libraries: Name -> (inputs by name, problem) -> the output by a library, timed beside the kernel.
        small: A problem size, in part, at which the simulator computes a cuTile kernel before it is compiled; None: none.
    """

    reference: Callable[[Tensors, Problem], Any]
    tolerance: float
    outputs: tuple[str, ...] = ("out",)
    inputs: Callable[[Problem, int, str], Tensors] | None = None
    libraries: Mapping[str, Callable[[Tensors, Problem], Any]] = field(default_factory=dict)
    small: Problem | None = None


@dataclass(frozen=True)
class DeclaredSpec:
    """A `spak.kernels.interface.KernelSpec` from functions of a file.

    Attributes:
        arrays: Problem -> inputs and outputs by name.
        launching: (problem, configuration, multiprocessors of the device) -> its launches; None if `running` launches.
        running: Launches by itself, on torch's current stream, and writes the outputs among the tensors.
        default: A problem and a configuration that it runs at.
        counts: Problem -> FLOPs and bytes; None: nothing is predicted.
        place: `FILE:LINE:COLUMN` where it is declared.
        files: Files whose text identifies the kernel.
    """

    op: str
    arrays: Callable[[Problem], Arrays]
    check: OutputCheck
    default: tuple[Problem, Configuration]
    launching: Launching | None = None
    running: Callable[[Tensors, Problem, Configuration], object] | None = None
    counts: Callable[[Problem], tuple[float, float]] | None = None
    place: str = ""
    files: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Arrays that it writes, the first one first."""
        return tuple(self.check.outputs)

    @property
    def language(self) -> KernelLanguage:
        """What its kernels are written in; empty: a callable launches them."""
        return self.launches(*self.default)[0].language if self.launching is not None else ""

    @property
    def source_files(self) -> Sequence[str]:
        """The file itself, those it takes from beside it, and those its kernels are in."""
        kernels = self.launches(*self.default)
        return sorted({*self.files, *(str(Path(one.function.__code__.co_filename).resolve()) for one in kernels)})

    def launches(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> tuple[KernelLaunch, ...]:
        """The launches of one configuration, in order.

        Raises:
            ValueError: If it cannot run at this problem size; the message says why.
        """
        if self.launching is None:
            return ()
        found = self.launching(problem, configuration, num_sms)
        return (found,) if isinstance(found, KernelLaunch) else tuple(found)

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob | TritonJob]:
        """What is compiled without a GPU, the first launch first; none where a callable launches."""
        arrays = self.arrays(problem)
        return tuple(launch.job(arrays) for launch in self.launches(problem, configuration))

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of all launches as one, as many as are declared: none without FLOPs and bytes."""
        if self.counts is None:
            return ()
        flops, traffic = self.counts(problem)
        launches = self.launches(problem, configuration, MANY_SMS)
        ctas = max((math.prod(one.grid) for one in launches), default=1)
        return (
            Work(
                iterations=((ctas, 1),),
                tensor_flops_per_iteration=0.0,
                exp2_per_iteration=0.0,
                fp32_per_iteration=flops / ctas,
                smem_bytes_per_iteration=0.0,
                global_bytes=traffic,
            ),
        )

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """What the file makes, else standard normal numbers.

        Raises:
            ValueError: If an input lacks, or has another shape or type than `arrays` says.
        """
        import torch

        wanted = self._wanted(problem)
        if self.check.inputs is not None:
            made = dict(self.check.inputs(problem, seed, device))
        else:
            generator = torch.Generator(device=device).manual_seed(seed)
            drawn = {name: torch.randn(a.shape, generator=generator, device=device) for name, a in wanted.items()}
            made = {name: tensor.to(getattr(torch, DTYPES[wanted[name].dtype])) for name, tensor in drawn.items()}
        for name, array in wanted.items():
            require_array(f"inputs: {name}", made.get(name), array)
        return made

    def given_inputs(self, arrays: Tensors, problem: Problem) -> Any:
        """Tensors of somebody else as inputs.

        Raises:
            ValueError: If one lacks, is none of them, or has another shape or type; names it.
        """
        return checked_arrays(arrays, self._wanted(problem))

    def _wanted(self, problem: Problem) -> dict[str, Array]:
        return {name: array for name, array in self.arrays(problem).items() if name not in self.outputs}

    def make_outputs(self, problem: Problem, *, device: str) -> Any:
        """Filled with NaN, whole numbers with the largest there is, so that what is not written cannot pass."""
        import torch

        arrays = self.arrays(problem)
        found = {}
        for name in self.outputs:
            kind = getattr(torch, DTYPES[arrays[name].dtype])
            poison = float("nan") if kind.is_floating_point else torch.iinfo(kind).max
            found[name] = torch.full(tuple(arrays[name].shape), poison, dtype=kind, device=device)
        return found

    def launch(self, inputs: Any, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """Every launch, on torch's current stream; on tensors of a CPU the simulator runs what is cuTile.

        Raises:
            ValueError: If it is Triton's, and on a CPU; or if the configuration cannot run.
        """
        tensors = {**inputs, **outputs}
        if self.running is not None:
            self.running(tensors, problem, configuration)
            return
        device = outputs[self.outputs[0]].device
        for one in self.launches(problem, configuration, sms_of(device)):
            if device.type == "cpu":
                one.simulate(tensors)
            else:  # pragma: no cover  # needs a GPU: tests/gpu
                one.issue(tensors)

    def reference(self, inputs: Any, problem: Problem) -> Any:
        """The outputs by name, in float64.

        Raises:
            WrongDeclarationError: If the file's reference fails, or does not give each output in its shape.
        """
        wide = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in inputs.items()}
        try:
            found = self.check.reference(wide, problem)
        except Exception as error:  # whatever it raises is the file's
            raise WrongDeclarationError(f"{self.place}: reference: {type(error).__name__}: {error}") from error
        named = found if isinstance(found, Mapping) else {self.outputs[0]: found}
        arrays = self.arrays(problem)
        if set(named) != set(self.outputs):
            raise WrongDeclarationError(
                f"{self.place}: reference: gives {', '.join(map(str, named))}; the outputs are {', '.join(self.outputs)}"
            )
        for name, value in named.items():
            if tuple(value.shape) != tuple(arrays[name].shape):
                message = f"reference: {name} has the shape {tuple(arrays[name].shape)} (got {tuple(value.shape)})"
                raise WrongDeclarationError(f"{self.place}: {message}")
        return {name: named[name].double() for name in self.outputs}

    def tolerance(self, problem: Problem) -> float:
        """As declared."""
        del problem
        return self.check.tolerance

    def baselines(self, inputs: Any, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """Libraries that the file names, each a callable of no arguments that runs on the inputs."""
        return {name: partial(run, inputs, problem) for name, run in self.check.libraries.items()}
