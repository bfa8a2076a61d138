"""Residual addition with its norm, and column sums, on the simulator: every input's gradient, every form, hostile rows."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spak.kernels.add_norm.operator import AddNormKernels, NormGradients
from spak.kernels.operation import operation
from spak.kg.space.completion import complete, completed
from spak.kg.space.space import build
from spak.tuner.backend.gpu.program import tensors

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
from spak.kernels.nanogpt.torch_operators import plain_add_norm, plain_add_norm_backward  # noqa: E402
from tests.shipped import LAWS  # noqa: E402

OPS = LAWS.ops
EXACT = {"dtype": "fp32", "residual_dtype": "fp32"}


def launch_at(op, size, change=lambda inputs: inputs, index=0, device="cpu"):
    """(outputs, reference) by name, at the configuration of this index modulo their number."""
    problem = complete(OPS[op], size)
    inputs = change(operation(op).make_inputs(problem, seed=1, device=device))
    outputs = operation(op).make_outputs(problem, device=device)
    space = build(OPS[op], problem)
    operation(op).launch(inputs, outputs, problem, space.config(index % len(space)))
    return outputs, operation(op).reference(inputs, problem)


def errors(outputs, reference):
    """Relative error of each output, by name."""
    found = {name: (tensor.double(), getattr(reference, name)) for name, tensor in vars(outputs).items()}
    return {name: float((got - want).norm() / want.norm().clamp_min(1e-30)) for name, (got, want) in found.items()}


sizes = st.fixed_dictionaries(
    {
        "num_rows": st.integers(1, 40),
        "width": st.sampled_from([1, 2, 3, 16, 27, 50]),
        "direction": st.sampled_from(["forward", "backward"]),
        "norm": st.sampled_from(["layer", "rms"]),
        "bias": st.booleans(),
        "branch": st.booleans(),
        "from_above": st.booleans(),
        "branch_bias": st.booleans(),
        "dtype": st.sampled_from(["bf16", "fp16", "fp32"]),
        "residual_dtype": st.sampled_from(["fp32", "bf16"]),
        "gradient_dtype": st.sampled_from(["fp32", "bf16"]),
    }
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes, st.integers(0, 10_000))
def test_every_form_is_right_at_every_size(on_the_cpu, size, index):
    """Against float64, output by output; outputs are NaN before, so that what is not written shows."""
    size["branch_bias"] &= size["branch"]
    if {size["dtype"], size["residual_dtype"]} != {"fp32"} or size["width"] == 1:
        size["width"] += 16  # what rounds a short row may take its variance away
    outputs, reference = launch_at("add-norm", size, index=index)
    problem = complete(OPS["add-norm"], size)
    assert vars(outputs).keys() == set(operation("add-norm").written(problem))
    assert max(errors(outputs, reference).values()) <= operation("add-norm").tolerance(problem)


def hostile(inputs):
    """Rows of equal numbers, and rows of small ones around 1e4; one of zeros."""
    noise = inputs.residual
    rows = torch.arange(len(noise), device=noise.device)[:, None]
    inputs.residual.copy_(torch.where(rows % 2 == 0, torch.full_like(noise, 12345.678), 1e4 + noise))
    inputs.residual[0] = 0
    if hasattr(inputs, "branch"):
        inputs.branch.zero_()
    return inputs


@pytest.mark.parametrize("index", [0, 100, 400])
@pytest.mark.parametrize("width", [768, 50])
def test_equal_numbers_have_no_variance_and_large_ones_keep_theirs(on_the_cpu, width, index):
    """The variance is that of what the mean leaves: a difference of means of squares would be off by some units here."""
    size = {"num_rows": 6, "width": width, **EXACT}
    outputs, reference = launch_at("add-norm", size, hostile, index)
    equal, large = slice(0, None, 2), slice(1, None, 2)
    torch.testing.assert_close(outputs.y[equal].double(), reference.y[equal], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        outputs.y[large].double(), reference.y[large], rtol=0, atol=2e-3
    )  # 1e4 has steps of 1e-3
    torch.testing.assert_close(outputs.statistics[0, large].double(), reference.statistics[0, large], rtol=1e-5, atol=0)


def test_the_norm_is_of_the_stored_sum(on_the_cpu):
    """Where the residual stream is rounded, statistics and norm are of the rounded numbers, as gradients will be."""
    size = {"num_rows": 9, "width": 16, "dtype": "fp32", "residual_dtype": "bf16"}
    outputs, _ = launch_at("add-norm", size)
    problem = complete(OPS["add-norm"], size)
    inputs = operation("add-norm").make_inputs(problem, seed=1, device="cpu")
    inputs.residual.copy_(outputs.new_residual)
    inputs.branch.zero_()
    again = operation("add-norm").reference(inputs, problem)
    torch.testing.assert_close(outputs.y.double(), again.y, rtol=1e-5, atol=1e-5)
    assert torch.equal(outputs.new_residual.double(), again.new_residual)


sum_sizes = st.fixed_dictionaries(
    {
        "num_rows": st.integers(1, 300),
        "width": st.integers(1, 100),
        "dtype": st.sampled_from(["bf16", "fp16", "fp32"]),
        "out_dtype": st.sampled_from(["fp32", "bf16"]),
    }
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sum_sizes, st.integers(0, 10_000))
def test_column_sums_are_right_at_every_size(on_the_cpu, size, index):
    """Rows past the end of the last strip add nothing, nor do columns past the end."""
    problem = complete(OPS["column-sum"], size)
    inputs = operation("column-sum").make_inputs(problem, seed=1, device="cpu")
    out = operation("column-sum").make_outputs(problem, device="cpu")
    space = build(OPS["column-sum"], problem)
    operation("column-sum").launch(inputs, out, problem, space.config(index % len(space)))
    ((found,), (want,)) = tensors(out), tensors(operation("column-sum").reference(inputs, problem))
    scale = inputs.x.double().abs().sum(0)
    assert float(((found.double() - want).abs() / scale).max()) <= operation("column-sum").tolerance(problem)


def kernels(norm="layer"):
    """The operators, each call at the defaults but for a tile of several rows."""
    return AddNormKernels(lambda problem: completed(OPS["add-norm"], {"tile_m": 2}), norm)


def close(found, wanted, tolerance):
    """Relative error within the tolerance, in the same type."""
    assert found.dtype == wanted.dtype
    assert float((found.double() - wanted.double()).norm() / wanted.double().norm()) <= tolerance


@pytest.mark.parametrize("stream", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_branch", [True, False])
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_operators_do_what_plain_torch_does(on_the_cpu, stream, has_branch, has_bias):
    """Forward, and backward from its results, with what the model may leave out left out."""
    draw = torch.Generator().manual_seed(0)
    residual, above = (torch.randn(21, 48, generator=draw).to(stream) for _ in range(2))
    branch, dy = (torch.randn(21, 48, generator=draw).bfloat16() for _ in range(2))
    gain, bias = (torch.randn(48, generator=draw) for _ in range(2))
    given = (residual, branch if has_branch else None, gain, bias if has_bias else None, torch.bfloat16)
    found, wanted = kernels().forward(*given), plain_add_norm(*given)
    for one, other in zip(found[:2], wanted[:2], strict=True):
        close(one, other, 8e-3)
    assert (found[0] is residual) == (not has_branch)
    written = []
    for backward, (total, _, statistics) in ((kernels().backward, found), (plain_add_norm_backward, wanted)):
        sums = [torch.full((48,), float("nan"), dtype=torch.bfloat16) for _ in range(3)]
        gradients = NormGradients(sums[0], sums[1] if has_bias else None, sums[2] if has_branch else None)
        from_above = above if has_branch else None
        dx = backward(dy, from_above, (total, gain, statistics), gradients, torch.bfloat16)
        assert (dx[0] is dx[1]) == (stream == torch.bfloat16)
        written.append([*dx, *(tensor for tensor in gradients if tensor is not None)])
    for one, other in zip(*written, strict=True):
        close(one, other, 8e-3)


def test_what_does_not_fit_is_named():
    """A branch of another shape would be read past its end; a type that no kernel takes has no name."""
    rows, gain = torch.zeros(4, 16), torch.ones(16)
    with pytest.raises(ValueError, match=r"branch: must have the residual's shape \(4, 16\) \(got \(4, 8\)\)"):
        kernels().forward(rows, torch.zeros(4, 8), gain, None, torch.bfloat16)
    with pytest.raises(TypeError, match="dtype: one of float16, bfloat16, float32"):
        kernels().forward(rows.double(), None, gain, None, torch.float64)
