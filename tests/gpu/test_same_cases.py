"""The simulator's cases on a GPU: same inputs, same tolerance of float64, and the two outputs close to each other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.cases import CASES, Case, draw, reference, relative_error, simulate

pytestmark = pytest.mark.gpu
torch = pytest.importorskip("torch")


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
