"""One problem size: choose among configurations, check the choice against float64, time it next to the libraries.

The choice is made in one set of rounds and measured in another, so that a lucky sample cannot both win and count.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spak.kernels.interface import Configuration, Problem
from spak.tuner.backend.gpu.ahead import AheadCompiler, CubinTarget
from spak.tuner.backend.gpu.clocks import current_card, open_clock_log
from spak.tuner.backend.gpu.cubins import CubinStore, load_ahead_of_time
from spak.tuner.backend.gpu.program import tensors
from spak.tuner.backend.gpu.statistics import Interval, summarise
from spak.tuner.backend.gpu.timing import CudaTimer, Plan, interleave

CHOICE = Plan(rounds=11, slow_rounds=6, slow_ratio=1.04, warmups=1)
FINAL = Plan(rounds=51, slow_rounds=51, warmups=3)
COMPILE_S = 120.0


@dataclass(frozen=True)
class Entry:
    """One contestant's time in microseconds with its 95 % interval; for ours also configuration and relative error."""

    time_us: float
    low_us: float | None
    high_us: float | None
    configuration: Mapping[str, Any] | None = None
    error: float | None = None


@dataclass(frozen=True)
class Row:
    """One problem size: ours, each library, and the ratio of the fastest library's time to ours (above 1: ours is faster)."""

    name: str
    problem: Mapping[str, Any]
    flops: float
    ours: Entry
    libraries: Mapping[str, Entry]
    fastest: str
    ratio: float
    tflops: float
    candidates: int
    refused: Mapping[str, str]

    def line(self) -> str:
        """For people."""
        best = self.libraries[self.fastest]
        return (
            f"{self.name:32s} {self.ours.time_us:9.1f} us {self.tflops:6.0f} TFLOPS  {self.fastest} {best.time_us:9.1f} us"
            f"  ratio {self.ratio:.3f}  error {self.ours.error:.1e}"
        )


class Comparison:
    """Holds the timer, the clocks and the store of compiled kernels of one run."""

    def __init__(self, arch: str, folder: Path, *, workers: int, seed: int) -> None:
        """Open the current CUDA device; what is compiled goes to `folder`."""
        self._arch, self._folder, self._workers = arch, folder, workers
        self._loaded = load_ahead_of_time(CubinStore(folder), "bench")
        self.timer = CudaTimer()
        self.clocks = open_clock_log(current_card())
        self._rng = random.Random(seed)

    @property
    def compiled_at_launch(self) -> int:
        """Kernels that had to be compiled while measuring."""
        return self._loaded.misses

    def compile_ahead(self, module: str, wanted: Sequence[tuple[Problem, Configuration]]) -> None:
        """Compile everything on all cores; what fails is found again, and named, when it is launched."""
        target = CubinTarget(f"{module}:SPEC", self._arch, self._folder, "bench")
        compiler = AheadCompiler(target, workers=self._workers)
        wait([compiler.start(problem, configuration) for problem, configuration in wanted], timeout=COMPILE_S)
        compiler.close()

    def times(self, launches: Mapping[str, Callable[[], object]], plan: Plan) -> dict[str, Interval]:
        """Interleaved times of prepared launches."""
        self.timer.ramp()
        for launch in launches.values():
            for _ in range(plan.warmups):
                self.timer.sample(launch)
        self.clocks.observe()
        samples = interleave(list(launches), lambda name: self.timer.sample(launches[name]), plan, self._rng)
        self.clocks.observe()
        return {name: summarise(times) for name, times in samples.items()}

    def prepared(self, launches: Mapping[str, Callable[[], object]]) -> tuple[dict[str, Any], dict[str, str]]:
        """(captured launches, reason by name of those that failed)."""
        ready: dict[str, Any] = {}
        refused: dict[str, str] = {}
        for name, launch in launches.items():
            try:
                ready[name] = self.timer.prepare(launch)
            except Exception as error:  # noqa: BLE001  # what cannot run is reported, whatever it raises
                refused[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
                print(f"{name}: {refused[name]}", file=sys.stderr)
        return ready, refused

    def compare(
        self,
        name: str,
        spec: Any,
        problem: Problem,
        candidates: Sequence[Configuration],
        *,
        flops: float,
        more: Callable[[Any, Problem], Mapping[str, Callable[[], object]]] | None = None,
    ) -> Row:
        """Choose, check and time.

        Raises:
            RuntimeError: If the chosen configuration is not within the tolerance of float64.
        """
        import torch

        inputs = spec.make_inputs(problem, seed=self._rng.randrange(1 << 30), device="cuda")
        outputs = spec.make_outputs(problem, device="cuda")
        ours = {str(i): (lambda c=c: spec.launch(inputs, outputs, problem, c)) for i, c in enumerate(candidates)}
        ready, refused = self.prepared(ours)
        chosen = candidates[int(min(self.times(ready, CHOICE).items(), key=lambda item: item[1].median)[0])]
        for out in tensors(outputs):
            out.fill_(float("nan"))
        spec.launch(inputs, outputs, problem, chosen)
        reference = spec.reference(inputs, problem)
        error = worst_error(outputs, reference)
        if not error <= spec.tolerance(problem):
            raise RuntimeError(f"{name}: relative error {error:.3g} above {spec.tolerance(problem):g} with {chosen}")
        del reference
        torch.cuda.empty_cache()
        libraries = {**spec.baselines(inputs, problem), **(more(inputs, problem) if more else {})}
        ready, failed = self.prepared({"ours": lambda: spec.launch(inputs, outputs, problem, chosen), **libraries})
        final = self.times(ready, FINAL)
        mine = final.pop("ours")
        fastest = min(final, key=lambda key: final[key].median)
        return Row(
            name=name,
            problem=dict(problem),
            flops=flops,
            ours=Entry(mine.median, mine.low, mine.high, dict(chosen), error),
            libraries={key: Entry(t.median, t.low, t.high) for key, t in final.items()},
            fastest=fastest,
            ratio=final[fastest].median / mine.median,
            tflops=flops / mine.median / 1e6,
            candidates=len(candidates),
            refused={**refused, **failed},
        )

    def machine(self) -> dict[str, Any]:
        """Device, driver, clocks seen, method."""
        import torch

        l2, how = self.timer.describe()
        properties = torch.cuda.get_device_properties(0)
        return {
            "device": properties.name,
            "sms": properties.multi_processor_count,
            "torch": torch.__version__,
            "sm_clock_mhz": self.clocks.sm_mhz,
            "throttled": self.clocks.throttled,
            "l2": l2,
            "timer": how,
            "final": asdict(FINAL),
            "compiled_at_launch": self.compiled_at_launch,
        }


def worst_error(outputs: Any, reference: Any) -> float:
    """||out - ref|| / ||ref|| of each output, the largest; NaN if any of them is."""
    import torch

    norm = torch.linalg.vector_norm
    pairs = zip(tensors(outputs), tensors(reference), strict=True)
    errors = [float(norm(out.double() - want) / norm(want)) for out, want in pairs]
    return max(errors, key=lambda error: (error != error, error))  # noqa: PLR0124  # NaN is the worst


def matmul_rate_tflops(comparison: Comparison, size: int = 8192) -> float:
    """The bf16 rate of PyTorch's size^3 product on random data: what the machine gives a library."""
    import torch

    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    ready, _ = comparison.prepared({"product": lambda: torch.mm(a, b)})
    return 2 * size**3 / comparison.times(ready, CHOICE)["product"].median / 1e6
