"""No law can blind a search: false laws of every kind, planted on recorded sweeps, are found out by every strategy.

`python -m bench.laws planted` makes the same searches on every sweep, 40 seeds each; docs/benchmarks-laws.md has its table.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from bench.planted.cells import Course, Manner, Task, cell, planted, plants, searched
from bench.planted.command import STRATEGIES
from bench.planted.sweeps import store, sweep, sweep_ids
from bench.planted.table import MOST, compared, spent
from spak.kg.formats.nodes import HardwareName
from spak.kg.space.completion import completed
from spak.tuner.replay import Replay, replay

SMALL = "measured-h200-fmha-d64-s16384-full"
MIDDLE = "measured-h200-fmha-d64-s1024-full"
LARGE = "measured-h200-matmul-m8192"
WITHOUT_DEFAULT = "measured-h100-matmul-m2048-variants"
"""The smallest sweep in which the op's default was not tried."""


def under_every_falsehood(name, strategy, seeds):
    """Each plant's cell beside the one without laws."""
    tasks = [Task(name, True, number, strategy, seeds) for number in range(-1, len(plants(name, are_false=True)))]
    return compared([cell(task) for task in tasks])


def not_found_out(rows):
    """Plants whose searches were blinded: too few contested it, or one ended before it arrived."""
    return [
        f"{row.cell.strategy}: {row.cell.kind}: {row.cell.what}: contested in {row.contested:.0%}, {spent(row.cell)}"
        for row in rows
        if row.contested < MOST or any(row.cell.early) or None in row.cell.arrived
    ]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_falsehood_is_found_out_by_every_strategy(strategy):
    assert not_found_out(under_every_falsehood(SMALL, strategy, 2)) == []


def law_root(laws):
    """The packaged law root with nothing in it but `laws`."""
    own = {"laws": {law.id: law for law in laws}, "files": {**store().contents.files, "run": {}}}
    return replace(store(), contents=msgspec.structs.replace(store().contents, **own))


def replayed(name, plant, strategy, seed=0):
    one = sweep(name)
    what = Replay(HardwareName(one.run.hw), one.op.id, law_root(plant.laws), strategy, seed=seed)
    return replay(one.recording, what)


@pytest.mark.parametrize("strategy", ["random", "transfer"])
def test_a_replay_tries_what_the_search_tries(strategy):
    """One engine: under every plant that removes, `tune replay` makes the very trials that a live search makes.

    A preference is advice to a replay, which orders by it, and a law to a search.
    """
    for plant in plants(SMALL, are_false=True):
        if plant.kind in {"preference", "ten"}:
            continue
        unending = Course(0.0, frozenset())
        live = searched(sweep(SMALL), planted(sweep(SMALL), plant.laws), Manner(strategy, 3), unending)
        again = replayed(SMALL, plant, strategy, 3)
        assert [trial.configuration for trial in again.trials] == [trial.configuration for trial in live.trials]
        assert again.restriction.contested == live.restriction.contested


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "transfer"])
def test_a_replay_without_a_default_is_not_blinded_either(strategy):
    """The op's default is no configuration of the record: the search begins with nothing at all to compare with."""
    one = sweep(WITHOUT_DEFAULT)
    assert completed(one.op, {}) not in [completed(one.op, trial.configuration) for trial in one.run.trials]
    for plant in plants(WITHOUT_DEFAULT, are_false=True):
        found = replayed(WITHOUT_DEFAULT, plant, strategy)
        assert len(found.trials) == len(found.space), plant.what
        assert found.evaluations_to(1.0) is not None, plant.what
        assert plant.false <= found.restriction.contested, plant.what


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({MIDDLE, LARGE, *sweep_ids()[::16]}))
def test_no_recorded_sweep_hides_a_falsehood(name):
    """Some of each op and GPU, larger ones among them; all of them, with forty seeds and every strategy, take a machine of many cores."""
    assert not_found_out(under_every_falsehood(name, "random", 3)) == []
