"""MicroGPT's training on a GPU: microgpt.py's own run against float64, awkward sizes, and the same bits every time."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from spak.kernels.microgpt.data import begin, small_list  # noqa: E402
from spak.kernels.microgpt.spec import SPEC, TrainingInputs, TrainingOutputs, adam_factors  # noqa: E402
from spak.kg.space.space import build  # noqa: E402
from tests.kernels.microgpt_plans import OP, RESIDENT, RunCase  # noqa: E402
from tests.shipped import LAWS  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

LOSS_DIFFERENCE = 1e-4
"""Largest of a loss from float64's, in nats, over a whole run."""
GRADIENT_ERROR = 1e-3
"""Largest relative error of the gradient of each matrix."""
WHOLE_RUN = RunCase("microgpt.py's run", steps=1000)
SPACE = build(LAWS.ops["microgpt"], WHOLE_RUN.problem)


def having(name: str, value: Any) -> dict[str, Any]:
    """The default but for one value, and for the plan where only another one has that value."""
    changed = ({**WHOLE_RUN.configuration, "plan": plan, name: value} for plan in OP["parameters"]["plan"]["values"])
    return next(configuration for configuration in changed if SPACE.index(configuration) is not None)


VALUES = [(name, value) for name, parameter in OP["parameters"].items() for value in parameter["values"]]


def compiled_ahead() -> list[tuple[str, Any, Any]]:
    """For tests/gpu/conftest.py."""
    whole = [(WHOLE_RUN, having(name, value)) for name, value in VALUES]
    cases = [(case, case.configuration) for case in RESIDENT]
    return [("microgpt", case.problem, configuration) for case, configuration in [*whole, *cases]]


def documents(case: RunCase) -> TrainingInputs:
    """What microgpt.py begins with and trains on, from the small list of names."""
    start = begin(small_list())
    tokens, lengths = start.corpus.batches(case.context, case.steps)
    rates = adam_factors(case.steps).astype("float32")
    arrays = (start.parameters.astype("float32"), tokens, lengths, rates)
    return TrainingInputs(*(torch.from_numpy(array).cuda() for array in arrays))


def run(case: RunCase, inputs: TrainingInputs, configuration: dict[str, Any]) -> TrainingOutputs:
    """Into outputs that were NaN."""
    outputs = SPEC.make_outputs(case.problem, device="cuda")
    SPEC.launch(inputs, outputs, case.problem, configuration)
    torch.cuda.synchronize()
    return outputs


def right(found: TrainingOutputs, wanted: TrainingOutputs) -> None:
    """Every loss, every first gradient, and zero exactly where the reference is zero."""
    assert (found.losses - wanted.losses).abs().max() <= LOSS_DIFFERENCE
    error = torch.linalg.vector_norm(found.gradients - wanted.gradients)
    assert error <= GRADIENT_ERROR * torch.linalg.vector_norm(wanted.gradients)
    assert ((found.gradients == 0) == (wanted.gradients == 0)).all()


@pytest.fixture(scope="module")
def exact():
    """Inputs of microgpt.py's run, and what it gives in float64."""
    inputs = documents(WHOLE_RUN)
    return inputs, SPEC.reference(inputs, WHOLE_RUN.problem)


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_every_value_of_every_parameter_trains_as_float64_does(exact, name, value):
    """All 1,000 losses of microgpt.py's run, and its first gradients."""
    inputs, wanted = exact
    right(run(WHOLE_RUN, inputs, having(name, value)), wanted)


@pytest.mark.parametrize("case", RESIDENT, ids=lambda case: case.name)
def test_awkward_sizes_train_as_float64_does(case):
    """Vocabularies, widths, heads, contexts and batches that no tile has."""
    inputs = SPEC.make_inputs(case.problem, seed=1, device="cuda")
    right(run(case, inputs, case.configuration), SPEC.reference(inputs, case.problem))


def test_a_run_gives_the_same_bits_however_it_is_cut_into_launches():
    """One launch, again one launch, and a hundred: nothing depends on the order of threads, or on what lay in memory."""
    inputs = documents(WHOLE_RUN)
    first, *others = [run(WHOLE_RUN, inputs, having("steps_per_launch", size)) for size in (1000, 1000, 10)]
    for other in others:
        for name, array in vars(first).items():
            assert torch.equal(getattr(other, name), array), name
