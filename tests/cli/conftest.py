"""What tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def laws_cache(tmp_path_factory) -> Path:
    """A cache of users who share it: the shipped laws are parsed once, by the first command that is asked about them."""
    return tmp_path_factory.getbasetemp() / "laws-cache"
