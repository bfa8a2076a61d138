"""The committed example is what the command writes from the recorded runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from spak.tuner.report import Report, ReportRequest, report
from tests.tuner.report import recorded

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
COMMAND = "tune report --hw h200 --out docs/examples"
MAX_BYTES = 1_000_000


@pytest.fixture(scope="module")
def fresh() -> Report:
    return report(ReportRequest(hw="h200"), recorded.laws())


def test_the_example_is_current(fresh):
    """Regenerating gives the same page and the same Markdown."""
    hint = f"runs or laws changed since; regenerate with: {COMMAND}"
    assert (EXAMPLES / "fmha-h200.md").read_text() == fresh.markdown, hint
    assert (EXAMPLES / "fmha-h200.html").read_text() == fresh.html, hint


def test_the_example_is_small_enough_to_send(fresh):
    """A page that people mail stays under a megabyte."""
    assert len(fresh.html.encode()) < MAX_BYTES


def test_markdown_tables_fit_a_terminal(fresh):
    """No line of a table is wider than 80 columns."""
    wide = [line for line in fresh.markdown.splitlines() if line.startswith("|") and len(line) > 80]
    assert wide == []


def test_the_figures_of_the_race_are_those_of_the_text(fresh):
    """README and docs/benchmarks-h200.md are written from the figures; nobody reads two numbers for one thing."""
    race = fresh.race
    assert f"geometric mean {race.geometric_mean:.3f}x" in fresh.markdown
    assert f"({', '.join(race.libraries)}): faster at {race.faster}, slower at {race.slower}," in fresh.markdown
    assert 0 < race.slower < race.faster < len(race.ratios)
    assert race.worst == min(ratio.value for ratio in race.ratios) < race.geometric_mean
    assert "running_max" in race.depending
    assert race.inputs == ("normal",)
