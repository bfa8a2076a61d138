"""The linear layer with GELU on the simulator: any configuration at any size, large numbers, and the operators made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kernels.linear_gelu.operator import LinearGeluKernels
from spak.kernels.linear_gelu.spec import SPEC
from spak.kg.expression import parse
from spak.kg.space.completion import complete, completed
from spak.kg.space.space import build
from spak.tuner.backend.gpu.program import tensors
from tests.shipped import LAWS

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
OP = LAWS.ops["linear-gelu"]
SPACES = {direction: build(OP, complete(OP, {"direction": direction})) for direction in ("forward", "backward")}
SUMS = [{"column_sums": way} for way in ("threads", "tensor-cores", "apart")]
DIRECTIONS = list(SPACES)


pytest.importorskip("cuda.tile", reason="needs cuda-tile")


def launched(problem, configuration, inputs):
    """What is written into outputs that were NaN."""
    outputs = SPEC.make_outputs(problem, device="cpu")
    assert all(out.isnan().all() for out in tensors(outputs))
    SPEC.launch(inputs, outputs, problem, configuration)
    return outputs


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 300), st.integers(1, 150), st.integers(1, 300), st.sampled_from(DIRECTIONS))
def test_any_configuration_is_right_at_any_size(data, rows, fan_in, fan_out, direction):
    """Outputs are NaN before; what a tile leaves out, or takes from beyond an end, shows."""
    sizes = {"num_rows": rows, "in_features": fan_in, "out_features": fan_out, "direction": direction}
    problem = complete(OP, sizes)
    space = SPACES[direction]
    configuration = space.config(data.draw(st.integers(0, len(space) - 1)))
    inputs = SPEC.make_inputs(problem, seed=1, device="cpu")
    wanted = SPEC.reference(inputs, problem)
    for got, want in zip(tensors(launched(problem, configuration, inputs)), tensors(wanted), strict=True):
        assert (got.double() - want).norm() <= SPEC.tolerance(problem) * want.norm() + 1e-6


@pytest.mark.parametrize("sigmoid", ["exp2", "tanh"])
def test_large_numbers_have_the_gradient_of_a_line(sigmoid):
    """gelu' is 0 far to the left and 1 far to the right, up to the largest bf16, where its factors overflow."""
    column = torch.tensor([-3e38, -1e20, -1e3, -12.0, 0.0, 12.0, 1e3, 1e20, 3e38], dtype=torch.bfloat16)
    problem = complete(OP, {"num_rows": 9, "in_features": 16, "out_features": 128, "direction": "backward"})
    inputs = SPEC.make_inputs(problem, seed=3, device="cpu")
    inputs.pre.copy_(column[:, None].expand(9, 128))
    found = launched(problem, completed(OP, {"sigmoid": sigmoid}), inputs)
    slope = torch.tensor([0.0] * 4 + [0.5] + [1.0] * 4)
    want = slope[:, None] * (inputs.dy.float() @ inputs.w2.float())
    torch.testing.assert_close(found.dpre.float(), want, rtol=2e-2, atol=1e-3)
    assert found.db.isfinite().all()


def test_nan_stays_nan():
    """A step that meets NaN is to be stopped by it: it must not be taken for a large number."""
    problem = complete(OP, {"num_rows": 4, "in_features": 16, "out_features": 16, "direction": "backward"})
    inputs = SPEC.make_inputs(problem, seed=3, device="cpu")
    inputs.pre[1, 2] = float("nan")
    for way in SUMS:
        found = launched(problem, completed(OP, way), inputs)
        assert found.dpre.isnan().nonzero().tolist() == [[1, 2]]
        assert found.db.isnan().nonzero().tolist() == [[2]]


def test_sums_are_the_same_bits_whatever_the_order_of_tiles():
    """Partial sums lie by tile, not by CTA: neither groups nor persistence change them."""
    problem = complete(OP, {"num_rows": 600, "in_features": 8, "out_features": 150, "direction": "backward"})
    inputs = SPEC.make_inputs(problem, seed=4, device="cpu")
    schedules = ({"persistent": True, "group": 4}, {"persistent": False, "group": 0})
    one, other = (launched(problem, completed(OP, schedule), inputs).db for schedule in schedules)
    assert torch.equal(one, other)


def test_both_directions_are_those_of_an_mlp():
    """Through both layers: the gradients are what differentiation of the whole gives, with a bias and without."""
    from spak.kernels.nanogpt.torch_operators import plain_linear_gelu, plain_linear_gelu_backward

    kernels = LinearGeluKernels(lambda problem: completed(OP, {}))
    generator = torch.Generator().manual_seed(5)
    x, w, b, w2, dy = (
        torch.randn(shape, generator=generator).bfloat16() for shape in ((40, 24), (72, 24), (72,), (24, 72), (40, 24))
    )
    w, w2 = w / 4, w2 / 4
    for bias in (b, None):
        found, want = kernels.forward(x, w, bias), plain_linear_gelu(x, w, bias)
        torch.testing.assert_close(found, want, rtol=2e-2, atol=2e-2)
        sums, wanted_sums = torch.full((72,), float("nan")).bfloat16(), torch.empty(72).bfloat16()
        dbefore = kernels.backward(dy, w2, found[0], sums if bias is not None else None)
        wanted = plain_linear_gelu_backward(dy, w2, found[0], wanted_sums)
        torch.testing.assert_close(dbefore, wanted, rtol=2e-2, atol=2e-2)
        if bias is not None:
            torch.testing.assert_close(sums, wanted_sums, rtol=2e-2, atol=1e-1)


def test_the_reference_is_the_gradient_of_the_definition_s_formula():
    """Against GELU's derivative written out, in NumPy."""
    problem = complete(OP, {"num_rows": 11, "in_features": 7, "out_features": 5, "direction": "backward"})
    inputs = SPEC.make_inputs(problem, seed=6, device="cpu")
    dy, w2, x = (array.double().numpy() for array in (inputs.dy, inputs.w2, inputs.pre))
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    slope = (1 + t) / 2 + x / 2 * (1 - t**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    found = SPEC.reference(inputs, problem)
    np.testing.assert_allclose(found.dpre.numpy(), (dy @ w2) * slope, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.db.numpy(), ((dy @ w2) * slope).sum(axis=0), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("way", SUMS, ids=lambda way: way["column_sums"])
def test_products_and_bytes_are_counted_once(way, direction):
    """FLOPs are the op's own formula; so are bytes, but for what passes between launches."""
    problem = complete(OP, {"direction": direction})
    configuration = completed(OP, way if direction == "backward" else {})
    works, calls = SPEC.work(problem, configuration), SPEC.calls(problem, configuration)
    flops = sum(work.passes * work.tensor_flops_per_iteration for work in works)
    assert flops == pytest.approx(parse(OP.flops["useful"].expression).evaluate(problem))
    rows, columns = problem["num_rows"], problem["out_features"]
    between = 0
    if direction == "backward":
        between += 2 * 4 * calls[0].arrays["partials"].shape[1] * columns
    if len(calls) == 3:  # dPre is read again, and partial sums are counted with the launch that leaves them unwritten
        between += 2 * rows * columns + 4 * calls[0].arrays["partials"].shape[1] * columns
    assert sum(work.global_bytes for work in works) == parse(OP.bytes.expression).evaluate(problem) + between
    assert [work.function for work in works] == [call.function for call in calls]
    exponentials = sum(work.passes * work.exp2_per_iteration for work in works)
    assert exponentials == pytest.approx(rows * columns)


def test_pytorch_computes_the_same():
    """What a kernel is compared with."""
    for direction in DIRECTIONS:
        problem = complete(OP, {"num_rows": 30, "in_features": 16, "out_features": 20, "direction": direction})
        inputs = SPEC.make_inputs(problem, seed=7, device="cpu")
        (run,) = SPEC.baselines(inputs, problem).values()
        for got, want in zip(tensors(run()), tensors(SPEC.reference(inputs, problem)), strict=True):
            assert (got.double() - want).norm() <= SPEC.tolerance(problem) * want.norm()
