"""Files and modules that the documents name are there."""

from __future__ import annotations

import contextlib
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PLACE = re.compile(r"`((?:kg|kernels|tuner|cli|tests|bench|docs|src|laws)/[\w./*-]+)")
MODULE = re.compile(r"\b(spak\.(?:kg|kernels|tuner|cli)(?:\.\w+)*)\b")


def named(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Each page and what it names."""
    return sorted(
        {(page.relative_to(ROOT).as_posix(), text) for page in PAGES for text in pattern.findall(page.read_text())}
    )


@pytest.mark.parametrize(("page", "text"), named(PLACE))
def test_a_file_named_in_a_page_is_there(page, text):
    assert any(ROOT.glob(text.rstrip("."))), "of a pattern at least one"


@pytest.mark.parametrize(("page", "text"), named(MODULE))
def test_a_module_named_in_a_page_is_there(page, text):
    parent, _, last = text.rpartition(".")
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(text)
        return
    assert hasattr(importlib.import_module(parent), last)
