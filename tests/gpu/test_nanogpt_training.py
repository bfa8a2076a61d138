"""NanoGPT's step as a CUDA graph: the same bits as without, and a run that is resumed there."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from spak.kernels.nanogpt.data import SMALL_TEXT  # noqa: E402
from spak.kernels.nanogpt.parameters import GptConfig, initial_gpt_parameters  # noqa: E402
from spak.kernels.nanogpt.torch_operators import torch_operators  # noqa: E402
from spak.kernels.nanogpt.training_step import StepSettings, TrainingStep  # noqa: E402
from spak.nanogpt import main  # noqa: E402

pytestmark = pytest.mark.gpu

CONFIG = GptConfig(vocab=65, width=128, layers=2, heads=2, context=64)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_captured_step_is_the_plain_step(accumulation):
    """Three steps from the same weights, PyTorch's operators: equal losses, norms and parameters, bit for bit."""
    factors = torch.tensor([[1e-3, 1 - 0.9**t, 1 - 0.95**t] for t in range(1, 4)])
    batches = [
        torch.randint(65, (2, 4, 64), generator=torch.Generator().manual_seed(seed), dtype=torch.int32).cuda()
        for seed in range(3 * accumulation)
    ]
    found = []
    for graph in (False, True):
        settings = StepSettings(4, 64, accumulation, dtype=torch.bfloat16, graph=graph)
        flat = initial_gpt_parameters(CONFIG, 1).cuda()
        step = TrainingStep(CONFIG, torch_operators(), flat, factors, settings)
        for number in range(3):
            step.run(batches[number * accumulation :][:accumulation])
        found.append((step.history(), step.state.parameters))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path, monkeypatch, capsys):
    """In deterministic mode, with dropout and two micro batches; and the report has tokens a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    (tmp_path / "text").write_text(SMALL_TEXT.read_text(encoding="utf-8"), encoding="utf-8")
    sizes = ("width=64", "layers=2", "heads=1", "context=32", "batch=4", "accumulation=2", "dropout=0.2")
    changes = [*sizes, "steps=8", "every=4", "evaluate_every=4", "samples=0", "deterministic=true"]
    common = ["train", "--config", "shakespeare-char", "--data", "text", *(w for c in changes for w in ("--set", c))]
    try:
        assert main([*common, "--checkpoint", "whole"]) == 0
        assert "tokens/s" in capsys.readouterr().err
        with monkeypatch.context() as patch:
            patch.setattr("spak.kernels.nanogpt.command.report_line", interrupted)
            assert main([*common, "--checkpoint", "parts"]) == 130
        assert main([*common, "--checkpoint", "parts"]) == 0
    finally:
        torch.use_deterministic_algorithms(False)
    with np.load("whole") as one, np.load("parts") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files)


def interrupted(*_) -> str:
    raise KeyboardInterrupt
