"""What a fleet adds to compiling, where there is no GPU: one search's own processes against workers that have just joined.

    python -m bench.fleet_compile --op matmul --trials 8 --out results

Each part compiles the same configurations for launches, with empty caches, and reads their features; seconds count from the
first request to the last answer. `pool` starts its processes meanwhile, as a search does; `cold` are workers that have
joined and not imported the compiler; `warm` have, and what that took is given beside it. Parts alternate, `--times` times
there and back, so that what else the machine does falls on all of them. This process has imported the compiler before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path

from spak.kg.files.loader import load
from spak.kg.model.base import Configuration
from spak.tuner.backend.compile.toolchain import compiler_string
from spak.tuner.backend.gpu.ahead import AheadCompiler, versions_of
from spak.tuner.backend.gpu.backend import CompilesAhead, Inspect, all_features
from spak.tuner.backend.gpu.open import Inspector, target_of
from spak.tuner.backend.registry import Task
from spak.tuner.backend.source import source_of
from spak.tuner.chance import Purpose, shuffled, stream
from spak.tuner.engine import session
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.backend import FleetCompiler
from spak.tuner.fleet.executor import Executor
from spak.tuner.fleet.host import FleetHost, HostSetup
from spak.tuner.fleet.local import local_members
from spak.tuner.fleet.measuring import CubinLedger
from spak.tuner.fleet.open import describe, warmed
from spak.tuner.fleet.orders import KernelIdentity

SEED = 7


@dataclass(frozen=True)
class CompileSetting:
    """What is compiled, by how many processes."""

    question: session.SearchTask
    arch: str
    configurations: tuple[Configuration, ...]
    workers: int

    def seconds(self, compiler: CompilesAhead, inspect: Inspect) -> float:
        """Until all is compiled and its features are known."""
        begun = time.monotonic()
        pending = [compiler.start(self.question.problem, one) for one in self.configurations]
        all_features([future.result() for future in pending], inspect)
        return time.monotonic() - begun


def by_pool(here: CompileSetting, folder: Path) -> tuple[float, float]:
    """Seconds of one search's processes; their start is among them."""
    target = target_of(here.question.op.id, here.arch, folder)
    compiler = AheadCompiler(target, workers=here.workers)
    try:
        return here.seconds(compiler, Inspector(folder, here.question.facts)), 0.0
    finally:
        compiler.close()


def by_fleet(here: CompileSetting, folder: Path, *, warm: bool) -> tuple[float, float]:
    """Seconds of a fleet's workers once they have joined, and of warming up."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    op, members = here.question.op.id, local_members(here.workers)
    host = FleetHost(HostSetup(folder / "cache", "127.0.0.1"))
    try:
        access = host.start_scheduler(FleetAccess("tcp://127.0.0.1:0", None))
        host.start_workers(access, members)
        executor: Executor = DaskExecutor(access)
        try:
            while len(executor.members()) < len(members):
                time.sleep(0.1)
            kernel = KernelIdentity(op=op, arch=here.arch, source_sha256=source_of(op))
            ledger = CubinLedger(kernel, versions_of("cutile"), compiler_string(), folder / "own")
            described, begun = describe(executor, op), time.monotonic()
            wait(list(warmed(executor, ledger, described, []) if warm else []))
            warm_s = time.monotonic() - begun if warm else 0.0
            compiler = FleetCompiler(executor, ledger, here.question.facts)
            return here.seconds(compiler, compiler.inspect), warm_s
        finally:
            executor.close()
    finally:
        host.close()


def measured(here: CompileSetting, part: str) -> tuple[float, float]:
    """(seconds, seconds of warming up) of a part, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="fleet-compile-", ignore_cleanup_errors=True) as folder:
        if part == "pool":
            return by_pool(here, Path(folder))
        return by_fleet(here, Path(folder), warm=part == "warm")


def summary(found: Mapping[str, list[tuple[float, float]]]) -> dict[str, dict[str, object]]:
    """Medians, and every number."""
    return {
        part: {
            "median_s": round(statistics.median(seconds for seconds, _ in pairs), 2),
            "seconds": [round(seconds, 2) for seconds, _ in pairs],
            "warming_s": [round(warm, 2) for _, warm in pairs],
        }
        for part, pairs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", default="matmul")
    parser.add_argument("--hw", default="h200")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    question = session.ask(load(arguments.laws), arguments.op, arguments.hw, "")
    order = list(shuffled(stream(SEED, Purpose.CHALLENGERS), len(question.space)))[: arguments.trials]
    configurations = tuple(question.space.config(place) for place in order)
    arch = Task(question.hw, question.op, question.facts, Path(), arguments.workers).arch
    here = CompileSetting(question, arch, configurations, arguments.workers)
    found: dict[str, list[tuple[float, float]]] = {"pool": [], "cold": [], "warm": []}
    for part in [*found, *reversed(found)] * arguments.times:
        found[part].append(measured(here, part))
        print(part, *(f"{seconds:.1f}" for seconds in found[part][-1]), f"load {os.getloadavg()[0]:.1f}", flush=True)
    about = {"op": arguments.op, "hw": arguments.hw, "trials": len(configurations), "workers": arguments.workers}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "fleet-compile-local.json").write_text(json.dumps({**about, **summary(found)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
