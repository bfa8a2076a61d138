"""Settings of all tests, and fixtures that every test folder may use."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import coverage
import pytest
from hypothesis import HealthCheck, settings

# before NumPy and torch load: each worker has a core of its own, and threads of small products mostly wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

gc.set_threshold(
    100_000, 50, 50
)  # compilers make graphs of millions of objects: looking for garbage took an eighth of their time

# a shared machine stalls for longer than any example takes; a property is not about time
# nor is how long its examples take to draw
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)  # a change fails or passes, whoever runs it
settings.register_profile(
    "fuzz", settings.get_profile("steady"), derandomize=False, max_examples=2000, print_blob=True
)  # make fuzz
settings.register_profile("fuzz-briefly", settings.get_profile("fuzz"), max_examples=300, print_blob=True)  # CI
settings.load_profile("steady")

ROOT = Path(__file__).parents[1]


UNCOUNTED = (
    "tests/architecture/",
    "tests/bench/",
    "tests/docs/",
    "tests/fuzzing/",
    "tests/laws/",
    "tests/packaging/",
    "tests/review/",
    "tests/tuner/planted/",
)
"""What these hold are laws, pages and figures, or code that they take the same way many times: others are about the code."""

FLEETS = "tests/bench/test_fleet"
"""These alone start a scheduler that ends in peace and leaves what it ran: a third of `tuner/fleet/dask_server.py`."""


def pytest_itemcollected(item):
    if item.nodeid.startswith(UNCOUNTED) and not item.nodeid.startswith(FLEETS):
        item.add_marker("uncounted")


def _measured_if_counted(item):
    """What a hook yields to is not measured if the test is slow or not to be counted: that takes up to as long as the test.

    Nor are the processes that it starts.
    """
    measuring = sys.gettrace()
    if measuring is None or not (item.get_closest_marker("slow") or item.get_closest_marker("uncounted")):
        return (yield)
    inherited = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_PROCESS")}
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(measuring)
        os.environ.update(inherited)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _measured_if_counted(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _measured_if_counted(item))


def pytest_sessionfinish(session):
    """A worker writes what it measured and looks for garbage before it says that it has done its tests.

    After that it is sent SIGINT in five seconds and killed in ten, and what it measured is lost with it.
    """
    measuring = coverage.Coverage.current()
    if measuring is not None and hasattr(session.config, "workerinput"):
        measuring.stop()
        measuring.save()
    gc.collect()
    gc.freeze()  # pytest looks for garbage once more: through millions of objects, of laws and compilers, on a slow machine


@pytest.fixture(scope="session")
def hub() -> Path:
    """Folder of the public convolution records (MIT, Auto-Tuning Association's benchmark hub); skips without them."""
    data = Path(os.environ.get("SPAK_DATA", ROOT / "../shared/data"))
    folder = data / "benchmark_hub" / "convolution_milo"
    if not folder.is_dir():
        pytest.skip(f"no recorded hub data at {folder}; set SPAK_DATA (docs/transfer.md says where to get it)")
    return folder
