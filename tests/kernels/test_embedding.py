"""The gradients of the embedding's tables from sorted tokens, and the embedding as a training step calls it, on the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spak.kernels.embedding.operator import add_embedding_gradients, embed
from spak.kernels.embedding.spec import SPEC
from spak.kg.space.completion import complete, completed
from spak.kg.space.space import build
from tests.shipped import LAWS

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
OP = LAWS.ops["embedding"]
DEFAULT = completed(OP, {})
SORTED = {**DEFAULT, "tile_m": 16, "row_sums": "sorted"}
LENGTH, WIDTH, VOCAB = 43, 20, 130
EVERY = st.integers(0, VOCAB - 1)
TOKENS = {
    "one and the same": [7] * 129,
    "all different, falling": list(range(128, -1, -1)),
    "the first and the last entry": [0, VOCAB - 1, 0] * 43,
    "runs that end where tiles end": [3] * 16 + [9] * 16 + [2] * 17 + [5] * 80,
    "one run over tiles, others around": [60] * 20 + [1] * 9 + [60] * 40 + list(range(61, 121)),
}


def whole_numbers(rows: int, width: int, seed: int) -> torch.Tensor:
    """Of which fp32 sums are exact, in whatever order."""
    return torch.randint(-64, 65, (rows, width), generator=torch.Generator().manual_seed(seed)).float()


def summed(tokens: list[int], length: int, dx: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Row by row, token by token."""
    dwte, dwpe = np.zeros((VOCAB, dx.shape[1])), np.zeros((length, dx.shape[1]))
    for place, (token, row) in enumerate(zip(tokens, dx.double().numpy(), strict=True)):
        dwte[token] += row
        dwpe[place % length] += row
    return dwte, dwpe


def added(tokens: list[int], length: int, **changes: object) -> None:
    """Adds to a table that holds something, and compares each element; rows of other tokens keep their bits."""
    dx = whole_numbers(len(tokens), WIDTH, seed=1)
    held = torch.randn(VOCAB, WIDTH, generator=torch.Generator().manual_seed(2))
    held[sorted(set(tokens))] = whole_numbers(len(set(tokens)), WIDTH, seed=3)
    dwte, dwpe = held.clone(), torch.full((length + 2, WIDTH), torch.nan)
    ids = torch.tensor(tokens, dtype=torch.int32).view(-1, length)
    add_embedding_gradients(dx, ids, dwte, dwpe, configuration={**SORTED, **changes})
    wanted = summed(tokens, length, dx)
    np.testing.assert_array_equal(dwte.numpy(), held.numpy() + wanted[0].astype(np.float32))
    np.testing.assert_array_equal(dwpe.numpy(), np.vstack([wanted[1], np.zeros((2, WIDTH))]))


@pytest.mark.parametrize("tile_m", [16, 64])
@pytest.mark.parametrize("name", TOKENS)
def test_every_token_is_added_once(on_the_cpu, name, tile_m):
    """Exactly, wherever runs of equal tokens begin and end."""
    added(TOKENS[name], LENGTH, tile_m=tile_m)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=st.lists(st.one_of(EVERY, st.sampled_from([5, 6])), min_size=1, max_size=200))
def test_any_tokens_are_added_once(on_the_cpu, tokens):
    """Any number of them, many of them equal, in sequences of one."""
    added(tokens, 1)


@pytest.mark.parametrize(("dtype", "gradient"), [("fp32", "bf16"), ("bf16", "bf16"), ("fp16", "fp32")])
def test_sixteen_bits_round_once(on_the_cpu, dtype, gradient):
    """A token's rows are summed in fp32 and the sum is rounded once, within half a unit of the last place."""
    problem = complete(
        OP,
        {"tokens": 90, "vocab": 40, "context": 45, "width": 24, "direction": "backward"}
        | {"dtype": dtype, "gradient_dtype": gradient},
    )
    inputs, outputs = SPEC.make_inputs(problem, seed=1, device="cpu"), SPEC.make_outputs(problem, device="cpu")
    SPEC.launch(inputs, outputs, problem, SORTED)
    wanted = SPEC.reference(inputs, problem)
    relative = 1.02 * 2.0**-8 if gradient == "bf16" else 1e-5
    for name in ("dwte", "dwpe"):
        np.testing.assert_allclose(
            getattr(outputs, name).double(), getattr(wanted, name), rtol=relative, atol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sequences_shorter_than_the_context_are_embedded(on_the_cpu, dtype):
    """The position is that in its sequence."""
    rng = torch.Generator().manual_seed(4)
    wte, wpe = torch.randn(VOCAB, WIDTH, generator=rng), torch.randn(LENGTH, WIDTH, generator=rng)
    tokens = torch.randint(VOCAB, (3, 11), generator=rng, dtype=torch.int32)
    out = embed(tokens, wte, wpe, dtype, configuration=DEFAULT)
    torch.testing.assert_close(out, (wte[tokens.long()] + wpe[:11]).view(33, WIDTH).to(dtype), rtol=0, atol=0)


def test_bad_input_is_named():
    """Before anything is launched."""
    tokens, table = torch.zeros(2, 5, dtype=torch.int32), torch.zeros(9, 4)
    with pytest.raises(ValueError, match=r"tokens: sequences of at most 4 \(got 5\)"):
        embed(tokens, table, table[:4], torch.float32, configuration=DEFAULT)
    with pytest.raises(TypeError, match=r"dx: float16, bfloat16, float32 \(got float64\)"):
        add_embedding_gradients(torch.zeros(10, 4).double(), tokens, table, table, configuration=SORTED)
    with pytest.raises(ValueError, match=r"tokens: a multiple of context, 4 \(got 10\)"):
        SPEC.added({**complete(OP, {"direction": "backward"}), "tokens": 10, "context": 4}, SORTED)


def test_sorting_is_for_whole_sequences():
    """What the op's conditions say; forward nothing is sorted."""
    sizes = {"tokens": 64, "context": 16, "width": 32}
    for direction, context, sums in (("forward", 15, 2), ("backward", 16, 2), ("backward", 15, 1)):
        space = build(OP, complete(OP, {**sizes, "context": context, "direction": direction}))
        assert len({space.config(i)["row_sums"] for i in range(len(space))}) == sums
