"""Opening a search over a fleet: members of another make are refused by name, and a search runs as on one machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

import spak
from spak.fleet import Fleet
from spak.kg.model.hardware import hardware_facts
from spak.tuner.backend.registry import BACKENDS, Task
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, FleetMember
from spak.tuner.fleet.local import LocalExecutor
from spak.tuner.fleet.open import open_on_fleet
from tests import shipped
from tests.tuner.fleet.fake_works import SAYING

GPU = "a" * 12


@pytest.fixture(scope="module")
def library():
    return shipped.library()


@pytest.fixture
def searching(library, tmp_path):
    """Searches over a fleet of members with these names; `gpu` in one makes it measure."""
    made = []

    def search(*names: str, **request):
        members = [FleetMember(name=name, host="h", resources=(GPU if "gpu" in name else CPU,)) for name in names]
        made.append(LocalExecutor(members, tmp_path / "cache", SAYING))
        around = spak.here(library, cache=tmp_path / "own")
        around = replace(around, now=lambda: datetime(2026, 1, 2, tzinfo=UTC), device=lambda: "not asked")
        wanted = {"kernel": "rmsnorm", "trials": 2, "confirm": 0.0, "write": "nothing", **request}
        asked = spak.SearchRequest(**wanted)
        return spak.search(asked, Fleet(made[-1]).surroundings(around, asked.hw))

    yield search
    for executor in made:
        executor.close()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("one", "two-other"), "fleet: two-other has another source of rmsnorm (000000000000, here "),
        (("one", "two-old"), "fleet: two-old has another version of spak (0, here "),
        (("one", "two-dask"), "fleet: two-dask has another version of distributed (2020.1, here "),
        (("bare",), "fleet: bare is to compile and has no compiler for this kernel; pip install"),
        (("one", "two-new"), "fleet: two-new compiles with tileiras 14, one with tileiras 13.4.92"),
        (("gpu",), "no member of the fleet compiles"),
    ],
)
def test_members_that_do_not_fit_are_refused_with_one_line(searching, names, said):
    """Which names them, before anything is compiled."""
    with pytest.raises(TunerError) as refused:
        searching(*names, hw="h200", backend="compile")
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_gpu_of_other_hardware_does_not_measure(searching):
    with pytest.raises(TunerError, match="no NVIDIA GPU"):
        searching("one", "gpu", hw="rtx5070", backend="gpu")


def test_a_search_that_is_resumed_has_the_fleet_recall_what_it_ended_with_since(library, tmp_path):
    class Recalling(LocalExecutor):
        since: datetime | None = None

        def recall(self, since):
            self.since = since

    fleet = Recalling([FleetMember(name="one", host="h", resources=(CPU,))], tmp_path / "cache", SAYING)
    task = Task("h200", library.laws.ops["rmsnorm"], hardware_facts(library.laws, "h200"), tmp_path, 1)
    for resumed in (None, datetime(2026, 1, 2, tzinfo=UTC)):
        open_on_fleet(fleet, BACKENDS["compile"], replace(task, resumed=resumed), fits=lambda _: True).close()
        assert fleet.since == resumed
    fleet.close()


def test_a_kernel_that_a_file_declares_stays_where_the_file_is(library, tmp_path):
    task = Task("h200", library.laws.ops["rmsnorm"], {}, tmp_path, 1, own="kernel.py:SPEC")
    with pytest.raises(TunerError, match="a fleet takes no kernel from a file"):
        open_on_fleet(LocalExecutor([], tmp_path), BACKENDS["gpu"], task, fits=lambda _: True)
