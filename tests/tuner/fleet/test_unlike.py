"""Many targets over a fleet of unlike GPUs: who is there is searched, at the same time, whatever becomes of a member."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import spak
from spak.fleet import Fleet
from spak.kg.files.loader import read_run
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, FleetMember
from spak.tuner.fleet.local import LocalExecutor
from tests.shipped import ROOT
from tests.tuner.fleet.unlike_works import CARDS, WORKS

REQUEST = spak.TargetsRequest(kernel="matmul", hw="all", problem="m2048,m4096,m8192", trials=320, write="laws")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """One that compiles and two GPUs, whose processes stay for all tests; with the folder of what they keep."""
    cache = tmp_path_factory.mktemp("fleet")
    members = [FleetMember(name="cpu", host="h", resources=(CPU,))]
    members += [FleetMember(name=f"gpu-{device[0]}", host="h", resources=(device,)) for device in CARDS]
    executor = LocalExecutor(members, cache, WORKS)
    yield Fleet(executor), cache
    executor.close()


@pytest.fixture
def around(fleet, tmp_path):
    """A law root of one's own without runs, for which the fleet works."""
    root = tmp_path / "laws"
    for name in ("hardware", "ops", "mechanisms"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, root / name)
    here = spak.here(spak.load(root), cache=tmp_path / "own", local=tmp_path / "local")
    return fleet[0].surroundings(replace(here, now=lambda: datetime(2026, 1, 2, tzinfo=UTC)))


def key(trial):
    return tuple(sorted(trial.configuration.items()))


def test_all_hardware_of_the_fleet_is_searched_a_member_dies_and_laws_are_confirmed_across(around, fleet, tmp_path):
    kill = fleet[1] / f"{'a' * 12}.kill"
    kill.touch()
    found = spak.search_targets(REQUEST, around)
    assert [one.name for one in found.targets] == [
        f"{hw} {size}" for hw in ("h200", "h100") for size in ("m2048", "m4096", "m8192")
    ]
    assert found.notes[0] == "6 targets: 3 problem sizes on 2 devices."
    assert found.notes[1].startswith("left out, as no GPU here is one: a100, ")
    trials = {one.name: one.result.run.trials for one in found.targets}
    assert {len(each) for each in trials.values()} == {40}, "240 trials, of which each target gets its share"
    assert not kill.exists(), "a member died with a batch"
    assert all(trial.invalidity == "correct" for each in trials.values() for trial in each), "no configuration's fault"
    assert all(len({key(trial) for trial in each}) == 40 for each in trials.values())
    for one in found.targets:
        run = read_run(one.result.run_file)
        assert run.device.name == {"h200": "NVIDIA H200", "h100": "NVIDIA H100 80GB HBM3"}[run.hw]
        assert run.trials == one.result.run.trials
    whose = {label.split()[0] for each in trials.values() for trial in each for label in trial.whose}
    assert whose == {"h100", "h200"}, "each hears of the other's targets"
    said = [change.words for change in found.changes if "holds on" in change.words]
    assert said
    assert all(words.startswith("new, confirmed; found on h") for words in said)
    assert {change.path.is_file() for change in found.changes} == {True}


def test_a_search_that_is_interrupted_goes_on_over_the_fleet(around):
    def watch(most, seconds):
        def show(spent, elapsed_s):
            if spent == 30:
                raise KeyboardInterrupt

        return show

    request = replace(REQUEST, write="run", trials=90)
    first = spak.search_targets(request, replace(around, watch=watch))
    assert first.interrupted
    kept = Counter({one.name: len(one.result.run.trials) for one in first.targets})
    assert 30 <= kept.total() < 90
    second = spak.search_targets(replace(request, resume=first.journal), around)
    assert not second.interrupted
    for before, after in zip(first.targets, second.targets, strict=True):
        assert before.result.run.trials == after.result.run.trials[: kept[before.name]]
        assert len({key(trial) for trial in after.result.run.trials}) == len(after.result.run.trials) == 15


def test_hardware_that_no_gpu_of_the_fleet_is_has_to_be_compiled_for(around):
    with pytest.raises(
        TunerError, match=r"hw: no GPU of the fleet is a b200; there are .*--backend compile needs none"
    ):
        spak.search_targets(replace(REQUEST, hw="h200,b200"), around)
