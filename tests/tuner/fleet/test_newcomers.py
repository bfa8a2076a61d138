"""Machines that join in the middle of a search, or are there again, with real processes: who fits takes part, nobody ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from spak.kg.model.hardware import hardware_facts
from spak.tuner.backend.base import Request
from spak.tuner.backend.gpu.backend import TimingMethod
from spak.tuner.backend.gpu.timing import Plan
from spak.tuner.backend.registry import BACKENDS, Task
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.executor import CPU, FleetMember, Piece
from spak.tuner.fleet.host import FleetHost, HostSetup
from spak.tuner.fleet.open import open_on_fleet
from tests.shipped import LAWS
from tests.tuner.fleet import odd_works
from tests.tuner.fleet.fake_works import SAYING

pytest.importorskip("distributed", reason="the fleet needs Dask: pip install 'spak[fleet]'")

FIRST, LATE = "a" * 12, "b" * 12
METHOD = TimingMethod(plan=Plan(rounds=8, slow_rounds=6), batch_size=4)


class Machines:
    """Machines of one fleet, which share a cache here; each is told by the name of its worker."""

    def __init__(self, folder, stack):
        self.folder, self._stack = folder, stack
        self._first = self._host()
        self.access = self._first.start_scheduler(FleetAccess("tcp://127.0.0.1:0", None))

    def join(self, name: str, resource: str) -> FleetHost:
        """One more with a worker that has this resource."""
        joined = self._host()
        joined.start_workers(self.access, [FleetMember(name=name, host="", resources=(resource,))])
        return joined

    def _host(self) -> FleetHost:
        host = FleetHost(HostSetup(self.folder / "cache", "127.0.0.1", {**SAYING, **odd_works.WORKS}))
        self._stack.callback(host.close)
        return host


@pytest.fixture
def machines(tmp_path):
    with contextlib.ExitStack() as stack:
        yield Machines(tmp_path, stack)


@pytest.fixture
def fleet(machines):
    """What a search speaks to, when one machine compiles and one has a GPU."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    machines.join("one", CPU)
    machines.join("gpu-a", FIRST)
    made = DaskExecutor(machines.access, patience_s=0.5)
    until(lambda: len(made.members()) == 2)
    yield made
    made.close()


@pytest.fixture
def backend(fleet, tmp_path):
    task = Task("h200", LAWS.ops["rmsnorm"], hardware_facts(LAWS, "h200"), tmp_path / "own", 1)
    made = open_on_fleet(fleet, BACKENDS["gpu"], task, fits=lambda gpu: gpu == "NVIDIA H200", method=METHOD)
    yield made
    made.close()


def until(condition):
    """Wait for what another process does; the test's own time limit ends it if that never happens."""
    while not condition():
        time.sleep(0.02)


def measured(backend, first: int, count: int = 8):
    """GPU of each of so many new configurations, all of which have to run."""
    asked = [Request({"us": float(n)}, {"seq": 64}, "sweep") for n in range(first, first + count)]
    trials = [trial for _, trial in backend.evaluate(asked)]
    assert [trial.invalidity for trial in trials] == ["correct"] * count
    return {trial.machine for trial in trials}


def test_a_gpu_that_joins_later_measures_once_it_is_open(machines, backend):
    """The search asks for more at once from then on."""
    assert measured(backend, 1) == {FIRST}
    size = backend.batch_size
    machines.join("gpu-b", LATE)
    until(lambda: backend.newcomers.ready({FIRST}) == [LATE])
    assert measured(backend, 100) == {FIRST, LATE}
    assert backend.batch_size == 2 * size
    assert backend.provenance().note == f"measured on {FIRST}, {LATE}"


def test_one_that_joins_later_and_disagrees_is_another_device(machines, backend):
    """None of its times counts; they are kept apart, as of one that was there from the beginning."""
    assert measured(backend, 1) == {FIRST}
    (machines.folder / "cache" / f"slow-{LATE}").touch()
    machines.join("gpu-b", LATE)
    until(lambda: backend.newcomers.ready({FIRST}) == [LATE])
    assert measured(backend, 100) == {FIRST}
    known = backend.provenance()
    assert "they are two devices; search each by itself" in known.note
    assert [apart.device for apart in known.apart] == [LATE]
    assert measured(backend, 200) == {FIRST}, "it is not asked again"


def test_one_of_another_make_takes_no_part_and_ends_nothing(machines, backend):
    """Another version, another kernel; the run says so. Of another kind of GPU nothing is said."""
    machines.join("gpu-old", LATE)
    machines.join("gpu-other", "c" * 12)
    until(lambda: not backend.newcomers.ready({FIRST}) and len(backend.newcomers.refused) == 2)
    assert measured(backend, 1) == {FIRST}
    note = backend.provenance().note
    assert "took no part: fleet: gpu-old has another version of spak (0, here " in note
    assert "took no part: fleet: gpu-other has another source of rmsnorm (000000000000, here " in note


def test_a_gpu_that_leaves_and_is_there_again_is_used_again(machines, backend):
    """What it had waits a while for it, then others do it, and no configuration is charged."""
    left = machines.join("gpu-b", LATE)
    until(lambda: backend.newcomers.ready({FIRST}) == [LATE])
    assert measured(backend, 1) == {FIRST, LATE}
    left.close()
    assert measured(backend, 100) == {FIRST}
    assert backend.trust.health.out == {}
    size = backend.batch_size
    machines.join("gpu-b", LATE)
    until(lambda: backend.newcomers.ready({FIRST}) == [LATE])
    assert measured(backend, 200) == {FIRST, LATE}
    assert backend.batch_size == size


def test_without_any_gpu_left_the_search_ends_and_says_which(machines, fleet, tmp_path):
    task = Task("h200", LAWS.ops["rmsnorm"], hardware_facts(LAWS, "h200"), tmp_path / "own", 1)
    only = machines.join("gpu-b", LATE)
    until(lambda: len(fleet.members()) == 3)
    backend = open_on_fleet(fleet, BACKENDS["gpu"], task, fits=lambda _: True, method=METHOD)
    backend._usable.pop(0)  # as if the first had been taken out
    only.close()
    with pytest.raises(
        TunerError,
        match=f"^fleet: no member of the fleet offers {LATE} any more; once that is mended go on with --resume$",
    ):
        measured(backend, 1)


def test_a_gpu_whose_opening_ends_its_worker_is_left_alone_after_a_while(machines, backend):
    """It is asked again where somebody pulled its cable; not for ever where it is the reason."""
    (machines.folder / "cache" / f"falls-{LATE}").touch()
    machines.join("gpu-b", LATE)
    until(lambda: not backend.newcomers.ready({FIRST}) and backend.newcomers.refused)
    assert measured(backend, 1) == {FIRST}
    assert backend.newcomers.refused == {"gpu-b": "fleet: gpu-b: it was lost 3 times, the last when asked to measure"}


def test_a_compiler_that_joins_later_does_what_waits(machines, fleet, tmp_path):
    begun = tmp_path / "begun"
    fleet.submit(Piece(work="odd", data=f"wait {begun}".encode()))
    until(lambda: begun.exists() and begun.read_text())
    waits = fleet.submit(Piece(work="echo", data=b"x"))
    machines.join("late", CPU)
    assert waits.result().member == "late"
    os.kill(int(begun.read_text()), signal.SIGKILL)
