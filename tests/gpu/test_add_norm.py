"""Residual addition, norms and column sums on a GPU: hostile shapes and rows, every form, the operators in a CUDA graph."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.gpu
torch = pytest.importorskip("torch")
from spak.kernels.add_norm.operator import NormGradients  # noqa: E402
from spak.kernels.nanogpt.torch_operators import plain_add_norm, plain_add_norm_backward  # noqa: E402
from spak.kernels.operation import operation  # noqa: E402
from spak.kg.space.completion import complete  # noqa: E402
from spak.kg.space.space import build  # noqa: E402
from spak.tuner.backend.gpu.program import tensors  # noqa: E402
from tests.kernels.test_add_norm import EXACT, OPS, close, errors, hostile, kernels, launch_at  # noqa: E402

SIZES = [
    {"num_rows": 1000, "width": 768},
    {"num_rows": 333, "width": 384, "residual_dtype": "bf16"},
    {"num_rows": 129, "width": 1600, "norm": "rms", "bias": False},
    {"num_rows": 77, "width": 1024, "branch": False, "branch_bias": False, "from_above": False},
    {"num_rows": 5, "width": 4096, "dtype": "fp16", "gradient_dtype": "fp32"},
    {"num_rows": 1, "width": 50, **EXACT},
    {"num_rows": 4099, "width": 16},
]


FORMS = [
    ({**size, "direction": way}, index)
    for size in SIZES
    for way in ("forward", "backward")
    for index in (777, 9_999)
    if size["width"] < 4096 or index == 777  # two such rows in one tile compile for more than a minute
]


def compiled_ahead():
    """For tests/gpu/conftest.py."""
    for size, index in FORMS:
        problem = complete(OPS["add-norm"], size)
        space = build(OPS["add-norm"], problem)
        yield "add-norm", problem, space.config(index % len(space))


@pytest.fixture(autouse=True)
def needs_a_gpu():
    """Skips where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.parametrize(("size", "index"), FORMS, ids=str)
def test_every_form_is_right(size, index):
    """Against float64, of two configurations; outputs are NaN before."""
    tolerance = operation("add-norm").tolerance(complete(OPS["add-norm"], size))
    assert max(errors(*launch_at("add-norm", size, index=index, device="cuda")).values()) <= tolerance


@pytest.mark.parametrize("width", [768, 50])
def test_hostile_rows(width):
    """Equal numbers, and small ones around 1e4, as on the simulator."""
    outputs, reference = launch_at("add-norm", {"num_rows": 600, "width": width, **EXACT}, hostile, device="cuda")
    torch.testing.assert_close(outputs.y[::2].double(), reference.y[::2], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(outputs.y[1::2].double(), reference.y[1::2], rtol=0, atol=2e-3)


@pytest.mark.parametrize("size", [{"num_rows": 12288, "width": 2304}, {"num_rows": 131, "width": 77}])
def test_column_sums(size):
    """At the model's size and at an awkward one; launched twice, the same bits."""
    first, reference = launch_at("column-sum", size, index=40, device="cuda")
    again, _ = launch_at("column-sum", size, index=40, device="cuda")
    for found, same, want in zip(tensors(first), tensors(again), tensors(reference), strict=True):
        assert (found.double() - want).norm() <= 8e-3 * want.norm()
        assert torch.equal(found, same)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_the_operators_are_captured(norm):
    """Forward and backward in one graph; what a replay writes is what plain torch does, and a second one the same bits."""
    draw = torch.Generator("cuda").manual_seed(0)
    residual, above = (torch.randn(3000, 768, generator=draw, device="cuda") for _ in range(2))
    branch, dy = (torch.randn(3000, 768, generator=draw, device="cuda").bfloat16() for _ in range(2))
    gain, bias = (torch.randn(768, generator=draw, device="cuda") for _ in range(2))
    gradients = NormGradients(*(torch.empty(768, dtype=torch.bfloat16, device="cuda") for _ in range(3)))

    def step():
        total, normed, statistics = kernels(norm).forward(residual, branch, gain, bias, torch.bfloat16)
        saved = (total, gain, statistics)
        return total, normed, *kernels(norm).backward(dy, above, saved, gradients, torch.bfloat16), *gradients

    step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = step()
    kept = []
    for _ in range(2):
        for tensor in outputs:
            tensor.fill_(float("nan"))
        graph.replay()
        kept.append([tensor.clone() for tensor in outputs])
    assert all(torch.equal(one, other) for one, other in zip(*kept, strict=True))
    if norm == "layer":
        total, normed, statistics = plain_add_norm(residual, branch, gain, bias, torch.bfloat16)
        wanted = NormGradients(*(torch.empty_like(tensor) for tensor in gradients))
        dx = plain_add_norm_backward(dy, above, (total, gain, statistics), wanted, torch.bfloat16)
        for found, want in zip(kept[0], (total, normed, *dx, *wanted), strict=True):
            close(found, want, 8e-3)
