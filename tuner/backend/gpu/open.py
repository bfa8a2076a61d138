"""Puts the parts of the GPU backend together for one kernel."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock

from spak.kernels.registry import resolve_spec
from spak.kg.model.base import Scalar
from spak.tuner.backend.compile.backend import TIME_LIMIT_S
from spak.tuner.backend.compile.cubin import CubinError
from spak.tuner.backend.compile.features import disassemble, of_cubin, others, resident_features, with_dynamic
from spak.tuner.backend.compile.languages import language_of
from spak.tuner.backend.compile.occupancy import OccupancyLimits as SmLimits
from spak.tuner.backend.compile.sass import of_disassembly
from spak.tuner.backend.compile.toolchain import CompilerMissingError, find_toolchain
from spak.tuner.backend.cores import usable_cores
from spak.tuner.backend.gpu.ahead import AheadCompiler, CompiledFunctions, CubinTarget
from spak.tuner.backend.gpu.backend import GpuBackend, TimingMethod
from spak.tuner.backend.gpu.cubins import Cubin, CubinStore
from spak.tuner.backend.gpu.program import CudaDevice
from spak.tuner.backend.gpu.supervisor import Supervisor
from spak.tuner.backend.registry import Task
from spak.tuner.backend.source import source_of, spec_path

PREDICTING = ("loop_instructions", "loop_shared_bytes", "loop_spill_bytes", "loop_tensor_flops")
"""What `spak.tuner.knowledge.predict` takes from the hot loop; the rest of the instruction mix would triple a run file."""


def target_of(op: str, arch: str, cubins: Path, own: str = "") -> CubinTarget:
    """The kernel for `op`, to be compiled for `arch` into the folder `cubins`, which may be kept from one search to the next."""
    place = spec_path(op, own)
    return CubinTarget(place, arch, cubins, source_of(op, own), language=language_of(resolve_spec(place)))


class Inspector:
    """Reads the features of compiled configurations: the hot function's, and the most that any of them spills.

    Configurations and problem sizes share functions. Each is disassembled once, all of them at the same time, whoever asks.
    """

    def __init__(self, cubins: Path, facts: Mapping[str, Scalar]) -> None:
        """Read what was compiled into the folder `cubins`; `facts` are of the hardware, without `hw.`."""
        self._store, self._limits = CubinStore(cubins), SmLimits.of(facts)
        self._pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="disassemble")
        self._lock = Lock()
        self._read: dict[str, Future[dict[str, float]]] = {}

    def __call__(self, code: CompiledFunctions) -> Mapping[str, float]:
        """Features of one configuration; none where its code is gone."""
        cubins = {key: cubin for key in code.keys if (cubin := self._store.get(key)) is not None}
        if not cubins:
            return {}
        reading = {key: self._function(key, cubin) for key, cubin in cubins.items()}
        read = {key: each.result() for key, each in reading.items()}
        hot, *beside = cubins
        found = {**read[hot], "spill_bytes": max(each["spill_bytes"] for each in read.values())}
        for key in beside:
            found |= others(read[key], cubins[key].symbol)
        return found

    def _function(self, key: str, cubin: Cubin) -> Future[dict[str, float]]:
        with self._lock:
            if key not in self._read:
                self._read[key] = self._pool.submit(one_function, cubin, self._limits)
            return self._read[key]


def one_function(cubin: Cubin, limits: SmLimits) -> dict[str, float]:
    """What is kept of a compiled function, and how many CTAs of it fit on an SM."""
    features = with_dynamic(of_cubin(cubin.code, cubin.symbol), cubin.dynamic_smem_bytes)
    kept = {name: features[name] for name in ("registers", "smem_bytes", "threads", "spill_bytes")}
    fits = resident_features(kept, limits)["ctas_per_sm"]
    return {**kept, "ctas_per_sm": fits, **hot_loop(cubin)}


def hot_loop(cubin: Cubin) -> dict[str, float]:
    """The features of the hot loop that a time is predicted from; none where there is no disassembler."""
    try:
        text = disassemble(cubin.code, find_toolchain().nvdisasm, time_limit_s=TIME_LIMIT_S)
    except (CompilerMissingError, CubinError, subprocess.TimeoutExpired):
        return {}
    found = of_disassembly(text, cubin.symbol)
    return {name: found[name] for name in PREDICTING if name in found}


def open_gpu(target: CubinTarget, facts: Mapping[str, Scalar], method: TimingMethod, *, workers: int) -> GpuBackend:
    """A backend that measures on the GPU of this machine; no process starts before it is used."""
    compiler = AheadCompiler(target, workers=workers)
    return GpuBackend(Supervisor(partial(CudaDevice, target)), compiler, Inspector(target.cubins, facts), method)


def open_task(task: Task) -> GpuBackend:
    """A backend that measures for a search.

    Raises:
        TunerError: If the hardware facts do not say what to compile for.
    """
    target = target_of(task.op.id, task.arch, task.cache / "cubins", task.own)
    return open_gpu(target, task.facts, TimingMethod(seed=task.seed), workers=task.workers)
