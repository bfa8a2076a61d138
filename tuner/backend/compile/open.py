"""Puts the parts of the compile backend together for one kernel."""

from __future__ import annotations

from spak.kernels.registry import spec
from spak.tuner.backend.compile.backend import CompileBackend, CompileTarget
from spak.tuner.backend.compile.cache import CompileCache, Identity
from spak.tuner.backend.compile.toolchain import Toolchain, find_toolchain
from spak.tuner.backend.registry import Task
from spak.tuner.backend.source import source_of, spec_path


def open_task(task: Task, toolchain: Toolchain | None = None) -> CompileBackend:
    """A backend that compiles for the task's hardware, with the toolchain of this environment unless another is given.

    Raises:
        TunerError: If a part of the toolchain is missing, the hardware facts do not say what to compile for, or are
            not enough to predict a time.
    """
    arch, toolchain = task.arch, toolchain or find_toolchain()
    specialises = [name for name, parameter in task.op.problem.items() if parameter.specialises]
    source = source_of(task.op.id, with_spec=True)
    identity = Identity(task.op.id, source, arch, toolchain.versions, specialises or None)
    target = CompileTarget(spec(task.op.id), spec_path(task.op.id), identity, task.facts)
    return CompileBackend(target, toolchain, CompileCache(task.cache / "compile"), workers=task.workers)
