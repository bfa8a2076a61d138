"""The forward's second output, which a backward recomputes the weights from: right for every mask, scale and policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spak.kernels.attention.fmha.kernel import FLOOR, fmha_kernel
from spak.kernels.attention.fmha.spec import SPEC
from tests.kernels.cases import Case, draw, reference, reference_lse, relative_error, simulate

CASES = (
    Case("ragged, GQA", seq_q=50, seq_kv=70, heads=2, kv_heads=1),
    Case("causal", seq_q=100, seq_kv=100, causal=True),
    Case("causal with an offset", seq_q=40, seq_kv=110, q_offset=70, causal=True, heads=4, kv_heads=2, batch=2),
    Case("rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True),
    Case("bf16, early scores", seq_q=77, seq_kv=101, dtype="bf16", pipeline="early-scores", sum_lanes=8),
    Case("late values, Q in registers", seq_q=70, seq_kv=130, causal=True, pipeline="late-values", q_registers=True),
    Case("persistent", seq_q=130, seq_kv=70, heads=3, kv_heads=3, persistent=True),
)


@pytest.mark.parametrize("running_max", [True, False])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_log_sum_exp(case: Case, running_max: bool) -> None:
    """Natural log of the sum of exp(scores) within 1e-5, exactly the floor where no key is seen; the output as without."""
    case = replace(case, running_max=running_max)
    x = draw(case)
    x.k[:, :, 35:] *= 4  # the maximum is not in the first key tile
    out, lse = simulate(case, x, fmha_kernel, lse=True)
    want, sees = reference(case, x)
    np.testing.assert_allclose(lse, reference_lse(case, x), rtol=1e-5, atol=1e-5)
    assert (lse[:, :, ~sees] == np.float32(FLOOR)).all()
    assert relative_error(out, want) <= SPEC.tolerance(case.problem)
    np.testing.assert_array_equal(out, simulate(case, x, fmha_kernel)[0])


@pytest.mark.parametrize("scale", [1e-9, 1 / 256, 1.0, 30.0])
@pytest.mark.parametrize("q_offset", [0, -35])
@pytest.mark.parametrize("running_max", [True, False])
def test_a_scale_of_the_callers_own(scale: float, q_offset: int, running_max: bool) -> None:
    """Output, log-sum-exp and rows without keys are right at every allowed scale, however far from head_dim ** -0.5."""
    case = Case("scaled", seq_q=70, seq_kv=70, q_offset=q_offset, causal=True, running_max=running_max)
    x = draw(case)
    out, lse = simulate(case, x, fmha_kernel, lse=True, scale=scale)
    want, sees = reference(case, x, scale)
    assert relative_error(out, want) <= SPEC.tolerance(case.problem)
    assert (out[:, :, ~sees] == 0).all()
    np.testing.assert_allclose(lse, reference_lse(case, x, scale), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e-10, 2e5])
def test_a_scale_that_no_mask_survives_is_refused(scale: float) -> None:
    """At 0 a masked score would count like any other; below it the largest score is the least."""
    case = Case("refused")
    with pytest.raises(ValueError, match="scale: from 1e-09 to 100000"):
        SPEC.call_with_lse(case.problem, case.configuration, scale=scale)


def test_log_sum_exp_is_untouched_unless_asked_for() -> None:
    """A launch without it leaves the array's poison."""
    case = Case("no lse")
    assert np.isnan(simulate(case, draw(case), fmha_kernel)[1]).all()
