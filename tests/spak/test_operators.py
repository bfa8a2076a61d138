"""`spak.attention`: called as PyTorch's own, configured by laws and recorded runs."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

import spak

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")

from spak.configured import Choices, operator_by  # noqa: E402
from spak.kernels import advice  # noqa: E402
from spak.kernels.launch_device import LaunchDevice  # noqa: E402

H200 = LaunchDevice("NVIDIA H200", "sm_90", 132, print, print)


def qkv(dtype=torch.float32):
    torch.manual_seed(3)
    return [
        torch.randn(1, heads, rows, 16, dtype=dtype, requires_grad=True) for heads, rows in ((4, 6), (2, 9), (2, 9))
    ]


@pytest.fixture(autouse=True)
def quiet():
    """PyTorch's attention serves every call here, which is said once in a process."""
    advice._told.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def want(q, k, v, *, offset, scale):
    mask = torch.arange(6)[:, None] + offset >= torch.arange(9)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=scale, enable_gqa=True)


def test_on_a_cpu_it_is_pytorch_s_with_the_same_mask_and_says_so_once():
    """Gradients too."""
    inputs = qkv()
    with pytest.warns(UserWarning, match="no kernel for device 'cpu'") as told:
        found = spak.attention(*inputs, causal=True, q_offset=3, scale=0.5)
    assert [one.filename for one in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spak.attention(*inputs, causal=True)
    expected = want(*inputs, offset=3, scale=0.5)
    torch.testing.assert_close(found, expected)
    for one, two in zip(*(torch.autograd.grad(out.sum(), inputs) for out in (found, expected)), strict=True):
        torch.testing.assert_close(one, two)


def test_compiled_without_a_graph_break_with_laws_by_their_folder():
    """A library cannot be part of a graph; its folder can."""
    inputs = qkv()
    compiled = torch.compile(
        lambda q, k, v: spak.attention(q, k, v, causal=True, q_offset=3, laws="laws"), fullgraph=True, backend="eager"
    )
    torch.testing.assert_close(compiled(*inputs), want(*inputs, offset=3, scale=None))


def test_compiled_for_any_size_it_is_the_same():
    """An offset that depends on sizes too; heads in groups, and not."""
    compiled = torch.compile(
        lambda q, k, v: spak.attention(q, k, v, causal=True, q_offset=k.shape[2] - q.shape[2]),
        fullgraph=True,
        backend="aot_eager",
        dynamic=True,
    )
    for rows, kv_heads in ((4, 2), (6, 4), (9, 2)):
        q, k = torch.randn(1, 4, rows, 16), torch.randn(1, kv_heads, 9, 16)
        torch.testing.assert_close(compiled(q, k, k), spak.attention(q, k, k, causal=True, q_offset=9 - rows))


def test_bad_input_is_named_before_laws_are_read(tmp_path):
    """In a place without any."""
    with pytest.raises(TypeError, match=r"^q: a torch.Tensor"):
        spak.attention([1], [2], [3])
    with pytest.raises(spak.KgError, match=str(tmp_path)):
        spak.attention(*qkv(), laws=tmp_path / "none")
    with pytest.raises(TypeError, match=r"^laws: a spak.Library.*got 3"):
        spak.attention(*qkv(), laws=3)


def test_whoever_takes_it_has_the_dispatcher_s_operators():
    """A compiler meets them first where no call came before; whoever does not compile does not wait for its compiler."""
    program = """if True:
        import spak, sys, torch
        spak.attention(*[torch.ones(1, 1, 2, 16)] * 3)
        assert "torch._dynamo" not in sys.modules
        print(torch.ops.spak.attention_forward.default.name())
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "spak::attention_forward"


def test_a_body_of_laws_has_one_operator():
    """Whoever passes it again finds its plans."""
    library = spak.load()
    assert operator_by(library) is operator_by(library)
    assert operator_by("laws") is operator_by("laws")
    assert operator_by(library) is not operator_by(None)
    torch.testing.assert_close(spak.attention(*qkv(), laws=library), spak.attention(*qkv()))


def test_configurations_are_the_library_s_choice():
    """For the device by its name, at the size asked for, under the condition; nothing where none is feasible."""
    library = spak.load()
    choices = Choices(library)
    size = library.laws.ops["fmha"].problems["d64-s1024-causal"]
    found = choices("fmha", size, H200, "running_max")
    assert found == library.choose("fmha", hw="h200", problem=size, where="running_max").configuration
    assert found["running_max"]
    assert choices("fmha", size, H200, "tile_m == 3") is None
    backward = choices("fmha-backward", size, H200, "dq_form == 'split'")
    assert backward["dq_form"] == "split"
