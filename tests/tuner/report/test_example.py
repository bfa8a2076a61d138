"""The committed example is what the command writes from the recorded runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spak.tuner.report.choose import Choice, choose
from spak.tuner.report.html import page
from spak.tuner.report.markdown import markdown
from spak.tuner.report.tell import tell
from tests.tuner.report import recorded

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
COMMAND = "tune report --hw h200 --out docs/examples"
MAX_BYTES = 1_000_000
_DRAWING = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.fixture(scope="module")
def fresh() -> tuple[str, str]:
    document = tell(choose(recorded.laws(), Choice(hw="h200")))
    return page(document), markdown(document)


def test_the_example_is_current(fresh):
    """Regenerating gives the same Markdown, and the same page but for what another matplotlib draws."""
    html, text = fresh
    hint = f"runs or laws changed since; regenerate with: {COMMAND}"
    assert (EXAMPLES / "fmha-h200.md").read_text() == text, hint
    committed = (EXAMPLES / "fmha-h200.html").read_text()
    assert _DRAWING.sub("", committed) == _DRAWING.sub("", html), hint
    assert len(_DRAWING.findall(committed)) == len(_DRAWING.findall(html)), hint


def test_the_example_is_small_enough_to_send(fresh):
    """A page that people mail stays under a megabyte."""
    assert len(fresh[0].encode()) < MAX_BYTES


def test_markdown_tables_fit_a_terminal(fresh):
    """No line of a table is wider than 80 columns."""
    wide = [line for line in fresh[1].splitlines() if line.startswith("|") and len(line) > 80]
    assert wide == []
