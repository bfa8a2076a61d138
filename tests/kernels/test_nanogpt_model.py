"""NanoGPT's passes and step, on the CPU: every gradient against float64 autograd, and what a step may and may not change."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from dataclasses import replace  # noqa: E402

from spak.kernels.nanogpt.parameters import GptConfig, ParameterLayout, initial_gpt_parameters  # noqa: E402
from spak.kernels.nanogpt.passes import Network, gpt_backward, gpt_forward  # noqa: E402
from spak.kernels.nanogpt.reference import gpt_logits, gpt_loss  # noqa: E402
from spak.kernels.nanogpt.torch_operators import torch_operators  # noqa: E402
from spak.kernels.nanogpt.training_step import StepSettings, TrainingStep  # noqa: E402

SMALL = GptConfig(vocab=11, width=24, layers=2, heads=3, context=7)
OPERATORS = torch_operators()


def parameters_of(config: GptConfig, scale: float = 5.0, dtype=torch.float64):
    """Larger than a run begins with, biases too, so that no gradient is small beside rounding."""
    flat = initial_gpt_parameters(config, 1).to(dtype)
    generator = torch.Generator().manual_seed(2)
    for view in ParameterLayout.of(config).views(flat).values():
        if view.ndim == 1:
            view.add_(0.1 * torch.randn(view.shape, generator=generator).to(dtype))
        else:
            view.mul_(scale)  # padding rows stay 0
    return flat


def tokens_of(config: GptConfig, batch: int, length: int, *, repeated: bool = False):
    generator = torch.Generator().manual_seed(3)
    top = 1 if repeated else config.vocab
    return torch.randint(top, (2, batch, length), generator=generator, dtype=torch.int32)


def expected_gradients(config: GptConfig, flat, batch):
    leaf = flat.double().detach().clone().requires_grad_()
    loss = gpt_loss(config, ParameterLayout.of(config).views(leaf), *batch)
    return float(loss.detach()), torch.autograd.grad(loss, leaf)[0]


def worst(config: GptConfig, got, expected) -> float:
    """Largest relative error of a parameter's gradient, in the largest of that parameter's; padding has to be exact."""
    layout = ParameterLayout.of(config)
    errors = [
        float((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-9))
        for a, b in zip(layout.views(got).values(), layout.views(expected).values(), strict=True)
    ]
    return max(errors)


CASES = {
    "ordinary": (SMALL, 3, 7, {}),
    "no-bias": (replace(SMALL, bias=False), 3, 7, {}),
    "short": (SMALL, 2, 3, {}),
    "one-row": (SMALL, 1, 1, {}),
    "one-token": (SMALL, 3, 7, {"repeated": True}),
    "unpadded": (replace(SMALL, vocab=64), 2, 7, {}),
    "one-layer": (replace(SMALL, layers=1, heads=1), 2, 7, {}),
}


@pytest.mark.parametrize(("config", "batch", "length", "options"), CASES.values(), ids=CASES)
def test_every_gradient_is_autograds(config, batch, length, options):
    """In float64, of a reference that shares no code with the passes; buffers begin with NaN."""
    flat, given = parameters_of(config), tokens_of(config, batch, length, **options)
    layout = ParameterLayout.of(config)
    net = Network(config, OPERATORS, layout.views(flat), layout.views(flat), torch.float64)
    logits, tape = gpt_forward(net, given[0])
    assert logits.shape == (batch * length, config.padded_vocab)
    reference = gpt_logits(config, layout.views(flat), given[0]).flatten(0, 1)
    torch.testing.assert_close(logits[:, : config.vocab], reference, rtol=1e-12, atol=1e-12)
    assert not logits[:, config.vocab :].any()
    OPERATORS.cross_entropy(logits[:, : config.vocab], given[1].view(-1), 1 / (batch * length))
    gradients = torch.full((layout.size,), torch.nan, dtype=torch.float64)
    gpt_backward(net, tape, logits, layout.views(gradients))
    assert not tape.blocks
    assert worst(config, gradients, expected_gradients(config, flat, given)[1]) < 1e-10


@pytest.mark.parametrize("scale", [1.0, 200.0], ids=["initial", "large-logits"])
def test_float32_is_as_near_as_float32_is(scale):
    flat, given = parameters_of(SMALL, scale, torch.float32), tokens_of(SMALL, 3, 7)
    step = stepping(SMALL, flat, batch=3, length=7)
    step.run([given])
    loss, expected = expected_gradients(SMALL, parameters_of(SMALL, scale, torch.float32), given)
    assert float(step.history()[0, 0]) == pytest.approx(loss, rel=1e-4)
    assert worst(SMALL, step.gradients, expected) < (1e-4 if scale == 1 else 2e-2)


@pytest.mark.parametrize("kept", ["float32", "bfloat16"])
def test_bf16_beside_float32_parameters(kept):
    """As on a GPU: the residual stream in either type, gradients within what bf16 rounds."""
    config = replace(SMALL, residual_dtype=kept)
    flat, given = parameters_of(config, 3.0, torch.float32), tokens_of(config, 4, 7)
    expected = expected_gradients(config, flat, given)[1]
    step = stepping(config, flat, batch=4, length=7, dtype=torch.bfloat16)
    step.run([given])
    assert step.gradients.dtype == torch.bfloat16
    assert worst(config, step.gradients, expected) < 0.08
    assert torch.equal(step.state.copy, step.state.parameters.bfloat16())


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], r"batches: must be 1 \(got 0\)"),
        (
            [torch.zeros(2, 3, 6, dtype=torch.int32)],
            r"batches: must be int32 \(2, 3, 7\) \(got torch.int32 \(2, 3, 6\)\)",
        ),
        ([torch.zeros(2, 3, 7)], r"\(got torch.float32 \(2, 3, 7\)\)"),
    ],
    ids=["none", "short", "float"],
)
def test_batches_of_another_shape_are_refused(batches, message):
    """Before anything is computed: no buffer is broadcast into."""
    step = stepping(SMALL, parameters_of(SMALL), batch=3, length=7)
    with pytest.raises(ValueError, match=message):
        step.run(batches)
    assert step.history().isnan().all()


def test_processes_are_made_one_before_the_norm():
    """What `reduce` makes of the gradients is what is clipped and applied."""
    given = tokens_of(SMALL, 3, 7)
    alone = stepping(SMALL, parameters_of(SMALL), batch=3, length=7, dtype=torch.float64)
    factors = torch.full((5, 3), 0.1, dtype=torch.float64)
    settings = StepSettings(3, 7, dtype=torch.float64)
    halved = TrainingStep(SMALL, OPERATORS, parameters_of(SMALL), factors, settings, lambda flat: flat.mul_(0.5))
    for step in (alone, halved):
        step.run([given])
    assert float(halved.history()[0, 1]) == pytest.approx(float(alone.history()[0, 1]) / 2, rel=1e-12)


def test_a_bad_gradient_is_named_and_a_good_step_is_not_blamed():
    """The backward pass alone may go wrong, too."""
    step = stepping(SMALL, parameters_of(SMALL), batch=3, length=7, dtype=torch.float64)
    given = tokens_of(SMALL, 3, 7)
    assert step.failure([given]) == "no tensor when it was run again"
    bad = replace(OPERATORS, attention_backward=lambda dout, saved: OPERATORS.attention_backward(dout, saved) / 0)
    factors, settings = torch.full((5, 3), 0.1), StepSettings(3, 7, dtype=torch.float64)
    broken = TrainingStep(SMALL, bad, parameters_of(SMALL), factors, settings)
    assert broken.failure([given]) == "the gradient of h.1.attn.c_attn.bias"


def stepping(config: GptConfig, flat, steps: int = 5, **settings) -> TrainingStep:
    factors = torch.tensor([[0.01, 1 - 0.9**t, 1 - 0.95**t] for t in range(1, steps + 1)], dtype=torch.float64)
    return TrainingStep(config, OPERATORS, flat, factors, StepSettings(**settings))
