"""The operator on the simulator and on the CPU: gradients, views, tracing, autocast, bad input, and what is not finite."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from spak.kernels import advice, sim  # noqa: E402
from spak.kernels.attention.backward.spec import SPEC as BACKWARD  # noqa: E402
from spak.kernels.attention.operator import library  # noqa: E402, F401
from spak.kernels.attention.operator.dispatch import AttentionOperator  # noqa: E402
from spak.kernels.attention.operator.plan import DETERMINISTIC, GRID_LIMITS, fitted, is_fitting  # noqa: E402
from spak.kernels.launch_device import LaunchDevice, launch_device  # noqa: E402
from spak.kernels.registry import spec  # noqa: E402

SMALL = {
    "tile_m": 32,
    "tile_n": 32,
    "dq_tile_m": 32,
    "dq_tile_n": 32,
    "num_worker_warps": 0,
    "dq_worker_warps": 0,
    "occupancy": 1,
    "dq_occupancy": 1,
}
LAWS = Path(__file__).parents[2] / "laws/ops"


def untuned(op):
    """The op's default, of small tiles."""
    parameters = yaml.safe_load((LAWS / f"{op}.yaml").read_text())["parameters"]
    return {name: SMALL.get(name, parameter["default"]) for name, parameter in parameters.items()}


CONFIGURATIONS = {op: untuned(op) for op in ("fmha", "fmha-backward")}
GPU = LaunchDevice("a simulator", "sm_90", 2, sim.launch, lambda: None)
ASKED: list[tuple[str, str]] = []


def choose(op, problem, device, where):
    """Small tiles; notes what was asked for."""
    ASKED.append((op, where))
    form = "split" if where == DETERMINISTIC else "fused"
    return CONFIGURATIONS[op] if op == "fmha" else {**CONFIGURATIONS[op], "dq_form": form}


SIMULATED = AttentionOperator("simulated", choose, lambda device: GPU)
BY_TORCH = AttentionOperator("by-torch", choose)


def attend(q, k, v, *, causal=False, scale=None, q_offset=0, deterministic=False):
    return SIMULATED(q, k, v, causal, scale, q_offset, deterministic)


def drawn(*shapes, dtype=torch.float16):
    generator = torch.Generator().manual_seed(sum(map(sum, shapes)))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def qkv(heads=2, kv_heads=1, seq_q=40, seq_kv=50, head_dim=16, dtype=torch.float16):
    return drawn((1, heads, seq_q, head_dim), *[(1, kv_heads, seq_kv, head_dim)] * 2, dtype=dtype)


def exact(q, k, v, do, *, causal=False, scale=None, q_offset=0):
    """Output and gradients in float64, by autograd."""
    q, k, v = (one.detach().double().requires_grad_() for one in (q, k, v))
    group = q.shape[1] // k.shape[1]
    scores = q @ k.repeat_interleave(group, 1).transpose(2, 3) * (q.shape[3] ** -0.5 if scale is None else scale)
    if causal:
        hidden = torch.ones(scores.shape[2:], dtype=torch.bool).triu(1 + q_offset)
        scores = scores.masked_fill(hidden, float("-inf"))
    out = torch.softmax(scores, -1) @ v.repeat_interleave(group, 1)
    return out.detach(), *torch.autograd.grad(out, (q, k, v), do.double())


def errors(found, want):
    return [((one.double() - two).norm() / two.norm()).item() for one, two in zip(found, want, strict=True)]


def judged(views, call=attend, **settings):
    """Output and gradients, held to float64."""
    out = call(*views, **settings)
    do = drawn(out.shape, dtype=out.dtype)[0].detach()
    found = (out.detach(), *torch.autograd.grad(out, views, do))
    settings.pop("deterministic", None)
    off = errors(found, exact(*views, do, **settings))
    limits = (1e-3, 2e-3) if out.dtype == torch.float16 else (8e-3, 1e-2)
    assert off[0] <= limits[0], off
    assert max(off[1:]) <= limits[1], off
    return found


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize(
    ("sizes", "settings"),
    [
        ({}, {}),
        ({}, {"causal": True, "q_offset": 10}),
        ({"dtype": torch.bfloat16, "head_dim": 24}, {"causal": True, "scale": 0.4}),
    ],
)
def test_values_and_gradients(sizes, settings, deterministic):
    """Of both forms of the backward pass, by the kernels' own source."""
    ASKED.clear()
    judged(qkv(**sizes), deterministic=deterministic, **settings)
    assert {where for op, where in ASKED if op == BACKWARD.op} <= {DETERMINISTIC if deterministic else ""}


def test_every_gradient_alone():
    """Whichever of the inputs learns; and nothing is kept if none does."""
    q, k, v = (one.detach() for one in qkv())
    do = torch.randn(q.shape).half()
    want = exact(q, k, v, do)[1:]
    for place in range(3):
        inputs = [one.clone().requires_grad_() if place == n else one for n, one in enumerate((q, k, v))]
        [found] = torch.autograd.grad(attend(*inputs), [inputs[place]], do)
        assert errors([found], [want[place]])[0] <= 2e-3
    assert not attend(q, k, v).requires_grad
    with torch.no_grad():
        assert not attend(*qkv()).requires_grad


@pytest.mark.parametrize("way", ["at once", "dispatched"])
def test_a_second_derivative_is_refused(way):
    """It would be missing from a sum, and nobody would see."""
    q, k, v = qkv()
    out = attend(q, k, v) if way == "at once" else SIMULATED.dispatched(q, k, v, False, None, 0, False)
    [dq] = torch.autograd.grad(out.sum(), [q], create_graph=True)
    with pytest.raises(RuntimeError, match="not twice"):
        (out.sum() + dq.square().sum()).backward()


@pytest.mark.parametrize("how", ["rows-first", "packed"])
def test_views_are_read_as_they_lie(how, monkeypatch):
    """No copy; the result lies as the query does, and gradients reach what was viewed."""
    if how == "packed":
        [leaf] = drawn((1, 40, 3, 2, 16))
        views = [one.transpose(1, 2) for one in leaf.unbind(2)]
    else:
        [*leaves] = drawn(*[(1, 40, 2, 16)] * 3)
        views = [leaf.transpose(1, 2) for leaf in leaves]
    assert all(fitted(view) is view for view in views)
    out, dq, *_ = judged(views, causal=True)
    assert out.transpose(1, 2).is_contiguous()
    assert dq.transpose(1, 2).is_contiguous()
    attend(*views).sum().backward()
    assert (leaf if how == "packed" else leaves[0]).grad.abs().sum() > 0


def test_what_kernels_cannot_read_is_copied_once_and_right():
    """Channels that are not neighbours, rows off 16 bytes, heads that are one; but not what no copy would mend."""
    turned = [one.detach().transpose(2, 3).contiguous().transpose(2, 3).requires_grad_() for one in qkv()]
    off = [torch.randn(1, 2, 40, 17).half()[..., 1:].requires_grad_() for _ in range(3)]
    shared = [one.expand(1, 2, -1, -1) for one in drawn(*[(1, 1, 40, 16)] * 3)]
    for views in (turned, off, shared):
        assert fitted(views[0]) is not views[0]
        judged(views)
    assert attend(*turned).is_contiguous()
    assert not is_fitting((1, 2, 40, 16), (2**33, 2**32, 16, 1))
    assert is_fitting((1, 2, 40, 20), (1600, 800, 20, 1))


def test_a_gradient_that_is_one_number_everywhere():
    """What `sum` sends back has no memory of its own."""
    views = qkv()
    found = torch.autograd.grad(attend(*views).sum(), views)
    want = exact(*views, torch.ones(views[0].shape).half())[1:]
    assert max(errors(found[2:], want[2:])) <= 2e-3


@pytest.mark.parametrize("op", [SIMULATED, BY_TORCH], ids=lambda op: op.name)
def test_the_dispatcher_s_operator_keeps_its_promises(op):
    """Schema, shapes without data, gradients, and tracing with unknown sizes, as PyTorch checks them."""
    call = torch.ops.spak.attention_forward.default
    if op is BY_TORCH:
        inputs = qkv(seq_q=3, seq_kv=4, head_dim=2, dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda *a: call(*a, True, 0.25, 3, False, op.name)[0], inputs)
    result = torch.library.opcheck(call, (*qkv(), True, 0.25, 3, False, op.name), atol=1e-2, rtol=1e-2)
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.parametrize("op", [SIMULATED, BY_TORCH], ids=lambda op: op.name)
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_without_a_break_it_is_the_same(op, dynamic):
    """Forward and backward, one graph each."""
    views = qkv()
    traced = torch.compiler.allow_in_graph(lambda *a: op.dispatched(*a, True, None, 3, False))
    compiled = torch.compile(lambda *a: traced(*a) * 2, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    do = torch.randn(views[0].shape).half()
    found, want = (
        (out := call(*views), *torch.autograd.grad(out, views, do))
        for call in (compiled, lambda *a: 2 * op(*a, True, None, 3, False))
    )
    assert max(errors(found, [one.double() for one in want])) < 2e-3


def test_a_forward_pass_that_no_kernel_serves_has_no_kernel_for_its_gradients():
    """PyTorch's leaves no log-sum-exp for it."""
    op = AttentionOperator(
        "backward only", lambda op, *rest: choose(op, *rest) if op == BACKWARD.op else None, lambda _: GPU
    )
    advice._told.clear()
    with pytest.warns(UserWarning, match="no configuration of fmha"):
        judged(
            qkv(),
            lambda *a, causal, q_offset: op.dispatched(*a, causal, None, q_offset, False),
            causal=True,
            q_offset=10,
        )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_traced_by_torchscript_it_computes():
    """A launch leaves nothing in a trace, but the dispatcher's operator does."""
    q, k, v = (one.detach() for one in qkv())
    traced = torch.jit.trace(attend, (q, k, v), check_trace=False)
    assert torch.equal(traced(2 * q, k, v), attend(2 * q, k, v))


def test_watched_calls_take_the_dispatcher():
    """A mode, a tracer, a subclass: whoever looks sees the operator."""
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):
        names: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names.append(str(func))
            return func(*args, **(kwargs or {}))

    with Seen() as seen:
        found = attend(*qkv())
    assert "spak.attention_forward.default" in seen.names
    assert torch.equal(found, attend(*qkv()))
    traced = make_fx(partial(attend, causal=False))(*[one.detach() for one in qkv()])
    assert "spak.attention_forward" in traced.code
    assert attend(*[one.detach().to("meta") for one in qkv()]).shape == (1, 2, 40, 16)
    q, k, v = (one.detach() for one in qkv())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(q, torch.ones_like(q))
        with pytest.raises(NotImplementedError, match="forward-mode"):
            attend(dual, k, v)


@pytest.mark.parametrize(
    "call", [attend, lambda *a: torch.ops.spak.attention_forward(*a, False, 0.25, 0, False, "simulated")[0]]
)
def test_autocast_casts_what_goes_in_and_gradients_come_back_as_it_was(call):
    """But float64 is left, as PyTorch leaves it."""
    views = qkv(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = call(*views)
        with pytest.warns(UserWarning, match="float64") if call is attend else warnings.catch_warnings():
            advice._told.clear()
            assert call(*qkv(dtype=torch.float64)).dtype == torch.float64
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert {one.grad.dtype for one in views} == {torch.float32}


BAD = {
    "q": [
        (TypeError, lambda q, k, v: ([1], k, v)),
        (TypeError, lambda q, k, v: (q.int(), k, v)),
        (TypeError, lambda q, k, v: [one.to(torch.float8_e4m3fn) for one in (q, k, v)]),
        (TypeError, lambda q, k, v: (q.to_sparse(), k, v)),
        (ValueError, lambda q, k, v: (q[0], k, v)),
        (ValueError, lambda q, k, v: (q[..., :0], k[..., :0], v[..., :0])),
    ],
    "k": [
        (TypeError, lambda q, k, v: (q, k.bfloat16(), v)),
        (TypeError, lambda q, k, v: (q, None, v)),
        (ValueError, lambda q, k, v: (q, k.to("meta"), v)),
        (ValueError, lambda q, k, v: (q, k[..., :8], v)),
        (ValueError, lambda q, k, v: (q, k.expand(2, -1, -1, -1), v)),
        (ValueError, lambda q, k, v: (q.expand(1, 2, -1, -1), k.repeat(1, 3, 1, 1), v.repeat(1, 3, 1, 1))),
        (ValueError, lambda q, k, v: (q, k[:, :0], v[:, :0])),
    ],
    "v": [
        (TypeError, lambda q, k, v: (q, k, v.double())),
        (ValueError, lambda q, k, v: (q, k, v[:, :, :7])),
        (ValueError, lambda q, k, v: (q, k, v[..., :8])),
        (ValueError, lambda q, k, v: (q, k, v[:, 0])),
    ],
}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(("name", "kind", "spoil"), [(n, *one) for n, every in BAD.items() for one in every])
def test_a_bad_tensor_is_named(name, kind, spoil, traced):
    """Whichever way the call takes."""
    given = spoil(*[one.detach() for one in qkv()])
    with pytest.raises(kind, match=rf"^{name}: "):
        (SIMULATED.dispatched if traced else SIMULATED)(*given, False, None, 0, False)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ({"causal": "yes"}, TypeError),
        ({"causal": None}, TypeError),
        ({"q_offset": -1}, ValueError),
        ({"q_offset": 1.5}, TypeError),
        ({"scale": float("nan")}, ValueError),
        ({"scale": float("inf")}, ValueError),
        ({"scale": "1"}, TypeError),
        ({"deterministic": "no"}, TypeError),
    ],
)
def test_a_bad_setting_is_named(setting, kind):
    """And nothing is planned for it."""
    [name] = setting
    for _ in range(2):
        with pytest.raises(kind, match=rf"^{name}: "):
            attend(*qkv(), **setting)


def test_what_equals_a_good_setting_is_no_better_for_that():
    """One that was planned for before."""
    attend(*qkv(), causal=True, q_offset=1)
    with pytest.raises(TypeError, match=r"^causal: "):
        attend(*qkv(), causal=1, q_offset=1)
    with pytest.raises(TypeError, match=r"^q_offset: "):
        attend(*qkv(), causal=True, q_offset=True)


def test_no_row_and_no_key():
    """Nothing, and zeros that nothing changes."""
    q, k, v = qkv()
    assert attend(q[:0], k[:0], v[:0]).shape == (0, 2, 40, 16)
    assert attend(q[:, :, :0], k, v, causal=True).shape == (1, 2, 0, 16)
    assert attend(q[:, :0], k[:, :0], v[:, :0]).shape == (1, 0, 40, 16)
    out = attend(q, k[:, :, :0], v[:, :, :0])
    assert out.shape == q.shape
    assert not out.any()
    gradients = torch.autograd.grad(out.sum(), (q, k, v))
    assert not any(one.any() for one in gradients)


UNSERVED = {
    "float32": (lambda: qkv(dtype=torch.float32), {}),
    "head_dim 8": (lambda: qkv(head_dim=8), {}),
    "head_dim 264": (lambda: qkv(head_dim=264, seq_q=4, seq_kv=4), {}),
    "scale -1": (qkv, {"scale": -1.0}),
}


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("what", UNSERVED)
def test_what_no_kernel_serves_is_pytorch_s_and_says_so_once(what, learns):
    """With the same offset, and with gradients."""
    advice._told.clear()
    make, settings = UNSERVED[what]
    views = make()
    op = AttentionOperator("unserving", choose, lambda device: GPU)
    with torch.set_grad_enabled(learns), pytest.warns(UserWarning, match=f"spak.attention: no kernel for .*{what}"):
        op(*views, True, settings.get("scale"), 3, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judged(views, causal=True, q_offset=3, **settings)
        judged(views, causal=True, q_offset=3, deterministic=True, **settings)


def test_a_gpu_without_a_configuration_and_a_grid_beyond_limits(monkeypatch):
    """Say so, and PyTorch's attention runs."""
    advice._told.clear()
    nothing = AttentionOperator("nothing", lambda *_: None, lambda device: GPU)
    with pytest.warns(UserWarning, match="no configuration of fmha"):
        assert nothing(*qkv(), False, None, 0, False).shape == (1, 2, 40, 16)
    monkeypatch.setattr("spak.kernels.attention.operator.plan.GRID_LIMITS", (1, 1, 1))
    small = AttentionOperator("small", choose, lambda device: GPU)
    with pytest.warns(UserWarning, match="no kernel for a grid of"):
        small(*qkv(), False, None, 0, False)
    assert GRID_LIMITS == (2**31 - 1, 65535, 65535)
    assert "no kernel for device 'cpu'" in launch_device(torch.device("cpu"))


def test_a_sequence_too_long_for_32_bits_is_not_a_kernel_s():
    """By its sizes: nobody has so much memory to try."""
    q = torch.empty(1, 1, 2**27 + 1, 16, dtype=torch.float16, device="meta")
    from spak.kernels.attention.operator.request import checked, unserved

    assert "more than 2147483647 elements" in unserved(checked(q, q, q, causal=True, scale=None, q_offset=0))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("running_max", [True, False])
def test_what_is_not_finite_shows_in_every_row_that_sees_it_and_in_no_other(bad, place, causal, running_max):
    """A wrong finite number would be believed."""
    op = AttentionOperator(
        "not finite", lambda *_: {**CONFIGURATIONS["fmha"], "running_max": running_max}, lambda device: GPU
    )
    q, k, v = (one.detach().clone() for one in qkv(heads=1, seq_q=70, seq_kv=70))
    clean = op(q, k, v, causal, None, 0, False)
    (q, k, v)[place][0, 0, 45, 3] = bad
    out = op(q, k, v, causal, None, 0, False)
    scores = (q.double() @ k.double().transpose(2, 3)) / 4
    if causal:
        scores = scores.masked_fill(torch.ones(70, 70, dtype=torch.bool).triu(1), float("-inf"))
    want = torch.softmax(scores, -1) @ v.double()
    shows = ~torch.isfinite(want[0, 0])
    if place == 2:  # 0 times what is not finite is NaN in the formula; a row that does not see it may be spared
        shows &= torch.zeros_like(shows).index_fill(1, torch.tensor(3), True)
        sees = torch.arange(70) >= (45 if causal else 0)
        assert (~torch.isfinite(out[0, 0]))[sees][:, 3].all()
        assert torch.equal(out[0, 0][:32], clean[0, 0][:32]) or not causal
        return
    assert (~torch.isfinite(out[0, 0]) == shows).all()
    spared = ~shows.any(1)
    np.testing.assert_allclose(out[0, 0][spared].float(), want[0, 0][spared].float(), atol=2e-2)


@pytest.mark.parametrize("place", [1, 2])
def test_what_is_infinite_where_no_row_looks_leaves_no_wrong_number(place):
    """The output is as it was; a gradient is as it was or NaN."""
    q, k, v = (one.detach() for one in qkv(heads=1, seq_q=40, seq_kv=70))
    spoilt = [q, k.clone(), v.clone()]
    spoilt[place][0, 0, 60, 3] = float("inf")
    (clean, *wanted), (out, *found) = (
        (out := attend(*leaves, causal=True), *torch.autograd.grad(out.sum(), leaves))
        for leaves in ([one.clone().requires_grad_() for one in given] for given in ((q, k, v), spoilt))
    )
    if place == 1:
        assert torch.equal(out, clean)
    for one, two in zip((out, *found), (clean, *wanted), strict=True):
        assert ((one == two) | one.isnan()).all()
        assert (one == two).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("keys", [1, 7, 15, 16, 17])
def test_nan_shows_where_pytorch_s_attention_runs_too(dtype, keys):
    """Its fused one on a CPU makes 0 of a row of NaN scores if there are few keys."""
    q, k, v = (one.detach().clone() for one in qkv(seq_q=3, seq_kv=keys, dtype=dtype))
    q[0, 0, 1, 3] = float("nan")
    out = BY_TORCH(q, k, v, False, None, 0, False)
    assert out[0, 0, 1].isnan().all()
    assert torch.isfinite(out).sum() == out.numel() - 16


def test_plans_are_kept_and_begin_anew_when_there_are_too_many(monkeypatch):
    """A process that meets shape after shape does not grow for ever."""
    monkeypatch.setattr("spak.kernels.attention.operator.dispatch.MOST_PLANS", 2)
    op = AttentionOperator("few", choose, lambda device: GPU)
    for rows in (3, 3, 4, 5):
        op(*qkv(seq_q=rows), False, None, 0, False)
    assert len(op._plans) == 1


def test_the_specs_are_the_registry_s():
    """What the operator launches is what is tuned."""
    from spak.kernels.attention.operator import plan

    assert (spec("fmha"), spec("fmha-backward")) == (plan.FORWARD, plan.BACKWARD)
