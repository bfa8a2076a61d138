"""The gradients' own source on the simulator against float64, on awkward shapes; and wrong kernels, which must fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
pytest.importorskip("cuda.tile", reason="needs cuda-tile")

from spak.kernels.attention.backward import kernel as backward  # noqa: E402
from spak.kernels.attention.backward.reference import attention_gradients  # noqa: E402
from spak.kernels.attention.backward.spec import SPEC, BackwardInputs, Gradients, after_forward  # noqa: E402
from spak.kernels.attention.backward.work import query_tiles  # noqa: E402
from spak.kernels.attention.fmha.spec import LEAST_SCALE  # noqa: E402
from spak.kernels.attention.problem import Shape  # noqa: E402
from spak.kernels.attention.reference import attention  # noqa: E402
from tests.kernels.backward_cases import FORMS, OP, RUNS, BackwardCase, drawn, errors, right, simulated  # noqa: E402
from tests.kernels.variant import variant  # noqa: E402


def wide(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("kv_heads", [6, 3, 1])
@pytest.mark.parametrize(("seq_q", "seq_kv", "q_offset"), [(9, 9, 0), (5, 12, 7), (9, 4, 0)])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_the_reference_is_what_autograd_gives(causal, seq_q, seq_kv, q_offset, kv_heads, scale):
    """In float64, through SDPA with the mask written out."""
    q, k, v = wide(2, 6, seq_q, 8), wide(2, kv_heads, seq_kv, 8), wide(2, kv_heads, seq_kv, 8)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    visible = torch.arange(seq_q)[:, None] + q_offset >= torch.arange(seq_kv)
    mask = visible if causal else torch.ones_like(visible)
    out = torch.nn.functional.scaled_dot_product_attention(*leaves, attn_mask=mask, enable_gqa=True, scale=scale)
    do = wide(2, 6, seq_q, 8) + 1
    want = torch.autograd.grad(out, leaves, do)
    got = attention_gradients(q, k, v, do, causal=causal, q_offset=q_offset, scale=scale)
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_a_row_without_keys_has_no_gradient_and_gives_none():
    """The other rows' gradients are those of the rows alone."""
    q, k, v, do = wide(1, 1, 6, 8), wide(1, 1, 4, 8), wide(1, 1, 4, 8), wide(1, 1, 6, 8)
    dq, dk, dv = attention_gradients(q, k, v, do, causal=True, q_offset=-2)
    assert (dq[0, 0, :2] == 0).all()
    alone = attention_gradients(q[:, :, 2:], k, v, do[:, :, 2:], causal=True, q_offset=0)
    for whole, part in zip((dq[:, :, 2:], dk, dv), alone, strict=True):
        torch.testing.assert_close(whole, part, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("case", "form"), RUNS, ids=str)
def test_gradients_on_awkward_shapes(case: BackwardCase, form: str) -> None:
    """Each within the GPU's own tolerance of float64, every element written."""
    x = drawn(case)
    want = SPEC.reference(x, case.problem)
    assert right(simulated(case, x, FORMS[form]), want, case.problem)


@pytest.mark.parametrize("form", ["fused", "split"])
def test_a_single_key_gets_all_the_weight_whatever_its_score(form: str) -> None:
    """So dQ and dK are 0 but for the rounding of O, and dV is dO."""
    case = BackwardCase("one query, one key", seq_q=1, seq_kv=1)
    x = drawn(case)
    got = simulated(case, x, FORMS[form])
    assert float(got.dq.abs().max()) < 1e-5
    assert float(got.dk.abs().max()) < 1e-5
    torch.testing.assert_close(got.dv, x.do, rtol=1e-3, atol=0)


GATE = BackwardCase("gate", heads=6, kv_heads=2, seq_q=100, seq_kv=100, causal=True)
OPEN = BackwardCase("gate without a mask", heads=2, kv_heads=1, seq_q=100, seq_kv=100)
SPLIT = {"dq_form": "split"}
WRONG = {
    "causal mask off by one": ({"row >= column": "row > column"}, GATE, {}),
    "causal mask off by one, pass over queries": ({"row >= column": "row > column"}, GATE, SPLIT),
    "first query tile left out": ({"- q_offset, 0) // TILE_M\n": "- q_offset, 0) // TILE_M + 1\n"}, GATE, {}),
    "a masked query tile not masked": ({"TILE_N - 1 - q_offset": "0 - 1 - q_offset"}, GATE, {}),
    "delta left out": ({"tile=delta.reshape": "tile=0.0 * delta.reshape"}, OPEN, {}),
    "delta left out, split": ({"tile=delta.reshape": "tile=0.0 * delta.reshape"}, OPEN, SPLIT),
    "log-sum-exp to the wrong base": ({"lse * LOG2_E": "lse"}, OPEN, {}),
    "dQ not scaled": ({"(dq * scale).astype(dQ.dtype), allow": "dq.astype(dQ.dtype), allow"}, OPEN, {}),
    "dK not scaled": ({"(dk * scale)": "dk"}, OPEN, {}),
    "dS not transposed": ({"        ds = ct.transpose(ds)\n": "\n"}, OPEN, {}),
    "a query head left out": ({"for g in range(GROUP)": "for g in range(GROUP - 1)"}, OPEN, {}),
    "dQ sums not set to zero": (
        {"ct.full((1, 1, TILE_R, TILE_D), 0.0": "ct.full((1, 1, TILE_R, TILE_D), 1.0"},
        OPEN,
        {},
    ),
    "dP begins at delta, not at its negative": (
        {"delta = 0.0 - delta": "delta = delta + 0.0"},
        OPEN,
        {"accumulator_init": "delta"},
    ),
    "S begins at a log-sum-exp that is not divided by the scale": (
        {"lse2 * (-1.0 / (scale * LOG2_E))": "-lse2"},
        OPEN,
        {"accumulator_init": "delta-and-lse"},
    ),
    "one loop that masks nothing": ({"masked and MASKED_TILES == INLINE": "False"}, GATE, {"masked_tiles": "inline"}),
    "one loop that begins at the first full tile": (
        {"first_other = first\n": "first_other = first_full\n"},
        GATE,
        {"masked_tiles": "inline"},
    ),
    "dK reads another tile's Q": (
        {
            "q = rows_of(Q, (b, h, i), TILE_M, TILE_D, LATENCY, USE_TMA)\n        dk": "q = rows_of(Q, (b, h, 0), TILE_M, TILE_D, LATENCY, USE_TMA)\n        dk"
        },
        OPEN,
        {"q_loads": 2},
    ),
    "two quarters of dK and dV change places": (
        {
            "ct.where(c == 1, ct.extract(x, (0, 1), shape), part)": "ct.where(c == 1, ct.extract(x, (0, 0), shape), part)"
        },
        OPEN,
        {"epilogue_subtiles": 4},
    ),
    "rows of another head prepared": ({"bh // NUM_HEADS, bh % NUM_HEADS, x)": "0, 0, x)"}, OPEN, {}),
    "last key tile of the pass over queries left out": (
        {"in range(num_full, num_n)": "in range(num_full, num_n - 1)"},
        OPEN,
        SPLIT,
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_kernel_cannot_pass(mistake: str) -> None:
    """Each mistake, put into the kernel's own text, misses the tolerance that the right kernel keeps."""
    changes, case, settings = WRONG[mistake]
    x = drawn(case)
    want = SPEC.reference(x, case.problem)
    assert right(simulated(case, x, settings), want, case.problem)
    assert not right(simulated(case, x, settings, module=variant(str(backward.__file__), changes)), want, case.problem)


@pytest.mark.parametrize("form", ["fused", "split"])
def test_what_is_not_there_adds_nothing(form: str) -> None:
    """Keys beyond the end: right where scores are far below 0, wrong without the guard.

    A score of 0, which padding gives, is then e^200 times the weight of a real one.
    """
    case = BackwardCase("far below zero", seq_q=50, seq_kv=50, head_dim=16)
    q, k, v, do = (x.half() for x in (wide(1, 1, 50, 16), wide(1, 1, 50, 16), wide(1, 1, 50, 16), wide(1, 1, 50, 16)))
    q[..., 0], k[..., 0] = 40.0, -20.0
    x = after_forward(q, k, v, do, case.problem)
    want = SPEC.reference(x, case.problem)
    assert right(simulated(case, x, FORMS[form]), want, case.problem)
    unguarded = {"ct.where(column < seq_kv, p, 0.0)": "p", "ct.where(column < K.shape[2], p, 0.0)": "p"}
    wrong = variant(str(backward.__file__), unguarded)
    assert not right(simulated(case, x, FORMS[form], module=wrong), want, case.problem)


@pytest.mark.parametrize("never", [-1.0e20, -float("inf")])
def test_a_row_without_keys_by_either_sign(never: float) -> None:
    """Its log-sum-exp is FLOOR from our forward pass, -inf from others; both mean that it has no weights."""
    case = BackwardCase("rows without keys", seq_q=70, seq_kv=70, q_offset=-20, causal=True)
    x = drawn(case)
    x.lse[:, :, :20] = never
    got, want = simulated(case, x, {}), SPEC.reference(x, case.problem)
    assert right(got, want, case.problem)
    assert (got.dq[:, :, :20] == 0).all()


def test_the_tile_that_a_compiler_got_wrong_is_right_here() -> None:
    """The source is right at 32 x 128; machine code for sm_90 was not (docs/decisions/0111), so no such tile is in the op."""
    tile = {"tile_m": 32, "tile_n": 128, "num_worker_warps": 8}
    case = BackwardCase("trap", seq_q=260, seq_kv=260, head_dim=128, causal=True)
    x = drawn(case)
    assert right(simulated(case, x, tile), SPEC.reference(x, case.problem), case.problem)
    assert tile["tile_m"] not in OP["parameters"]["tile_m"]["values"]


def orders() -> list[Any]:
    """Launch order, its reverse, and two shuffled ones."""
    rng = np.random.default_rng(5)
    return [np.arange, lambda n: np.arange(n)[::-1], rng.permutation, rng.permutation]


def test_the_fused_form_is_right_in_every_order_of_blocks():
    """What is added to dQ may come in any order; only last bits depend on it."""
    case = BackwardCase("order", heads=4, kv_heads=2, seq_q=150, seq_kv=140, causal=True)
    x = drawn(case)
    want = SPEC.reference(x, case.problem)
    for order in orders():
        assert right(simulated(case, x, {}, order=order), want, case.problem)


@pytest.mark.parametrize("scores", ["keys-first", "queries-first"])
def test_the_split_form_is_the_same_in_every_order_of_blocks(scores: str) -> None:
    """Bit for bit: no sum depends on which block runs first."""
    case = BackwardCase("order", heads=4, kv_heads=2, seq_q=150, seq_kv=140, causal=True)
    x = drawn(case)
    first, *others = [simulated(case, x, {"dq_form": "split", "scores": scores}, order=order) for order in orders()]
    for other in others:
        for name, array in vars(first).items():
            assert torch.equal(array, getattr(other, name))


@pytest.mark.parametrize(("head_dim", "transposed"), [(32, False), (64, True)])
def test_sums_of_narrow_heads_are_never_transposed(head_dim: int, transposed: bool) -> None:
    """Whatever the configuration says: dQ^T would have fewer rows than a product of a warpgroup."""
    case = BackwardCase("narrow", seq_q=70, head_dim=head_dim)
    shapes = {call.arrays["dq_sum"].shape for call in SPEC.calls(case.problem, case.configuration(dq_sum="columns"))}
    assert shapes == {(1, 1, head_dim, 70) if transposed else (1, 1, 70, head_dim)}


def test_a_scale_of_one_s_own():
    """Forward and backward pass may be told another scale than head_dim ** -0.5."""
    case = BackwardCase("scaled", seq_q=40, seq_kv=40)
    x = drawn(case)
    calls = SPEC.calls(case.problem, case.configuration(), scale=0.25)
    assert [call.scalars for call in calls] == [(0.25,), (0.25, 0), (0.25,)]
    calls = SPEC.calls(case.problem, case.configuration(dq_form="split"))
    assert [call.scalars[:1] for call in calls] == [(32**-0.5,), (32**-0.5,)]
    assert right(simulated(case, x, {}), SPEC.reference(x, case.problem), case.problem)


@pytest.mark.parametrize("scale", [LEAST_SCALE, 20.0])
def test_sums_that_begin_at_the_log_sum_exp_at_extreme_scales(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """lse / scale is far above every product where the scale is small: what is lost of S is lost of nothing, times the scale."""
    case = BackwardCase("scaled", seq_q=50, seq_kv=70, q_offset=20, causal=True)
    x = drawn(case)
    out, lse = attention(x.q.double() * scale * case.head_dim**0.5, x.k, x.v, causal=True, q_offset=20)
    x = BackwardInputs(x.q, x.k, x.v, out.to(x.q.dtype), lse.float(), x.do)
    calls = SPEC.calls
    monkeypatch.setattr(SPEC, "calls", lambda problem, configuration: calls(problem, configuration, scale=scale))
    want = Gradients(*attention_gradients(x.q, x.k, x.v, x.do, causal=True, q_offset=20, scale=scale))
    for init in OP["parameters"]["accumulator_init"]["values"]:
        got = simulated(case, x, {"accumulator_init": init})
        assert errors(got, want)["dv"] <= SPEC.tolerance(case.problem), init


def test_many_heads_move_to_the_first_dimension_of_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which holds 2^31 - 1 blocks; the others hold 65,535."""
    monkeypatch.setattr("spak.kernels.attention.backward.spec.MOST_BLOCKS", 3)
    case = BackwardCase("many heads", batch=2, heads=3, kv_heads=3, seq_q=70, seq_kv=70)
    for form in ("fused", "split"):
        for call in SPEC.calls(case.problem, case.configuration(dq_form=form)):
            assert call.grid[0] == 6
    x = drawn(case)
    assert right(simulated(case, x, {"dq_form": "split"}), SPEC.reference(x, case.problem), case.problem)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(100, 90, 0), (50, 130, 17), (33, 200, 0), (70, 40, -35)])
def test_counted_query_tiles_are_those_that_hold_an_unmasked_pair(causal: bool, sizes: tuple[int, int, int]) -> None:
    """Against looking at every tile of the score matrix; the last rows of a query tile may lie beyond the end."""
    seq_q, seq_kv, q_offset = sizes
    problem = BackwardCase("", seq_q=seq_q, seq_kv=seq_kv, q_offset=q_offset, causal=causal).problem
    want = [sum(not causal or x + 31 + q_offset >= j for x in range(0, seq_q, 32)) for j in range(0, seq_kv, 64)]
    assert query_tiles(Shape.of(problem), 32, 64) == want


@pytest.mark.parametrize("dq_form", ["fused", "split"])
@pytest.mark.parametrize("heads_fastest", [False, True])
def test_work_counts_every_product_once_when_tiles_divide_the_problem(dq_form: str, heads_fastest: bool) -> None:
    """FLOPs of all passes together: five products of every pair of query and key, split seven; and one CTA a tile."""
    case = BackwardCase("work", batch=3, heads=4, kv_heads=2, seq_q=256, seq_kv=384, head_dim=64)
    works = SPEC.work(case.problem, case.configuration(dq_form=dq_form, heads_fastest=heads_fastest))
    done = sum(w.tensor_flops_per_iteration * w.repeats * sum(n * i for n, i in w.iterations) for w in works)
    assert done == 2 * {"fused": 5, "split": 7}[dq_form] * 3 * 4 * 256 * 384 * 64
    key_ctas = 3 * 2 * 384 // 32
    passes = [work.ctas for work in works if work.tensor_flops_per_iteration]
    assert passes == ([key_ctas] if dq_form == "fused" else [3 * 4 * 256 // 64, key_ctas])


def test_errors_see_what_is_not_written():
    """NaN is above every tolerance, and so is an error in one gradient alone."""
    ones = Gradients(*(torch.ones(1, 1, 4, 4) for _ in range(3)))
    assert right(ones, ones, GATE.problem)
    for value in (float("nan"), 1.1):
        wrong = Gradients(ones.dq, ones.dk, torch.full((1, 1, 4, 4), value))
        assert not right(wrong, ones, GATE.problem)
        assert [errors(wrong, ones)[name] for name in ("dq", "dk")] == [0.0, 0.0]


def test_libraries_refuse_a_cpu_and_masks_that_they_do_not_know():
    """cuDNN and FlashAttention-2 are called by name, never replaced by another implementation."""
    case = BackwardCase("libraries", heads=2, kv_heads=2, causal=True)
    libraries = SPEC.baselines(drawn(case), case.problem)
    assert libraries.keys() == {"sdpa-cudnn", "sdpa-fa2"}
    for run in libraries.values():
        with pytest.raises(NotImplementedError, match="CPU"):
            run()
    shifted = BackwardCase("offset", q_offset=3, causal=True)
    assert SPEC.baselines(drawn(shifted), shifted.problem) == {}
