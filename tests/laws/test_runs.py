"""The recorded runs against the checks of runs: what they were calibrated on, and lies told in each."""

from __future__ import annotations

from itertools import combinations

import msgspec
import pytest

from spak.kg.checks import Nodes, OneRun
from spak.kg.checks.runs import check_run
from spak.kg.checks.shared_trials import MIN_SHARE, MIN_SHARED, timed_keys
from tests.shipped import LAWS

SWEEPS = [name for name in LAWS.run_ids if LAWS.run(name).exhaustive_over and LAWS.run(name).tier != "reported"]


def said(run):
    one = OneRun(Nodes(LAWS.hardware, LAWS.ops, LAWS.systems), run, run.trials_sha256)
    return {found.field for found in check_run(one)}


def test_every_recorded_time_of_attention_is_of_standard_normal_inputs():
    """As all were that were recorded before a problem size could say so; a reported run does not say."""
    measured = [run for run in map(LAWS.run, LAWS.run_ids) if run.op == "fmha" and run.tier == "measured"]
    assert {run.problem["inputs"] for run in measured} == {"normal"}
    assert "inputs" not in LAWS.run("reported-fmha-sweep-rtx5070").problem


def test_two_recorded_experiments_share_next_to_nothing():
    """What chance gives is fewer than a copy needs, and of whole sweeps less than a tenth of it."""
    keys = {name: found for name in LAWS.run_ids if (found := timed_keys(LAWS.run(name)))}
    shared = {pair: len(keys[pair[0]] & keys[pair[1]]) for pair in combinations(keys, 2)}
    assert len(keys) >= 66
    assert max(shared.values()) < MIN_SHARED
    smaller = {pair: min(len(keys[name]) for name in pair) for pair in shared}
    assert max(count / smaller[pair] for pair, count in shared.items() if smaller[pair] >= 300) < MIN_SHARE / 10


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_without_what_is_best_in_it_is_found(name):
    """The best tile's trials deleted, or one trial alone; and the run as it was recorded has no finding."""
    run = LAWS.run(name)
    assert said(run) == set()
    axis = next(iter(run.exhaustive_over))
    best = min(run.trials, key=lambda trial: trial.value("time") or 0.0).configuration[axis]
    kept = tuple(trial for trial in run.trials if trial.configuration[axis] != best)
    assert said(msgspec.structs.replace(run, trials=kept)) == {"exhaustive_over"}
    assert said(msgspec.structs.replace(run, trials=run.trials[1:])) == {"exhaustive_over"}
