"""The page and the plot say what the searches came to; random search's line is exact."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from bench import cold_tables
from bench.cold_drawing import Line, Panel, svg
from bench.cold_gpu import TRIALS, ColdResult, Course, SweepFacts
from bench.cold_live import LiveResult, LiveSearch

RATIOS = (1.0, 1.1, 1.25, 2.0, 3.0)


def sweep(ratios=RATIOS, failed=2) -> SweepFacts:
    total = len(ratios) + failed
    return SweepFacts(
        op="o", problem="p", configurations=total, best_us=1.0, removed=0, postponed=0, default=None, ratios=ratios
    )


@pytest.mark.parametrize("trials", [1, 2, 3, 5])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_random_search_is_what_drawing_every_subset_gives(trials, share):
    """Failures count as trials that found nothing."""
    everything = [*RATIOS, np.inf, np.inf]
    bests = sorted(min(drawn) for drawn in itertools.combinations(everything, trials))
    exact = np.quantile(bests, share, method="inverted_cdf")
    assert cold_tables.at_random([sweep()], trials, share) == exact


def test_each_sweep_counts_alike_whatever_its_size():
    """A sweep of many configurations does not outvote one of few."""
    easy, hard = sweep((1.0,) * 50, 0), sweep((1.0, *(2.0,) * 9), 0)
    assert cold_tables.at_random([easy, hard], 1, 0.5) == 1.0
    assert cold_tables.at_random([easy, hard], 1, 0.6) == 2.0


def test_a_course_counts_from_its_first_trial_that_ran():
    """Before that the best is nobody's."""
    course = Course(sweep="s", arm="both", seed=0, steps=((2, 1.5), (4, 1.0)))
    result = ColdResult(source="a", target="b", seeds=1, laws={}, sweeps={"s": sweep()}, courses=(course,))
    (row,) = cold_tables.ratios(result, "both", ["s"])
    assert list(row[:5]) == [np.inf, 1.5, 1.5, 1.0, 1.0]
    assert len(row) == max(TRIALS)


def test_page_and_plot_are_what_the_kept_searches_give():
    """Nobody typed a number; `python -m bench.cold_tables` writes both."""
    replayed, _ = cold_tables.kept()
    text = cold_tables.PAGE.read_text()
    assert cold_tables.written(text) == text
    assert cold_tables.PLOT.read_text() == cold_tables.plotted(replayed)


def test_the_plot_is_well_formed_runs_nothing_and_stays_inside_its_paper():
    """Lines that leave the panel end at its edge; what never ran is not drawn."""
    late = np.array([np.inf, 9.0, *[1.2] * 78])
    drawn = svg([Panel("a & b", [Line("<one>", late, late, late)])], "what it shows")
    root = ET.fromstring(drawn)  # noqa: S314 - our own text
    assert {part.tag.rpartition("}")[2] for part in root.iter()} <= {"svg", "title", "style", "rect", "path", "text"}
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    lines = [part.attrib["d"] for part in root.iter() if " l" in part.attrib.get("class", "")]
    numbers = [float(n) for d in lines for n in d.replace("M", " ").replace("H", " ").replace("V", " ").split()]
    assert max(numbers) <= max(width, height)
    assert min(numbers) >= 0
    assert "inf" not in drawn
    assert "nan" not in drawn


def test_a_live_search_is_told_by_its_best_so_far_and_beside_the_others():
    """What was not compared again has no such time; before its first time a search has none."""
    first = LiveSearch(arm="both", seed=0, steps=((1, 30.0), (12, 20.0)), best={}, elapsed_s=9.4, again_us=20.5)
    late = LiveSearch(arm="nothing", seed=1, steps=((33, 40.0),), best={}, elapsed_s=8.6)
    result = LiveResult(
        source="h200",
        device="h100",
        op="o",
        problem="p",
        trials=40,
        created="2026-11-22T01:00:00Z",
        searches=(first, late),
    )
    page = cold_tables.live_page([result])
    assert page.startswith("o p on an H100, 40 trials, 2026-11-22:\n")
    assert "| laws and runs of the H200 | 0 | 30.0 | 20.0 | 20.0 | 20.5 | 9 |" in page
    assert "| nothing | 1 | - | - | 40.0 | - | 9 |" in page
