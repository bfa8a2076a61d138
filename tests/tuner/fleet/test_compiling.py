"""The compiling process of a worker: one for all that it compiles, begun before there is a piece, and replaced when it dies."""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
import time
from types import SimpleNamespace

import pytest

from spak.kernels.registry import SPECS
from spak.tuner.backend.compile.protocol import Order
from spak.tuner.backend.gpu.ahead import CompiledFunctions, CubinTarget
from spak.tuner.backend.source import source_of
from spak.tuner.errors import TunerError
from spak.tuner.fleet import compiling
from spak.tuner.fleet.compiling import CompilerVersions, CompilingProcess
from spak.tuner.fleet.executor import CPU, Piece, answered
from spak.tuner.fleet.orders import CompileOrder, KernelIdentity, encoded
from spak.tuner.fleet.workbench import Workbench, Workplace
from tests.tuner.backend.compile import broken
from tests.tuner.backend.compile.test_pool import setup

OP = next(iter(SPECS))


@pytest.fixture
def process():
    made = CompilingProcess()
    yield made
    made.close()


def features(process, deed: str, time_limit_s: float = 60.0):
    return process.features(setup(time_limit_s), Order(problem={}, configuration={"do": deed}))


def test_what_ends_the_process_costs_one_configuration_and_the_next_has_another(process, monkeypatch):
    """A crash, an exit, memory and a hang each answer for themselves; nothing of them is kept as a fact."""
    monkeypatch.setattr(compiling, "GRACE_S", 0.3)
    found = {deed: features(process, deed) for deed in ("die", "refuse", "leave", "eat", "refuse")}
    found["hang"] = features(process, "hang", time_limit_s=0.2)
    assert {deed: one.failure.type for deed, one in found.items()} == {
        "die": "WorkerDied", "leave": "WorkerDied", "eat": "MemoryError", "hang": "TimeLimit", "refuse": "ValueError",
    }  # fmt: skip
    assert {deed for deed, one in found.items() if one.lasting} == {"refuse"}
    assert features(process, "fill").broken == "kernel.tileirbc: No space left on device"


def test_a_launch_is_compiled_in_the_same_process_whose_memory_is_its_own_again(process, tmp_path):
    """The limit of what is compiled for features ends with it."""
    features(process, "refuse")
    [before] = multiprocessing.active_children()
    target = CubinTarget(f"{broken.__name__}:SPEC", "sm_90", tmp_path, "source", language="")
    assert process.functions(target, {}, {"do": "refuse"}).failure.message == "tile_m must be even"
    assert multiprocessing.active_children() == [before]
    assert resource.prlimit(before.pid, resource.RLIMIT_AS) == resource.getrlimit(resource.RLIMIT_AS)


def test_a_process_that_died_with_nothing_to_do_is_nobodys_fault(process):
    features(process, "refuse")
    [idle] = multiprocessing.active_children()
    idle.kill()
    idle.join()
    time.sleep(0.2)  # until its executor has seen it; a piece that comes before that finds out by itself
    assert features(process, "refuse").failure.type == "ValueError"


def test_what_is_imported_early_stands_back_and_what_is_asked_for_does_not(monkeypatch):
    """Niceness is of one thread; what an import raises is said of no one."""
    seen = []

    def imported():
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        raise ImportError("there is none")

    monkeypatch.setattr(compiling, "compiler_string", imported)
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    compiling._import_early()
    compiling._imported()
    assert seen == [min(19, usual + compiling.EARLY_NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual
    assert compiling._versions("cutile").compiler == "", "what is missing is empty"


def test_a_closed_one_starts_no_process(process):
    process.close()
    process.import_early()
    with pytest.raises(TunerError, match="the process that imports the compiler"):
        process.versions("cutile")
    assert not multiprocessing.active_children()


def test_of_a_kernel_that_a_callable_launches_no_compiler_is_known(process):
    assert process.versions("").toolchain == {}


class Early:
    def __init__(self, place):
        self._place = place

    def prepare(self):
        (self._place.cache / f"early-{self._place.member}").touch()

    def perform(self, data):
        return data

    def close(self):
        pass


def test_a_worker_prepares_what_it_can_and_says_of_the_rest_when_it_is_asked(tmp_path):
    """A work that cannot be made stops no other one, and is no secret afterwards."""
    works = {"none": "spak.nowhere:Work", "echo": "tests.tuner.fleet.odd_works:Echo", "early": f"{__name__}:Early"}
    bench = Workbench(Workplace("w", tmp_path), works)
    bench.prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["early-w"]
    assert bench.perform(Piece(work="none", data=b"")).error.startswith("none: ModuleNotFoundError")
    assert bench.perform(Piece(work="early", data=b"x", wants=CPU)).data == b"x"
    bench.close()


@pytest.mark.compiler
def test_versions_are_those_that_the_compiler_has_here(process):
    """Early or not."""
    process.import_early()
    found = process.versions("cutile")
    assert found.toolchain["tileiras"].startswith("13.")
    assert found.toolchain["tileiras"] in found.compiler
    assert found != CompilerVersions()


def test_what_a_full_disk_cannot_keep_ends_the_search_and_charges_nobody(tmp_path):
    """The compiler had it; a GPU would not find it."""
    place = Workplace("w", tmp_path)
    vars(place)["compiling"] = SimpleNamespace(
        functions=lambda *_: CompiledFunctions(("1" * 40,)),
        versions=lambda _: CompilerVersions(),
        close=lambda: None,
    )
    kernel = KernelIdentity(op=OP, arch="sm_90", source_sha256=source_of(OP))
    order = CompileOrder(kernel=kernel, problem={}, configuration={}, facts={})
    outcome = Workbench(place).perform(Piece(work="compile", data=encoded(order)))
    with pytest.raises(
        TunerError, match=r"^fleet: w: compile: .*cubins: compiled code cannot be kept; is the disk full"
    ):
        answered(outcome)
