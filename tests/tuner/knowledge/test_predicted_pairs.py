"""Pairs of trials that differ in one parameter: which count, and what is right."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.predict import Case
from bench.predict_pairs import judged, verdicts_of
from bench.predict_tables import cases_of_table, pairs
from spak.kg.model.hardware import hardware_facts
from spak.tuner.backend.registry import Task
from spak.tuner.knowledge.predict import PredictedMachine
from tests.shipped import LAWS

MACHINE = PredictedMachine(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)


def case(times, configurations):
    """Times with intervals of 1 % either way."""
    measured = np.array(times)
    return Case("case", "op", True, MACHINE, measured, (), (), 0, configurations, measured * 0.99, measured * 1.01)


@pytest.mark.parametrize(("predicted", "verdict"), [([1.0, 2.0], "right"), ([2.0, 1.0], "wrong"), ([3.0, 3.0], "same")])
def test_a_pair_is_right_wrong_or_a_tie(predicted, verdict):
    """Measured, the first of the two is the faster one."""
    pair = case([10.0, 12.0], [{"order": 0, "tile": 8}, {"order": 1, "tile": 8}])
    assert list(verdicts_of(pair, np.array(predicted), "order")) == [verdict]


def test_noise_and_other_differences_make_no_pair():
    """Times that differ by less than their intervals say nothing, nor do trials that differ in something else too."""
    close = case([10.0, 10.1], [{"order": 0, "tile": 8}, {"order": 1, "tile": 8}])
    other = case([10.0, 12.0], [{"order": 0, "tile": 8}, {"order": 1, "tile": 16}])
    for one in (close, other):
        assert list(verdicts_of(one, np.array([1.0, 2.0]), "order")) == []


def test_counts_are_kept_apart_by_op_and_gpu():
    """Two GPUs, one right and one wrong."""
    pair = case([10.0, 12.0], [{"order": 0}, {"order": 1}])
    found = judged([("a", pair, np.array([1.0, 2.0])), ("b", pair, np.array([2.0, 1.0]))], "order")
    assert found == {("op", "a"): {"right": 1}, ("op", "b"): {"wrong": 1}}


def test_pairs_of_a_table_are_those_that_differ_by_more_than_noise():
    """Of three times two are alike: two pairs are judged, and one of them is predicted the other way round."""
    three = case([10.0, 10.1, 12.0], [{"order": 0}, {"order": 1}, {"order": 2}])
    assert pairs(three, np.array([1.0, 3.0, 2.0])) == (1, 2)
    assert pairs(three, np.array([1.0, 1.0, 1.0])) == (0, 2)


def test_a_table_gives_each_configuration_of_a_size_once_on_standard_normal_inputs():
    """Two names of one configuration are one trial, libraries none, and other inputs are not looked at."""
    op, facts = LAWS.ops["fmha"], hardware_facts(LAWS, "h200")
    timed = {"time_us": 1.0, "low_us": 0.9, "high_us": 1.1}
    ours, library = {**timed, "configuration": {"tile_m": 128}}, {**timed, "configuration": None}
    row = {"size": "d64", "inputs": "normal", "problem": {"head_dim": 64}}
    contestants = {"ours": ours, "again": ours, "library": library}
    table = {"rows": [{**row, "contestants": contestants}, {**row, "inputs": "sink", "contestants": contestants}]}
    backend = SimpleNamespace(features=lambda requests: [{"registers": 128.0} for _ in requests])
    (found,) = cases_of_table(LAWS, Task("h200", op, facts, Path(), 1), backend, table)
    assert found.configurations == [{**{name: p.default for name, p in op.parameters.items()}, "tile_m": 128}]
    assert found.times.tolist() == [1.0]
    assert len(found.works) == len(found.features) == 1
