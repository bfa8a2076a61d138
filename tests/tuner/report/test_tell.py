"""What a report says of recorded runs, and that it says nothing they do not hold."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from spak.kg.files.loader import Laws
from spak.kg.model.run import Measurement, Run, Trial
from spak.tuner.report import Report, ReportRequest, report
from spak.tuner.report.document import Bullets, Figure, Table
from tests.tuner.report import recorded


@pytest.fixture(scope="module")
def known() -> Laws:
    return recorded.laws()


def of(known: Laws, folder: Path, *runs: Run) -> Report:
    """The report of runs that are files in `folder`."""
    return report(ReportRequest([recorded.written(run, folder) for run in runs]), known)


@pytest.fixture(scope="module")
def usual(known, tmp_path_factory) -> Report:
    """The report of one small measured sweep."""
    return of(known, tmp_path_factory.mktemp("usual"), recorded.run())


def map_of(text: str) -> str:
    """The section of the map."""
    return text.partition("## The map of the space")[2].partition("\n## ")[0]


def steps_of(found: Report) -> dict[str, tuple[str, ...]]:
    """The table of steps: label -> the other cells."""
    table = next(b for b in blocks(found) if isinstance(b, Table) and b.header[0] == "Step")
    return {row[0]: row[1:] for row in table.rows}


def blocks(found):
    """Every block in reading order."""
    return [block for section in found.document.sections for block in section.blocks]


def test_figures_are_those_of_the_run(usual):
    """Best, default, library and throughput follow from the trials by hand."""
    text = usual.markdown
    flops = 4 * 8 * 16 * 64 * (1024 * 1025 / 2)
    assert "| 4 fmha, tuned" in text
    assert f"| 100.0 [99.90, 100.1] | {flops / 100 / 1e6:>6.1f} |" in text
    assert re.search(r"^\| sdpa +\|.*\| library", text, re.MULTILINE)
    assert "1.20x [1.19, 1.21] the speed of the fastest library (sdpa) in the same rounds" in text
    assert re.search(r"`occupancy 1->2` *\| *faster 1/1 \| *-9\.1 \|", text)
    assert re.search(r"`v_latency 4->5` *\| *tie 1/1 \| *0\.0 \|", text)
    assert "lowered its clock in 1 of 1 run (down to 1500 MHz)" in text


def test_the_report_leads_with_the_best_recorded_configuration(known, tmp_path):
    """The fastest of all runs comes first, not that of the largest run, beside a default that only another run timed."""
    quick = Trial(
        configuration={"tile_m": 128, "num_worker_warps": 8},
        measurements=(Measurement(name="time", value=50.0, unit="us", low=49.0, high=51.0),),
    )
    found = of(known, tmp_path, recorded.run(), recorded.run("quick", trials=(quick,)))
    first = next(block for block in blocks(found) if isinstance(block, Bullets)).items
    assert "takes 50.00 [49.00, 51.00] us" in first[0]
    assert "`tile_m=128, num_worker_warps=8`, the rest default, in `quick`" in first[0]
    assert "2.00x [1.96, 2.04] the speed of the default configuration (timed in other rounds)" in first[1]
    assert "2.40x [2.33, 2.47] the speed of the fastest library (sdpa) in the same rounds" in first[1]
    assert "|   ~2.00 | 2.40 |" in found.markdown


def test_a_step_without_a_run_is_empty_and_says_so(usual):
    """No figure stands in for the naive and the fused kernel or for a proof nobody gave."""
    for label in ("1 proof", "2 naive-attention", "3 fused-attention"):
        assert steps_of(usual)[label] == ("-", "-", "-", "not measured")


def test_earlier_steps_give_the_speed_up(known, tmp_path):
    """With a naive run the speed-up is against it, at the size both have."""
    slow = Trial(
        configuration={}, measurements=(Measurement(name="time", value=5000.0, unit="us", low=4990.0, high=5010.0),)
    )
    problem = {name: value for name, value in recorded.PROBLEM.items() if name in known.ops["naive-attention"].problem}
    naive = recorded.run(
        "measured-h200-naive", op="naive-attention", trials=(slow,), reference_times={}, problem=problem
    )
    text = of(known, tmp_path, recorded.run(), naive).markdown
    assert "speed-up over step 2" in text
    assert "50.00x [49.85, 50.15] the speed of naive-attention in the same rounds" in text
    apart = of(known, tmp_path, recorded.run(created="2026-02-02T00:00:00Z"), naive).markdown
    assert "50.00x [49.85, 50.15] the speed of naive-attention (timed in other rounds)" in apart


def test_the_proof_counts_cases_that_keep_to_the_invariant(known):
    """Step 1 is computed runs: those that keep to the confirmed invariant are right."""
    text = report(ReportRequest(["measured-h200-fmha-d64-s1024-causal", "computed-mask-floor-found"]), known).markdown
    assert "`computed-mask-floor-found`: 8 cases computed, 3 give right numbers" in text
    assert "`attention-finite-mask-floor` (confirmed)" in text
    assert "Of 1 case that keep to it 1 are right" in text


def test_what_the_audit_contradicted_and_what_was_suggested(known, tmp_path):
    """The audit's contradiction and the laws suggested are told."""
    text = of(known, tmp_path, recorded.search_under_laws(known)).markdown
    assert "the audit tried 3 removed configurations and contradicted `blackwell-fmha-tile-m-128-is-slow`" in text
    assert "confirmed (held at 2 sizes), from `measured-h200-searched`" in text


def test_laws_of_other_hardware_are_not_refuted_here(usual):
    """What an H200 shows says whether a law of sm_120 holds here too, not whether it is true there."""
    text = usual.markdown
    line = next(line for line in text.splitlines() if line.startswith("- `blackwell-fmha-tile-m-128-is-slow`"))
    assert "transferred from `blackwell`" in line
    assert "it does not hold here" in line or "it holds here too" in line
    assert "refutes" not in line


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({"when": "hw.num_sms >= 1"}, "Of 0 cases that keep to it"),
        ({"when": "masked_tiles >= 1 or hw.num_sms >= 1"}, "Of 1 case that keep to it"),
        ({"dtype": ("bf16",)}, "Of 0 cases that keep to it"),
    ],
)
def test_only_cases_that_the_law_is_surely_about_are_counted(known, scope, words):
    """A condition over hardware facts and a dtype count, and what they leave undecided is not counted."""
    law = known.laws["attention-finite-mask-floor"]
    law = msgspec.structs.replace(law, scope=msgspec.structs.replace(law.scope, **scope))
    contents = msgspec.structs.replace(known.contents, laws={**known.laws, law.id: law})
    changed = replace(known, contents=contents)
    text = report(ReportRequest(["measured-h200-fmha-d64-s1024-causal", "computed-mask-floor-found"]), changed).markdown
    line = next(line for line in text.splitlines() if "bears out `attention-finite-mask-floor`" in line)
    assert words in line


def test_failures_and_figures_above_the_peak_are_told(known, tmp_path):
    """A time too good to be true is flagged, and configurations that did not run are counted."""
    fast = Trial(
        configuration={"tile_m": 64, "tile_n": 64, "occupancy": 2, "v_latency": 4},
        measurements=(Measurement(name="time", value=5.0, unit="us"),),
    )
    run = recorded.run(trials=(fast, *recorded.failing(2)), device=None, noise=None)
    text = of(known, tmp_path, run).markdown
    assert "is above the printed peak" in text
    assert "does not say how it was timed" in text
    assert "timed (1 of 3)" in text


def test_nothing_that_ran_is_a_report_too(known, tmp_path):
    """A run whose every trial failed says so instead of failing itself."""
    text = of(known, tmp_path, recorded.run(trials=recorded.failing(3), reference_times={})).markdown
    assert "No configuration gave a result" in text
    assert "none of 3 ran" in text


def test_a_stateless_kernel_says_so(known):
    """A kernel whose system carries nothing along is told as such, with what bounds it."""
    text = report(ReportRequest(op="matmul", hw="h200"), known).markdown
    assert (
        "Matrix product carries nothing from tile to tile, bound by arithmetic at every size (64 to 81 % of the peak)"
        in text
    )


def test_without_roofs_no_bound_is_given(known, tmp_path):
    """Hardware without a stated peak gets no invented one."""
    assert "no bound can be given" in of(known, tmp_path, recorded.run(hw="sm_120")).markdown


class _Structure(HTMLParser):
    """What a screen reader would meet."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.scopes: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if found.get("id"):
            self.ids.append(found["id"] or "")
        if tag == "th":
            self.scopes.append(found.get("scope") or "")
        for name in ("src", "href", "xlink:href"):
            if found.get(name) and not (found[name] or "").startswith("#"):
                self.outside.append(found[name] or "")


def test_the_page_is_one_accessible_file(usual):
    """Nothing is fetched, ids are unique, headers have a scope, figures have captions and a text alternative."""
    html = usual.html
    found = _Structure()
    found.feed(html)
    assert found.outside == []
    assert "script" not in found.tags
    assert "@import" not in html
    assert len(found.ids) == len(set(found.ids))
    assert set(found.scopes) == {"col", "row"}
    figures = [block for block in blocks(usual) if isinstance(block, Figure)]
    assert {figure.name for figure in figures} == {"roofline"}
    assert found.tags.count("figcaption") == found.tags.count("figure") == len(figures)
    assert all(figure.alternative and figure.caption for figure in figures)
    assert found.tags.count("h1") == 1
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_the_same_runs_give_the_same_bytes(known, tmp_path, usual):
    """No date of generation, no random id: a report can be compared with the one in git."""
    assert of(known, tmp_path, recorded.run()).html == usual.html


def test_text_from_a_run_cannot_become_markup(known, tmp_path):
    """A run file is somebody's text; the page escapes it."""
    html = of(known, tmp_path, recorded.run(reproduce="<script>alert(1)</script>")).html
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_kernel_without_a_mask_is_no_step_of_a_masked_size(known, tmp_path):
    """The fused kernel has no causal mask: its time is not shown beside causal times, whatever parameters agree."""
    problem = {name: value for name, value in recorded.PROBLEM.items() if name in known.ops["fused-attention"].problem}
    fused = recorded.run("fused", op="fused-attention", problem=problem, trials=tuple(recorded.trials())[:1])
    found = of(known, tmp_path, recorded.run(created="2026-02-02T00:00:00Z"), fused)
    assert steps_of(found)["3 fused-attention"][3] == "not measured"


def test_times_of_two_runs_are_not_paired(known, tmp_path):
    """A smaller run of the same size, on a faster clock, changes no map and no pair; it tells of what only it varied."""
    faster = tuple(
        Trial(
            configuration={**trial.configuration, "k_latency": k_latency},
            measurements=(Measurement(name="time", value=trial.value("time") / 2 * k_latency, unit="us"),),
        )
        for trial in list(recorded.trials())[:32:2]
        for k_latency in (1, 2)
    )
    alone = of(known, tmp_path, recorded.run()).markdown
    text = of(known, tmp_path, recorded.run(), recorded.run("quick", trials=faster)).markdown
    assert re.search(r"`k_latency 1->2` *\| *slower 1/1 \| *\+100 \|", text)
    assert map_of(text) == map_of(alone)
