"""MicroGPT's training on a GPU: microgpt.py's own run against float64, awkward sizes, and the same bits every time."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from spak.kernels.microgpt.data import begin, small_list  # noqa: E402
from spak.kernels.microgpt.spec import SPEC, TrainingInputs, TrainingOutputs, adam_factors  # noqa: E402
from tests.kernels.microgpt_plans import OP, RESIDENT, RunCase  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

LOSS_DIFFERENCE = 1e-4
"""Largest of a loss from float64's, in nats, over a whole run."""
GRADIENT_ERROR = 1e-3
"""Largest relative error of the gradient of each matrix."""
WHOLE_RUN = RunCase("microgpt.py's run", steps=1000)
VALUES = [(name, value) for name, parameter in OP["parameters"].items() for value in parameter["values"]]


def documents(case: RunCase) -> TrainingInputs:
    """What microgpt.py begins with and trains on, from the small list of names."""
    start = begin(small_list())
    tokens, lengths = start.corpus.batches(case.context, case.steps)
    rates = adam_factors(case.steps).astype("float32")
    arrays = (start.parameters.astype("float32"), tokens, lengths, rates)
    return TrainingInputs(*(torch.from_numpy(array).cuda() for array in arrays))


def run(case: RunCase, inputs: TrainingInputs, **settings: Any) -> TrainingOutputs:
    """Into outputs that were NaN."""
    outputs = SPEC.make_outputs(case.problem, device="cuda")
    SPEC.launch(inputs, outputs, case.problem, {**case.configuration, **settings})
    torch.cuda.synchronize()
    return outputs


def right(found: TrainingOutputs, wanted: TrainingOutputs) -> None:
    """Every loss, every first gradient, and zero exactly where the reference is zero."""
    assert (found.losses - wanted.losses).abs().max() <= LOSS_DIFFERENCE
    error = torch.linalg.vector_norm(found.gradients - wanted.gradients)
    assert error <= GRADIENT_ERROR * torch.linalg.vector_norm(wanted.gradients)
    assert ((found.gradients == 0) == (wanted.gradients == 0)).all()


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_every_value_of_every_parameter_trains_as_float64_does(name, value):
    """All 1,000 losses of microgpt.py's run, its first gradients and its last parameters."""
    inputs = documents(WHOLE_RUN)
    right(run(WHOLE_RUN, inputs, **{name: value}), SPEC.reference(inputs, WHOLE_RUN.problem))


@pytest.mark.parametrize("case", RESIDENT, ids=lambda case: case.name)
def test_awkward_sizes_train_as_float64_does(case):
    """Vocabularies, widths, heads, contexts and batches that no tile has."""
    inputs = SPEC.make_inputs(case.problem, seed=1, device="cuda")
    right(run(case, inputs), SPEC.reference(inputs, case.problem))


def test_a_run_gives_the_same_bits_however_it_is_cut_into_launches():
    """One launch, again one launch, and a hundred: nothing depends on the order of threads, or on what lay in memory."""
    inputs = documents(WHOLE_RUN)
    first, *others = [run(WHOLE_RUN, inputs, steps_per_launch=size) for size in (1000, 1000, 10)]
    for other in others:
        for name, array in vars(first).items():
            assert torch.equal(getattr(other, name), array), name
