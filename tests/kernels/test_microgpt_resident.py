"""MicroGPT in one CTA, on the simulator: losses, first gradients and last parameters against float64."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from spak.kernels.microgpt.spec import SPEC, TrainingInputs
from tests.kernels.microgpt_plans import RESIDENT, RunCase, simulated

pytest.importorskip("torch", reason="the reference is torch's")
pytest.importorskip("cuda.tile", reason="needs cuda-tile")

LARGEST_DIFFERENCE = 2e-6
"""Of a loss: float32 has 1e-7 of relative error a number, and losses of three steps are below 4."""


@cache
def trained(case: RunCase):
    """(arrays of the simulated run, reference)."""
    inputs = SPEC.make_inputs(case.problem, seed=1, device="cpu")
    as_numpy = TrainingInputs(*(tensor.numpy() for tensor in vars(inputs).values()))
    reference = SPEC.reference(inputs, case.problem)
    found = {name: tensor.numpy() for name, tensor in vars(reference).items()}
    return simulated(case, as_numpy), found


@pytest.mark.parametrize("case", RESIDENT, ids=lambda case: case.name)
def test_a_run_is_that_of_float64(case):
    """Every loss, every first gradient and every parameter after the last step, launch after launch."""
    arrays, reference = trained(case)
    assert np.abs(arrays["losses"] - reference["losses"]).max() <= LARGEST_DIFFERENCE
    for name in ("gradients", "parameters"):
        error = np.linalg.norm(arrays[name] - reference[name]) / np.linalg.norm(reference[name])
        assert error <= LARGEST_DIFFERENCE, name


@pytest.mark.parametrize("case", RESIDENT, ids=lambda case: case.name)
def test_a_gradient_is_zero_exactly_where_the_reference_has_zero(case):
    """Tokens that the document does not have, positions beyond its end, hidden units that no position switches on."""
    arrays, reference = trained(case)
    nothing = reference["gradients"] == 0
    assert 0 < nothing.sum() < nothing.size
    assert ((arrays["gradients"] == 0) == nothing).all()


def test_what_lies_beyond_a_document_changes_nothing():
    """Other tokens from the second one that ends it on: bit for bit the same run."""
    case = RESIDENT[2]
    inputs = SPEC.make_inputs(case.problem, seed=1, device="cpu")
    tokens = inputs.tokens.numpy().copy()
    for row, length in zip(tokens, inputs.lengths.tolist(), strict=True):
        row[length + 1 :] = 0
    changed = TrainingInputs(inputs.initial.numpy(), tokens, inputs.lengths.numpy(), inputs.rates.numpy())
    arrays, other = trained(case)[0], simulated(case, changed)
    assert (tokens != arrays["tokens"]).any()
    for name in ("losses", "gradients", "parameters"):
        assert (other[name] == arrays[name]).all(), name


def test_every_parameter_is_trained():
    """After a run whose gradients were not all zero every parameter that ever had one has another value."""
    arrays, reference = trained(RESIDENT[0])
    moved = arrays["parameters"] != arrays["initial"]
    assert (moved == (reference["parameters"] != arrays["initial"])).all()


@pytest.mark.parametrize(("steps", "size", "launches"), [(1000, 1000, 1), (1000, 10, 100), (25, 10, 3), (3, 1000, 1)])
def test_launches_follow_one_another_without_a_gap(steps, size, launches):
    """Each begins with the step at which the one before it ended, and the last ends with the run."""
    case = RunCase("", steps=steps, steps_per_launch=size)
    spans = [call.scalars for call in SPEC.calls(case.problem, case.configuration)]
    assert len(spans) == launches
    assert [first for first, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == steps
    assert len(SPEC.compile_jobs(case.problem, case.configuration)) == 1
