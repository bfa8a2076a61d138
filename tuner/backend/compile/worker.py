"""The process that compiles: imports cuTile once, takes one configuration a line, answers with one line each.

It may crash, hang or run out of memory; the pool that started it counts that as the failure of one configuration.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from spak.kernels.interface import CompileJob, TritonJob
from spak.kernels.registry import resolve_spec
from spak.tuner.backend.compile import features, triton_compiler
from spak.tuner.backend.compile.cubin import CubinError
from spak.tuner.backend.compile.protocol import Compiled, Order, Setup, disk_fault, failed
from spak.tuner.backend.compile.sass import of_disassembly

DEFAULT_OPT_LEVEL = 3
"""What cuTile passes when a kernel does not say. Source: cuda.tile 1.7, CompilerOptions.opt_level."""

_ERROR_LINE = re.compile(r"\berror:\s*(.*)")


def main() -> None:
    """Serve orders from stdin until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not look like an answer
    setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=Setup)
    resource.setrlimit(resource.RLIMIT_AS, (setup.memory_limit_bytes, setup.memory_limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        answers.write(msgspec.json.encode(serve(setup, order)) + b"\n")


def serve(setup: Setup, order: Order) -> Compiled:
    """Compile one configuration; every failure becomes part of the answer."""
    start = time.perf_counter()
    try:
        compiled = _compile(msgspec.structs.replace(setup, arch=order.arch or setup.arch), order)
    except MemoryError as error:
        compiled = failed("compile", "MemoryError", str(error) or "out of memory", lasting=False)
    except subprocess.TimeoutExpired as error:
        tool = Path(error.cmd[0]).name
        compiled = failed("timeout", "TimeLimit", f"{tool} took more than {error.timeout:g} s", lasting=False)
    except Exception as error:  # noqa: BLE001 - a configuration that does not compile is a trial, whatever it raises
        compiled = _failure(error)
    return msgspec.structs.replace(compiled, seconds=time.perf_counter() - start)


def _failure(error: Exception) -> Compiled:
    broken = disk_fault(error)
    if broken:
        return Compiled(broken=broken, lasting=False)
    if isinstance(error, _ToolError):
        return failed("compile", error.kind, str(error), lasting=error.lasting)
    return failed("compile", type(error).__name__, str(error))


class _ToolError(Exception):
    """The compiler ended badly."""

    def __init__(self, code: int, stderr: str) -> None:
        self.lasting = code > 0
        self.kind = "CompilerError" if self.lasting else "CompilerCrash"
        errors = _ERROR_LINE.findall(stderr) or stderr.strip().splitlines()
        ended = f"exit code {code}" if self.lasting else f"signal {-code}"
        super().__init__("; ".join([f"tileiras ended with {ended}", *errors[:3]]))


def _compile(setup: Setup, order: Order) -> Compiled:
    spec = resolve_spec(setup.spec)
    try:
        jobs = spec.compile_jobs(order.problem, order.configuration)
    except ValueError as error:
        return failed("constraints", type(error).__name__, str(error))
    hot, *beside = [_job_features(setup, job) for job in jobs]
    spill_bytes = max(one["spill_bytes"] for one in (hot, *beside))
    for job, other in zip(jobs[1:], beside, strict=True):
        hot |= features.others(other, job.symbol)
    return Compiled(features={**hot, "spill_bytes": spill_bytes})


def _job_features(setup: Setup, job: CompileJob | TritonJob) -> dict[str, float]:
    if not isinstance(job, TritonJob):
        return _features(setup, _job(setup, job), job.symbol)
    made = triton_compiler.compile_triton(job, setup.arch)
    return features.with_dynamic(_features(setup, made.code, made.symbol), made.dynamic_smem_bytes)


def _features(setup: Setup, cubin: bytes, symbol: str) -> dict[str, float]:
    """Of one function; what cannot be disassembled only lacks the features of its hot loop."""
    found = features.of_cubin(cubin, symbol)
    with contextlib.suppress(CubinError, FileNotFoundError):
        text = features.disassemble(cubin, setup.nvdisasm, time_limit_s=setup.time_limit_s)
        found |= of_disassembly(text, symbol)
    return found


def _job(setup: Setup, job: Any) -> bytes:
    """Cubin of one kernel function."""
    from cuda.tile.compilation import export_kernel

    bytecode = io.BytesIO()
    signature = job.signature.with_symbol(job.symbol)
    export_kernel(job.kernel, [signature], bytecode, gpu_code=setup.arch, output_format="tileir_bytecode")
    with tempfile.TemporaryDirectory(prefix="spak-compile-") as folder:
        source, cubin = Path(folder, "kernel.tileirbc"), Path(folder, "kernel.cubin")
        source.write_bytes(bytecode.getvalue())
        options = ["--gpu-name", setup.arch, f"-O{_opt_level(job.kernel, setup.arch)}"]
        # Not --lineinfo, which cuTile adds: the code is the same (a test compares), the files a third of the size.
        command = [setup.tileiras, str(source), "-o", str(cubin), *options]
        done = subprocess.run(command, capture_output=True, check=False, timeout=setup.time_limit_s)
        if done.returncode:
            raise _ToolError(done.returncode, done.stderr.decode(errors="replace"))
        return cubin.read_bytes()


def _opt_level(kernel: Any, arch: str) -> int:
    options = getattr(kernel, "_compiler_options", None)  # no public way in cuda.tile 1.7
    return int(options.opt_level_for_target(arch)) if options is not None else DEFAULT_OPT_LEVEL
