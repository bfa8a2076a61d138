"""FMHA's own source on the simulator against float64, on awkward shapes; and wrong kernels, which must fail."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import sim
from kernels.attention.floor_check import masked_row_outcomes
from kernels.attention.fmha import kernel as fmha
from kernels.attention.fmha.spec import SPEC, Shape
from kernels.sim.variant import variant
from tests.kernels.cases import CASES, Case, draw, reference, relative_error, simulate


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_fmha_on_awkward_shapes(case: Case) -> None:
    """Within the GPU's own tolerance of float64, every element written, rows without keys exactly 0."""
    x = draw(case)
    out, _ = simulate(case, x, fmha.fmha_kernel)
    want, sees = reference(case, x)
    assert relative_error(out, want) <= SPEC.tolerance(case.problem)
    assert (out[:, :, ~sees] == 0).all()


def test_log_sum_exp() -> None:
    """The optional output is the natural log of the sum of exp(scores)."""
    case = Case("lse", seq_q=50, seq_kv=70, heads=2, kv_heads=1)
    x = draw(case)
    _, lse = simulate(case, x, fmha.fmha_kernel, lse=True)
    scores = x.q.astype(float) @ np.repeat(x.k, 2, axis=1).astype(float).swapaxes(2, 3) * case.head_dim**-0.5
    np.testing.assert_allclose(lse, np.log(np.exp(scores).sum(-1)), rtol=1e-5, atol=1e-5)


def test_log_sum_exp_is_untouched_unless_asked_for() -> None:
    """Without WRITE_LSE the array keeps its poison."""
    case = Case("no lse")
    assert np.isnan(simulate(case, draw(case), fmha.fmha_kernel)[1]).all()


WRONG = {
    "one key tile too few": {"num_n = ct.cdiv(seq_kv, TILE_N)": "num_n = ct.cdiv(seq_kv, TILE_N) - 1"},
    "tail of keys not masked": {"column < seq_kv": "column < seq_kv + TILE_N"},
    "padding of keys left open": {"padding_mode=ZERO": "padding_mode=ct.PaddingMode.UNDETERMINED"},
    "last query tile not written": {"index=(b, h, x, 0), tile=out": "index=(b, h, x * 2, 0), tile=out"},
    "wrong kv head": {"h // GROUP": "h % 2"},
    "accumulator not rescaled": {"v_hints), acc * alpha)": "v_hints), acc)"},
    "causal mask off by one": {"row >= column": "row > column"},
    "scores rounded before the maximum": {"return ct.mma(q, k,": "return 0.99 * ct.mma(q, k,"},
    "sums not rescaled": {"l_i * alpha": "l_i"},
    "a head left out": {"// num_heads, t % num_heads": "// num_heads, 0 * t"}
    | {"t % num_m, t // num_m": "t % num_m, 0 * t"},
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_kernel_cannot_pass(mistake: str) -> None:
    """Each mistake, put into the kernel's own text, misses the tolerance that the right kernel keeps."""
    case = Case("gate", heads=6, kv_heads=2, seq_q=100, seq_kv=100, causal=mistake.startswith("causal"))
    x = draw(case)
    want, _ = reference(case, x)
    assert relative_error(simulate(case, x, fmha.fmha_kernel)[0], want) <= SPEC.tolerance(case.problem)
    wrong = variant(str(fmha.__file__), WRONG[mistake])
    assert not relative_error(simulate(case, x, wrong.fmha_kernel)[0], want) <= SPEC.tolerance(case.problem)


def test_floor_of_wholly_masked_rows() -> None:
    """Rows without keys are right only through the kernel's guard: -inf gives NaN, and -1e20 does too once cuTile fuses.

    cuTile turns `s * scale - m` into one fused multiply-add. At -1e20 the product's rounding error, up to 2^40, survives the
    subtraction, exp2 of it is 0 or infinity, and the end division is 0/0. Unfused (online_softmax.py) the difference is 0.
    """
    outcomes = {(o.floor, o.guarded): o for o in masked_row_outcomes(seed=0)}
    for floor in (-np.inf, -1e20):
        assert outcomes[floor, True].zero_rows == outcomes[floor, True].masked_rows > 0
        assert outcomes[floor, False].nan_rows == outcomes[floor, False].masked_rows
    assert all(o.visible_rows_right for o in outcomes.values())


def test_the_cutile_front_end_fuses_the_scaling_of_scores() -> None:
    """What the test above rests on: the IR of the kernel has a fused multiply-add feeding exp2."""
    case = Case("fused")
    x = draw(case)
    shape = Shape.of(case.problem)
    args = (x.q, x.k, x.v, x.q, sim.empty((1, 1, 1), np.float32), 0.25, 0, *SPEC.constants(shape, case.configuration))
    body = sim.compile_kernel(fmha.fmha_kernel, args).body
    fused = {o.result_var.name for o in body.traverse() if o.op == "fma"}
    assert any(o.operand.name in fused for o in body.traverse() if o.op == "unaryop" and o.fn == "exp2")
