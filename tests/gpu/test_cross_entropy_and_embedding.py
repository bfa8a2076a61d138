"""Cross-entropy and embedding on a GPU at GPT-2's sizes: every form against float64, in place, captured, the same bits twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from spak.kernels.cross_entropy.operator import cross_entropy_in_place  # noqa: E402
from spak.kernels.cross_entropy.spec import SPEC  # noqa: E402
from spak.kernels.embedding.operator import add_embedding_gradients, embed  # noqa: E402
from spak.kernels.nanogpt.torch_operators import plain_embedding_backward  # noqa: E402
from spak.kg.space.completion import complete, completed  # noqa: E402
from tests.shipped import LAWS  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
OPS = LAWS.ops
FORMS = [
    {"row_form": "held", "tile_v": 8192, "num_worker_warps": 8},
    {"row_form": "held", "tile_v": 2048, "use_tma": False, "num_worker_warps": 8},
    {"row_form": "held", "tile_v": 4096, "use_tma": False, "num_worker_warps": 8, "num_ctas": 2},
    {"row_form": "online", "tile_v": 4096},
    {"row_form": "online", "tile_v": 2048, "use_tma": False, "backwards": True},
    {"row_form": "lanes", "tile_v": 4096, "num_worker_warps": 8},
    {"row_form": "lanes", "tile_v": 2048, "use_tma": False, "backwards": True},
]
DTYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
VOCAB = 50304
WHOLE = {**completed(OPS["cross-entropy"], {}), "tile_m": 1}
SORTED = {**completed(OPS["embedding"], {}), "tile_m": 16, "tile_c": 128, "row_sums": "sorted"}


def launched() -> Iterator[tuple[str, Any, Any]]:
    """What is compiled ahead: tests/gpu/conftest.py."""
    for dtype in DTYPES.values():
        problem = {"num_rows": 64, "vocab": VOCAB, "dtype": dtype, "weighted": False}
        yield from (("cross-entropy", problem, {**WHOLE, **form}) for form in FORMS)
    sizes = {"tokens": 12288, "vocab": VOCAB, "context": 1024, "width": 768, "dtype": "fp32", "gradient_dtype": "bf16"}
    yield "embedding", {**sizes, "direction": "backward"}, SORTED
    yield "embedding", {**sizes, "direction": "forward"}, {**SORTED, "row_sums": "product"}


def hostile() -> tuple[Any, Any]:
    """(logits (64, 50304) in float64, targets), rows wide and narrow, far from 0, with -inf, at edges of tiles."""
    rng = torch.Generator(device="cuda").manual_seed(0)
    logits = 3 * torch.randn(64, VOCAB, generator=rng, device="cuda", dtype=torch.float64)
    logits[1] = 0.25
    logits[2] = 1e4 * logits[2].sign()
    logits[3] += 1e4
    logits[4, ::2] = -torch.inf
    logits[5] = torch.linspace(-40, 40, VOCAB)
    logits[6] = torch.linspace(40, -40, VOCAB)
    logits[7] = -torch.inf
    edges = torch.tensor([0, 2047, 2048, 4095, 4097, 16384, VOCAB - 1, -1, 49151, 49152, -1], dtype=torch.int32)
    return logits, edges.repeat(6)[:64].cuda()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(str(value) for value in form.values()))
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_row_is_right_over_the_logits(form, dtype):
    """Losses as exact as fp32 is; the gradient but its target, which would hide the rest of a row, and then the target."""
    logits, targets = hostile()
    logits = logits.to(dtype)
    wide, counts = logits.double(), targets >= 0
    losses = cross_entropy_in_place(logits, targets, 1.0, configuration={**WHOLE, **form})
    column = targets.long().clamp_min(0)[:, None]
    logarithms = torch.where(counts[:, None], wide, 0.0).log_softmax(1)
    wanted = torch.where(counts, -logarithms.gather(1, column)[:, 0], 0.0)
    torch.testing.assert_close(losses.double(), wanted, rtol=3e-6, atol=3e-6)
    softmax = logarithms.exp() * counts[:, None]
    hit = softmax.gather(1, column) - counts[:, None].double()
    found = logits.double()
    relative, least = {torch.bfloat16: (2.0**-8, 0.0), torch.float16: (2.0**-11, 2.0**-24), torch.float32: (2e-5, 0.0)}[
        dtype
    ]
    torch.testing.assert_close(found.gather(1, column), hit, rtol=1.1 * relative, atol=max(least, 2e-6))
    rest = [matrix.scatter(1, column, 0.0) for matrix in (found, softmax)]
    torch.testing.assert_close(*rest, rtol=1.1 * relative, atol=max(least, 1e-30))


def test_a_captured_step_overwrites_new_logits_with_the_same_bits():
    """As a graph: replayed over other logits, it is what a launch gives there."""
    form = {**WHOLE, **FORMS[3]}
    logits, targets = hostile()
    buffer = torch.zeros(64, VOCAB, device="cuda", dtype=torch.bfloat16)
    cross_entropy_in_place(buffer, targets, 0.5, configuration=form)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = cross_entropy_in_place(buffer, targets, 0.5, configuration=form)
    launched = logits.bfloat16()
    buffer.copy_(launched)
    graph.replay()
    apart = cross_entropy_in_place(launched, targets, 0.5, configuration=form)
    torch.cuda.synchronize()
    torch.testing.assert_close(losses, apart, rtol=0, atol=0)
    torch.testing.assert_close(buffer, launched, rtol=0, atol=0)


def test_what_a_launch_writes_apart_it_writes_over_the_logits():
    """Bit by bit, at all of GPT-2's rows."""
    problem = complete(OPS["cross-entropy"], {**OPS["cross-entropy"].problems["nanogpt-124m"], "num_rows": 2048})
    inputs, outputs = SPEC.make_inputs(problem, seed=1, device="cuda"), SPEC.make_outputs(problem, device="cuda")
    form = {**WHOLE, **FORMS[1]}
    SPEC.launch(inputs, outputs, problem, form)
    losses = cross_entropy_in_place(inputs.logits, inputs.targets, 1.0, configuration=form)
    assert torch.equal(inputs.logits, outputs.dlogits)
    assert torch.equal(losses, outputs.loss)


@pytest.mark.parametrize("common", [False, True], ids=["tokens even", "one token common"])
def test_the_tables_gradients_are_torch_s_and_the_same_twice(common):
    """At GPT-2's sizes, added to a bf16 table; rows that no token chose keep their bits."""
    rng = torch.Generator(device="cuda").manual_seed(1)
    tokens = torch.randint(50257, (12, 1024), generator=rng, device="cuda", dtype=torch.int32)
    if common:
        tokens[:, ::3] = 198
    dx = torch.randn(12 * 1024, 768, generator=rng, device="cuda")
    held = torch.randn(VOCAB, 768, generator=rng, device="cuda").bfloat16()
    found = []
    for _ in range(2):
        dwte, dwpe = held.clone(), torch.full((1024, 768), torch.nan, device="cuda", dtype=torch.bfloat16)
        add_embedding_gradients(dx, tokens, dwte, dwpe, configuration=SORTED)
        found.append((dwte, dwpe))
    wanted = held.double(), torch.zeros(1024, 768, device="cuda", dtype=torch.float64)
    plain_embedding_backward(dx.double(), tokens, *wanted)
    for table, again, want in zip(*found, wanted, strict=True):
        assert torch.equal(table, again)
        torch.testing.assert_close(table.double(), want, rtol=1.02 * 2.0**-8, atol=1e-4)
    untouched = torch.ones(VOCAB, dtype=torch.bool, device="cuda").index_fill_(0, tokens.flatten().long(), False)
    assert torch.equal(found[0][0][untouched], held[untouched])


def test_the_embedding_is_exact():
    """One addition in fp32."""
    rng = torch.Generator(device="cuda").manual_seed(2)
    wte, wpe = (torch.randn(rows, 768, generator=rng, device="cuda") for rows in (VOCAB, 1024))
    tokens = torch.randint(50257, (12, 1024), generator=rng, device="cuda", dtype=torch.int32)
    out = embed(tokens, wte, wpe, torch.float32, configuration={**SORTED, "row_sums": "product"})
    assert torch.equal(out, (wte[tokens.long()] + wpe).view(-1, 768))
