"""Which GPUs a machine has, and which one a worker is shown."""

from __future__ import annotations

import os

import pytest

from spak.tuner.backend.gpu.detect import machine_of
from spak.tuner.errors import TunerError
from spak.tuner.fleet import devices

CARDS = "GPU-aaaa, NVIDIA H200, 9.0\nGPU-bbbb, NVIDIA H100 80GB HBM3, 9.0\nno card\n"


def test_cards_are_read_as_the_driver_says_them():
    first, second = devices.parse_gpus(CARDS)
    assert (first.device, first.uuid, first.name, first.arch) == (
        machine_of("GPU-aaaa"),
        "GPU-aaaa",
        "NVIDIA H200",
        "sm_90",
    )
    assert (second.name, second.device) == ("NVIDIA H100 80GB HBM3", machine_of("bbbb"))


@pytest.mark.parametrize(
    ("shown", "uuid"), [(None, "GPU-aaaa"), ("1", "GPU-bbbb"), ("GPU-bbbb,GPU-aaaa", "GPU-bbbb"), ("0,1", "GPU-aaaa")]
)
def test_a_worker_takes_the_first_card_it_is_shown(monkeypatch, shown, uuid):
    monkeypatch.setattr(devices, "smi", lambda *_, **__: CARDS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is as before afterwards
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    device = devices.visible_device(shown)
    assert device == machine_of(uuid)
    devices.see_only(device)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == uuid
    devices.see_only("no such id")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == uuid


@pytest.mark.parametrize("shown", ["", "2", "GPU-cccc"])
def test_a_worker_without_its_card_says_so(monkeypatch, shown):
    monkeypatch.setattr(devices, "smi", lambda *_, **__: CARDS)
    with pytest.raises(TunerError, match="no NVIDIA GPU with a driver"):
        devices.visible_device(shown)
