"""Sweeps the declared core of an op's space: measured on this machine's GPU, or compiled for any architecture.

    python -m bench.sweep measure fmha --out runs --only 'd64-.*' --budget-s 540
    python -m bench.sweep compile fmha --out runs --archs sm_80,sm_120

Writes one run file for each problem size (measured) or for each kind of compiled code (compiled), as soon as it is
finished. Every configuration of the core is tried, all of one problem size in one batch: each round times each of
them once, next to the library baselines. Compilation runs ahead on all cores; problem sizes that share their code
compile it once.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.run_file import rounded, rounded_reference, write_run
from spak.kg.errors import KgError
from spak.kg.files.loader import Laws, load
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.hardware import Hardware, check_device, hardware_facts
from spak.kg.model.op import Op, Parameter
from spak.kg.model.run import Kernel, Measurement, Run, Times, Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import complete
from spak.kg.space.space import build
from spak.tuner.backend.base import Provenance, Request
from spak.tuner.backend.compile.features import unit_of
from spak.tuner.backend.gpu.ahead import AheadCompiler, CompiledFunctions
from spak.tuner.backend.gpu.backend import GpuBackend, Inspect, TimingMethod
from spak.tuner.backend.gpu.detect import Gpu, detect
from spak.tuner.backend.gpu.open import Inspector, open_gpu, target_of
from spak.tuner.backend.gpu.timing import Plan
from spak.tuner.backend.source import source_of
from spak.tuner.engine import record
from spak.tuner.engine.session import SearchTask

FEW_ROUNDS = Plan(rounds=11, slow_rounds=6, warmups=1)
"""For problems whose launches take milliseconds: the rounds still give every configuration an interval."""
LONG = 8192
"""A sequence or matrix side from which on a launch takes milliseconds."""
PROGRESS_S = 10.0
"""Seconds between two lines of progress."""
WHOLE_CORE = 1 << 16
"""Batch size: all of a core in one batch."""


@dataclass(frozen=True)
class Sweep:
    """One op's core.

    Attributes:
        op: The op node.
        facts: Facts of the hardware, for conditions and features.
        hardware: Every hardware node.
        hw: Hardware id.
        arch: `sm_90`.
        commit: Of this repository.
        chosen: Values that replace those of the core, by parameter.
        label: Tells the runs of a core with chosen values from those of the whole core.
    """

    op: Op
    facts: Mapping[str, Scalar]
    hardware: Mapping[str, Hardware]
    hw: str
    arch: str
    commit: str
    chosen: Mapping[str, tuple[Scalar, ...]]
    label: str = ""

    def frame(self, name: str, problem: ProblemSize, provenance: Provenance) -> Run:
        """What surrounds the trials of a measured run."""
        task = SearchTask(self.hw, self.op, dict(problem), name, dict(self.facts))
        return msgspec.structs.replace(
            record.frame(task, source_of(self.op.id), provenance, datetime.now(UTC)),
            commit=self.commit,
            strategy="exhaustive",
            reproduce=f"python -m bench.sweep measure {self.op.id} --only {name}{self.options}",
        )

    def core(self, problem: ProblemSize) -> list[Configuration]:
        """Feasible configurations of the declared core at `problem`."""
        reduced = {name: msgspec.structs.replace(p, values=self._values(name, p)) for name, p in self._parameters()}
        space = build(msgspec.structs.replace(self.op, parameters=reduced), problem, self.facts)
        return [space.config(i) for i in range(len(space))]

    def exhaustive_over(self) -> dict[str, tuple[Scalar, ...]]:
        """Parameter -> values that the core crosses."""
        values = {name: self._values(name, p) for name, p in self._parameters()}
        return {name: crossed for name, crossed in values.items() if len(crossed) > 1}

    @property
    def options(self) -> str:
        """The options that ask for these values."""
        words = [f" --set {name}={','.join(map(str, values))}" for name, values in self.chosen.items()]
        return "".join(words) + (f" --label {self.label}" if self.label else "")

    def run_id(self, *words: str) -> str:
        """Words and label, joined."""
        return "-".join([*words, *([self.label] if self.label else [])])

    def _values(self, name: str, parameter: Parameter) -> tuple[Scalar, ...]:
        return self.chosen.get(name) or parameter.core or (parameter.default,)

    def kind(self, problem: ProblemSize) -> tuple[tuple[str, Scalar], ...]:
        """The problem parameters on which compiled code depends."""
        return tuple((name, problem[name]) for name, p in self.op.problem.items() if p.specialises)

    def problems(self, only: str) -> dict[str, dict[str, Scalar]]:
        """Named problem sizes whose name matches `only`, those that share their code next to each other."""
        named = {name: complete(self.op, p) for name, p in self.op.problems.items() if re.fullmatch(only, name)}
        return dict(sorted(named.items(), key=lambda item: str(self.kind(item[1]))))

    def _parameters(self) -> list[tuple[str, Parameter]]:
        return list(self.op.parameters.items())


def measure(sweep: Sweep, arguments: argparse.Namespace) -> None:
    """Measure every problem size that fits the time budget; a run file each."""
    problems = sweep.problems(arguments.only)
    started = time.monotonic()
    method = TimingMethod(batch_size=WHOLE_CORE, keep_samples=False, skip_baselines=tuple(arguments.skip))
    target = target_of(sweep.op.id, sweep.arch, arguments.cubins)
    backend = open_gpu(target, sweep.facts, method, workers=arguments.workers)
    try:
        for problem in problems.values():
            backend.start([Request(each, problem, "sweep") for each in apart(sweep.core(problem))])
        slowest = 0.0  # of measuring alone: what shares its code with another size need not be compiled
        for name, problem in problems.items():
            deadline = started + arguments.budget_s - slowest
            if not _await_compiled(sweep, backend, name, problem, deadline):
                left = started + arguments.budget_s - time.monotonic()
                print(f"{name}: not measured, {left:.0f} s left, and another took {slowest:.0f} s", flush=True)
                continue
            before = time.monotonic()
            run = _measure_one(sweep, backend, name, arguments.rounds)
            print(f"{name}: {write_run(run, arguments.out)} {_summary(run)}", flush=True)
            if backend.compiled_here:
                print(f"warning: {backend.compiled_here} kernels were compiled at launch, not ahead", file=sys.stderr)
            slowest = max(slowest, time.monotonic() - before)
    finally:
        backend.close()


def _await_compiled(sweep: Sweep, backend: GpuBackend, name: str, problem: ProblemSize, deadline: float) -> bool:
    """Whether all is compiled before `deadline`; says how far compiling is, every few seconds."""
    requests = _requests(sweep, problem)
    started = last = time.monotonic()
    for number, _ in enumerate(backend.compiled(requests), start=1):
        now = time.monotonic()
        if now > deadline:
            return False
        if now - last > PROGRESS_S or number == len(requests):
            last = now
            print(f"{name}: {number} of {len(requests)} compiled, {now - started:.0f} s", file=sys.stderr, flush=True)
    return True


def _measure_one(sweep: Sweep, backend: GpuBackend, name: str, rounds: int) -> Run:
    problem = complete(sweep.op, sweep.op.problems[name])
    largest = max((value for value in problem.values() if type(value) is int), default=0)
    backend.plan = Plan(rounds=rounds) if rounds else FEW_ROUNDS if largest >= LONG else Plan()
    trials = tuple(rounded(trial) for _, trial in backend.evaluate(_requests(sweep, problem)))
    references = {n: rounded_reference(m) for n, m in backend.references(problem).items()}
    frame = sweep.frame(name, problem, backend.provenance())
    identifier = sweep.run_id("measured", sweep.hw, sweep.op.id, name)
    run = record.experiment(frame, sweep.hardware, trials)
    whole = sweep.exhaustive_over()
    return msgspec.structs.replace(run, id=identifier, reference_times=references, exhaustive_over=whole)


def _summary(run: Run) -> str:
    times = sorted(value for trial in run.trials if (value := trial.value("time")) is not None)
    references = {name: round(m.value, 1) for name, m in run.reference_times.items()}
    spread = f"best {times[0]:.1f} median {times[len(times) // 2]:.1f} worst {times[-1]:.1f} us" if times else "none"
    return f"{len(times)} of {len(run.trials)} timed, {spread}, references {references}"


def compile_for(sweep: Sweep, arch: str, arguments: argparse.Namespace) -> None:
    """Compile the core once for each kind of code; a run file each."""
    kinds: dict[tuple[tuple[str, Scalar], ...], ProblemSize] = {}
    for problem in sweep.problems(arguments.only).values():
        kinds.setdefault(sweep.kind(problem), problem)
    compiler = AheadCompiler(target_of(sweep.op.id, arch, arguments.cubins), workers=arguments.workers)
    inspect = Inspector(arguments.cubins, sweep.facts)
    try:
        for size in kinds.values():
            for configuration in apart(sweep.core(size)):
                compiler.start(size, configuration)
        pending = {
            kind: [(c, compiler.start(problem, c)) for c in sweep.core(problem)] for kind, problem in kinds.items()
        }
        for kind, futures in pending.items():
            with ThreadPoolExecutor(arguments.workers) as readers:  # reading is waiting for the disassembler
                waiting = [readers.submit(_compiled_trial, c, future, inspect) for c, future in futures]
                trials = [trial.result() for trial in waiting]
            run = Run(
                id=sweep.run_id("compiled", arch, sweep.op.id, _kind_name(kind)),
                tier="compiled",
                created=_now(),
                hw=arch,
                op=sweep.op.id,
                toolchain=dict(compiler.toolchain),
                kernel=Kernel(name=sweep.op.id, source_sha256=source_of(sweep.op.id)),
                commit=sweep.commit,
                problem=dict(kinds[kind]),
                exhaustive_over=sweep.exhaustive_over(),
                strategy="exhaustive",
                reproduce=f"python -m bench.sweep compile {sweep.op.id} --archs {arch}{sweep.options}",
                trials=tuple(rounded(trial) for trial in trials),
            )
            failed = sum(trial.failure is not None for trial in trials)
            print(f"{write_run(run, arguments.out)}: {len(trials)} compiled, {failed} failed", flush=True)
    finally:
        compiler.close()


def _compiled_trial(configuration: Configuration, future: Future[CompiledFunctions], inspect: Inspect) -> Trial:
    code = future.result()
    if code.failure is not None:
        return Trial(configuration=dict(configuration), invalidity="compile", failure=code.failure, origin="sweep")
    measurements = tuple(Measurement(name=n, value=v, unit=unit_of(n)) for n, v in inspect(code).items())
    times = Times(compilation=code.milliseconds)
    return Trial(configuration=dict(configuration), measurements=measurements, times=times, origin="sweep")


def _requests(sweep: Sweep, problem: ProblemSize) -> list[Request]:
    return [Request(configuration, problem, "sweep") for configuration in sweep.core(problem)]


def apart(core: Sequence[Configuration]) -> list[Configuration]:
    """`core` in another order, always the same: neighbours share functions, which two processes at once would both compile."""
    return random.Random(0).sample(core, len(core))


def _kind_name(kind: Sequence[tuple[str, Scalar]]) -> str:
    """`head_dim=64,causal=True,dtype=fp16` as `d64-causal-fp16`."""
    words = [_word(name, value) for name, value in kind]
    return "-".join(word for word in words if word)


def _word(name: str, value: Scalar) -> str:
    if isinstance(value, bool):
        return name if value else ""
    return f"d{value}" if name == "head_dim" else str(value)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def measured_on(laws: Laws, named: str, gpu: Gpu | None) -> str:
    """The hardware node of this machine's GPU.

    Raises:
        SystemExit: If there is none, it is not the one named, or no node has its name.
    """
    if gpu is None:
        raise SystemExit("measure: no NVIDIA GPU with a driver was found")
    try:
        hw = Taxonomy("hardware", laws.hardware).resolve(named or gpu.name)
        check_device(laws.hardware, hw, gpu.name)
    except KgError as error:
        raise SystemExit(f"measure: {error}") from None
    return hw


def _sweep(laws: Laws, hw: str, arguments: argparse.Namespace) -> Sweep:
    facts, op = hardware_facts(laws, hw), laws.ops[arguments.op]
    chosen = dict(_chosen(op, text) for text in arguments.set)
    return Sweep(op, facts, laws.hardware, hw, str(facts["gpu_code"]), arguments.commit, chosen, arguments.label)


def _chosen(op: Op, text: str) -> tuple[str, tuple[Scalar, ...]]:
    name, _, written = text.partition("=")
    if name not in op.parameters:
        raise SystemExit(f"--set {text}: {op.id} has no parameter {name!r}; it has {', '.join(op.parameters)}")
    known = {str(value).lower(): value for value in op.parameters[name].values}
    words = written.lower().split(",")
    unknown = [word for word in words if word not in known]
    if unknown:
        raise SystemExit(f"--set {text}: {name} takes {', '.join(known)} (got {', '.join(unknown)})")
    return name, tuple(known[word] for word in words)


def main() -> int:
    """Parse the command line and sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "compile"])
    parser.add_argument("op")
    parser.add_argument("--out", type=Path, default=Path("laws/evidence"), help="folder for run files")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--hw", default="", help="hardware id of the GPU of this machine, else what its driver says")
    parser.add_argument("--archs", default="sm_80,sm_89,sm_90,sm_100,sm_120", help="what to compile for")
    parser.add_argument("--only", default=".*", help="regular expression over problem names")
    parser.add_argument("--set", action="append", default=[], help="NAME=V1,V2: these values instead of the core's")
    parser.add_argument("--label", default="", help="ends the run ids; use it with --set")
    parser.add_argument("--rounds", type=int, default=0, help="samples of each; 0: 25, or 11 where a launch is long")
    parser.add_argument("--skip", action="append", default=[], help="a baseline not to time")
    parser.add_argument("--budget-s", type=float, default=3600.0, help="begin no size that may not end in time")
    parser.add_argument("--cubins", type=Path, default=Path(".spak/cubins"))
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--commit", default="", help="commit of this repository")
    arguments = parser.parse_args()
    if 0 < arguments.rounds < Plan.slow_rounds:
        parser.error(
            f"--rounds {arguments.rounds}: fewer than {Plan.slow_rounds} samples have no 95 % interval; name more"
        )
    laws = load(arguments.laws)
    if arguments.what == "measure":
        measure(_sweep(laws, measured_on(laws, arguments.hw, detect()), arguments), arguments)
        return 0
    for arch in arguments.archs.split(","):
        compile_for(_sweep(laws, arch, arguments), arch, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
