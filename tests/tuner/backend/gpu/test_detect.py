"""Which GPU there is, from recorded output."""

import pytest

from spak.tuner.backend.gpu.detect import Gpu, detect, machine_of, parse_devices


def test_the_first_card_is_named_with_driver_and_architecture():
    assert parse_devices("NVIDIA H200, 580.159.03, 9.0\nNVIDIA H200, 580.159.03, 9.0\n") == Gpu(
        "NVIDIA H200", "580.159.03", "sm_90"
    )
    assert parse_devices("NVIDIA GeForce RTX 5070, 575.1, 12.0").arch == "sm_120"


@pytest.mark.parametrize("output", ["", "No devices were found\n", "a, b\n"])
def test_no_card_is_none(output):
    assert parse_devices(output) is None


def test_detecting_never_raises():
    assert detect() is None or detect().arch.startswith("sm_")


def test_what_the_driver_says_is_found(monkeypatch, tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA H200, 580.159.04, 9.0'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert detect() == Gpu("NVIDIA H200", "580.159.04", "sm_90")


def test_a_machine_is_told_apart_and_not_named():
    """The driver's form of a UUID and CUDA's are one GPU; nobody asked is nobody known; the UUID itself is nowhere."""
    uuid = "5e3a9c1b-0000-4f8e-9f4e-111122223333"
    assert machine_of(f"GPU-{uuid}\n") == machine_of(uuid.upper()) != machine_of(uuid.replace("3333", "4444"))
    assert len(machine_of(uuid)) == 12
    assert not any(part in machine_of(uuid) for part in uuid.split("-"))
    assert machine_of("") == machine_of(" \n") == ""
