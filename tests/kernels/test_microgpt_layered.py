"""The plan `layered` on the simulator: the whole model trains, an operation a launch."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.kernels.microgpt_cases import TINY

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
from spak.kernels.microgpt.layered.launch import operations, train_layered  # noqa: E402
from spak.kernels.microgpt.model import Model, names_and_shapes  # noqa: E402
from spak.kernels.microgpt.reference import train  # noqa: E402


def test_it_trains_as_the_reference_does():
    """Two layers, a batch, three steps: every loss, every gradient of the first step, every parameter after the last."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    found, want = TINY.run(train_layered), TINY.run(train)
    for name, exact in want._asdict().items():
        difference = getattr(found, name).double() - exact
        assert difference.norm() <= 1e-5 * exact.norm(), name
    assert ((found.gradients != 0) == (want.gradients != 0)).all()


def test_every_matrix_has_one_gradient_and_every_operation_is_there():
    """What the way back is made of follows from the way forward; only a sum needs no operation of its own there."""
    model = Model(layers=3)
    every, gradients = operations(model, batch=2)
    assert gradients.keys() == names_and_shapes(model).keys()
    assert len(set(gradients.values())) == len(gradients)
    forward = Counter(one.op for one in every if one.problem.get("direction") == "forward")
    back = Counter(one.op for one in every if one.problem.get("direction") == "backward")
    assert forward["linear"] == 6 * 3 + 1
    assert forward - back == Counter({"residual": 2 * 3})
    written = [name for one in every for operand, name in one.names.items() if operand in {"out", "dx", "dw"}]
    assert len(set(written)) == len(written)
