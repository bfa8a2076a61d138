"""The check `gpt-gradients` passes the kernels, and none of the wrong gradients that are planted here."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs torch, on the CPU")
pytest.importorskip("cuda.tile", reason="needs cuda-tile, whose kernels are simulated")

from spak.kernels.nanogpt.equivalence import CONFIGURATIONS, GptGradients
from spak.kg.space.completion import completed
from tests.shipped import LAWS

SIZE = {
    "vocab": 53,
    "width": 32,
    "layers": 1,
    "heads": 2,
    "context": 9,
    "batch": 2,
    "bias": True,
    "residual_dtype": "fp32",
}


def more(operators):
    """A gradient of GELU that is 2 % too large."""

    def backward(dy, next_weight, before, dbias):
        return operators.linear_gelu_backward(dy, next_weight, before, dbias).mul_(1.02)

    return replace(operators, linear_gelu_backward=backward)


def lost(operators):
    """The bias gradient of what ends a branch is left as it was."""

    def backward(dnormed, dresidual, saved, gradients, dtype):
        return operators.add_norm_backward(dnormed, dresidual, saved, gradients._replace(branch_bias=None), dtype)

    return replace(operators, add_norm_backward=backward)


def loud(operators):
    """Losses that are a tenth too large, with the right gradients."""
    return replace(operators, cross_entropy=lambda *given: 1.1 * operators.cross_entropy(*given))


class Planted(GptGradients):
    """Kernels of which one is wrong."""

    def __init__(self, plant=more):
        self.plant = plant

    def operators(self, config, step):
        return self.plant(super().operators(config, step))


def test_it_passes_what_is_right():
    """Of the sizes that it draws, the one in bf16 and without biases."""
    check = GptGradients()
    found = check.result(check.sizes(5)[1], {}, 5)
    assert found.failure is None
    assert 0 < found.measurements["gradient_error"] < 0.012
    assert 0 < found.measurements["loss_error"] < 1e-3


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (more, r"the gradient of h\.0\.(ln_2|mlp\.c_fc)\.\w+ is off by 0\.02"),
        (lost, r"the gradient of h\.0\.\w+\.c_proj\.bias is off by nan"),
        (loud, r"the loss is off by 0\.1 "),
    ],
)
def test_it_fails_what_is_wrong(plant, message):
    """And names the parameter; what nobody wrote is NaN."""
    kind, told = Planted(plant).result(SIZE, {}, 1).failure
    assert kind == "Different"
    assert re.match(message, told), told


def test_what_is_simulated_are_whole_configurations():
    """Every parameter of each op has a value that the op has."""
    for op, configuration in CONFIGURATIONS.items():
        assert completed(LAWS.ops[op], configuration) == configuration
