"""Compiles FMHA for an architecture and says what the compiled laws are worth: regenerates their run files.

The laws about spills were found on one kind of problem (head_dim 64, fp16, causal) at default hints, and are tested on
others: another dtype, another mask, another head size, and a random sample of the whole space, because a law that
holds only while the remaining parameters keep their defaults would be no law of the space.

    python -m bench.compiled_evidence compile --arch sm_120    # writes the run files; compiles what the cache lacks
    python -m bench.compiled_evidence judge --arch sm_120      # what each run says of each compiled law, as YAML
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from spak.kernels.registry import SPECS, spec
from spak.kg.evidence.judge import judge
from spak.kg.evidence.table import from_runs
from spak.kg.files import atomic
from spak.kg.files.loader import Laws, load
from spak.kg.files.seal import sealed
from spak.kg.law.kinds.avoid import NegativeLaw
from spak.kg.model.base import Configuration, ProblemSize
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.run import Kernel, Run, Trial
from spak.kg.space.space import build
from spak.tuner.backend.base import Request
from spak.tuner.backend.compile.backend import CompileBackend, CompileTarget
from spak.tuner.backend.compile.cache import CompileCache, Identity, source_sha256
from spak.tuner.backend.compile.toolchain import Toolchain, find_toolchain

OP = "fmha"
ROOT = Path(__file__).parents[1]
KEPT = ("spill_bytes", "registers", "smem_bytes", "threads", "ctas_per_sm")
"""What laws may name; the instruction mix and predicted times stay out of the evidence."""

CORE = {"tile_n": (32, 64, 128), "occupancy": (1, 2, 4)}
DEVICES = {"sm_90": "h200", "sm_120": "rtx5070"}
"""Whose limits bound what fits on an SM; they are those of the compute capability."""


@dataclass(frozen=True)
class Experiment:
    """A run file to be.

    Attributes:
        suffix: End of the run id.
        problems: Names of problem sizes of the op.
        tiles: Values of tile_m in the core product.
        warps: Values of num_worker_warps in it.
        sample: Configurations drawn from the whole space at each size, instead of the core product at defaults.
        seed: Of the sample.
    """

    suffix: str
    problems: tuple[str, ...]
    tiles: tuple[int, ...] = (64, 128, 256)
    warps: tuple[int, ...] = (0,)
    sample: int = 0
    seed: int = 0

    @property
    def core(self) -> dict[str, tuple[int, ...]]:
        """Parameter -> values of the product."""
        return {"tile_m": self.tiles, **CORE, "num_worker_warps": self.warps}

    def run_id(self, arch: str) -> str:
        """`compiled-sm_120-fmha-...`."""
        return f"compiled-{arch}-{OP}-{self.suffix}"


FOUND = Experiment("d64-fp16-causal", ("d64-s1024-causal",), tiles=(32, 64, 128, 256), warps=(0, 8))
OTHERS = Experiment("other-variants", ("d64-s2048-full-bf16", "d128-s1024-causal"))
SAMPLED = Experiment("whole-space", ("d64-s1024-full", "d128-s2048-full-bf16"), sample=15, seed=2)
HEAD_DIM_128 = Experiment("d128-variants", ("d128-s1024-full", "d128-s2048-causal-bf16"), tiles=(128,))
EXPERIMENTS = (FOUND, OTHERS, HEAD_DIM_128, SAMPLED)


def configurations(laws: Laws, experiment: Experiment, problem: ProblemSize) -> list[Configuration]:
    """What is compiled at one problem size: the feasible part of the core product, or a sample of the space."""
    space = build(laws.ops[OP], problem)
    if experiment.sample:
        rng = np.random.default_rng(experiment.seed)
        return [space.config(int(i)) for i in np.sort(rng.choice(len(space), experiment.sample, replace=False))]
    core = experiment.core
    product = (dict(zip(core, values, strict=True)) for values in itertools.product(*core.values()))
    whole = [{**space.default, **part} for part in product]
    return [configuration for configuration in whole if space.index(configuration) is not None]


def backend(laws: Laws, arch: str, toolchain: Toolchain, cache: Path) -> tuple[CompileBackend, str]:
    """The compile backend for `arch`, and the hash of the kernel's source."""
    kernel = spec(OP)
    source = source_sha256(kernel.source_files, ROOT)
    specialises = [name for name, parameter in laws.ops[OP].problem.items() if parameter.specialises]
    identity = Identity(OP, source, arch, toolchain.versions, specialises)
    facts = hardware_facts(laws, DEVICES[arch])
    target = CompileTarget(kernel, f"{SPECS[OP]}:SPEC", identity, facts)
    return CompileBackend(target, toolchain, CompileCache(cache), workers=os.cpu_count() or 1), source


def trial(found: Trial, problem: ProblemSize) -> Trial:
    """The trial with what evidence needs and no more; compile times differ from run to run and say nothing here."""
    return Trial(
        configuration=found.configuration,
        problem=dict(problem),
        invalidity=found.invalidity,
        measurements=tuple(m for m in found.measurements if m.name in KEPT),
        failure=found.failure,
        origin="sweep",
    )


def compile_run(laws: Laws, experiment: Experiment, arch: str, *, cache: Path, created: str) -> Run:
    """Compile an experiment whole, in the order of the space."""
    toolchain = find_toolchain()
    compiler, source = backend(laws, arch, toolchain, cache)
    trials: list[Trial] = []
    try:
        for name in experiment.problems:
            problem = laws.ops[OP].problems[name]
            requests = [Request(item, problem, "sweep") for item in configurations(laws, experiment, problem)]
            key = {msgspec.json.encode(dict(request.configuration)): i for i, request in enumerate(requests)}
            done = sorted(
                (trial for _, trial in compiler.evaluate(requests)),
                key=lambda t: key[msgspec.json.encode(t.configuration)],
            )
            trials += [trial(item, problem) for item in done]
            print(f"{experiment.run_id(arch)}: {name}: {len(done)} configurations", file=sys.stderr)
    finally:
        compiler.close()
    return Run(
        id=experiment.run_id(arch),
        tier="compiled",
        created=created,
        hw=arch,
        op=OP,
        toolchain=dict(toolchain.versions),
        kernel=Kernel(name=OP, source_sha256=source),
        exhaustive_over={} if experiment.sample else dict(experiment.core),
        seed=experiment.seed if experiment.sample else None,
        reproduce=f"python -m bench.compiled_evidence compile --arch {arch}",
        note="Compiled only; no GPU took part. CTAs per SM follow from the compute capability's limits.",
        trials=tuple(trials),
    )


def say(laws: Laws, arch: str) -> None:
    """Print what each run says of each negative law about compiled code on `arch`."""
    runs = [laws.run(name) for name in (experiment.run_id(arch) for experiment in EXPERIMENTS) if name in laws.run_ids]
    for law in sorted(laws.laws.values(), key=lambda law: law.id):
        if not isinstance(law, NegativeLaw) or law.scope.hw != arch or not law.claim.effect.keys() & set(KEPT):
            continue
        print(f"{law.id}: {law.claim.avoid}")
        for run in runs:
            found = judge(law, from_runs([run]))
            print(f"  - {run.id}: {found.verdict} {found.effect} {list(found.problems)} {found.reason}")


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("compile", "judge"))
    parser.add_argument("--arch", default="sm_120", choices=sorted(DEVICES))
    parser.add_argument("--only", default="", help="run only the experiment with this suffix")
    parser.add_argument("--cache", type=Path, default=Path(".spak/compile"))
    chosen = parser.parse_args(arguments)
    laws = load(ROOT / "laws")
    if chosen.what == "judge":
        say(laws, chosen.arch)
        return
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for experiment in EXPERIMENTS:
        if chosen.only in ("", experiment.suffix):
            run = compile_run(laws, experiment, chosen.arch, cache=chosen.cache, created=created)
            atomic.write(ROOT / "laws" / "evidence" / f"{run.id}.json", encode(run))


def encode(run: Run) -> bytes:
    """One trial a line, so that a difference in review is a line."""
    head = msgspec.to_builtins(sealed(run))
    trials: list[Mapping[str, object]] = head.pop("trials")
    text = msgspec.json.format(msgspec.json.encode(head), indent=1).decode().removesuffix("\n}")
    lines = ",\n  ".join(msgspec.json.encode(item).decode() for item in trials)
    return f'{text},\n "trials": [\n  {lines}\n ]\n}}\n'.encode()


if __name__ == "__main__":
    main()
