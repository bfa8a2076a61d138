"""The operator on a real GPU: values and gradients against float64, compiled, captured, strided, repeatable, and its host time."""

from __future__ import annotations

import time
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU with a driver here"),
]

import spak  # noqa: E402

TOLERANCE = {torch.float16: (1e-3, 2e-3), torch.bfloat16: (8e-3, 1e-2)}
"""Largest relative error of the output and of each gradient."""


SIZES = {"batch": 2, "heads": 4, "kv_heads": 2, "seq_q": 200, "seq_kv": 200, "head_dim": 64}


def drawn(*, dtype=torch.float16, how="contiguous", **sizes):
    """Q, K, V that require gradients, and the leaves they are views of."""
    batch, heads, kv_heads, seq_q, seq_kv, head_dim = {**SIZES, **sizes}.values()
    torch.manual_seed(1)
    if how == "packed":  # (B, S, 3, H, D), as one projection makes it
        leaf = torch.randn(batch, seq_q, 3, heads, head_dim, device="cuda", dtype=dtype, requires_grad=True)
        return [one.transpose(1, 2) for one in leaf.unbind(2)], [leaf]
    leaves, views = [], []
    for count, rows in ((heads, seq_q), (kv_heads, seq_kv), (kv_heads, seq_kv)):
        shape = (batch, rows, count, head_dim) if how == "rows-first" else (batch, count, rows, head_dim)
        leaf = torch.randn(shape, device="cuda", dtype=dtype, requires_grad=True)
        leaves.append(leaf)
        views.append(leaf.transpose(1, 2) if how == "rows-first" else leaf)
    return views, leaves


def exact(q, k, v, do, **settings):
    """Output and the three gradients, float64."""
    causal, scale, q_offset = {"causal": False, "scale": None, "q_offset": 0, **settings}.values()
    q, k, v = (one.detach().double().requires_grad_() for one in (q, k, v))
    group = q.shape[1] // k.shape[1]
    scores = q @ k.repeat_interleave(group, 1).transpose(2, 3) * (scale or q.shape[3] ** -0.5)
    if causal:
        hidden = torch.ones(scores.shape[2:], device="cuda", dtype=torch.bool).triu(1 + q_offset)
        scores = scores.masked_fill(hidden, float("-inf"))
    out = torch.softmax(scores, -1) @ v.repeat_interleave(group, 1)
    return out.detach(), *torch.autograd.grad(out, (q, k, v), do.double())


def error(found, want):
    """Relative, in the Euclidean norm."""
    return ((found.double() - want).norm() / want.norm()).item()


def judge(views, call=spak.attention, **settings):
    """Output and gradients of a call against float64; gives them."""
    q, k, v = views
    out = call(q, k, v, **settings)
    do = torch.randn_like(out)
    found = (out.detach(), *torch.autograd.grad(out, (q, k, v), do))
    settings.pop("deterministic", None)
    limits = TOLERANCE[q.dtype]
    errors = [error(one, want) for one, want in zip(found, exact(q, k, v, do, **settings), strict=True)]
    assert errors[0] <= limits[0], errors
    assert max(errors[1:]) <= limits[1], errors
    return do, found


@pytest.fixture(autouse=True)
def served():
    """No test here may pass because PyTorch's attention ran instead."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="spak.attention")
        yield


@pytest.mark.parametrize(
    ("sizes", "settings"),
    [
        ({}, {"causal": True}),
        ({"dtype": torch.bfloat16, "head_dim": 128, "seq_kv": 333}, {"causal": True, "q_offset": 133}),
        ({"kv_heads": 1, "seq_q": 77, "seq_kv": 130}, {"scale": 0.3}),
    ],
)
def test_values_and_gradients(sizes, settings):
    """Grouped heads, ragged lengths, an offset, a scale."""
    judge(drawn(**sizes)[0], **settings)


@pytest.mark.parametrize("how", ["rows-first", "packed"])
def test_views_are_read_as_they_lie_and_the_result_lies_as_the_query(how):
    """No copy is made: the peak of memory holds the result and no more than a copy less."""
    views, leaves = drawn(kv_heads=4, how=how)
    judge(views, causal=True)
    q = views[0].detach()
    out = spak.attention(q, *views[1:], causal=True)
    assert out.transpose(1, 2).is_contiguous()
    with torch.no_grad():
        spak.attention(*views, causal=True)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        spak.attention(*views, causal=True)
        torch.cuda.synchronize()
        grown = torch.cuda.max_memory_allocated() - before
    size = q.numel() * q.element_size()
    assert grown < 2 * size, "the output, and not even one input"
    do = torch.randn_like(spak.attention(*views, causal=True))
    gradients = torch.autograd.grad(spak.attention(*views, causal=True), leaves, do)
    assert [one.shape for one in gradients] == [leaf.shape for leaf in leaves]


def test_rows_off_sixteen_bytes_are_copied_and_right():
    """TMA could not read them."""
    views, _ = drawn(kv_heads=4)
    wide = [torch.randn(2, 4, 200, 65, device="cuda", dtype=torch.float16)[..., 1:].requires_grad_() for _ in views]
    judge(wide, causal=True)


def test_compiled_whole_and_the_same():
    """Without a graph break, forward and backward."""
    views, _ = drawn()
    compiled = torch.compile(lambda q, k, v: spak.attention(q * 1, k, v, causal=True) * 1, fullgraph=True)
    do, found = judge(views, lambda q, k, v, causal: compiled(q, k, v), causal=True)
    out = spak.attention(*views, causal=True)
    want = (out, *torch.autograd.grad(out, views, do))
    assert all(error(one, two.double()) < 1e-3 for one, two in zip(found, want, strict=True))


def test_captured_in_a_graph_and_replayed_on_other_inputs():
    """After one call that made the plan; forward and backward."""
    views, leaves = drawn()
    do = torch.randn_like(views[0])

    def step():
        out = spak.attention(*views, causal=True)
        return out, *torch.autograd.grad(out, views, do)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        for leaf in leaves:
            leaf.copy_(torch.randn_like(leaf))
    graph.replay()
    torch.cuda.synchronize()
    want = exact(*views, do, causal=True)
    assert all(error(one.detach(), two) <= 2e-3 for one, two in zip(captured, want, strict=True))


def test_under_autocast_float32_is_cast_and_its_gradient_is_float32():
    """As PyTorch's own attention does."""
    leaves = [one.detach().float().requires_grad_() for one in drawn()[0]]
    with torch.autocast("cuda", dtype=torch.bfloat16):
        out = spak.attention(*leaves, causal=True)
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert {leaf.grad.dtype for leaf in leaves} == {torch.float32}


def test_deterministic_gradients_repeat_bit_for_bit():
    """Of a shape with many adders to each element."""
    views, _ = drawn(batch=4, heads=8, kv_heads=8, seq_q=1024, seq_kv=1024)
    do, first = judge(views, causal=True, deterministic=True)
    for _ in range(3):
        again = torch.autograd.grad(spak.attention(*views, causal=True, deterministic=True), views, do)
        assert all(torch.equal(one, two) for one, two in zip(again, first[1:], strict=True))


def test_what_is_not_finite_shows():
    """A row whose query is NaN is NaN; the others are as they were."""
    (q, k, v), _ = drawn()
    with torch.no_grad():
        clean = spak.attention(q, k, v, causal=True)
        q[0, 1, 100, 3] = float("nan")
        out = spak.attention(q, k, v, causal=True)
    assert out[0, 1, 100].isnan().all()
    others = torch.arange(200, device="cuda") != 100
    assert torch.equal(out[0, 1, others], clean[0, 1, others])
    assert torch.equal(out[1], clean[1])


def test_no_key_no_row_no_kernel():
    """Zeros, nothing, and PyTorch's attention with a word."""
    q, k = torch.randn(2, 4, 8, 64, device="cuda", dtype=torch.float16), torch.empty(2, 4, 0, 64, device="cuda").half()
    assert not spak.attention(q, k, k).any()
    assert spak.attention(q[:0], k[:0], k[:0]).shape == (0, 4, 8, 64)
    with pytest.warns(UserWarning, match="float32"):
        spak.attention(*[torch.randn(1, 1, 4, 64, device="cuda")] * 3)


def host_time_us(call, calls=400):
    """Least microseconds of host time a call, without waiting for the GPU."""
    least = float("inf")
    for _ in range(8):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(calls // 8):
            call()
        least = min(least, (time.perf_counter() - begun) / (calls // 8))
    torch.cuda.synchronize()
    return 1e6 * least


def test_host_time(capsys):
    """Printed, not judged: it is the machine's as well."""
    begun = time.perf_counter()
    (q, k, v), _ = drawn(batch=1, kv_heads=4, seq_q=64, seq_kv=64, head_dim=32)
    out = spak.attention(q, k, v, causal=True)
    torch.cuda.synchronize()
    first = time.perf_counter() - begun
    do = torch.randn_like(out)
    with torch.no_grad():
        plain = host_time_us(lambda: spak.attention(q, k, v, causal=True))
    learning = host_time_us(lambda: spak.attention(q, k, v, causal=True))
    both = host_time_us(lambda: torch.autograd.grad(spak.attention(q, k, v, causal=True), (q, k, v), do))
    torch_s = torch.nn.functional.scaled_dot_product_attention
    sdpa = host_time_us(lambda: torch_s(q, k, v, is_causal=True))
    sdpa_both = host_time_us(lambda: torch.autograd.grad(torch_s(q, k, v, is_causal=True), (q, k, v), do))
    with capsys.disabled():
        print(
            f"\nhost time, us a call: {plain:.1f} without gradients, {learning:.1f} with, {both:.1f} with the backward "
            f"pass; SDPA {sdpa:.1f}, {sdpa_both:.1f}; first call of a shape {first:.2f} s"
        )
    assert min(plain, learning, both) > 0
