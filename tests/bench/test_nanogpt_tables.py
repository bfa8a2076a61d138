"""NanoGPT's page, plot and README row are those of its results, and the results what the issue asks for."""

from __future__ import annotations

import statistics

import pytest

from bench import nanogpt_tables as tables
from bench.nanogpt_cases import CASES, COMPILED, EAGER, MATRIX, OURS, TORCH
from bench.nanogpt_curves import GOAL, curves_of, distances, drawn_curves
from bench.nanogpt_profile import KernelTime, by_group, group_of
from bench.nanogpt_timing import Blocks, in_blocks
from tests.shipped import LAWS

RESULT, TRAINING, SCALING, AUTOTUNED, ABLATED = (
    tables.recorded(path) for path in (tables.STEP, tables.TRAINING, tables.SCALING, tables.AUTOTUNED, tables.ABLATED)
)
recorded = pytest.mark.skipif(RESULT is None, reason="no result was recorded")
trained = pytest.mark.skipif(TRAINING is None, reason="no training was recorded")


@recorded
def test_page_and_readme_are_the_results():
    """A number in them that nobody measured, or an old one, fails."""
    assert tables.PAGE.read_text() == tables.page(RESULT, TRAINING, SCALING, AUTOTUNED, ABLATED)
    assert tables.readme_row(RESULT, AUTOTUNED) in tables.README.read_text()


@recorded
@pytest.mark.parametrize("name", CASES)
def test_the_recorded_steps_are_those_of_the_issue(name):
    """Same sizes, same weights, every baseline in the same run, enough samples."""
    case = RESULT["cases"][name]
    rows = case["contestants"]
    assert {MATRIX, EAGER, COMPILED, OURS} <= set(rows)
    assert any(who.startswith(COMPILED) and "CUDA graph" in who for who in rows)
    assert case["flops"] == CASES[name].flops
    assert {len(row["samples_ms"]) for row in rows.values()} == {30}
    for row in rows.values():
        assert row["ms"]["median"] == pytest.approx(
            statistics.median(row["samples_ms"]), abs=1e-4
        )  # as they are rounded
        assert row["mfu"] == pytest.approx(CASES[name].mfu(row["ms"]["median"]))
        assert row["loss_difference"] < 0.05
    assert case["gradients"][OURS]["furthest_from_baseline"][1] < 1.5


@recorded
def test_the_system_file_has_the_times_of_the_result():
    """What `tune nanogpt` goes by is what a step's operators took: each time is one of an operator, to the microsecond."""
    listed = [entry.time_us for entry in LAWS.systems["nanogpt"].tuning_space]
    assert set(listed) <= {round(operator["us"]) for operator in RESULT["cases"]["124m"]["operators"].values()}
    assert listed == sorted(listed, reverse=True)


@pytest.mark.parametrize(
    ("sweep", "op"),
    [
        ("measured-h200-fmha-d64-s1024-causal", "fmha"),
        ("measured-h200-fmha-backward-d64-s1024-causal", "fmha-backward"),
        ("measured-h100-linear-gelu-nanogpt-124m-backward-tiles", "linear-gelu"),
        ("measured-h200-linear-n64", "linear"),
    ],
)
def test_a_sweep_is_of_the_op_with_the_longest_name(sweep, op):
    """Two ops begin with the name of another one."""
    assert tables.op_of_sweep(sweep) == op


@trained
def test_the_curves_lie_on_each_other():
    """At every evaluation the two means differ by less than three seeds of either tell apart, or by less than 0.01."""
    assert tables.CURVES.read_text() == drawn_curves(curves_of(TRAINING["runs"]))
    for who in (OURS, TORCH):
        assert max(tables.least_losses(TRAINING)[who]) <= GOAL
    for difference, noise in distances(curves_of(TRAINING["runs"]), OURS, TORCH).values():
        assert abs(difference) < max(noise, 0.01)


RUNS = [
    {"who": who, "seed": seed, "validation": {"0": 4.2, "250": loss + 0.01 * seed, "500": loss - 0.3}, "schedule": {}}
    for who, loss in ((TORCH, 1.8), (OURS, 1.9))
    for seed in (1, 2, 3)
]


def test_curves_apart_are_told_apart():
    """Seeds that scatter by 0.01 do not hide a difference of 0.1."""
    difference, noise = distances(curves_of(RUNS), OURS, TORCH)[250]
    assert difference == pytest.approx(0.1)
    assert 0.01 < noise < 0.05
    plot = drawn_curves(curves_of(RUNS))
    assert plot.count("<polygon") == plot.count("<polyline") == 2
    assert "nan" not in plot


def test_kernels_are_counted_once_in_the_group_of_their_name():
    """A cast fused with GELU is GELU's; what nobody knows is named so."""
    names = {
        "triton_poi_fused__to_copy_gelu_1": "GELU",
        "nvjet_sm90_tst_192x192_64x3_2x1_v_bz_coopB_NNN": "matrix products",
        "cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma": "attention",
        "triton_per_fused_add_native_layer_norm_backward_9": "norm and residual",
        "multi_tensor_apply_kernel<FusedAdamMathFunctor>": "AdamW",
        "something_else": "other",
    }
    assert {name: group_of(name) for name in names} == names
    kernels = [KernelTime(name, group_of(name), 1.0, 2.0) for name in names]
    assert sum(by_group(kernels).values()) == 12.0


def test_blocks_take_turns_over_the_same_batches():
    """Each contestant has one block a round, which begins at the same step for all."""
    seen = []
    blocks = Blocks(warmups=3, count=4, steps=2, lead=1)

    def sample(name, first):
        seen.append((name, first))
        return [1.0] * blocks.steps

    found = in_blocks(["a", "b"], sample, blocks, seed=1)
    assert found == {"a": [1.0] * 8, "b": [1.0] * 8}
    rounds = [seen[i : i + 2] for i in range(0, 8, 2)]
    assert [{first for _, first in each} for each in rounds] == [{3}, {6}, {9}, {12}]
    assert all({name for name, _ in each} == {"a", "b"} for each in rounds)
