"""The linear layer with GELU on a GPU: tails, large numbers with the hardware's tanh, and a captured pair."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.gpu
torch = pytest.importorskip("torch")
from spak.kernels.linear_gelu.operator import LinearGeluKernels  # noqa: E402
from spak.kernels.linear_gelu.spec import SPEC  # noqa: E402
from spak.kg.space.completion import complete, completed  # noqa: E402
from spak.tuner.backend.gpu.program import tensors  # noqa: E402
from tests.shipped import LAWS  # noqa: E402

OP = LAWS.ops["linear-gelu"]
CHANGES = [
    {"column_sums": "apart"},
    {"column_sums": "tensor-cores", "sigmoid": "exp2"},
    {},
    {"sigmoid": "exp2", "persistent": False},
    {"occupancy": 2, "num_worker_warps": 4, "epilogue_subtiles": 2},
    {"tile_n": 256, "epilogue_subtiles": 4, "tma_stores": False},
    {"tile_m": 256, "tile_n": 256, "num_ctas": 2},
]


@pytest.fixture(autouse=True)
def device():
    """Skips where there is no GPU."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.parametrize("size", [(1000, 200, 776), (37, 24, 40), (256, 128, 512)])
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_it_is_right(changes, direction, size) -> None:
    """Outputs are NaN before; no size is a multiple of a tile but the last."""
    sizes = dict(zip(("num_rows", "in_features", "out_features"), size, strict=True))
    problem = complete(OP, {**sizes, "direction": direction})
    inputs, outputs = SPEC.make_inputs(problem, seed=1, device="cuda"), SPEC.make_outputs(problem, device="cuda")
    SPEC.launch(inputs, outputs, problem, completed(OP, changes))
    for got, want in zip(tensors(outputs), tensors(SPEC.reference(inputs, problem)), strict=True):
        assert (got.double() - want).norm() <= SPEC.tolerance(problem) * want.norm()


@pytest.mark.parametrize("changes", CHANGES[:4], ids=str)
def test_large_numbers_have_the_gradient_of_a_line(changes) -> None:
    """The hardware's approximations saturate as they should, up to the largest bf16."""
    column = torch.tensor([-3e38, -1e20, -1e3, -12.0, 0.0, 12.0, 1e3, 1e20, 3e38], device="cuda").bfloat16()
    problem = complete(OP, {"num_rows": 9, "in_features": 16, "out_features": 128, "direction": "backward"})
    inputs, outputs = SPEC.make_inputs(problem, seed=3, device="cuda"), SPEC.make_outputs(problem, device="cuda")
    inputs.pre.copy_(column[:, None].expand(9, 128))
    SPEC.launch(inputs, outputs, problem, completed(OP, changes))
    slope = torch.tensor([0.0] * 4 + [0.5] + [1.0] * 4, device="cuda")
    want = slope[:, None] * (inputs.dy.float() @ inputs.w2.float())
    torch.testing.assert_close(outputs.dpre.float(), want, rtol=2e-2, atol=1e-3)
    assert outputs.db.isfinite().all()


def test_a_captured_pair_runs_again() -> None:
    """Forward and backward in a CUDA graph, replayed on other numbers, give what plain launches give."""
    kernels = LinearGeluKernels(lambda problem: completed(OP, {}))
    x, w, b, w2 = (torch.randn(shape, device="cuda").bfloat16() for shape in ((256, 64), (256, 64), (256,), (64, 256)))
    dbias = torch.empty_like(b)

    def both():
        before, after = kernels.forward(x, w, b)
        return before, after, kernels.backward(x, w2, before, dbias)

    both()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = both()
    x.copy_(torch.randn_like(x))
    graph.replay()
    replayed = [one.clone() for one in (*captured, dbias)]
    for got, want in zip(replayed, (*both(), dbias), strict=True):
        assert torch.equal(got, want)
