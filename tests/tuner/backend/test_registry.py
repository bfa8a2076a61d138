"""The backends by name: what each is, which one is taken, and what is said where none can be."""

from __future__ import annotations

import pytest

from spak.tuner.backend.registry import AUTO, BACKENDS, Task, choose, making, wants_device
from spak.tuner.errors import TunerError


def test_a_search_without_a_budget_ends():
    """Every backend that makes trials says how many by default, and of which tier they are."""
    assert all(entry.num_trials and entry.tier for entry in making())


def test_auto_takes_the_device_if_there_is_one():
    """The first choice that runs here; what needs no device is not looked for one."""
    assert choose(AUTO, has_device=True).needs_device
    assert not choose(AUTO, has_device=False).needs_device
    assert [name for name in (AUTO, *BACKENDS) if wants_device(name)] == [AUTO, "gpu"]
    assert choose("compile", has_device=False).name == "compile"


def test_what_cannot_be_opened_is_refused_with_what_can():
    """A missing device, an unknown name and a backend that only repeats what was recorded each name the way out."""
    with pytest.raises(TunerError, match=r"--backend gpu: no NVIDIA GPU .*; use --backend compile$"):
        choose("gpu", has_device=False)
    with pytest.raises(TunerError, match="unknown backend 'quantum'; there are gpu, compile, replay"):
        choose("quantum", has_device=True)
    with pytest.raises(TunerError, match="replay makes no trials; use --backend gpu or compile"):
        BACKENDS["replay"].open(None)


def test_hardware_without_a_compute_capability_cannot_be_compiled_for(tmp_path):
    """The error names the hardware that was asked for."""
    with pytest.raises(TunerError, match="some-family names no compute capability"):
        Task("some-family", None, {}, tmp_path, 1).arch  # noqa: B018
