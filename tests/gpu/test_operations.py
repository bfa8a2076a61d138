"""The operations of a training step on a GPU, each within its tolerance, and MicroGPT trained by them as a graph."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.gpu
torch = pytest.importorskip("torch")
from spak.kg.space.completion import complete  # noqa: E402
from tests.kernels.microgpt_cases import MICRO, TINY  # noqa: E402
from tests.kernels.test_operations import OPS, RUNS, largest_error, tried  # noqa: E402


def compiled_ahead():
    """For tests/gpu/conftest.py."""
    from spak.kernels.microgpt.layered.launch import TILES, operations

    alone = [(op, complete(OPS[op], size)) for op, size in RUNS]
    steps = [one for case in (MICRO, TINY) for one in operations(case.model, case.batch)[0]]
    yield from ((op, problem, configuration) for op, problem in alone for configuration in tried(op, problem))
    yield from ((one.op, one.problem, TILES) for one in steps)


@pytest.mark.parametrize(("op", "size"), RUNS)
def test_an_operation_is_right(op: str, size: dict) -> None:
    """At the sizes of the simulator's tests."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    error, tolerance = largest_error(op, size, device="cuda")
    assert error <= tolerance


@pytest.mark.parametrize("case", [MICRO, TINY], ids=["microgpt.py's sizes", "two layers, a batch"])
def test_a_captured_step_trains(case) -> None:
    """The first step launched, the others replayed."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from spak.kernels.microgpt.layered.launch import train_layered
    from spak.kernels.microgpt.reference import train

    sizes = {"batch": case.batch, "steps": case.steps}
    tokens, lengths = (torch.from_numpy(array) for array in (case.tokens, case.lengths))
    found = train_layered(case.model, case.parameters, tokens.cuda(), lengths, **sizes)
    for got, want in zip(found, train(case.model, case.parameters, tokens, lengths, **sizes), strict=True):
        assert (got.cpu().double() - want).norm() <= 1e-5 * want.norm()
