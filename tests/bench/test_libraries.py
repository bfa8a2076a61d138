"""What the comparison asks of libraries, with stand-ins for those that need a GPU."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch.nn import functional

from bench import flash_attention, library_compilation
from bench.library_compilation import Given, LibraryCompilation
from spak.kernels.attention.backward.libraries import backward_passes, both_passes

PROBLEM = {
    "batch": 2,
    "heads": 4,
    "kv_heads": 2,
    "seq_q": 8,
    "seq_kv": 8,
    "q_offset": 0,
    "head_dim": 16,
    "causal": True,
    "dtype": "fp16",
}


def sdpa(q, k, v, causal):
    return functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)


@pytest.fixture
def package(monkeypatch):
    """Stands in for flash-attn-4, as its interface has it: (B, S, H, D) in and out; what was asked for is kept."""
    asked = []

    def forward(q, k, v, *, causal, return_lse):
        asked.append(("forward", causal, return_lse, q.is_contiguous()))
        return sdpa(*(x.transpose(1, 2) for x in (q, k, v)), causal).transpose(1, 2), "lse", None, None, None

    def backward(q, k, v, out, dout, lse, *, causal, deterministic=False):  # noqa: PLR0913  # as theirs
        asked.append(("backward", causal, deterministic, lse))
        leaves = [x.detach().requires_grad_() for x in (q, k, v)]
        again = forward(*leaves, causal=causal, return_lse=True)[0]
        assert torch.equal(again.detach(), out)
        return torch.autograd.grad(again, leaves, dout)

    cute, interface = types.ModuleType("flash_attn.cute"), types.ModuleType("flash_attn.cute.interface")
    cute.flash_attn_func = lambda q, k, v, *, causal: forward(q, k, v, causal=causal, return_lse=False)
    interface._flash_attn_fwd, interface._flash_attn_bwd = forward, backward
    monkeypatch.setitem(sys.modules, "flash_attn", types.ModuleType("flash_attn"))
    monkeypatch.setitem(sys.modules, "flash_attn.cute", cute)
    monkeypatch.setitem(sys.modules, "flash_attn.cute.interface", interface)
    return asked


@pytest.fixture
def given():
    torch.manual_seed(1)
    wide, narrow = (2, 4, 8, 16), (2, 2, 8, 16)
    return Given(torch.randn(wide), torch.randn(narrow), torch.randn(narrow), torch.randn(wide))


def gradients(x, causal):
    leaves = [each.clone().requires_grad_() for each in (x.q, x.k, x.v)]
    return torch.autograd.grad(sdpa(*leaves, causal), leaves, x.do)


def test_flash_attention_reads_and_returns_what_the_others_do(package, given):
    launch = flash_attention.forward(given, PROBLEM)
    assert torch.allclose(launch(), sdpa(given.q, given.k, given.v, causal=True), atol=1e-6)
    assert package == [("forward", True, False, True)], (
        "nothing ran before the call, and its inputs are laid out for it"
    )


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_backward_pass_is_timed_without_the_forward_pass(package, given, deterministic):
    launch = flash_attention.backward(given, {**PROBLEM, "causal": False}, deterministic=deterministic)
    assert [asked[0] for asked in package] == ["forward"]
    package.clear()
    found = launch()
    assert package[0] == ("backward", False, deterministic, "lse")
    for mine, want in zip(found, gradients(given, causal=False), strict=True):
        assert torch.allclose(mine, want, atol=1e-5)


def test_both_passes_run_in_every_call(package, given):
    launch = flash_attention.both(given, PROBLEM)
    assert package == []
    for mine, want in zip(launch(), gradients(given, causal=True), strict=True):
        assert torch.allclose(mine, want, atol=1e-5)
    assert [asked[:3] for asked in package[:2]] == [("forward", True, True), ("backward", True, False)]


def test_a_package_that_is_not_there_has_no_version_and_says_what_is_missing(given):
    assert flash_attention.version() is None
    with pytest.raises(ModuleNotFoundError, match="flash_attn"):
        flash_attention.forward(given, PROBLEM)


def test_problems_that_share_compiled_code_are_of_one_kind():
    assert flash_attention.kind(PROBLEM) == flash_attention.kind({**PROBLEM, "seq_q": 64, "seq_kv": 64, "batch": 9})
    others = [{"kv_heads": 4}, {"head_dim": 64}, {"causal": False}, {"dtype": "bf16"}]
    assert len({flash_attention.kind({**PROBLEM, **other}) for other in [{}, *others]}) == 5


def test_a_library_that_does_not_compile_is_told_with_its_reason(monkeypatch):
    """Without a GPU FlexAttention does not; what takes too long is told too."""
    assert LibraryCompilation([PROBLEM], backward=False, workers=2, with_flex=False).wait() == {}
    failed = LibraryCompilation([PROBLEM], backward=True, workers=2, with_flex=True).wait()
    assert list(failed) == ["flex 0"]
    assert failed["flex 0"].partition(":")[0] in {"AssertionError", "RuntimeError"}
    monkeypatch.setattr(library_compilation, "LIMIT_S", 0.0)
    assert LibraryCompilation([PROBLEM], backward=True, workers=2, with_flex=True).wait() == {
        "flex 0": "TimeoutError: "
    }


def test_both_passes_are_of_the_libraries_whose_backward_passes_are_timed(given):
    names = [set(passes(given, causal=True)) for passes in (backward_passes, both_passes)]
    assert names[0] == names[1] == {"sdpa-cudnn", "sdpa-fa2"}
