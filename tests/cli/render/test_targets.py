"""The answer of a search of many targets: 40 lines of 80 columns whatever was searched, all of it with --verbose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spak.cli.render.targets import target_table
from spak.cli.render.text import Pen
from spak.tuner.many import search_targets
from tests.tuner.test_many import REQUEST, around, compiled_nowhere, planted  # noqa: F401 - a fixture
from tests.tuner.test_search import Card


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Four sizes on one device, with a law to be learned; features that no formula has are not asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)
        folder = tmp_path_factory.mktemp("found")
        return search_targets(replace(REQUEST, trials=120), around(folder, lambda task: Card(time=planted)))


def shown(found, **more) -> list[str]:
    return target_table(found, Pen(colour=False), Path(), **more).splitlines()


def test_a_line_for_each_target_says_best_gain_trials_and_who_helped(found):
    lines = shown(found)
    assert lines[0].startswith("matmul: 4 targets, 90 trials in ")
    assert lines[0].endswith("measured times")
    for line, one in zip(lines[2:6], found.targets, strict=True):
        name, best, gain, tried, *_ = line[:30].strip(), *line[30:].split()
        assert name == one.name
        assert float(best) == pytest.approx(one.result.report.ranked[0].value, abs=0.06)
        assert float(gain) == pytest.approx(one.gain, abs=0.006)
        assert int(tried) == one.result.report.counts.tried
    assert any("h200 " in line[53:] for line in lines[2:6]), "some target helped another"


def test_any_number_of_targets_fits_a_screen_and_verbose_has_all(found):
    many = replace(found, targets=found.targets * 10)
    assert len(shown(many)) <= 40
    assert max(map(len, shown(many))) <= 80
    assert "26 more with --verbose" in shown(many)
    whole = shown(many, verbose=True)
    assert sum(line.startswith("configuration = {") for line in whole) == 40


def test_what_is_the_default_and_what_found_nothing_is_said(found):
    ranked = found.targets[0].result.report
    import msgspec

    only = msgspec.structs.replace(ranked, ranked=(ranked.default,))
    none = msgspec.structs.replace(ranked, ranked=(), default=None)
    first, second = (
        replace(found.targets[0], result=replace(found.targets[0].result, report=report)) for report in (only, none)
    )
    lines = shown(replace(found, targets=(first, second)))
    assert lines[2].split()[3] == "1.00"
    assert lines[3].split()[2:4] == ["-", "-"]
    assert "  the default" in lines


def test_laws_are_a_few_lines_and_their_diff_is_behind_verbose(found):
    change = found.changes[0] if found.changes else None
    assert change is not None, "the planted law was learned"
    lines = shown(replace(found, changes=(change,) * 30))
    told = sum(line.startswith("law: ") for line in lines)
    assert 1 < told < 30
    assert f"{30 - told} laws more with --verbose" in lines
    assert 38 <= len(lines) <= 40
    assert any(line.startswith("+++ ") for line in shown(found, verbose=True))


def test_an_interrupted_search_says_how_to_go_on(tmp_path):
    request = replace(REQUEST, write="run")
    stopped = search_targets(request, around(tmp_path, lambda task: Card(time=planted, stop_after=9)))
    assert shown(stopped)[-1] == f"interrupted; go on with: tune --resume {stopped.journal}"
    done = search_targets(replace(request, trials=24), around(tmp_path / "other"))
    assert shown(done)[-1].startswith("run files: 4 in ")
    dry = replace(stopped, journal="")
    assert shown(dry)[-1] == "interrupted"
