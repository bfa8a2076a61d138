"""The train command on a GPU: losses of the reference, and a run that is resumed ends where a whole one does."""

from __future__ import annotations

import numpy as np
import pytest

from spak.kernels.microgpt.command import main
from spak.kernels.microgpt.data import SMALL
from spak.kernels.microgpt.layered.launch import TILES, operations
from spak.kernels.microgpt.model import Model
from spak.kernels.microgpt.resident_engine import RESIDENT_CONFIGURATION as RESIDENT
from spak.kernels.microgpt.sequence_engine import SEQUENCE_CONFIGURATION as SEQUENCE

torch = pytest.importorskip("torch", reason="needs torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


def compiled_ahead():
    """For tests/gpu/conftest.py."""
    problem = {**vars(Model()), "batch": 1, "steps": 60}
    resident = ("microgpt", problem, {**RESIDENT, "steps_per_launch": 20})
    layered = [(one.op, one.problem, TILES) for one in operations(Model(), 1)[0]]
    return [resident, ("microgpt", problem, SEQUENCE), *layered]


@pytest.mark.parametrize("plan", ["resident", "sequence", "layered"])
def test_kernels_train_as_the_reference_and_resume_bitwise(tmp_path, capsys, monkeypatch, plan):
    """Through checkpoints of 20 steps, one run interrupted."""
    names = tmp_path / "names.txt"
    names.write_text(SMALL.read_text(encoding="utf-8"), encoding="utf-8")

    def train(file: str, *options: str) -> int:
        shared = ["--data", str(names), "--steps", "60", "--every", "20", "--samples", "1"]
        return main(["train", *shared, "--checkpoint", str(tmp_path / file), *options])

    def interrupted(state, before, total):
        if state.steps > 20:
            raise KeyboardInterrupt

    assert train("whole", "--device", "cuda", "--plan", plan) == 0
    assert f"cuTile kernels on the GPU: plan {plan}" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("spak.kernels.microgpt.command.report_losses", interrupted)
        assert train("parts", "--device", "cuda", "--plan", plan) == 130
    assert train("parts", "--device", "cuda", "--plan", plan) == 0
    assert train("torch", "--device", "cpu") == 0
    with np.load(tmp_path / "whole") as one, np.load(tmp_path / "parts") as other, np.load(tmp_path / "torch") as exact:
        assert all(np.array_equal(one[name], other[name]) for name in ("parameters", "moments", "losses"))
        assert np.abs(one["losses"] - exact["losses"]).max() <= 1e-4


def test_a_model_that_no_cta_holds_trains_by_launches_over_rows(tmp_path, capsys):
    """What a GPU is given where nobody names a plan."""
    names = tmp_path / "names.txt"
    names.write_text(SMALL.read_text(encoding="utf-8"), encoding="utf-8")
    sizes = ("--width", "32", "--layers", "2", "--batch", "4", "--steps", "3", "--samples", "1")
    assert main(["train", "--data", str(names), *sizes, "--device", "cuda"]) == 0
    assert "cuTile kernels on the GPU: plan sequence" in capsys.readouterr().err
