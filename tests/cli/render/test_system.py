"""The search of a system as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from spak.cli.render.system import HEADER, operator_table, operators_json
from spak.cli.render.text import Pen
from spak.kg.model.system import TuningSpace
from spak.tuner.search import SearchRequest
from spak.tuner.system import SystemRequest, SystemResult, search_system
from tests.tuner.test_search import Card, time_us
from tests.tuner.test_system import EACH, GROUP, LONG, SHORT, around, system


@pytest.fixture(autouse=True)
def _compiled_nowhere(monkeypatch):
    """Features that no formula here has are not asked for."""
    monkeypatch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)


def found(tmp_path, *parts: TuningSpace, each: SearchRequest = EACH) -> SystemResult:
    return search_system(SystemRequest("duo", each), around(tmp_path, system(*parts), Card(time=time_us)))


def test_a_line_for_each_operator_in_80_columns_and_the_answer_of_each(tmp_path):
    text = operator_table(found(tmp_path, GROUP, SHORT, LONG), Pen(colour=False))
    lines = text.splitlines()
    assert lines[0] == "duo: 2 operators, measured times"
    assert [line.split()[0] for line in lines[2:5]] == ["naive-attention", "matmul", "gpt"]
    assert lines[4].endswith("93% no kernel of this op is searched")
    assert lines[5].startswith("gate: none named; every trial was compared with float64")
    assert "times as fast as with their defaults" in lines[6]
    assert max(map(len, lines)) <= 80
    assert text.count("  use tile_m=") == 2
    assert len(lines[2]) == len(HEADER)


def test_json_has_the_report_of_every_operator(tmp_path):
    kept = found(tmp_path, GROUP, SHORT)
    told = json.loads(operators_json(kept))
    assert told["system"] == "duo"
    assert told["operators"][0]["report"]["op"] == "matmul"
    assert told["operators"][1] == {
        "op": "gpt",
        "problem": "",
        "time_us": 5000.0,
        "share": 5000 / 5100,
        "gain": None,
        "report": None,
        "left_out": "no kernel of this op is searched",
    }


def test_files_and_laws_that_it_wrote_are_named(tmp_path):
    each = replace(EACH, write="run")
    text = operator_table(found(tmp_path, SHORT, each=each), Pen(colour=False))
    assert f"run file: {tmp_path / 'runs'}" in text


def test_what_failed_and_what_was_not_begun_have_no_time(tmp_path):
    failing = Card(time=time_us, fails=lambda configuration: True)
    place = around(tmp_path, system(SHORT, gate=()), failing)
    kept = search_system(SystemRequest("duo", EACH), place)
    begun = replace(kept, system=system(SHORT, gate=("a-check",)), gate=("a-check",), operators=(*kept.operators,))
    text = operator_table(
        replace(begun, operators=(begun.operators[0], replace(begun.operators[0], result=None))), Pen(colour=False)
    )
    assert "gate: a-check, held" in text
    assert [line.split()[-2:] for line in text.splitlines()[2:4]] == [["-", "-"], ["not", "searched"]]
