"""FMHA's own source on the simulator against float64, on awkward shapes; and wrong kernels, which must fail."""

from __future__ import annotations

import numpy as np
import pytest

from spak.kernels import sim
from spak.kernels.attention.fmha import kernel as fmha
from spak.kernels.attention.fmha.spec import SPEC
from spak.kernels.sim.frontend import compile_kernel
from tests.kernels.cases import CASES, Case, draw, reference, relative_error, simulate
from tests.kernels.variant import variant


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_fmha_on_awkward_shapes(case: Case) -> None:
    """Within the GPU's own tolerance of float64, every element written, rows without keys exactly 0."""
    x = draw(case)
    out, _ = simulate(case, x, fmha.fmha_kernel)
    want, sees = reference(case, x)
    assert relative_error(out, want) <= SPEC.tolerance(case.problem)
    assert (out[:, :, ~sees] == 0).all()


def test_more_heads_than_a_grid_holds_in_its_later_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """They move to the first dimension, which holds 2^31 - 1 blocks."""
    monkeypatch.setattr("spak.kernels.attention.fmha.spec.MOST_BLOCKS", 5)
    case = Case("many heads", batch=2, heads=3, kv_heads=1, seq_q=70, seq_kv=70)
    assert SPEC.calls(case.problem, case.configuration)[0].grid == (6, 3, 1)
    x = draw(case)
    out, _ = simulate(case, x, fmha.fmha_kernel)
    assert relative_error(out, reference(case, x)[0]) <= SPEC.tolerance(case.problem)


WRONG = {
    "one key tile too few": {"num_n = ct.cdiv(seq_kv, TILE_N)": "num_n = ct.cdiv(seq_kv, TILE_N) - 1"},
    "tail of keys not masked": {"column < seq_kv": "column < seq_kv + TILE_N"},
    "padding of keys left open": {"padding_mode=ZERO": "padding_mode=ct.PaddingMode.UNDETERMINED"},
    "last query tile not written": {"index=(b, h, x, 0), tile=out": "index=(b, h, x * 2, 0), tile=out"},
    "wrong kv head": {"h // GROUP": "h % 2"},
    "accumulator not rescaled": {"l_i * alpha, acc * alpha": "l_i * alpha, acc"},
    "causal mask off by one": {"row >= column": "row > column"},
    "scores rounded before the maximum": {"return ct.mma(q, k,": "return 0.99 * ct.mma(q, k,"},
    "sums not rescaled": {"l_i * alpha, acc * alpha": "l_i, acc * alpha"},
    "a head left out": {"else (ct.bid(2), ct.bid(1))": "else (0 * ct.bid(2), ct.bid(1))"},
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


RISING = ("plain", "early-scores", "late-values")


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("pipeline", RISING)
def test_a_first_maximum_that_does_not_serve_is_made_good(pipeline: str, dtype: str) -> None:
    """Scores that rise by hundreds after the first key tile: right with the second computation, wrong without it."""
    case = Case("rising", heads=2, kv_heads=2, seq_q=70, seq_kv=130, dtype=dtype, pipeline=pipeline, running_max=False)
    x = draw(case)
    x.k[:, 1, 40:] *= 40  # one head only; of its rows some rise and some do not
    want, _ = reference(case, x)
    assert relative_error(simulate(case, x, fmha.fmha_kernel)[0], want) <= SPEC.tolerance(case.problem)
    unchecked = variant(str(fmha.__file__), {"if not fits:": "if not fits and h < 0:"})
    assert not relative_error(simulate(case, x, unchecked.fmha_kernel)[0], want) <= SPEC.tolerance(case.problem)


def test_a_first_maximum_serves_ordinary_inputs() -> None:
    """On standard normal inputs nothing is computed twice: a kernel whose second computation is broken is right too."""
    case = Case("ordinary", heads=2, kv_heads=1, seq_q=130, seq_kv=150, causal=True, running_max=False)
    x = draw(case)
    broken = variant(str(fmha.__file__), {"if not fits:": "if not fits:\n            q = q * 3.0"})
    want, _ = reference(case, x)
    assert relative_error(simulate(case, x, broken.fmha_kernel)[0], want) <= SPEC.tolerance(case.problem)


@pytest.mark.parametrize("floor", ["-1.0e20", "-inf"])
def test_floor_of_wholly_masked_rows(floor: str) -> None:
    """Rows without keys are right only through the kernel's guard: -inf gives NaN, and -1e20 does too once cuTile fuses.

    cuTile turns `s * scale - m` into one fused multiply-add. At -1e20 the product's rounding error, up to 2^40, survives the
    subtraction, exp2 of it is 0 or infinity, and the end division is 0/0. Unfused (online_softmax.py) the difference is 0.
    """
    case = Case("one query tile of both kinds of rows, one of neither", q_offset=-16, causal=True)
    x = draw(case)
    want, sees = reference(case, x)
    assert (~sees).sum() == 16
    chosen = {"FLOOR = -1.0e20": f'FLOOR = float("{floor}")'}
    unguarded = {"[:, None] >= 0\n": "[:, None] >= -1000\n"}  # every row is taken for one that sees a key
    for changes, hides in ((chosen, lambda rows: rows == 0), ({**chosen, **unguarded}, np.isnan)):
        out, _ = simulate(case, x, variant(str(fmha.__file__), changes).fmha_kernel)
        assert hides(out[:, :, ~sees]).all()
        assert relative_error(out[:, :, sees], want[:, :, sees]) <= SPEC.tolerance(case.problem)


def test_the_cutile_front_end_fuses_the_scaling_of_scores() -> None:
    """What the test above rests on: the IR of the kernel has a fused multiply-add feeding exp2."""
    case = Case("fused")
    x = draw(case)
    [call] = SPEC.calls(case.problem, case.configuration)
    args = (x.q, x.k, x.v, x.q, sim.empty((1, 1, 1), np.float32), *call.scalars, *call.constants)
    body = compile_kernel(fmha.fmha_kernel, args).body
    fused = {o.result_var.name for o in body.traverse() if o.op == "fma"}
    assert any(o.operand.name in fused for o in body.traverse() if o.op == "unaryop" and o.fn == "exp2")
