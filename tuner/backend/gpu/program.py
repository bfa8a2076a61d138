"""The device program of a cuTile kernel: inputs, check, timing. It runs inside the worker and needs a GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from spak.kernels.interface import KernelSpec
from spak.kernels.own.declared import DeclaredSpec
from spak.kernels.registry import resolve_spec
from spak.kg.model.base import ProblemSize
from spak.kg.model.run import Device
from spak.tuner.backend.gpu.ahead import CubinTarget
from spak.tuner.backend.gpu.clocks import current_card, open_clock_log
from spak.tuner.backend.gpu.cubins import CubinStore, Loaded, load_ahead_of_time
from spak.tuner.backend.gpu.detect import detect, machine_of, smi
from spak.tuner.backend.gpu.protocol import Contestant, SeenDevice, WrongOutputError
from spak.tuner.backend.gpu.steady import ReferenceTimes
from spak.tuner.backend.gpu.timing import CudaTimer, Launch


class CudaDevice:  # pragma: no cover  # needs a GPU: tests/gpu
    """The `Device` of protocol.py on a real GPU. Inputs, outputs and reference live as long as a problem size does."""

    def __init__(self, target: CubinTarget) -> None:
        """Import the kernel, open the current CUDA device and let cuTile load what was compiled ahead."""
        import torch

        self._torch = torch
        self._spec: KernelSpec = resolve_spec(target.spec)
        torch.cuda.init()
        self._timer = CudaTimer()
        self._clocks = open_clock_log(current_card())
        gpu = detect()
        self._driver = gpu.driver if gpu is not None else ""
        ours = target.language == "cutile"
        store = CubinStore(target.cubins)
        self._loaded = load_ahead_of_time(store, target.source_sha256, target.compiler) if ours else Loaded()
        self._problem: ProblemSize = {}
        self._ready: dict[int, Launch] = {}

    def prepare(self, problem: ProblemSize, seed: int) -> Sequence[str]:
        """Fresh inputs, NaN outputs and the float64 reference; what the last problem size held is released first."""
        self._ready, self._inputs, self._outputs, self._reference = {}, None, None, []
        self._torch.cuda.empty_cache()
        self._problem = problem
        self._inputs = self._spec.make_inputs(problem, seed=seed, device="cuda")
        self._outputs = self._spec.make_outputs(problem, device="cuda")
        self._reference = list(tensors(self._spec.reference(self._inputs, problem)))
        self._baselines: Mapping[str, Callable[[], Any]] = self._spec.baselines(self._inputs, problem)
        self._input_sums = self._sums()
        self._torch.cuda.synchronize()
        return tuple(self._baselines)

    def check(self, contestant: Contestant) -> float:
        """Launch once into poisoned outputs; the largest relative error against float64 over all outputs."""
        if contestant.baseline:
            outputs = list(tensors(self._baselines[contestant.baseline]()))[: len(self._reference)]
        else:
            self._poison()
            self._launch(contestant)()
            outputs = list(tensors(self._outputs))
        self._torch.cuda.synchronize()
        errors = [self._relative_error(out, ref) for out, ref in zip(outputs, self._reference, strict=False)]
        allowed = self._spec.tolerance(self._problem)
        worst = max(errors, key=lambda error: (error != error, error))  # noqa: PLR0124  # NaN is the worst
        if not worst <= allowed:
            unwritten = sum(int(out.isnan().sum()) for out in outputs)
            raise WrongOutputError(f"relative error {worst:.3g} above {allowed:g}; {unwritten} elements are NaN")
        if self._sums() != self._input_sums:
            raise WrongOutputError("the launch overwrote its inputs")
        return worst

    def ready(self, contestant: Contestant, warmups: int) -> None:
        """Warm up, and capture a graph if the timer uses them."""
        run = self._timer.prepare(self._launch(contestant))
        for _ in range(warmups):
            self._timer.sample(run)
        self._ready[contestant.index] = run

    def sample(self, contestant: Contestant) -> float:
        """Microseconds of one launch with a cold L2."""
        return self._timer.sample(self._ready[contestant.index])

    def reference(self) -> ReferenceTimes:
        """The timer's reference kernels, which no problem size changes."""
        return self._timer.reference()

    def observe(self) -> None:
        """Note clocks and throttling."""
        self._clocks.observe()

    def healthy(self) -> bool:
        """Whether the context still works; an illegal access poisons it for good."""
        try:
            self._torch.cuda.synchronize()
            return bool(self._torch.ones(1, device="cuda").item() == 1)
        except Exception:  # noqa: BLE001  # any exception is the answer
            return False

    def machine(self) -> SeenDevice:
        """The device and what was seen of it."""
        l2, timer = self._timer.describe()
        clocks = self._clocks.sm_mhz or (None, None)
        return SeenDevice(
            device=Device(
                name=self._torch.cuda.get_device_name(),
                driver=self._driver,
                machine=self._machine(),
                sm_clock_mhz_min=clocks[0],
                sm_clock_mhz_max=clocks[1],
                throttled=self._clocks.throttled,
            ),
            l2=l2,
            timer=timer,
            toolchain=(("torch", str(self._torch.__version__)), ("cuda", str(self._torch.version.cuda))),
            compiled_here=self._loaded.misses,
        )

    def _machine(self) -> str:
        """Which GPU this is: as CUDA says it, else (an older torch) the first of nvidia-smi's."""
        properties = self._torch.cuda.get_device_properties(self._torch.cuda.current_device())
        return machine_of(str(getattr(properties, "uuid", "")) or smi("uuid", timeout_s=30).partition("\n")[0])

    def _launch(self, contestant: Contestant) -> Launch:
        if contestant.baseline:
            return self._baselines[contestant.baseline]
        configuration = contestant.configuration
        return lambda: self._spec.launch(self._inputs, self._outputs, self._problem, configuration)

    def _poison(self) -> None:
        for out in tensors(self._outputs):
            if out.is_floating_point():
                out.fill_(float("nan"))
            elif isinstance(self._spec, DeclaredSpec):
                out.fill_(self._torch.iinfo(out.dtype).max)

    def _relative_error(self, out: Any, reference: Any) -> float:
        difference = self._torch.linalg.vector_norm(out.to(reference.dtype).reshape(reference.shape) - reference)
        return float(difference / self._torch.linalg.vector_norm(reference))

    def _sums(self) -> list[int]:
        """A sum over the bits of each input: changes if a launch writes where it only should read."""
        whole = {1: self._torch.uint8, 2: self._torch.int16, 4: self._torch.int32, 8: self._torch.int64}
        return [
            int(t.contiguous().view(whole[t.element_size()]).sum(dtype=self._torch.int64))
            for t in tensors(self._inputs)
        ]


def tensors(value: Any) -> Iterator[Any]:
    """Every tensor in a tensor, or in a tuple, list, mapping or dataclass of such, in order."""
    if hasattr(value, "element_size"):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from tensors(part)
