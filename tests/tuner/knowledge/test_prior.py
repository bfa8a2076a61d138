"""What is known elsewhere as a belief about the target."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from spak.kg.model.hardware import Fact, Hardware
from spak.kg.model.run import Failure, Measurement, Run, Trial
from spak.kg.space.space import Setting, Space
from spak.tuner.knowledge import belief as belief_module
from spak.tuner.knowledge.belief import Belief, log_expected_improvement
from spak.tuner.knowledge.correlation import default_tables, tables
from spak.tuner.knowledge.filling import filled
from spak.tuner.knowledge.gather import kinship
from spak.tuner.knowledge.known import Advice, knowledge
from spak.tuner.knowledge.likeness import Likeness
from spak.tuner.knowledge.source import WORST, Source, by_place, sources

ROUNDING = 0.01
"""Of a log time: single precision under an offset variance of 25, a fifth of the noise."""


def source(landscape, seed, rows=None, likeness=0.9, hw=""):
    log = landscape.log_time(seed, likeness)
    rows = np.arange(len(log)) if rows is None else rows
    return Source(hw or f"gpu{seed}", {}, rows, np.minimum(log[rows] - log[rows].min(), WORST))


def rank_correlation(a, b):
    return np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1]


def _space():
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int16)
    return Space("op", Setting({}), ("x", "y"), ((1, 2), (0, 1)), {}, (codes,))


def _run(hw, times, **changes):
    trials = tuple(
        Trial(
            configuration=dict(zip("xy", key, strict=True)),
            invalidity="correct" if time else "runtime",
            measurements=(Measurement(name="time", value=time, unit="us"),) if time else (),
            failure=None if time else Failure(type="Boom", message=""),
        )
        for key, time in times.items()
    )
    return Run(
        **{"id": f"run-{hw}", "tier": "measured", "created": "", "hw": hw, "op": "op", "trials": trials, **changes}
    )


def test_sources_are_log_slowdowns_over_the_best_there_and_failures_are_the_worst():
    (found,) = sources(
        _space(), by_place([_run("a", {(1, 0): 2.0, (2, 1): 4.0, (1, 1): None, (2, 0): 2000.0, (9, 9): 1.0})])
    )
    assert dict(zip(found.rows.tolist(), found.slowdown, strict=True)) == pytest.approx(
        {0: 0.0, 3: math.log(2), 1: WORST, 2: WORST}
    )


def test_runs_of_one_hardware_and_problem_are_one_source_and_problems_are_kept_apart():
    runs = [
        _run("a", {(1, 0): 2.0}),
        _run("a", {(1, 0): 1.0, (1, 1): 2.0}, id="other"),
        _run("a", {(1, 1): 7.0}, problem={"n": 4}),
        _run("b", {(1, 0): None}),
    ]
    found = sources(_space(), by_place(runs))
    assert [(s.label, s.rows.tolist()) for s in found] == [("a", [0, 1]), ("a at n=4", [1])]
    assert found[0].slowdown.tolist() == pytest.approx([0.0, math.log(2)])


def _node(name, kind, *parents, **facts):
    known = {fact: Fact(value=value, source="test") for fact, value in facts.items()}
    return Hardware(id=name, title=name, kind=kind, is_a=parents, facts=known)


def test_kinship_falls_from_same_capability_to_stranger_and_with_unlike_facts():
    nodes = [
        _node("nvidia", "vendor"),
        _node("ampere", "architecture", "nvidia"),
        _node("sm_80", "compute-capability", "ampere"),
        _node("sm_86", "compute-capability", "ampere"),
        _node("ada", "architecture", "nvidia"),
        _node("x1", "device", "sm_86", num_sms=100),
        _node("x2", "device", "sm_86", num_sms=100),
        _node("x3", "device", "sm_86", num_sms=10),
        _node("y", "device", "sm_80"),
        _node("z", "device", "ada"),
        _node("amd", "device"),
    ]
    known = SimpleNamespace(hardware={node.id: node for node in nodes})
    order = [kinship(known, "x1", other) for other in ("x2", "y", "z", "amd")]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == len(order)
    assert kinship(known, "x1", "x3") < kinship(known, "x1", "x2")
    assert kinship(known, "nobody", "x1") == kinship(known, "x1", "amd")


def test_a_parameter_that_never_matters_elsewhere_is_learnt_to_be_the_same(landscape):
    columns = np.array([landscape.log_time(seed) for seed in range(3)])
    columns += np.random.default_rng(0).normal(0, 1e-3, columns.shape)
    learnt, residual = tables(landscape.codes, landscape.cardinalities, columns)
    plain = default_tables(landscape.cardinalities)
    assert learnt[4][0, 1] > plain[4][0, 1]
    assert residual < 0.1
    for table in learnt:
        assert np.linalg.eigvalsh(table).min() > 0
        assert np.allclose(np.diag(table), 1)


def test_one_source_alone_teaches_tables_too(landscape):
    learnt, residual = tables(landscape.codes, landscape.cardinalities, landscape.log_time(1)[None, :])
    assert residual > 0
    assert len(learnt) == 5


def test_missing_records_are_predicted_far_better_than_by_their_mean(landscape):
    rng = np.random.default_rng(0)
    parts = [source(landscape, seed, rng.choice(320, 60, replace=False)) for seed in range(3)]
    columns = filled(landscape.codes, default_tables(landscape.cardinalities), parts, rng)
    for row, part, seed in zip(columns, parts, range(3), strict=True):
        missing = np.setdiff1d(np.arange(320), part.rows)
        assert rank_correlation(row[missing], landscape.log_time(seed)[missing]) > 0.8
        assert np.array_equal(row[part.rows], part.slowdown)


def test_many_points_are_thinned_to_an_equal_share(landscape, monkeypatch):
    monkeypatch.setattr("spak.tuner.knowledge.filling.MAX_POINTS", 60)
    parts = [source(landscape, seed, np.arange(seed, 320, 2)) for seed in range(2)]
    columns = filled(landscape.codes, default_tables(landscape.cardinalities), parts, np.random.default_rng(0))
    assert np.isfinite(columns).all()


def test_knowledge_orders_the_space_by_the_weighted_sources(landscape):
    parts = [source(landscape, 1), source(landscape, 2)]
    known = knowledge(landscape.codes, landscape.cardinalities, parts, [3.0, 1.0])
    assert known.weights.tolist() == [0.75, 0.25]
    expected = 0.75 * parts[0].slowdown + 0.25 * parts[1].slowdown
    assert expected[known.order()] == pytest.approx(np.sort(expected))
    kept = np.arange(0, 320, 3)
    assert known.rows(kept).expected == pytest.approx(known.expected[kept])
    assert known.rows(np.arange(320)) is known
    backwards = np.arange(320)[::-1]
    assert known.rows(backwards).expected == pytest.approx(known.expected[backwards])


def test_advice_shifts_the_order_by_what_it_claims(landscape):
    told = Advice(landscape.codes[:, 3] == 1, math.log(4.0))
    known = knowledge(landscape.codes, landscape.cardinalities, [], [], {"law x": told})
    assert (landscape.codes[known.order()[:160], 3] == 0).all()
    assert known.labels == ("law x",)
    assert known.expected.tolist() == np.where(told.slower, math.log(4.0), 0.0).tolist()


def _exact(known, rows, values):
    """Posterior mean and variance by one dense solve: the reference for the incremental update."""
    everywhere = np.arange(len(known.codes))

    def covariance(a, b):
        alike = np.ones((len(a), len(b)))
        for p, table in enumerate(known.tables):
            alike *= table[known.codes[a, p]][:, known.codes[b, p]]
        linear = belief_module.WEIGHT_VARIANCE * known.columns[:, a].T @ known.columns[:, b]
        return known.residual * alike + linear + belief_module.OFFSET_VARIANCE

    noisy = covariance(rows, rows) + belief_module.NOISE * np.eye(len(rows))
    across = covariance(everywhere, rows)
    mean = known.expected + across @ np.linalg.solve(noisy, values - known.expected[rows])
    variance = np.diag(covariance(everywhere, everywhere)) - np.einsum(
        "ij,ji->i", across, np.linalg.solve(noisy, across.T)
    )
    return mean, variance


def test_the_incremental_belief_equals_the_dense_solution(landscape):
    known = knowledge(landscape.codes, landscape.cardinalities, [source(landscape, 1), source(landscape, 2)], [1, 1])
    rng = np.random.default_rng(0)
    rows = rng.choice(320, 25, replace=False)
    values = landscape.log_time(5)[rows] + 7
    belief = Belief(known, rng)
    for row, value in zip(rows, values, strict=True):
        belief.update(int(row), float(value))
    mean, variance = _exact(known, rows, values)
    assert belief.mean == pytest.approx(mean, abs=ROUNDING)
    assert belief.variance == pytest.approx(variance, abs=ROUNDING)


def test_a_small_pool_is_chosen_again_and_still_agrees_with_the_dense_solution(landscape, monkeypatch):
    monkeypatch.setattr(belief_module, "POOL", 64)
    monkeypatch.setattr(belief_module, "CHOOSE_AGAIN", (10,))
    known = knowledge(landscape.codes, landscape.cardinalities, [source(landscape, 1)], [1])
    rng = np.random.default_rng(0)
    rows = rng.choice(320, 15, replace=False)
    values = landscape.log_time(5)[rows] + 7
    belief = Belief(known, rng)
    first = belief.pool.copy()
    belief.fail(7)
    for row, value in zip(rows, values, strict=True):
        belief.update(int(row), float(value))
    assert not np.array_equal(first, belief.pool)
    mean, variance = _exact(known, rows, values)
    assert belief.mean == pytest.approx(mean[belief.pool], abs=ROUNDING)
    assert belief.variance == pytest.approx(variance[belief.pool], abs=ROUNDING)


def test_weights_move_to_the_source_that_predicts(landscape):
    parts = [source(landscape, 1), source(landscape, 77, likeness=0.0)]
    known = knowledge(landscape.codes, landscape.cardinalities, parts, [1, 1])
    belief = Belief(known, np.random.default_rng(0))
    assert belief.weights().tolist() == [0.5, 0.5]
    truth = landscape.log_time(1)
    for row in np.random.default_rng(1).choice(320, 30, replace=False):
        belief.update(int(row), float(truth[row]))
    assert belief.weights()[0] > belief.weights()[1] + 0.3


def test_beyond_its_most_trials_a_belief_stays_as_it_is(landscape, monkeypatch):
    monkeypatch.setattr(belief_module, "MAX_TRIALS", 3)
    known = knowledge(landscape.codes, landscape.cardinalities, [source(landscape, 1)], [1])
    belief = Belief(known, np.random.default_rng(0))
    for row in range(5):
        belief.update(row, 1.0)
        belief.fail(row)
    assert belief.num_trials == 3


def test_a_failure_says_that_neighbours_may_fail_and_nothing_of_their_times(landscape):
    belief = Belief(knowledge(landscape.codes, landscape.cardinalities, [], []), np.random.default_rng(0))
    before = belief.mean.copy()
    belief.fail(0)
    assert np.array_equal(belief.mean, before)
    assert belief.runs[0] == 0.5
    assert belief.runs[0] < belief.runs[1] < belief.runs[-1] < 1
    belief.update(1, 5.0)
    assert belief.runs[1] > 0.5


def test_expected_improvement_is_that_of_the_textbook_and_ranks_the_hopeless():
    mean = np.array([0.0, 1.0, 2.0, 60.0, 80.0])
    variance = np.ones(5)
    u = 1.0 - mean[:3]
    cdf = np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in u])
    exact = u * cdf + np.exp(-u * u / 2) / math.sqrt(2 * math.pi)
    found = log_expected_improvement(mean, variance, 1.0)
    assert np.exp(found[:3]) == pytest.approx(exact, rel=0.07)
    assert np.isfinite(found).all()
    assert found[3] > found[4]


@pytest.mark.parametrize("cardinalities", [(4, 3, 1, 5, 2), (9,), (1, 1), (30, 30, 2)])
def test_likeness_by_halves_is_the_product_over_the_parameters(cardinalities):
    rng = np.random.default_rng(0)
    whole = np.stack(np.unravel_index(np.arange(np.prod(cardinalities)), cardinalities), axis=1).astype(np.int16)
    codes = whole[np.sort(rng.choice(len(whole), max(1, len(whole) // 9), replace=False))]
    found, others = default_tables(cardinalities), whole[:: max(1, len(whole) // 7)]
    expected = np.ones((len(others), len(codes)))
    for p, table in enumerate(found):
        expected *= table[others[:, p]][:, codes[:, p]]
    likeness, weights = Likeness(codes, found), rng.normal(size=len(others))
    assert likeness.to_each(others) == pytest.approx(expected)
    assert likeness.to(others[-1]) == pytest.approx(expected[-1])
    assert likeness.summed(others, weights) == pytest.approx(weights @ expected)
