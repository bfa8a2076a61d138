"""The simulator's cases on a GPU: same inputs, same tolerance of float64, and the two outputs close to each other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.cases import CASES, Case, draw, reference, reference_lse, relative_error, simulate

pytestmark = pytest.mark.gpu
torch = pytest.importorskip("torch")


def compiled_ahead():
    """For tests/gpu/conftest.py."""
    return [("fmha", case.problem, case.configuration) for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_gpu_and_simulator_agree(case: Case) -> None:
    """Both are right, and differ by no more than the tolerance either may have."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from spak.kernels.attention.fmha.kernel import fmha_kernel
    from spak.kernels.attention.fmha.spec import SPEC
    from spak.kernels.attention.problem import Inputs

    x = draw(case)
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[case.dtype]
    moved = [torch.from_numpy(t.astype(np.float32)).to(dtype).cuda() for t in (x.q, x.k, x.v)]
    outputs = SPEC.make_outputs(case.problem, device="cuda")
    SPEC.launch(Inputs(*moved), outputs, case.problem, case.configuration)
    torch.cuda.synchronize()
    got = outputs.float().cpu().numpy()
    simulated, _ = simulate(case, x, fmha_kernel)
    want, _ = reference(case, x)
    tolerance = SPEC.tolerance(case.problem)
    assert relative_error(got, want) <= tolerance
    assert relative_error(got, simulated.astype(np.float64)) <= tolerance


@pytest.mark.parametrize("running_max", [True, False])
def test_log_sum_exp_on_a_gpu(running_max: bool) -> None:
    """`launch_lse` writes both outputs, at the caller's scale."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from spak.kernels.attention.fmha.spec import SPEC
    from spak.kernels.attention.problem import Inputs

    case = Case("lse", heads=4, kv_heads=2, seq_q=100, seq_kv=130, q_offset=30, causal=True, running_max=running_max)
    x = draw(case)
    inputs = Inputs(*(torch.from_numpy(t).cuda() for t in (x.q, x.k, x.v)))
    out = SPEC.make_outputs(case.problem, device="cuda")
    lse = torch.full(x.q.shape[:3], float("nan"), device="cuda")
    SPEC.launch_lse(inputs, out, lse, case.problem, case.configuration, scale=0.1)
    np.testing.assert_allclose(lse.cpu().numpy(), reference_lse(case, x, 0.1), rtol=1e-5, atol=1e-5)
    assert relative_error(out.cpu().numpy(), reference(case, x, 0.1)[0]) <= SPEC.tolerance(case.problem)
