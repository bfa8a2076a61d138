"""Settings of all tests, and fixtures that every test folder may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# before NumPy and torch load: each worker has a core of its own, and threads of small products mostly wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a shared machine stalls for longer than any example takes; a property is not about time
settings.register_profile("steady", deadline=None, derandomize=True)  # a change fails or passes, whoever runs it
settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)  # make fuzz
settings.register_profile("fuzz-briefly", deadline=None, max_examples=300, print_blob=True)  # CI
settings.load_profile("steady")

ROOT = Path(__file__).parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A slow test is not measured for coverage, nor are its processes: that doubles its time, and faster ones reach the same lines."""
    coverage = sys.modules.get("coverage")
    measuring = coverage.Coverage.current() if coverage and item.get_closest_marker("slow") else None
    if measuring is None:
        return (yield)
    inherited = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_PROCESS")}
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()
        os.environ.update(inherited)


@pytest.fixture(scope="session")
def hub() -> Path:
    """Folder of the public convolution records (MIT, Auto-Tuning Association's benchmark hub); skips without them."""
    data = Path(os.environ.get("SPAK_DATA", ROOT / "../shared/data"))
    folder = data / "benchmark_hub" / "convolution_milo"
    if not folder.is_dir():
        pytest.skip(f"no recorded hub data at {folder}; set SPAK_DATA (docs/transfer.md says where to get it)")
    return folder
