"""What tests of kernels share."""

from __future__ import annotations

import pytest

from spak.kernels import sim


@pytest.fixture
def on_the_cpu(monkeypatch):
    """Launches run on the simulator."""
    torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
    ct = pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    monkeypatch.setattr(ct, "launch", sim.launch)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr("spak.kernels.cutile.sms_of", lambda device: 1)
