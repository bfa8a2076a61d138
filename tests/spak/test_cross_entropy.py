"""`spak.cross_entropy`: values, gradients and autocast as PyTorch's, one call in a graph, and by the kernel."""

from __future__ import annotations

import warnings
from functools import cache

import pytest

import spak

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from torch.nn import functional  # noqa: E402

from spak.configured import operator_by, recorded_advice  # noqa: E402
from spak.kernels import advice, sim  # noqa: E402
from spak.kernels.advice import Advised  # noqa: E402
from spak.kernels.launch_device import LaunchDevice  # noqa: E402
from tests.shipped import ROOT as LAWS  # noqa: E402
from tests.shipped import library  # noqa: E402

H200 = LaunchDevice("NVIDIA H200", "sm_90", 132, sim.launch, lambda: None)
ROWS, VOCAB = 7, 33


@pytest.fixture(autouse=True)
def quiet():
    """What runs instead is said once in a process."""
    advice._told.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def given(dtype=torch.float32, ignored=-1):
    torch.manual_seed(5)
    targets = torch.randint(VOCAB, (ROWS,))
    targets[2] = ignored
    return (3 * torch.randn(ROWS, VOCAB)).to(dtype).requires_grad_(), targets


def exact(logits, targets, **settings):
    """Loss and gradient by PyTorch in float64."""
    leaf = logits.detach().double().requires_grad_()
    loss = functional.cross_entropy(leaf, targets.long(), **{"ignore_index": -1, **settings})
    weights = torch.linspace(-1, 2, ROWS, dtype=loss.dtype)[: loss.numel()].view(loss.shape)
    return loss.detach(), *torch.autograd.grad(loss, leaf, weights), weights


def assert_exact(logits, targets, *, rtol=1e-5, **settings):
    loss, gradient, weights = exact(logits, targets, **settings)
    found = spak.cross_entropy(logits, targets, laws=LAWS, **settings)
    assert found.dtype == (torch.float64 if logits.dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), loss, rtol=1e-5, atol=1e-6)
    (got,) = torch.autograd.grad(found, logits, weights.to(found.dtype))
    assert got.dtype == logits.dtype
    torch.testing.assert_close(got.double(), gradient, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_those_of_float64(dtype, index, reduction):
    """Also where another target than -1 does not count."""
    logits, targets = given(dtype, ignored=4)
    rtol = 2**-7 if dtype == torch.bfloat16 else 1e-5
    assert_exact(logits, targets.to(index), reduction=reduction, ignore_index=4, rtol=rtol)


@pytest.mark.parametrize("index", [-1, -100, 6])
def test_the_kernel_gives_the_same(monkeypatch, index):
    """On the simulator, of logits that lie apart and of those whose columns do; the caller's stay as they are."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    monkeypatch.setattr(advice, "launch_device", lambda device: H200)
    configuration = operator_configuration()
    calls = []
    name = operator_by(LAWS).name
    monkeypatch.setitem(advice._ADVICE, name, lambda *asked: calls.append(asked) or Advised(configuration, "a test"))
    values, targets = given(ignored=index)
    kept = values.detach().clone()
    assert_exact(values, targets, ignore_index=index, rtol=1e-4)
    assert torch.equal(values.detach(), kept)
    aside = kept.t().contiguous().t().requires_grad_()
    assert_exact(aside, targets, reduction="none", ignore_index=index, rtol=1e-4)
    assert calls[0][1] == {"num_rows": ROWS, "vocab": VOCAB, "dtype": "fp32", "weighted": False}
    empty = spak.cross_entropy(torch.ones(0, 3), torch.ones(0).long(), reduction="sum", laws=LAWS)
    assert empty == 0
    assert_exact(*given(torch.float64))
    assert len(calls) == 2


@cache
def operator_configuration():
    problem = {"num_rows": ROWS, "vocab": VOCAB, "dtype": "fp32", "weighted": False}
    return recorded_advice(library())("cross-entropy", problem, H200).configuration


def test_laws_and_records_choose_once_for_each_size():
    """On an H200 the kernel has a configuration; equal sizes are looked up once."""
    known = recorded_advice(library())
    problem = {"num_rows": 12288, "vocab": 50304, "dtype": "bf16", "weighted": False}
    found = known("cross-entropy", problem, H200)
    assert found.configuration is not None
    assert known("cross-entropy", dict(problem), H200) is found


def test_pytorch_checks_the_operator():
    """Schema, shapes without data, gradients, and the dispatcher's ways."""
    logits, targets = given()
    torch.library.opcheck(torch.ops.spak.cross_entropy.default, (logits, targets, -1, operator_by(LAWS).name))


def test_compiled_it_is_one_graph_and_gives_the_same():
    """Gradients too."""
    logits, targets = given()
    compiled = torch.compile(
        lambda x: 2 * spak.cross_entropy(x, targets, laws=str(LAWS)), backend="aot_eager", fullgraph=True
    )
    loss, gradient, _ = exact(logits, targets)
    found = compiled(logits)
    torch.testing.assert_close(found.double(), 2 * loss, rtol=1e-5, atol=1e-6)
    (got,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close(got.double(), -2 * gradient, rtol=1e-5, atol=1e-6)  # the weight of a scalar is -1


def test_under_autocast_the_loss_is_in_float32():
    """As PyTorch's own is on a GPU; the logits stay as they are."""
    logits, targets = given(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_exact(logits, targets, rtol=2**-7)


def test_it_is_differentiated_once_and_of_no_row_the_mean_is_nan():
    """A second derivative would be wrong without a word."""
    logits, targets = given()
    (gradient,) = torch.autograd.grad(spak.cross_entropy(logits, targets, laws=LAWS), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.square().sum().backward()
    assert spak.cross_entropy(logits, torch.full((ROWS,), -1), laws=LAWS).isnan()


def test_what_runs_instead_is_said_once_to_the_caller():
    """With the reason."""
    with pytest.warns(UserWarning, match="spak.cross_entropy: no kernel for device 'cpu'; torch's cross") as told:
        [spak.cross_entropy(*given(), laws=LAWS) for _ in range(2)]
    assert [one.filename for one in told] == [__file__]


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"logits": [1.0]}, TypeError, "logits: a torch.Tensor"),
        ({"logits": torch.ones(ROWS, VOCAB).int()}, TypeError, "logits: of dtype"),
        ({"logits": torch.ones(ROWS)}, ValueError, "logits: of shape"),
        ({"targets": torch.ones(ROWS)}, TypeError, "targets: of dtype"),
        ({"targets": torch.ones(3).long()}, ValueError, "targets: one for each of 7 rows"),
        ({"targets": torch.ones(ROWS, device="meta").long()}, ValueError, "targets: on the device of logits"),
        ({"reduction": "max"}, ValueError, "reduction: one of mean, sum, none"),
        ({"ignore_index": 1.5}, TypeError, "ignore_index: a whole number"),
        ({"laws": 3}, TypeError, "laws: "),
    ],
)
def test_bad_input_is_named(changed, error, text):
    """By its argument."""
    logits, targets = given()
    with pytest.raises(error, match=text):
        spak.cross_entropy(**{"logits": logits, "targets": targets, "laws": LAWS, **changed})
