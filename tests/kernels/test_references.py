"""What each spec says of its kernel, without a GPU: references against torch, and the kernel's own source against both."""

from __future__ import annotations

import pytest

from spak.kernels.attention.reference import attention
from spak.kernels.matmul.reference import matmul
from spak.kernels.operation import OperationSpec
from spak.kernels.registry import SPECS, spec
from spak.kg.space.completion import complete, completed
from spak.tuner.backend.gpu.program import tensors
from tests.shipped import LAWS

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
OPS = LAWS.ops
TYPED = [op for op in SPECS if "dtype" in OPS[op].problem and not isinstance(spec(op), OperationSpec)]
"""Attention and products; tests/kernels/test_operations.py has the others."""


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_the_product_is_torch_s():
    """Batch by batch what torch computes at once, and float64 whatever comes in."""
    a, b = drawn(3, 5, 7), drawn(3, 7, 4)
    torch.testing.assert_close(matmul(a, b), a @ b, rtol=1e-14, atol=1e-14)
    assert matmul(a.half(), b.half()).dtype == torch.float64


@pytest.mark.parametrize("kv_heads", [6, 3, 1])
@pytest.mark.parametrize(("seq_q", "seq_kv", "q_offset"), [(9, 9, 0), (5, 12, 7), (1, 13, 12), (9, 4, 0)])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torch_s(causal, seq_q, seq_kv, q_offset, kv_heads):
    """With GQA, offset and tails: SDPA in float64 with the mask written out, and its log-sum-exp."""
    q, k, v = drawn(2, 6, seq_q, 8), drawn(2, kv_heads, seq_kv, 8), drawn(2, kv_heads, seq_kv, 8)
    visible = torch.arange(seq_q)[:, None] + q_offset >= torch.arange(seq_kv)
    mask = visible if causal else torch.ones_like(visible)
    want = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    out, lse = attention(q, k, v, causal=causal, q_offset=q_offset)
    torch.testing.assert_close(out, want, rtol=1e-12, atol=1e-12)
    scores = q @ k.repeat_interleave(6 // kv_heads, dim=1).transpose(2, 3) / 8**0.5
    torch.testing.assert_close(lse, scores.masked_fill(~mask, float("-inf")).logsumexp(3), rtol=1e-12, atol=1e-12)


def test_a_row_without_keys_is_zero():
    """As the kernel writes it; torch leaves NaN there."""
    out, lse = attention(drawn(1, 1, 4, 8), drawn(1, 1, 4, 8), drawn(1, 1, 4, 8), causal=True, q_offset=-2)
    assert (out[0, 0, :2] == 0).all()
    assert lse[0, 0].isneginf().tolist() == [True, True, False, False]
    assert (out[0, 0, 2:] != 0).any()


SIZES = {
    "matmul": {"batch": 2, "m": 70, "n": 130, "k": 50, "dtype": "fp16"},
    "naive-attention": {"batch": 2, "heads": 4, "kv_heads": 2, "seq_q": 50, "seq_kv": 70, "causal": True},
    "fused-attention": {"batch": 2, "heads": 2, "seq_q": 50, "seq_kv": 70},
    "fmha": {"batch": 2, "heads": 4, "kv_heads": 2, "seq_q": 50, "seq_kv": 70, "q_offset": 20},
    "fmha-backward": {"batch": 2, "heads": 4, "kv_heads": 2, "seq_q": 50, "seq_kv": 70, "q_offset": 20},
    "linear-gelu": {"num_rows": 130, "in_features": 40, "out_features": 150},
}
RUNS = [
    *((op, {}, {}) for op in TYPED),
    *((op, {"dtype": "bf16"}, {}) for op in TYPED),
    ("matmul", {"batch": 1}, {"persistent": True, "tile_m": 64, "tile_n": 64, "group": 0}),
    ("naive-attention", {"causal": False}, {"tile_m": 32, "tile_n": 32}),
    ("fused-attention", {"head_dim": 40}, {"tile_m": 32}),
    ("fmha", {"q_offset": 0}, {"persistent": True, "pipeline": "early-scores", "tile_m": 32, "tile_n": 32}),
    ("fmha", {"causal": False}, {"masked_tiles": "inline", "heads_fastest": True}),
    ("fmha-backward", {"head_dim": 40}, {"dq_form": "split", "tile_n": 64, "heads_fastest": True}),
]


@pytest.mark.parametrize(("op", "size", "changes"), RUNS)
def test_a_launch_fills_its_output_within_tolerance_of_the_reference(on_the_cpu, op, size, changes):
    """Inputs, scratch, launches and reference of a spec fit each other and the kernel, as on a GPU."""
    problem = complete(OPS[op], {**SIZES[op], **size})
    inputs, outputs = spec(op).make_inputs(problem, seed=1, device="cpu"), spec(op).make_outputs(problem, device="cpu")
    assert all(out.isnan().all() for out in tensors(outputs))
    wanted = spec(op).reference(inputs, problem)
    spec(op).launch(inputs, outputs, problem, completed(OPS[op], changes))
    for out, want in zip(tensors(outputs), tensors(wanted), strict=True):
        assert (out - want).norm() <= spec(op).tolerance(problem) * want.norm()


@pytest.mark.parametrize("op", TYPED)
def test_inputs_are_those_of_the_seed(op):
    """Drawn again they are the same; another seed draws others; none is NaN, and outputs have the reference's shapes."""
    problem = complete(OPS[op], SIZES[op])
    first, again, other = (spec(op).make_inputs(problem, seed=seed, device="cpu") for seed in (1, 1, 2))
    for name, array in vars(first).items():
        assert torch.equal(array, getattr(again, name))
        assert not torch.equal(array, getattr(other, name))
        assert array.dtype in {torch.float16, torch.bfloat16} or name == "lse"
        assert array.is_contiguous()
    outputs, wanted = spec(op).make_outputs(problem, device="cpu"), spec(op).reference(first, problem)
    assert [out.shape for out in tensors(outputs)] == [want.shape for want in tensors(wanted)]


@pytest.mark.parametrize(
    ("op", "size", "names"),
    [
        ("matmul", {}, {"cublas"}),
        ("matmul", {"batch": 1}, {"cublas"}),
        ("fmha", {"seq_kv": 50, "q_offset": 0}, {"sdpa", "sdpa-cudnn", "sdpa-fa2"}),
        ("fmha", {"causal": False}, {"sdpa", "sdpa-cudnn", "sdpa-fa2"}),
        ("fused-attention", {}, {"sdpa", "sdpa-cudnn", "sdpa-fa2"}),
        ("fmha", {}, set()),  # no library masks with an offset
    ],
)
def test_libraries_compute_the_same(op, size, names):
    """What a kernel is compared with gives the reference; a backend that this machine lacks says so and gives nothing."""
    problem = complete(OPS[op], {**SIZES[op], **size})
    inputs = spec(op).make_inputs(problem, seed=1, device="cpu")
    libraries, want = spec(op).baselines(inputs, problem), spec(op).reference(inputs, problem)
    assert libraries.keys() == names
    for name, run in libraries.items():
        if name == "sdpa-cudnn":
            with pytest.raises(RuntimeError, match=r"No (viable backend|available kernel)"):
                run()
        else:
            assert (run() - want).norm() <= spec(op).tolerance(problem) * want.norm()
