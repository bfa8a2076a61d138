"""The operations of a training step on the simulator: each direction against its definition and finite differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from spak.kernels import sim
from spak.kernels.registry import spec
from spak.kg.files.loader import load
from spak.kg.space.completion import complete
from spak.kg.space.space import build
from spak.tuner.backend.gpu.program import tensors

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
OPS = load(Path(__file__).parents[2] / "laws").ops

SIZES = {
    "embedding": [
        {"tokens": 37, "vocab": 27, "context": 16, "width": 16},
        {"tokens": 5, "vocab": 40, "context": 9, "width": 40},
    ],
    "rmsnorm": [{"num_rows": 37, "width": 16}, {"num_rows": 3, "width": 50}],
    "linear": [
        {"tokens": 37, "in_features": 16, "out_features": 27},
        {"tokens": 70, "in_features": 40, "out_features": 3},
    ],
    "activation": [{"num_elements": 1000}],
    "residual": [{"num_elements": 1000}],
    "cross-entropy": [{"num_rows": 37, "vocab": 27}, {"num_rows": 3, "vocab": 1}],
    "adam": [{"num_elements": 4192}],
    "short-attention": [
        {"batch": 2, "seq": 16, "heads": 4, "head_dim": 4},
        {"batch": 1, "seq": 37, "heads": 2, "head_dim": 24},
        {"batch": 1, "seq": 1, "heads": 1, "head_dim": 1},
    ],
}
"""Awkward ones: nothing divides a tile, heads of 4 and of 24 channels, one row."""

RUNS = [
    (op, {**size, **({"direction": direction} if direction else {})})
    for op, sizes in SIZES.items()
    for size in sizes
    for direction in (("forward", "backward") if "direction" in OPS[op].problem else ("",))
]


@pytest.fixture
def on_the_cpu(monkeypatch):
    """Launches run on the simulator."""
    ct = pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    monkeypatch.setattr(ct, "launch", sim.launch)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr("spak.kernels.cutile.sms_of", lambda device: 1)


def errors(found, wanted):
    """||found - wanted|| / ||wanted|| of each output."""
    return [
        float((one.double() - want).norm() / want.norm().clamp_min(1e-30))
        for one, want in zip(tensors(found), tensors(wanted), strict=True)
    ]


@pytest.mark.parametrize(("op", "size"), RUNS)
def test_every_configuration_is_right(on_the_cpu, op, size):
    """Outputs are NaN before; what a configuration leaves out or gets wrong shows in each of them."""
    problem = complete(OPS[op], size)
    inputs = spec(op).make_inputs(problem, seed=1, device="cpu")
    wanted = spec(op).reference(inputs, problem)
    space = build(OPS[op], problem)
    for index in {0, len(space) // 2, len(space) - 1}:
        outputs = spec(op).make_outputs(problem, device="cpu")
        spec(op).launch(inputs, outputs, problem, space.config(index))
        assert max(errors(outputs, wanted)) <= spec(op).tolerance(problem)
