"""Gradients on a GPU: right at every value of every parameter, on hostile inputs too; the split form bit for bit the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from spak.kernels.attention.backward.spec import SPEC, BackwardInputs, Gradients  # noqa: E402
from spak.kernels.attention.inputs import DISTRIBUTIONS  # noqa: E402
from tests.kernels.backward_cases import DEFAULTS, FORMS, OP, RUNS, BackwardCase, drawn, errors, right  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

RAGGED = {
    "batch": 2,
    "heads": 4,
    "kv_heads": 2,
    "seq_q": 300,
    "seq_kv": 330,
    "head_dim": 64,
    "causal": True,
    "q_offset": 30,
}
SPLIT_ONLY = ("dq_tile_m", "dq_tile_n", "dq_worker_warps", "dq_occupancy", "dq_latency")
VALUES = [
    ({"dq_form": "split"} if name in SPLIT_ONLY else {}) | {name: value}
    for name, parameter in OP["parameters"].items()
    for value in parameter["values"]
]
TILES = [
    {
        "dq_form": form,
        "tile_m": tile_m,
        "tile_n": tile_n,
        "num_worker_warps": 8 if tile_n == 128 else 4,
        "scores": scores,
    }
    for form in OP["parameters"]["dq_form"]["values"]
    for tile_m in OP["parameters"]["tile_m"]["values"]
    for tile_n in (64, 128)
    for scores in OP["parameters"]["scores"]["values"]
]


def surrounded(array: Any) -> Any:
    """The same values in the middle of memory full of NaN."""
    room = torch.full((array.numel() * 3,), float("nan"), dtype=array.dtype, device=array.device)
    middle = room[array.numel() : 2 * array.numel()].view(array.shape)
    middle.copy_(array)
    return middle


def gradients(case: BackwardCase, x: BackwardInputs, configuration: dict[str, Any]) -> Gradients:
    outputs = SPEC.make_outputs(case.problem, device="cuda")
    SPEC.launch(x, outputs, case.problem, configuration)
    torch.cuda.synchronize()
    return outputs


def satisfied(configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration with as few worker warps as its tile of keys allows, and as many query rows as both passes ask for.

    The pass over queries leaves delta of the rows of whole tiles, which those of the pass over keys must not exceed.
    """
    fewer = {} if configuration["tile_n"] >= 16 * configuration["num_worker_warps"] else {"num_worker_warps": 0}
    rows = max(configuration["dq_tile_m"], configuration["tile_m"], 16 * configuration["dq_worker_warps"])
    return {**configuration, **fewer, "dq_tile_m": rows}


def in_form(case: BackwardCase, form: str) -> dict[str, Any]:
    """The case's configuration at tiles of the op's space."""
    return {**DEFAULTS, "tile_n": 64, "num_worker_warps": 4, **case.settings, **FORMS[form]}


def valued(dtype: str) -> BackwardCase:
    """Ragged and grouped."""
    return BackwardCase("value", **RAGGED, dtype=dtype)


def hostile(kind: str, dtype: str) -> BackwardCase:
    """Long rows."""
    return BackwardCase(
        "hostile", heads=2, kv_heads=2, seq_q=1000, seq_kv=1000, head_dim=128, causal=True, inputs=kind, dtype=dtype
    )


def compiled_ahead() -> Iterator[tuple[str, Any, Any]]:
    """For tests/gpu/conftest.py."""
    op = "fmha-backward"
    yield from ((op, case.problem, in_form(case, form)) for case, form in RUNS)
    for dtype in ("fp16", "bf16"):
        yield from ((op, valued(dtype).problem, satisfied({**DEFAULTS, **one})) for one in (*VALUES, *TILES))
        yield from ((op, hostile("normal", dtype).problem, {**DEFAULTS, **form}) for form in FORMS.values())


@pytest.mark.parametrize(("case", "form"), RUNS, ids=str)
def test_the_simulator_s_cases(case: BackwardCase, form: str) -> None:
    """Same tolerance of float64, at tiles of the op's space, in memory surrounded by NaN."""
    x = drawn(case, "cuda", surround=surrounded)
    got = gradients(case, x, in_form(case, form))
    want = SPEC.reference(x, case.problem)
    assert right(got, want, case.problem), errors(got, want)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("changes", [*VALUES, *TILES], ids=str)
def test_every_value_of_every_parameter(changes: dict[str, Any], dtype: str) -> None:
    """Each gradient against float64, ragged and grouped, at every tile."""
    case = valued(dtype)
    x = drawn(case, "cuda", surround=surrounded)
    got, want = gradients(case, x, satisfied({**DEFAULTS, **changes})), SPEC.reference(x, case.problem)
    assert right(got, want, case.problem), errors(got, want)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_hostile_inputs(kind: str, form: str, dtype: str) -> None:
    """Large, rising and sunk scores."""
    case = hostile(kind, dtype)
    x = drawn(case, "cuda")
    got, want = gradients(case, x, {**DEFAULTS, **FORMS[form]}), SPEC.reference(x, case.problem)
    assert right(got, want, case.problem), errors(got, want)


@pytest.mark.parametrize("scores", ["keys-first", "queries-first"])
def test_the_split_form_repeats_bit_for_bit(scores: str) -> None:
    """Twenty launches of many more CTAs than SMs."""
    case = BackwardCase("repeat", batch=4, heads=16, kv_heads=4, seq_q=1000, seq_kv=1000, head_dim=64, causal=True)
    x = drawn(case, "cuda")
    first, *others = [gradients(case, x, {**DEFAULTS, "dq_form": "split", "scores": scores}) for _ in range(20)]
    for other in others:
        for name, array in vars(first).items():
            assert torch.equal(array, getattr(other, name))


@pytest.mark.parametrize("form", ["fused", "split"])
def test_a_captured_launch_replays(form: str) -> None:
    """As a CUDA graph it gives the same, again and again: nothing of one launch is left for the next."""
    case = BackwardCase("graph", **RAGGED)
    x, outputs = drawn(case, "cuda"), SPEC.make_outputs(case.problem, device="cuda")
    configuration = {**DEFAULTS, "dq_form": form}
    SPEC.launch(x, outputs, case.problem, configuration)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        SPEC.launch(x, outputs, case.problem, configuration)
    for _ in range(3):
        for array in vars(outputs).values():
            array.fill_(float("nan"))
        graph.replay()
    torch.cuda.synchronize()
    assert right(outputs, SPEC.reference(x, case.problem), case.problem)


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_libraries_compute_the_same(causal: bool, kv_heads: int) -> None:
    """What the gradients are compared with in time gives them too, also from a captured graph."""
    case = BackwardCase(
        "libraries", batch=2, heads=4, kv_heads=kv_heads, seq_q=512, seq_kv=512, head_dim=64, causal=causal
    )
    x = drawn(case, "cuda")
    want = SPEC.reference(x, case.problem)
    for run in SPEC.baselines(x, case.problem).values():
        run()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = Gradients(*run())
        graph.replay()
        torch.cuda.synchronize()
        assert right(outputs, want, case.problem), errors(outputs, want)
