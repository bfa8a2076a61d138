"""NanoGPT as a module: logits and gradients of a plain torch model, GPT-2's weights, autocast, and what it refuses."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from torch.nn import functional  # noqa: E402

from spak.kernels.nanogpt.parameters import GptConfig, initial_gpt_parameters  # noqa: E402
from spak.kernels.nanogpt.reference import gpt_logits  # noqa: E402
from spak.kernels.nanogpt.state_dict import to_state_dict  # noqa: E402
from spak.kernels.nanogpt.torch_module import GptModule  # noqa: E402

CONFIG = GptConfig(vocab=11, width=16, layers=2, heads=2, context=6)
TOKENS = torch.randint(11, (3, 5), generator=torch.Generator().manual_seed(1))


def test_logits_and_gradients_are_those_of_a_plain_model():
    """Through a loss that autograd differentiates; padding of the vocabulary gets no gradient."""
    model = GptModule(CONFIG, seed=2).double()
    logits = model(TOKENS)
    assert logits.shape == (3, 5, 11)
    reference = gpt_logits(CONFIG, dict(model.named_parameters()), TOKENS)
    torch.testing.assert_close(logits, reference, rtol=1e-10, atol=1e-12)
    targets = TOKENS.roll(1, 1).flatten()
    expected = torch.autograd.grad(functional.cross_entropy(reference.flatten(0, 1), targets), list(model.parameters()))
    functional.cross_entropy(logits.flatten(0, 1), targets).backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)
    assert not model.wte.weight.grad[11:].any()


def test_an_optimiser_of_torch_trains_it():
    model = GptModule(CONFIG, seed=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        loss = functional.cross_entropy(model(TOKENS[:, :-1]).flatten(0, 1), TOKENS[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
    assert not model.wte.weight[11:].any()


def test_under_autocast_activations_are_bf16_and_gradients_float32():
    model = GptModule(CONFIG, seed=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(TOKENS)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(TOKENS), rtol=0.05, atol=0.02)
    logits.float().square().mean().backward()
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}


def test_it_takes_gpt_2s_weights():
    """Parameters have GPT-2's names, and a state dict of that shape loads."""
    flat = initial_gpt_parameters(CONFIG, 5)
    model = GptModule(CONFIG, seed=2)
    model.load_gpt2(to_state_dict(CONFIG, flat))
    other = GptModule(CONFIG, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert {"wte.weight", "h.1.mlp.c_proj.bias", "ln_f.weight"} <= set(model.state_dict())


def test_a_gradient_asked_for_twice_is_an_error():
    """The tape is freed as the backward pass goes."""
    logits = GptModule(CONFIG)(TOKENS).sum()
    logits.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="asked for twice"):
        logits.backward()


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (TOKENS.float(), TypeError, "tokens: must be integers"),
        (TOKENS > 1, TypeError, "tokens: must be integers"),
        (TOKENS[0], ValueError, r"tokens: must be \(B, T\) with T from 1 to 6 \(got \(5,\)\)"),
        (TOKENS.repeat(1, 2), ValueError, r"\(got \(3, 10\)\)"),
        (TOKENS[:, :0], ValueError, r"\(got \(3, 0\)\)"),
        (TOKENS[:0], ValueError, r"\(got \(0, 5\)\)"),
        (torch.tensor([[0, 11]]), ValueError, r"tokens: must be from 0 to 10 \(got 0 to 11\)"),
    ],
    ids=["float", "bool", "row", "long", "empty", "none", "beyond"],
)
def test_what_are_no_tokens_is_refused(tokens, error, message):
    with pytest.raises(error, match=message):
        GptModule(CONFIG)(tokens)


def test_tokens_may_lie_apart():
    """A view of every second column is read as what it is."""
    wide = TOKENS.repeat_interleave(2, 1)
    model = GptModule(CONFIG)
    assert torch.equal(model(wide[:, ::2]), model(TOKENS))


def test_half_precision_autocast_is_refused():
    with pytest.raises(TypeError, match="dtype: activations are bfloat16"), torch.autocast("cpu", dtype=torch.float16):
        GptModule(CONFIG)(TOKENS)
