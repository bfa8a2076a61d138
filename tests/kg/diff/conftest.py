"""A repository of laws in which each test makes its change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kg.diff.history import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)
