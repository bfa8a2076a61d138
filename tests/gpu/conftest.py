"""Kernels of the tests here are compiled before the first test, on all cores: one after the other it takes minutes.

A module says what it launches by a function `compiled_ahead` that gives op, problem and configuration of each launch; what it
leaves out is compiled as it is launched, as ever.
"""

from __future__ import annotations

import sys

import pytest

from tests.gpu.ahead import SOURCE, compile_ahead


@pytest.fixture(scope="session", autouse=True)
def compiled(request, tmp_path_factory):
    """Those of every module of which a test is to run."""
    torch = pytest.importorskip("torch", reason="needs torch")
    modules = {item.module for item in request.session.items if hasattr(item.module, "compiled_ahead")}
    if not modules or not torch.cuda.is_available():
        return
    from spak.tuner.backend.gpu.cubins import CubinStore, load_ahead_of_time

    arch, folder = "sm_{}{}".format(*torch.cuda.get_device_capability()), tmp_path_factory.mktemp("cubins")
    launches = [launch for module in modules for launch in module.compiled_ahead()]
    for failure in compile_ahead(launches, arch, folder):
        sys.stderr.write(f"did not compile: {failure}\n")
    load_ahead_of_time(CubinStore(folder), SOURCE)
