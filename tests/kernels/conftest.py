"""What tests of kernels share."""

from __future__ import annotations

from collections import Counter

import pytest

_COUNTED_CASES = 2
_cases: Counter[str] = Counter()


def pytest_itemcollected(item):
    """The first cases of a test count towards coverage: the others take the compiler and the simulator the same ways again."""
    test = item.nodeid.partition("[")[0]
    _cases[test] += 1
    if _cases[test] > _COUNTED_CASES:
        item.add_marker("uncounted")


@pytest.fixture
def on_the_cpu():
    """What launches on the CPU need: the simulator runs cuda.tile's kernels."""
    pytest.importorskip("torch", reason="needs torch, on the CPU")
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
