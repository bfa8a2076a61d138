"""The inputs that attention is judged on do what their names say."""

from __future__ import annotations

import math

import pytest
import torch

from spak.kernels.attention.fmha.spec import SPEC as FMHA
from spak.kernels.attention.inputs import DISTRIBUTIONS, RISE, draw
from tests.shipped import LAWS

OP = LAWS.ops["fmha"]
PROBLEM = {
    "batch": 2,
    "heads": 4,
    "kv_heads": 2,
    "seq_q": 256,
    "seq_kv": 512,
    "q_offset": 0,
    "head_dim": 64,
    "causal": False,
    "dtype": "fp16",
}
SIZES = [PROBLEM, {**PROBLEM, "head_dim": 128, "dtype": "bf16"}]


def scores(inputs) -> torch.Tensor:
    """(B, H, Sq, Skv), scaled, natural units."""
    k = inputs.k.double().repeat_interleave(inputs.q.shape[1] // inputs.k.shape[1], dim=1)
    return inputs.q.double() @ k.transpose(2, 3) / math.sqrt(inputs.q.shape[3])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("problem", SIZES, ids=["fp16", "bf16"])
def test_shapes_and_dtype_are_the_problems(name, problem):
    inputs = draw(name, problem, seed=1, device="cpu")
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[problem["dtype"]]
    for array, x in zip(("q", "k", "v"), (inputs.q, inputs.k, inputs.v), strict=True):
        assert (tuple(x.shape), x.dtype) == (FMHA.arrays(problem)[array].shape, dtype)
        assert x.isfinite().all()
        assert x.is_contiguous()


@pytest.mark.parametrize(("name", "std"), [("normal", 1.0), ("std-2", 2.0), ("std-4", 4.0), ("std-6", 6.0)])
@pytest.mark.parametrize("problem", SIZES, ids=["fp16", "bf16"])
def test_scaled_scores_have_the_standard_deviation_of_their_name(name, std, problem):
    s = scores(draw(name, problem, seed=2, device="cpu"))
    assert s.std().item() == pytest.approx(std, rel=0.03)
    assert abs(s.mean().item()) < 0.05 * std


def test_normal_inputs_are_those_that_a_spec_draws():
    ours, theirs = draw("normal", PROBLEM, seed=3, device="cpu"), FMHA.make_inputs(PROBLEM, seed=3, device="cpu")
    assert all(torch.equal(getattr(ours, x), getattr(theirs, x)) for x in "qkv")


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others():
    first, again, other = (draw("rising", PROBLEM, seed=seed, device="cpu") for seed in (4, 4, 5))
    assert torch.equal(first.q, again.q)
    assert not torch.equal(first.q[..., 1:], other.q[..., 1:])


@pytest.mark.parametrize("problem", SIZES, ids=["fp16", "bf16"])
def test_maxima_of_rising_scores_grow_from_tile_to_tile_by_more_than_fp16_holds(problem):
    s = scores(draw("rising", problem, seed=6, device="cpu"))
    of_tile = s.unflatten(3, (8, 64)).amax(dim=4)  # (B, H, Sq, 8)
    assert (of_tile.diff(dim=3).mean(dim=(0, 1, 2)) > 0.8 * RISE * 64 / 512).all()
    growth = (of_tile[..., -1] - of_tile[..., 0]) / math.log(2.0)
    assert growth.min().item() > 26
    gain = s[..., -1].mean() - s[..., 0].mean()
    assert gain.item() == pytest.approx(RISE, rel=0.02)


@pytest.mark.parametrize("problem", SIZES, ids=["fp16", "bf16"])
def test_the_sink_takes_about_half_of_a_full_rows_weight(problem):
    """Its weight is an even chance whose log-odds vary from row to row as the score of any key does."""
    weight = scores(draw("sink", problem, seed=7, device="cpu")).softmax(dim=3)
    odds = torch.logit(weight[..., 0])
    assert abs(odds.mean().item()) < 0.15
    assert odds.std().item() == pytest.approx(1.0, abs=0.15)
    assert (weight.argmax(dim=3) == 0).double().mean() > 0.97


def test_one_key_can_be_drawn_too():
    """No row of a sequence of one key rises; nothing divides by zero."""
    for name in DISTRIBUTIONS:
        inputs = draw(name, {**PROBLEM, "seq_q": 1, "seq_kv": 1}, seed=8, device="cpu")
        assert inputs.q.isfinite().all()
        assert inputs.k.isfinite().all()


def test_an_unknown_kind_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="name: no inputs are called 'std-3'; known: normal, std-2"):
        draw("std-3", PROBLEM, seed=0, device="cpu")


def test_a_problem_size_names_the_kinds_and_the_spec_draws_what_it_names():
    """So a run at other inputs is a run at another problem size, and says so."""
    assert OP.problem["inputs"].values == tuple(DISTRIBUTIONS)
    for name in DISTRIBUTIONS:
        made = FMHA.make_inputs({**PROBLEM, "inputs": name}, seed=9, device="cpu")
        assert torch.equal(made.q, draw(name, PROBLEM, seed=9, device="cpu").q)
    assert torch.equal(
        FMHA.make_inputs(PROBLEM, seed=9, device="cpu").k, draw("normal", PROBLEM, seed=9, device="cpu").k
    )
