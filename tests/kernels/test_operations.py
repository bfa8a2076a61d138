"""The operations of a training step on the simulator: each direction against its definition in float64."""

from __future__ import annotations

import pytest

from spak.kernels.registry import spec
from spak.kg.expression import parse
from spak.kg.space.completion import complete, completed
from spak.kg.space.space import build
from spak.tuner.backend.gpu.program import tensors
from tests.shipped import LAWS

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
OPS = LAWS.ops

EXACT = {"dtype": "fp32", "residual_dtype": "fp32", "gradient_dtype": "fp32"}
SIZES = {
    "embedding": [
        {"tokens": 37, "vocab": 27, "context": 16, "width": 16},
        {"tokens": 5, "vocab": 40, "context": 9, "width": 40},
    ],
    "rmsnorm": [{"num_rows": 37, "width": 16}, {"num_rows": 3, "width": 50}],
    "add-norm": [
        {"num_rows": 37, "width": 48, "norm": "layer", **EXACT},
        {"num_rows": 3, "width": 50, "norm": "rms", "bias": False, **EXACT},
    ],
    "column-sum": [{"num_rows": 370, "width": 50, "dtype": "fp32", "out_dtype": "fp32"}],
    "linear": [
        {"tokens": 37, "in_features": 16, "out_features": 27},
        {"tokens": 70, "in_features": 40, "out_features": 3},
    ],
    "activation": [{"num_elements": 1000}],
    "residual": [{"num_elements": 1000}],
    "cross-entropy": [
        {"num_rows": 37, "vocab": 27},
        {"num_rows": 3, "vocab": 1},
        {"num_rows": 5, "vocab": 1301, "dtype": "bf16", "weighted": False},
    ],
    "adam": [
        {"num_elements": 4192},
        {"num_elements": 5000, "update_form": "adamw", "gradient": "bf16", "decayed": 3001, "max_norm": 30.0},
    ],
    "short-attention": [
        {"batch": 2, "seq": 16, "heads": 4, "head_dim": 4},
        {"batch": 1, "seq": 37, "heads": 2, "head_dim": 24},
        {"batch": 1, "seq": 1, "heads": 1, "head_dim": 1},
    ],
}
"""Awkward ones: nothing divides a tile, heads of 4 and of 24 channels, one row."""

RUNS = [
    (op, {**({"direction": direction} if direction else {}), **size})
    for op, sizes in SIZES.items()
    for size in sizes
    for direction in (("forward", "backward") if "direction" in OPS[op].problem.keys() - size else ("",))
]


def tried(op, problem):
    """The first, a middle and the last configuration."""
    space = build(OPS[op], problem)
    return [space.config(index) for index in sorted({0, len(space) // 2, len(space) - 1})]


def largest_error(op, size, device="cpu"):
    """Largest ||found - wanted|| / ||wanted|| of an output over the configurations tried, and the tolerance."""
    problem = complete(OPS[op], size)
    inputs = spec(op).make_inputs(problem, seed=1, device=device)
    wanted = spec(op).reference(inputs, problem)
    found = []
    for configuration in tried(op, problem):
        outputs = spec(op).make_outputs(problem, device=device)
        spec(op).launch(inputs, outputs, problem, configuration)
        for one, want in zip(tensors(outputs), tensors(wanted), strict=True):
            found.append(float((one.double() - want).norm() / want.norm().clamp_min(1e-30)))
    return max(found), spec(op).tolerance(problem)


@pytest.mark.parametrize(("op", "size"), RUNS)
def test_every_configuration_is_right(on_the_cpu, op, size):
    """Outputs are NaN before; what a configuration leaves out or gets wrong shows in each of them."""
    error, tolerance = largest_error(op, size)
    assert error <= tolerance


@pytest.mark.parametrize("op", SIZES)
def test_pytorch_computes_the_same(op):
    """What a kernel is compared with; and inputs are those of the seed."""
    problem = complete(OPS[op], SIZES[op][0])
    first, again, other = (spec(op).make_inputs(problem, seed=seed, device="cpu") for seed in (1, 1, 2))
    assert all(torch.equal(one, same) for one, same in zip(tensors(first), tensors(again), strict=True))
    assert not all(torch.equal(one, another) for one, another in zip(tensors(first), tensors(other), strict=True))
    (run,) = spec(op).baselines(first, problem).values()
    for got, want in zip(tensors(run()), tensors(spec(op).reference(first, problem)), strict=True):
        assert want.dtype == torch.float64
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-5)
    outputs = spec(op).make_outputs(problem, device="cpu")
    assert all(out.isnan().all() for out in tensors(outputs))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_products_are_counted_once(direction):
    """FLOPs of all launches together are the op's own formula, and so are the bytes."""
    problem = complete(OPS["linear"], {"direction": direction})
    works = spec("linear").work(problem, completed(OPS["linear"], {}))
    flops = sum(work.passes * work.tensor_flops_per_iteration for work in works)
    assert flops == pytest.approx(parse(OPS["linear"].flops["useful"].expression).evaluate(problem))
    assert sum(work.global_bytes for work in works) == parse(OPS["linear"].bytes.expression).evaluate(problem)
