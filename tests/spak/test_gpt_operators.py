"""`spak.add_norm` and `spak.linear_gelu`: values and every gradient as in float64, by PyTorch and by kernels, in one graph."""

from __future__ import annotations

import warnings
from functools import cache

import pytest

import spak

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from torch.nn import functional  # noqa: E402

from spak.configured import operator_by  # noqa: E402
from spak.kernels import advice, sim  # noqa: E402
from spak.kernels.advice import Advised  # noqa: E402
from spak.kernels.launch_device import LaunchDevice  # noqa: E402
from spak.kg.space.completion import complete, completed  # noqa: E402
from tests.shipped import ROOT as LAWS  # noqa: E402
from tests.shipped import library  # noqa: E402

H200 = LaunchDevice("NVIDIA H200", "sm_90", 132, sim.launch, lambda: None)
SMALL = {
    "add-norm": {"tile_m": 2, "tile_c": 32, "strips": 128},
    "linear-gelu": {"tile_m": 64, "tile_n": 64, "tile_k": 32, "sigmoid": "exp2"},
}
ROUNDED = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}
"""Dtype -> largest relative error of a norm of what it rounds."""


@pytest.fixture(autouse=True)
def quiet():
    """What runs instead is said once in a process."""
    advice._told.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def ops():
    return library().laws.ops


@pytest.fixture
def by_kernels(monkeypatch):
    """Kernels serve, on the simulator; gives the problems that were asked about."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    monkeypatch.setattr(advice, "launch_device", lambda device: H200)
    asked = []

    def advise(op, problem, device):
        asked.append(complete(ops()[op], problem))
        return Advised(completed(ops()[op], SMALL[op]), "a test")

    monkeypatch.setitem(advice._ADVICE, operator_by(LAWS).name, advise)
    return asked


def drawn(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator).to(dtype).requires_grad_()


def definition(residual, branch, gain, bias=None, norm="layer"):
    total = residual if branch is None else residual + branch
    if norm == "layer":
        return total, functional.layer_norm(total, gain.shape, gain, bias)
    scaled = functional.rms_norm(total, gain.shape, gain, 1e-5)
    return total, scaled if bias is None else scaled + bias


def plain_linear_gelu(x, weight, bias=None):
    return (functional.gelu(functional.linear(x, weight, bias), approximate="tanh"),)


def assert_as_exact(call, exact, tensors, tolerance, used=(True, True)):
    """Results that are `used`, and the gradient of each tensor, against float64; weights differ by element."""
    wide = [None if one is None else one.detach().double().requires_grad_() for one in tensors]
    found, wanted = call(*tensors), exact(*wide)
    found = found if isinstance(found, tuple) else (found,)
    pairs = [pair for pair, is_used in zip(zip(found, wanted, strict=True), used, strict=False) if is_used]
    dots = [
        torch.linspace(-1, 2, want.numel(), dtype=torch.float64, device=want.device).view(want.shape).sin()
        for _, want in pairs
    ]
    loss = sum((got.double() * dot).sum() for (got, _), dot in zip(pairs, dots, strict=True))
    truth = sum((want * dot).sum() for (_, want), dot in zip(pairs, dots, strict=True))
    leaves = [(one, other) for one, other in zip(tensors, wide, strict=True) if one is not None]
    gradients = torch.autograd.grad(loss, [one for one, _ in leaves], allow_unused=True)
    expected = torch.autograd.grad(truth, [other for _, other in leaves], allow_unused=True)
    for got, want in [*pairs, *zip(gradients, expected, strict=True)]:
        if want is None:  # PyTorch's autograd leaves out what has no part
            assert got is None or not got.any()
        else:
            assert got.shape == want.shape
            assert (got.double() - want).norm() <= tolerance * want.norm().clamp_min(1e-3)
    for (one, _), gradient in zip(leaves, gradients, strict=True):
        assert gradient is None or gradient.dtype == one.dtype


def norm_call(norm="layer"):
    return lambda *tensors: spak.add_norm(*tensors, norm=norm, laws=LAWS)


def gelu_call(*tensors):
    return spak.linear_gelu(*tensors, laws=LAWS)


def norm_tensors(residual=torch.float32, dtype=torch.float32, *, branch=True, bias=True, shape=(3, 5, 48)):
    vector = torch.float64 if residual == torch.float64 else torch.float32
    return (
        drawn(*shape, dtype=residual),
        drawn(*shape, dtype=dtype, seed=1) if branch else None,
        drawn(shape[-1], dtype=vector, seed=2),
        drawn(shape[-1], dtype=vector, seed=3) if bias else None,
    )


CASES = [
    ("layer", torch.float32, torch.float32, True, True),
    ("rms", torch.float32, torch.float32, True, False),
    ("layer", torch.float32, torch.bfloat16, True, True),
    ("rms", torch.bfloat16, torch.bfloat16, True, True),
    ("layer", torch.bfloat16, torch.bfloat16, False, False),
    ("rms", torch.float32, torch.float32, False, True),
]


@pytest.mark.parametrize("used", [(True, True), (False, True), (True, False)], ids=["both", "norm", "residual"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_residual_and_norm_and_every_gradient(case, used):
    """Also where but one of the results is used."""
    norm, residual, dtype, branch, bias = case
    tensors = norm_tensors(residual, dtype, branch=branch, bias=bias)
    tolerance = max(ROUNDED[residual], ROUNDED[dtype])
    assert_as_exact(norm_call(norm), lambda *given: definition(*given, norm=norm), tensors, tolerance, used)


@pytest.mark.parametrize("used", [(True, True), (False, True), (True, False)], ids=["both", "norm", "residual"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_kernels_of_the_norm_give_the_same(by_kernels, case, used):
    """On the simulator; what is asked for is what is computed."""
    norm, residual, dtype, branch, bias = case
    tensors = norm_tensors(residual, dtype, branch=branch, bias=bias, shape=(2, 3, 48))
    tolerance = max(ROUNDED[residual], ROUNDED[dtype])
    assert_as_exact(norm_call(norm), lambda *given: definition(*given, norm=norm), tensors, tolerance, used)
    forward, *backward = by_kernels
    assert (forward["num_rows"], forward["width"], forward["norm"], forward["branch"]) == (6, 48, norm, branch)
    assert [one["from_above"] for one in backward] == ([] if not (branch or used[1]) else [branch and used[0]])


def strided(tensor, base):
    """The same numbers, two elements of `base` apart."""
    wide = torch.stack((tensor.detach(), base), -1)
    return wide[..., 0].requires_grad_()


@pytest.mark.parametrize("simulated", [False, True], ids=["torch", "kernels"])
def test_views_and_no_rows_are_served(request, simulated):
    """Rows apart, transposed batches, expanded gradients; no rows give gradients of 0."""
    if simulated:
        request.getfixturevalue("by_kernels")
    spread = [strided(one, torch.full_like(one, torch.nan)) for one in norm_tensors(shape=(2, 3, 16))]
    assert not any(one.is_contiguous() for one in spread)
    assert_as_exact(norm_call(), definition, spread, 2e-5)
    total, normed = spak.add_norm(*spread, laws=LAWS)
    (total.sum() + normed.sum()).backward()
    torch.testing.assert_close(spread[3].grad, torch.full((16,), 6.0))
    turned = drawn(16, 3, 2).transpose(0, 2), drawn(16, 3, 2, seed=7).transpose(0, 2), *spread[2:]
    assert_as_exact(norm_call(), definition, turned, 2e-5)
    empty = norm_tensors(shape=(0, 3, 16))
    sum(one.sum() for one in spak.add_norm(*empty, laws=LAWS)).backward()
    assert [float(one.grad.abs().sum()) for one in empty] == [0.0] * 4
    wide = drawn(2, 3, 24, dtype=torch.bfloat16), drawn(32, 24, dtype=torch.bfloat16), drawn(32, dtype=torch.bfloat16)
    wide = [strided(one, torch.full_like(one, torch.nan)) for one in wide]
    assert_as_exact(gelu_call, plain_linear_gelu, wide, ROUNDED[torch.bfloat16], (True,))
    for shape in ((0, 24), (2, 0, 24)):
        none = [drawn(*shape, dtype=torch.bfloat16), *wide[1:]]
        result = spak.linear_gelu(*none, laws=LAWS)
        assert result.shape == (*shape[:-1], 32)
        assert not torch.autograd.grad(result.sum(), none)[2].any()


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_linear_gelu_and_every_gradient(dtype, bias):
    """Of inputs, weight and bias."""
    tensors = drawn(2, 5, 24, dtype=dtype), drawn(40, 24, dtype=dtype), drawn(40, dtype=dtype) if bias else None
    assert_as_exact(gelu_call, plain_linear_gelu, tensors, ROUNDED[dtype], (True,))


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_kernel_of_linear_gelu_gives_the_same(by_kernels, dtype, bias):
    """On the simulator; in float32 there is none."""
    tensors = drawn(2, 5, 24, dtype=dtype), drawn(40, 24, dtype=dtype), drawn(40, dtype=dtype) if bias else None
    assert_as_exact(gelu_call, plain_linear_gelu, tensors, ROUNDED[dtype], (True,))
    assert [(one["num_rows"], one["in_features"], one["out_features"]) for one in by_kernels] == [(10, 24, 40)]
    assert_as_exact(gelu_call, plain_linear_gelu, (drawn(3, 24), drawn(40, 24)), 2e-5, (True,))
    assert len(by_kernels) == 1


def test_what_the_kernels_of_the_norm_do_not_serve_is_pytorchs(by_kernels):
    """Float64, in which gradients are checked by differences; float16 streams; and what laws advise against."""
    tensors = norm_tensors(torch.float64, torch.float64, shape=(2, 16))
    for norm in ("layer", "rms"):
        assert torch.autograd.gradcheck(norm_call(norm), tensors)
    assert_as_exact(norm_call(), definition, norm_tensors(torch.float16, torch.float16), ROUNDED[torch.float16])
    assert not by_kernels
    advice._ADVICE[operator_by(LAWS).name] = lambda *asked: Advised(None, "torch took 1 us, the fastest kernel 2")
    with pytest.warns(UserWarning, match="spak.add_norm: torch took 1 us, the fastest kernel 2; torch's addition"):
        assert_as_exact(norm_call(), definition, norm_tensors(), 2e-5)


def test_pytorch_checks_the_operators():
    """Schema, shapes without data, gradients, and the dispatcher's ways."""
    laws = operator_by(LAWS).name
    residual, branch, gain, bias = norm_tensors(torch.float32, torch.bfloat16, shape=(4, 16))
    checked = torch.library.opcheck
    checked(torch.ops.spak.add_norm.default, (residual, branch, gain, bias, "layer", torch.bfloat16, laws))
    alone = (residual, None, gain, None, "rms", torch.float32, laws)
    quick = ("test_schema", "test_autograd_registration", "test_faketensor")
    checked(torch.ops.spak.add_norm.default, alone, test_utils=quick)
    checked(torch.ops.spak.linear_gelu.default, (drawn(4, 16), drawn(24, 16), drawn(24), laws), test_utils=quick)


def test_compiled_they_are_one_graph_and_give_the_same():
    """A block of both, under autocast as well: values and gradients of every parameter."""
    tensors = [*norm_tensors(shape=(2, 3, 16)), drawn(24, 16), drawn(24)]

    def block(residual, branch, gain, bias, weight, offset):
        total, normed = spak.add_norm(residual, branch, gain, bias, laws=str(LAWS))
        last = spak.add_norm(total, None, gain, norm="rms", laws=str(LAWS))[1]
        return total, spak.linear_gelu(normed + last, weight, offset, laws=str(LAWS))

    def exact(residual, branch, gain, bias, weight, offset):
        total, normed = definition(residual, branch, gain, bias)
        return total, plain_linear_gelu(normed + definition(total, None, gain, norm="rms")[1], weight, offset)[0]

    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    assert_as_exact(compiled, exact, tensors, 2e-5)
    for call in (block, torch.compile(block, backend="aot_eager", fullgraph=True)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            total, after = call(*tensors)
            assert (total.dtype, after.dtype) == (torch.float32, torch.bfloat16)
            assert_as_exact(call, exact, tensors, 2**-5)


def test_they_are_differentiated_once():
    """A second derivative would be wrong without a word."""
    tensors = norm_tensors(shape=(2, 16))
    for result in (spak.add_norm(*tensors, laws=LAWS)[1], gelu_call(tensors[0], drawn(24, 16))):
        (gradient,) = torch.autograd.grad(result.square().sum(), tensors[0], create_graph=True)
        with pytest.raises(RuntimeError, match="once, not twice"):
            gradient.square().sum().backward()


def test_what_runs_instead_is_said_once_to_the_caller():
    """With the reason, each operator for itself."""
    tensors = norm_tensors(shape=(2, 16))
    with pytest.warns(UserWarning, match="no kernel for device 'cpu'; torch's") as told:
        [gelu_call(spak.add_norm(*tensors, laws=LAWS)[1], drawn(24, 16)).sum().backward() for _ in range(2)]
    assert [str(one.message).partition(":")[0] for one in told] == ["spak.add_norm", "spak.linear_gelu"]
    assert {one.filename for one in told} == {__file__}


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"residual": [1.0]}, TypeError, "residual: a torch.Tensor"),
        ({"residual": torch.ones(3, 4).int()}, TypeError, "residual: of dtype"),
        ({"residual": torch.ones(())}, ValueError, "residual: of shape"),
        ({"residual": torch.ones(3, 0)}, ValueError, "residual: of shape"),
        ({"residual": torch.ones(3, 4).to_sparse()}, TypeError, "residual: a dense tensor"),
        ({"branch": torch.ones(4)}, ValueError, "branch: of shape"),
        ({"branch": torch.ones(3, 4).double()}, TypeError, "branch: float64 beside float64"),
        ({"gain": None}, TypeError, "gain: a torch.Tensor"),
        ({"gain": torch.ones(3)}, ValueError, "gain: of shape"),
        ({"bias": torch.ones(4, device="meta")}, ValueError, "bias: on the device of residual"),
        ({"norm": "batch"}, ValueError, "norm: one of layer, rms"),
        ({"laws": 3}, TypeError, "laws: "),
    ],
)
def test_bad_input_of_the_norm_is_named(changed, error, text):
    """By its argument."""
    given = {"residual": torch.ones(3, 4), "branch": torch.ones(3, 4), "gain": torch.ones(4), "laws": LAWS}
    with pytest.raises(error, match=text):
        spak.add_norm(**{**given, **changed})


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"x": 1}, TypeError, "x: a torch.Tensor"),
        ({"x": torch.ones(())}, ValueError, "x: of shape"),
        ({"weight": torch.ones(4)}, ValueError, "weight: of shape"),
        ({"weight": torch.ones(5, 3)}, ValueError, r"weight: of shape \(5, 4\)"),
        ({"weight": torch.ones(5, 4).half()}, TypeError, "weight: of the dtype of x"),
        ({"bias": torch.ones(4)}, ValueError, "bias: of shape"),
        ({"bias": torch.ones(5).bfloat16()}, TypeError, "bias: of the dtype of x"),
    ],
)
def test_bad_input_of_linear_gelu_is_named(changed, error, text):
    """By its argument."""
    given = {"x": torch.ones(3, 4), "weight": torch.ones(5, 4), "bias": torch.ones(5), "laws": LAWS}
    with pytest.raises(error, match=text):
        spak.linear_gelu(**{**given, **changed})
