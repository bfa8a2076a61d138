"""NanoGPT's operators in torch against float64 autograd of their definitions, and what each may and may not write."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from torch.nn import functional  # noqa: E402

from spak.kernels.add_norm.operator import NormGradients  # noqa: E402
from spak.kernels.nanogpt import torch_operators as plain  # noqa: E402
from spak.kernels.nanogpt.operators import (  # noqa: E402
    OPERATOR_NAMES,
    AdamwConstants,
    AdamwState,
)

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2}
ROWS, WIDTH = 12, 16
NAN = math.nan


def drawn(*shape: int, dtype=torch.float64, seed: int = 0, scale: float = 1.0):
    """Values that every dtype holds exactly enough to be compared."""
    generator = torch.Generator().manual_seed(seed + math.prod(shape))
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def poisoned(*shape: int, dtype=torch.float64):
    return torch.full(shape, NAN, dtype=dtype)


def leaf_of(x):
    return x.detach().to(torch.float64, copy=True).requires_grad_()


def close(got, expected, dtype) -> None:
    """Largest error over the largest value; also where both are 0."""
    assert got.dtype == dtype or dtype == torch.bfloat16
    error = float((got.double() - expected).abs().max())
    assert error <= TOLERANCES[dtype] * max(1e-3, float(expected.abs().max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 4, 6])
def test_embedding(dtype, length):
    """The output layer's gradient stays in dwte; unused positions get 0; a token that repeats sums."""
    tokens = torch.tensor([[3, 3, 0, 5, 3, 1], [3, 2, 3, 3, 3, 3]], dtype=torch.int32)[:, :length].contiguous()
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    wte, wpe = drawn(64, WIDTH, dtype=wide), drawn(6, WIDTH, dtype=wide)
    leaves = [leaf_of(w) for w in (wte, wpe)]
    expected = (leaves[0][tokens.long()] + leaves[1][:length]).flatten(0, 1)
    x = plain.plain_embedding(tokens, wte, wpe, wide)
    assert x.dtype == wide
    assert x.shape == (2 * length, WIDTH)
    close(x, expected.detach(), wide)
    dx = drawn(2 * length, WIDTH, dtype=wide, seed=1)
    before = drawn(64, WIDTH, dtype=dtype, seed=2)
    dwte, dwpe = before.clone(), poisoned(6, WIDTH, dtype=dtype)
    plain.plain_embedding_backward(dx, tokens, dwte, dwpe)
    grads = torch.autograd.grad(expected, leaves, dx.double())
    close(dwte, before.double() + grads[0], dtype)
    close(dwpe, grads[1], dtype)
    assert not dwpe[length:].any()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("past", [True, False])
@pytest.mark.parametrize(
    ("kept", "dtype"), [(torch.float64,) * 2, (torch.float32, torch.bfloat16), (torch.bfloat16,) * 2]
)
def test_add_norm(kept, dtype, bias, past):
    """New residual, norm, and all gradients; nothing that was given is written but the gradients."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    residual, branch = drawn(ROWS, WIDTH, dtype=kept), drawn(ROWS, WIDTH, dtype=dtype, seed=1)
    gain, shift = drawn(WIDTH, dtype=wide), drawn(WIDTH, dtype=wide, seed=1) if bias else None
    given = [x.clone() for x in (residual, branch, gain)]
    total, normed, statistics = plain.plain_add_norm(residual, branch, gain, shift, dtype)
    assert (total.dtype, normed.dtype, statistics.dtype) == (kept, dtype, wide)
    close(total, residual.double() + branch.double(), kept if kept == torch.bfloat16 else dtype)
    leaves = [leaf_of(x) for x in (total, gain, *([shift] if bias else []))]
    expected = functional.layer_norm(leaves[0], (WIDTH,), leaves[1], leaves[2] if bias else None)
    close(normed, expected.detach(), dtype)
    dnormed, dpast = drawn(ROWS, WIDTH, dtype=dtype, seed=2), drawn(ROWS, WIDTH, dtype=kept, seed=3)
    grads = torch.autograd.grad(expected, leaves, dnormed.double())
    out = NormGradients(*(poisoned(WIDTH, dtype=dtype) for _ in range(3)))._replace(**({} if bias else {"bias": None}))
    saved = (total, gain, statistics)
    dx, dbranch = plain.plain_add_norm_backward(dnormed, dpast.clone() if past else None, saved, out, dtype)
    assert (dx.dtype, dbranch.dtype) == (kept, dtype)
    assert (dx is dbranch) == (kept == dtype)
    whole = grads[0] + (dpast.double() if past else 0)
    for got, wanted in [(dx, whole), (dbranch, whole), (out.gain, grads[1]), (out.branch_bias, whole.sum(0))]:
        close(got, wanted, dtype)
    if bias:
        close(out.bias, grads[2], dtype)
    assert all(torch.equal(a, b) for a, b in zip(given, (residual, branch, gain), strict=True))


def test_add_norm_without_a_branch_keeps_the_residual():
    residual = drawn(ROWS, WIDTH)
    assert plain.plain_add_norm(residual, None, torch.ones(WIDTH).double(), None, torch.float64)[0] is residual


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(dtype, bias):
    """Rows of dy may be apart, as those of the logits are."""
    x, weight, shift = drawn(ROWS, WIDTH, dtype=dtype), drawn(40, WIDTH, dtype=dtype), drawn(40, dtype=dtype)
    dy = drawn(ROWS, 64, dtype=dtype, seed=1)[:, :40]
    leaves = [leaf_of(t) for t in (x, weight, shift)]
    expected = functional.linear(leaves[0], leaves[1], leaves[2] if bias else None)
    close(plain.plain_linear(x, weight, shift if bias else None), expected.detach(), dtype)
    grads = torch.autograd.grad(expected, leaves, dy.double(), allow_unused=True)
    close(plain.plain_linear_input_gradient(dy, weight), grads[0], dtype)
    dweight, dbias = poisoned(40, WIDTH, dtype=dtype), poisoned(40, dtype=dtype) if bias else None
    plain.plain_linear_weight_gradient(dy, x, dweight, dbias)
    close(dweight, grads[1], dtype)
    if bias:
        close(dbias, grads[2], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_gelu(dtype):
    """The tanh form, and the gradient through the layer after it."""
    x, weight, shift = drawn(ROWS, WIDTH, dtype=dtype), drawn(32, WIDTH, dtype=dtype), drawn(32, dtype=dtype)
    before, after = plain.plain_linear_gelu(x, weight, shift)
    close(before, functional.linear(x.double(), weight.double(), shift.double()), dtype)
    leaf = leaf_of(before)
    cubic = math.sqrt(2 / math.pi) * (leaf + 0.044715 * leaf**3)
    gelu = 0.5 * leaf * (1 + cubic.tanh())
    close(after, gelu.detach(), dtype)
    dy, next_weight = drawn(ROWS, WIDTH, dtype=dtype, seed=1), drawn(WIDTH, 32, dtype=dtype, seed=1)
    (expected,) = torch.autograd.grad(gelu, leaf, dy.double() @ next_weight.double())
    dbias = poisoned(32, dtype=dtype)
    close(plain.plain_linear_gelu_backward(dy, next_weight, before, dbias), expected, dtype)
    close(dbias, expected.sum(0), dtype)
    plain.plain_linear_gelu_backward(dy, next_weight, before, None)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("length", [1, 7])
def test_attention(dtype, length):
    """Queries, keys and values lie beside each other, head by head, and so do their gradients."""
    heads, dim = 3, 8
    qkv = drawn(2, length, 3 * heads * dim, dtype=dtype)
    leaf = leaf_of(qkv)
    q, k, v = (part.view(2, length, heads, dim).transpose(1, 2) for part in leaf.split(heads * dim, 2))
    scores = (q @ k.transpose(2, 3) / math.sqrt(dim)).masked_fill(torch.ones(length, length).triu(1).bool(), -math.inf)
    expected = (scores.softmax(3) @ v).transpose(1, 2).flatten(2)
    out, saved = plain.plain_attention(qkv, heads, 0.0)
    close(out, expected.detach(), dtype)
    dout = drawn(2, length, heads * dim, dtype=dtype, seed=1)
    (wanted,) = torch.autograd.grad(expected, leaf, dout.double())
    close(plain.plain_attention_backward(dout, saved), wanted, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["ordinary", "large"])
@pytest.mark.parametrize("at_once", [1 << 27, 80])
def test_cross_entropy(dtype, scale, at_once, monkeypatch):
    """Between the rows nothing is written; logits of 10,000 neither overflow nor vanish; several passes are one."""
    monkeypatch.setattr(plain, "LOGITS_AT_ONCE", at_once)
    stored = poisoned(ROWS, 64, dtype=dtype)
    stored[:, :30] = drawn(ROWS, 30, dtype=dtype, scale=scale)
    targets = torch.arange(ROWS, dtype=torch.int32) % 5
    leaf = leaf_of(stored[:, :30])
    expected = functional.cross_entropy(leaf, targets.long(), reduction="none")
    (wanted,) = torch.autograd.grad(expected.sum(), leaf)
    losses = plain.plain_cross_entropy(stored[:, :30], targets, 0.125)
    close(losses, expected.detach(), torch.float64 if dtype == torch.float64 else torch.float32)
    close(stored[:, :30], wanted * 0.125, dtype)
    assert bool(stored[:, 30:].isnan().all())


def adamw_state(dtype=torch.float64, *, copy: bool = False) -> AdamwState:
    first = drawn(192, dtype=dtype, seed=1) * 0.1
    parameters = drawn(192, dtype=dtype)
    return AdamwState(
        parameters, parameters.bfloat16() if copy else None, first, drawn(192, dtype=dtype, seed=2).abs() * 0.1, 128
    )


@pytest.mark.parametrize("clip", [0.0, 1.0, 1e6])
def test_adamw_is_torchs(clip):
    """Two parameter groups, clipped by the norm of both, at the third step."""
    state, gradient, constants = adamw_state(), drawn(192, seed=5), AdamwConstants(clip=clip)
    groups = [state.parameters[:128].clone().requires_grad_(), state.parameters[128:].clone().requires_grad_()]
    optimizer = torch.optim.AdamW(
        [{"params": [groups[0]], "weight_decay": 0.1}, {"params": [groups[1]], "weight_decay": 0.0}],
        lr=0.01,
        betas=(0.9, 0.95),
    )
    for group, part in zip(groups, (slice(128), slice(128, None)), strict=True):
        group.grad = gradient[part].clone()
        moments = {"exp_avg": state.first[part].clone(), "exp_avg_sq": state.second[part].clone()}
        optimizer.state[group] = {"step": torch.tensor(2.0), **moments}
    if clip:
        torch.nn.utils.clip_grad_norm_(groups, clip)
    optimizer.step()
    factors = torch.tensor([0.01, 1 - 0.9**3, 1 - 0.95**3], dtype=torch.float64)
    plain.plain_adamw(state, gradient, plain.plain_gradient_norm(gradient), factors, constants)
    expected = torch.cat([group.detach() for group in groups])
    close(state.parameters, expected, torch.float64)
    close(state.second, torch.cat([optimizer.state[g]["exp_avg_sq"] for g in groups]), torch.float64)
    close(state.first, torch.cat([optimizer.state[g]["exp_avg"] for g in groups]), torch.float64)


def test_adamw_writes_the_bf16_copy_from_bf16_gradients():
    state, gradient = adamw_state(torch.float32, copy=True), drawn(192, dtype=torch.bfloat16, seed=5)
    wide = adamw_state(torch.float32)
    factors = torch.tensor([0.01, 0.1, 0.05])
    for one, given in ((state, gradient), (wide, gradient.float())):
        plain.plain_adamw(one, given, plain.plain_gradient_norm(given), factors, AdamwConstants())
    assert torch.equal(state.parameters, wide.parameters)
    assert torch.equal(state.copy, state.parameters.bfloat16())


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_adamw_leaves_everything_where_the_norm_is_not_finite(bad):
    """One bad batch must not spoil what the run would be looked at with."""
    state = adamw_state(torch.float32, copy=True)
    before = [buffer.clone() for buffer in state[:4]]
    gradient = drawn(192, dtype=torch.float32)
    gradient[7] = bad
    plain.plain_adamw(
        state, gradient, plain.plain_gradient_norm(gradient), torch.tensor([0.01, 0.1, 0.05]), AdamwConstants()
    )
    assert all(torch.equal(now, then) for now, then in zip(state[:4], before, strict=True))


def test_torch_operators_are_complete():
    operators = plain.torch_operators()
    assert all(callable(getattr(operators, name)) for name in OPERATOR_NAMES)
    assert list(operators.reasons) == list(OPERATOR_NAMES)
