"""MicroGPT's plan `sequence` on the GPU: the simulator's cases and one that fills tiles, against float64."""

from __future__ import annotations

import pytest

from spak.kernels.microgpt.spec import SPEC
from tests.kernels.microgpt_plans import SEQUENCE, RunCase

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

FULL = tuple(
    RunCase(
        f"full tiles, {products}",
        27,
        64,
        2,
        4,
        64,
        16,
        4,
        plan="sequence",
        products=products,
        tile_w=32,
        splits=4,
    )
    for products in ("tf32x3", "fp32")
)


def compiled_ahead():
    """For tests/gpu/conftest.py."""
    return [("microgpt", case.problem, case.configuration) for case in [*SEQUENCE, *FULL]]


@pytest.mark.parametrize("case", [*SEQUENCE, *FULL], ids=lambda case: case.name)
def test_a_run_is_that_of_float64(case):
    """Losses of all steps, the first gradient of every parameter, 0 exactly where float64's is, and the last parameters."""
    inputs = SPEC.make_inputs(case.problem, seed=1, device="cuda")
    outputs = SPEC.make_outputs(case.problem, device="cuda")
    SPEC.launch(inputs, outputs, case.problem, case.configuration)
    expected = SPEC.reference(inputs, case.problem)
    assert (outputs.losses - expected.losses).abs().max() < 1e-5
    for name, most in (("gradients", 5e-6), ("parameters", SPEC.tolerance(case.problem))):
        found, wanted = getattr(outputs, name).double(), getattr(expected, name)
        assert (found - wanted).norm() / wanted.norm() < most, name
    assert ((outputs.gradients == 0) == (expected.gradients == 0)).all()


def test_equal_inputs_give_equal_bits():
    """Nothing is added atomically."""
    case = FULL[0]
    inputs = SPEC.make_inputs(case.problem, seed=1, device="cuda")
    runs = [SPEC.make_outputs(case.problem, device="cuda") for _ in range(2)]
    for outputs in runs:
        SPEC.launch(inputs, outputs, case.problem, case.configuration)
    assert all((one == two).all() for one, two in zip(vars(runs[0]).values(), vars(runs[1]).values(), strict=True))
