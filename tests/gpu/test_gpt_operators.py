"""`spak.add_norm` and `spak.linear_gelu` on a GPU: gradients against float64, compiled, captured, and the same bits twice."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU with a driver here"),
]

from spak.configured import operator_by  # noqa: E402
from spak.kernels import advice  # noqa: E402
from spak.kernels.advice import Advised  # noqa: E402
from spak.kg.space.completion import completed  # noqa: E402
from tests.spak.test_gpt_operators import (  # noqa: E402
    LAWS,
    ROUNDED,
    assert_as_exact,
    definition,
    gelu_call,
    norm_call,
    ops,
    plain_linear_gelu,
)

SIZES = [(1000, 768), (333, 384), (5, 4096), (7, 50)]
"""Rows and width."""


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Those of the ops' defaults, whatever is recorded: none of the sizes is left to PyTorch."""
    monkeypatch.setattr(advice, "_told", told := set())
    monkeypatch.setitem(
        advice._ADVICE,
        operator_by(LAWS).name,
        lambda op, problem, device: Advised(completed(ops()[op], {}), "the default"),
    )
    yield
    assert not told


def drawn(*shape, dtype, seed=0, scale=1.0):
    generator = torch.Generator(device="cuda").manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, device="cuda")).to(dtype).requires_grad_()


def norm_tensors(size, residual, dtype):
    shapes = ((size, residual), (size, dtype), (size[-1:], torch.float32), (size[-1:], torch.float32))
    return tuple(drawn(*shape, dtype=kind, seed=seed) for seed, (shape, kind) in enumerate(shapes))


def linear_tensors(dtype=torch.bfloat16, sizes=(1000, 200, 776)):
    rows, inputs, outputs = sizes
    x, bias = drawn(rows, inputs, dtype=dtype), drawn(outputs, dtype=dtype, seed=2)
    return x, drawn(outputs, inputs, dtype=dtype, seed=1, scale=inputs**-0.5), bias


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize(("residual", "dtype"), [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.bfloat16)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_residual_and_norm_are_right(size, residual, dtype, norm):
    """With both results used, then with one of them."""
    for used in ((True, True), (False, True)):
        tensors = norm_tensors(size, residual, dtype)
        assert_as_exact(norm_call(norm), lambda *given: definition(*given, norm=norm), tensors, ROUNDED[dtype], used)


@pytest.mark.parametrize("sizes", [(1000, 200, 776), (37, 24, 40), (9, 7, 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_linear_gelu_is_right(dtype, sizes):
    """Rows that do not begin at multiples of 16 bytes among them, and views of every second element."""
    tensors = linear_tensors(dtype, sizes)
    assert_as_exact(gelu_call, plain_linear_gelu, tensors, ROUNDED[dtype], (True,))
    spread = [torch.stack((one.detach(), one.detach()), -1)[..., 0].requires_grad_() for one in tensors]
    assert_as_exact(gelu_call, plain_linear_gelu, spread, ROUNDED[dtype], (True,))


def block(residual, branch, gain, bias, weight, offset):
    total, normed = norm_call()(residual, branch, gain, bias)
    return total, gelu_call(normed, weight, offset)


def block_tensors():
    return *norm_tensors((512, 768), torch.float32, torch.bfloat16), *linear_tensors(sizes=(1, 768, 3072))[1:]


def test_compiled_a_block_is_right():
    """By Inductor, in one graph."""
    laws = str(LAWS)

    def call(residual, branch, gain, bias, weight, offset):
        import spak

        total, normed = spak.add_norm(residual, branch, gain, bias, laws=laws)
        return total, spak.linear_gelu(normed, weight, offset, laws=laws)

    def exact(residual, branch, gain, bias, weight, offset):
        total, normed = definition(residual, branch, gain, bias)
        return total, *plain_linear_gelu(normed, weight, offset)

    assert_as_exact(torch.compile(call, fullgraph=True), exact, block_tensors(), 2**-5)


def test_captured_a_block_runs_again_with_the_same_bits():
    """Forward and backward in a CUDA graph, replayed on other numbers, give what plain calls give."""
    tensors = block_tensors()

    def both():
        results = block(*tensors)
        weights = [torch.ones_like(one) for one in results]
        return [*(one.detach() for one in results), *torch.autograd.grad(results, tensors, weights)]

    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        both()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = both()
    with torch.no_grad():
        for one in tensors:
            one.add_(torch.randn_like(one))
    graph.replay()
    replayed = [one.clone() for one in captured]
    for _ in range(2):
        assert all(torch.equal(got, want) for got, want in zip(replayed, both(), strict=True))
