"""A search as a library call: clock, disk, compiler and GPU are passed in, and what comes back is typed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from spak.kg.errors import KgError
from spak.kg.files.loader import read_run
from spak.kg.files.root import LawRoot
from spak.kg.files.seal import sealed
from spak.kg.model.run import Device
from spak.tuner.engine import journal
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.errors import TunerError
from spak.tuner.search import SearchRequest, search
from spak.tuner.verify import VerifyRequest, repeat
from tests.shipped import LAWS, ROOT
from tests.tuner.searching import Formula

H200, H100 = "NVIDIA H200", "NVIDIA H100 80GB HBM3"
REQUEST = SearchRequest(kernel="matmul", problem="m2048", trials=12, confirm=0.25, seed=3)


def time_us(configuration) -> float:
    return 10.0 + abs(int(configuration["tile_m"]) - 64) + abs(int(configuration["tile_n"]) - 128) / 2


class Card(Formula):
    """A backend on a GPU whose driver gives it a name; answers from a formula."""

    ran_on = H200

    def provenance(self):
        return replace(super().provenance(), device=Device(name=self.ran_on))

    def _trial(self, request):
        import msgspec

        trial = super()._trial(request)
        return msgspec.structs.replace(trial, measurements=trial.measurements[:1])


def around(tmp_path, backend=None, **changes) -> Surroundings:
    ticks = itertools.count()
    made = backend or Card(time=time_us)
    found = Surroundings(
        laws=LAWS,
        root=LawRoot(ROOT, writable=False),
        now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        clock=lambda: float(next(ticks)),
        cache=tmp_path / "cache",
        local=tmp_path,
        commit=lambda: "c0ffee",
        device=lambda: H200,
        open=lambda entry, task: made,
    )
    return replace(found, **changes)


@pytest.fixture(autouse=True)
def compiled_nowhere(monkeypatch):
    """Features that no formula here has are not asked for."""
    monkeypatch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)


def test_it_writes_nothing_unless_told_to_and_says_what_it_found(tmp_path):
    """Everything is in the result: the run whole, the report, what laws would change."""
    said: list[str] = []
    found = search(REQUEST, around(tmp_path, say=said.append))
    assert list(tmp_path.iterdir()) == []
    assert (found.run.hw, found.run.op, found.run.commit, found.run.device.name) == ("h200", "matmul", "c0ffee", H200)
    assert found.run.created == "2026-01-02T03:04:05Z"
    assert found.report.counts.tried == len(found.run.trials) == 9
    assert found.run.seed == 3
    assert found.run.strategy == "random"
    assert (found.run_file, found.journal) == (None, None)
    assert said == ["testing what it suggests on other problem sizes, at most 3 trials"]


def test_the_same_request_in_the_same_surroundings_gives_the_same_run(tmp_path):
    """No clock, environment or disk but those passed in."""
    assert search(REQUEST, around(tmp_path)).run == search(REQUEST, around(tmp_path)).run


def test_a_run_alone_goes_to_the_local_folder_with_its_journal(tmp_path):
    """`write="run"` touches no law, and the journal holds the request to go on with."""
    found = search(replace(REQUEST, write="run"), around(tmp_path))
    assert found.run_file.parent == tmp_path / "runs"
    assert read_run(found.run_file) == sealed(found.run)
    kept = journal.read_journal(found.journal)
    assert kept.header.arguments["kernel"] == "matmul"
    assert len(kept.trials) == len(found.run.trials) == 12


@pytest.mark.parametrize("hw", ["h200", "rtx5070", "NVIDIA H200"])
def test_a_search_for_hardware_that_is_not_there_is_refused_before_it_begins(tmp_path, hw):
    """A sweep on an H100 was once recorded as one of an H200."""
    backend = Card(time=time_us)
    with pytest.raises(KgError, match=r"ran on 'NVIDIA H100 80GB HBM3', which is h100, not (h200|rtx5070)"):
        search(replace(REQUEST, hw=hw), around(tmp_path, backend, device=lambda: H100))
    assert backend.asked == []


@pytest.mark.parametrize(("name", "words"), [(H100, "which is h100, not h200"), ("Voodoo 2", "no hardware node has")])
def test_trials_of_another_device_are_never_recorded(tmp_path, name, words):
    """What the backend says it ran on decides, whatever was found before it was opened."""
    backend = Card(time=time_us)
    backend.ran_on = name
    with pytest.raises(KgError, match=words):
        search(replace(REQUEST, write="run"), around(tmp_path, backend))
    assert not (tmp_path / "runs").exists()


def test_a_verification_is_never_recorded_for_another_device(tmp_path):
    """`kg verify --backend gpu` obeys the same check."""
    law = "sm90-matmul-no-tma-slow"
    for changes in ({"device": lambda: H100}, {}):
        backend = Card(time=time_us)
        backend.ran_on = H100
        with pytest.raises(KgError, match="which is h100, not h200"):
            repeat(VerifyRequest(law, "gpu", "h200", 1), around(tmp_path, backend, **changes))


def test_the_backend_of_a_resumed_search_is_told_when_it_began(tmp_path):
    told, backend = [], Card(time=time_us)
    here = around(tmp_path, open=lambda _, task: told.append(task.resumed) or backend)
    found = search(replace(REQUEST, write="run", trials=2), here)
    search(replace(REQUEST, resume=found.run.id, write="run"), here)
    assert told == [None, here.now()]


def test_without_a_folder_a_journal_is_refused(tmp_path):
    """A library call that names no folder and wants a run kept is told so."""
    with pytest.raises(KgError, match="no folder for journal was given"):
        search(replace(REQUEST, write="run"), around(tmp_path, local=None))
    with pytest.raises(TunerError, match="no journal"):
        search(replace(REQUEST, resume="nothing"), around(tmp_path))
