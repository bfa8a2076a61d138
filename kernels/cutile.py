"""A kernel's launches as data: what is compiled ahead, launched on a GPU, and run on the simulator is the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from spak.kernels.interface import CompileJob, Configuration, Problem, Scalar
from spak.kernels.signature import contiguous, convention

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "int32": "int32"}
"""An op's name of a type -> its name in torch and in cuda.tile."""

TOLERANCES = {"fp16": 1e-3, "bf16": 8e-3}
"""Largest relative error by dtype; the unit roundoffs are 2^-11 and 2^-8."""

HINTS = ("occupancy", "num_ctas", "num_worker_warps")
"""Parameters that are the compiler's hints by the same name; 0 leaves the choice to it."""

MOST_BLOCKS = 65535
"""Blocks of a grid in its second or third dimension. Source: CUDA programming guide, compute capabilities."""

SIMULATED_SMS = 4
"""Multiprocessors of the device that is simulated: a persistent grid has several CTAs, and each of them several tiles."""

OUTPUT = "out"
"""Name of the array that a kernel with one output writes."""


@dataclass(frozen=True)
class Array:
    """A contiguous array: name of its type, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One launch of one cuTile function.

    Attributes:
        function: Its name in kernel.py, and in the cubin.
        arrays: Arguments by name, in order; inputs and outputs may be given in another shape, all others are scratch.
        scalars: Arguments after them: a float is passed as fp32, an int as int32.
        constants: Arguments after those, compiled in.
        hot: False of a launch beside another one that takes more of the time.
    """

    function: str
    grid: tuple[int, int, int]
    arrays: Mapping[str, Array]
    scalars: tuple[float, ...]
    constants: tuple[Scalar, ...]
    hot: bool = True


@lru_cache
def _hinted(module: str, function: str, hints: tuple[tuple[str, int | None], ...]) -> Any:
    """One kernel object for each set of hints: cuTile keeps compiled code with the object."""
    return getattr(import_module(module), function).replace_hints(**dict(hints))


class CutileSpec:
    """What the specs of all kernels here do alike; see `spak.kernels.interface.KernelSpec`. kernel.py lies beside spec.py.

    Attributes:
        inputs: Class of the inputs; its fields are those of `arrays` that are no output.
        outputs: Class of the outputs, if there are several; its fields are the others. None: one, called `OUTPUT`.
    """

    inputs: Callable[..., Any]
    outputs: Callable[..., Any] | None = None

    def written(self, problem: Problem) -> Sequence[str]:  # noqa: ARG002  # of specs whose outputs depend on it
        """Names of the outputs."""
        return tuple(field.name for field in fields(self.outputs)) if isinstance(self.outputs, type) else (OUTPUT,)

    @property
    def source_files(self) -> Sequence[str]:
        """The kernel.py beside the spec."""
        return (str(Path(str(sys.modules[type(self).__module__].__file__)).with_name("kernel.py")),)

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """Inputs in the order they are drawn, and outputs."""
        raise NotImplementedError

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """The launches, in order; `num_sms` of the device decides the grid of persistent ones."""
        raise NotImplementedError

    def hints(self, function: str, configuration: Configuration) -> Mapping[str, int]:  # noqa: ARG002  # of `function`
        """The compiler's hints for one function by their names, of `HINTS`; 0 leaves the choice to it."""
        return {name: int(configuration[name]) for name in HINTS if name in configuration}

    def kernel(self, function: str, configuration: Configuration) -> Any:
        """The cuTile kernel with the configuration's hints."""
        hints = tuple((name, value or None) for name, value in self.hints(function, configuration).items())
        return _hinted(self.module(function), function, hints)

    def module(self, function: str) -> str:  # noqa: ARG002  # specs with several modules ask
        """The module that `function` is in: kernel.py beside spec.py."""
        return f"{type(self).__module__.rpartition('.')[0]}.kernel"

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob]:
        """What `launch` would compile, function by function, the hot one first; what is launched again, once."""
        every = sorted(self.calls(problem, configuration), key=lambda call: not call.hot)
        calls = {(call.function, tuple(call.arrays.values()), call.constants): call for call in every}.values()
        return tuple(
            CompileJob(self.kernel(call.function, configuration), _signature(call), call.function) for call in calls
        )

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Standard normal inputs."""
        import torch

        generator = torch.Generator(device=device).manual_seed(seed)
        drawn = {
            name: torch.randn(array.shape, generator=generator, device=device, dtype=torch.float32).to(_torch(array))
            for name, array in self.arrays(problem).items()
            if name not in self.written(problem)
        }
        return self.inputs(**drawn)

    def given_inputs(self, arrays: Mapping[str, Any], problem: Problem) -> Any:
        """Tensors of somebody else as inputs.

        Raises:
            ValueError: If one lacks, is none of them, or has another shape or type; names it.
        """
        written = self.written(problem)
        wanted = {name: array for name, array in self.arrays(problem).items() if name not in written}
        return self.inputs(**checked_arrays(arrays, wanted))

    def make_outputs(self, problem: Problem, *, device: str) -> Any:
        """The output, or all of them, filled with NaN."""
        import torch

        arrays = self.arrays(problem)
        filled = {
            name: torch.full(arrays[name].shape, float("nan"), dtype=_torch(arrays[name]), device=device)
            for name in self.written(problem)
        }
        return filled[OUTPUT] if self.outputs is None else self.outputs(**filled)

    def launch(self, inputs: Any, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """Every call on the current stream; scratch is allocated here."""
        arrays = {**vars(inputs), **({OUTPUT: outputs} if self.outputs is None else vars(outputs))}
        num_sms = sms_of(arrays[self.written(problem)[0]].device)
        self.issue(self.calls(problem, configuration, num_sms), arrays, configuration)

    def issue(self, calls: Sequence[Call], arrays: Mapping[str, Any], configuration: Configuration) -> None:
        """Every call on the current stream with `arrays` by name; what is not among them is scratch, and allocated here.

        Arrays in the memory of a CPU are the simulator's.
        """
        import torch

        known = dict(arrays)
        device = next(iter(known.values())).device
        launch = _launcher(device)
        for call in calls:
            for name, array in call.arrays.items():
                if name not in known:
                    known[name] = torch.empty(array.shape, dtype=_torch(array), device=device)
            shaped = [_shaped(known[name], array.shape) for name, array in call.arrays.items()]
            kernel = self.kernel(call.function, configuration)
            launch(call.grid, kernel, (*shaped, *call.scalars, *call.constants))

    def tolerance(self, problem: Problem) -> float:
        """1e-3 for fp16, 8e-3 for bf16."""
        return TOLERANCES[str(problem["dtype"])]


def checked_arrays(given: Mapping[str, Any], wanted: Mapping[str, Array]) -> dict[str, Any]:
    """`given`, in the order of `wanted`.

    Raises:
        ValueError: If one lacks, is not wanted, or has another shape or type; names it, and says what all are.
    """
    said = ", ".join(f"{name} ({DTYPES[array.dtype]} {tuple(array.shape)})" for name, array in wanted.items())
    for name in (*given, *wanted):
        if name not in wanted or name not in given:
            raise ValueError(f"{name}: {'no input' if name in given else 'is missing'}; the inputs are {said}")
    for name, array in wanted.items():
        require_array(name, given[name], array)
    return {name: given[name] for name in wanted}


def require_array(name: str, tensor: Any, array: Array) -> None:
    """Nothing if `tensor` is as `array` says.

    Raises:
        ValueError: If it is None, or of another shape or type.
    """
    if tensor is None:
        raise ValueError(f"{name}: is not made")
    kind = str(tensor.dtype).removeprefix("torch.")
    if tuple(tensor.shape) != tuple(array.shape) or kind != DTYPES[array.dtype]:
        wanted = f"{DTYPES[array.dtype]} {tuple(array.shape)}"
        raise ValueError(f"{name}: {wanted} (got {kind} {tuple(tensor.shape)})")


def _launcher(device: Any) -> Callable[..., object]:
    """Launches on the current stream of a GPU, or the simulator on a CPU."""
    if device.type == "cpu":
        from spak.kernels import sim

        return partial(sim.launch, None)
    import cuda.tile as ct  # pragma: no cover  # needs a GPU: tests/gpu
    import torch  # pragma: no cover  # needs a GPU: tests/gpu

    return partial(ct.launch, torch.cuda.current_stream())  # pragma: no cover  # needs a GPU: tests/gpu


def sms_of(device: Any) -> int:
    """Multiprocessors of a CUDA device, or those of the one that is simulated on a CPU."""
    if device.type == "cpu":
        return SIMULATED_SMS
    import torch  # pragma: no cover  # needs a GPU: tests/gpu

    return int(
        torch.cuda.get_device_properties(device).multi_processor_count
    )  # pragma: no cover  # needs a GPU: tests/gpu


def ceil_div(count: int, size: int) -> int:
    """Tiles of `size` that cover `count`."""
    return -(-count // size)


def resident(configuration: Configuration, num_sms: int) -> int:
    """CTAs that a persistent grid has: as many as the hints keep resident."""
    return max(1, num_sms * int(configuration["occupancy"]) // int(configuration["num_ctas"]))


def _torch(array: Array) -> Any:
    import torch

    return getattr(torch, DTYPES[array.dtype])


def name_of_dtype(tensor: Any, argument: str) -> str:
    """The name of a floating-point tensor's type, of `DTYPES`.

    Raises:
        TypeError: For a type that no kernel takes; the message names the argument.
    """
    found = str(tensor.dtype).removeprefix("torch.")
    floating = {torch_name: name for name, torch_name in DTYPES.items() if torch_name.endswith(("float16", "float32"))}
    if found not in floating:
        raise TypeError(f"{argument}: {', '.join(floating)} (got {found})")
    return floating[found]


def _shaped(array: Any, shape: tuple[int, ...]) -> Any:
    return array if tuple(array.shape) == shape else array.view(shape)


def _signature(call: Call) -> Any:
    import cuda.tile as ct
    from cuda.tile.compilation import KernelSignature, ScalarConstraint

    arrays = [contiguous(getattr(ct, DTYPES[array.dtype]), array.shape) for array in call.arrays.values()]
    scalars = [ScalarConstraint(ct.float32 if isinstance(value, float) else ct.int32) for value in call.scalars]
    parameters = [*arrays, *scalars, *call.constants]
    return KernelSignature(parameters, calling_convention=convention(arrays), symbol=call.function)
