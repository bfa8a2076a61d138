"""NanoGPT's step by kernels, on the simulator: gradients against float64, the update, and the reasons of each choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from spak.gpt_operators import operators_by_laws  # noqa: E402
from spak.kernels import sim  # noqa: E402
from spak.kernels.advice import Advised  # noqa: E402
from spak.kernels.launch_device import LaunchDevice  # noqa: E402
from spak.kernels.nanogpt.kernel_operators import kernel_operators  # noqa: E402
from spak.kernels.nanogpt.operators import OPERATOR_NAMES  # noqa: E402
from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout  # noqa: E402
from spak.kernels.nanogpt.torch_operators import torch_operators  # noqa: E402
from spak.kernels.nanogpt.training_step import StepSettings, TrainingStep  # noqa: E402
from spak.kg.space.completion import complete  # noqa: E402
from spak.kg.space.space import build  # noqa: E402
from tests.kernels.test_nanogpt_model import expected_gradients, parameters_of, tokens_of, worst  # noqa: E402
from tests.shipped import LAWS, library  # noqa: E402

OPS = LAWS.ops
SMALL = GptConfig(vocab=70, width=32, layers=2, heads=2, context=16)
DEVICE = LaunchDevice("a simulator", "sm_90", 1, sim.launch, lambda: None)
TINY = {"tile_m": 16, "tile_n": 32, "tile_k": 32, "tile_size": 256, "tile_c": 32, "dq_tile_m": 16, "dq_tile_n": 16}


def nearest_to_tiny(op, problem, where=""):
    """A feasible configuration near small tiles: the simulator is no faster for large ones."""
    del where
    size = complete(OPS[op], problem)
    space = build(OPS[op], size)
    step = max(1, len(space) // 500)
    found = min(
        (space.config(index) for index in range(0, len(space), step)),
        key=lambda one: sum(abs(one[name] - value) for name, value in TINY.items() if name in one),
    )
    return Advised(found, "small")


def stepping(operators, flat, config, **settings):
    factors = torch.tensor([[0.01, 1 - 0.9**t, 1 - 0.95**t] for t in (1, 2)], dtype=torch.float64)
    return TrainingStep(config, operators, flat, factors, StepSettings(**settings))


@pytest.mark.parametrize("kept", ["float32", "bfloat16"])
def test_a_step_by_kernels(on_the_cpu, kept):
    """Gradients are as near to float64 as PyTorch's in bf16; the update follows from them, and the copy from that."""
    config = replace(SMALL, residual_dtype=kept)
    flat, given = parameters_of(config, 3.0, torch.float32), tokens_of(config, 2, 16)
    loss, expected = expected_gradients(config, flat, given)
    shape = {"batch": 2, "length": 16, "dtype": torch.bfloat16}
    operators = kernel_operators(nearest_to_tiny, DEVICE, config, StepSettings(**shape))
    plain = torch_operators()
    kernels = {name for name in OPERATOR_NAMES if getattr(operators, name) is not getattr(plain, name)}
    assert set(OPERATOR_NAMES) - kernels == {"linear", "linear_input_gradient"}
    step, other = (stepping(each, flat.clone(), config, **shape) for each in (operators, plain))
    for view in ParameterLayout.of(config).views(step.gradients).values():
        view.fill_(float("nan"))
    for each in (step, other):
        each.run([given])
    assert float(step.history()[0, 0]) == pytest.approx(loss, rel=2e-3)
    assert worst(config, step.gradients, expected) < max(0.03, 1.3 * worst(config, other.gradients, expected))
    torch.testing.assert_close(step.history()[0, 1], other.history()[0, 1], rtol=5e-3, atol=0)
    assert torch.equal(step.state.copy, step.state.parameters.bfloat16())
    again = other.state._replace(parameters=flat.clone(), first=torch.zeros_like(flat), second=torch.zeros_like(flat))
    factors = torch.tensor([0.01, 1 - 0.9, 1 - 0.95])
    plain.adamw(again, step.gradients, plain.gradient_norm(step.gradients), factors, step.settings.constants)
    torch.testing.assert_close(step.state.parameters, again.parameters, rtol=1e-5, atol=1e-6)


def test_what_nothing_fits_is_pytorchs(monkeypatch):
    """And both operators of a pair fall together, with the reason of the one that fell."""

    def advise(op, problem, where=""):
        del problem, where
        return Advised(None if op == "fmha-backward" else {}, f"{op} says so")

    found = kernel_operators(advise, DEVICE, SMALL, StepSettings(batch=1, length=16, dtype=torch.bfloat16))
    assert found.attention is torch_operators().attention
    assert found.reasons["attention"] == found.reasons["attention_backward"] == "PyTorch: fmha-backward says so"
    assert found.reasons["adamw"] == "kernel adam: adam says so"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cpu_has_no_kernels(dtype):
    """Every operator is PyTorch's, and says why."""
    step = StepSettings(batch=1, length=16, dtype=dtype)
    found = operators_by_laws(library())(SMALL, step, torch.device("cpu"))
    assert set(found.reasons) == set(OPERATOR_NAMES)
    assert set(found.reasons.values()) == {"PyTorch: no kernel for device 'cpu'"}


def test_records_and_laws_choose(monkeypatch):
    """On a GPU of which sweeps are recorded attention has what ran fastest there."""
    device = LaunchDevice("NVIDIA H200", "sm_90", 132, sim.launch, lambda: None)
    monkeypatch.setattr("spak.gpt_operators.launch_device", lambda _: device)
    source = operators_by_laws(library())
    step = StepSettings(batch=12, length=1024, dtype=torch.bfloat16)
    reasons = source(GptConfig(), step, torch.device("cpu")).reasons
    assert reasons["attention"].startswith("kernel fmha: ")
    assert "recorded" in reasons["attention"]
    assert reasons["linear"].startswith("PyTorch")
    wide = source(GptConfig(), replace(step, dtype=torch.float32), torch.device("cpu")).reasons
    assert set(wide.values()) == {"PyTorch: kernels are for activations in bfloat16, not torch.float32"}
