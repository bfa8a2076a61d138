"""Problems as text, JSON, SARIF, JUnit XML or workflow annotations: one entry in FINDINGS_FORMATS each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import msgspec

from spak.cli import workflow
from spak.kg.errors import Problem
from spak.kg.visible import line

_SARIF_LEVELS = {"error": "error", "finding": "warning", "note": "note"}
_WORKFLOW_LEVELS = {"error": "error", "finding": "error", "note": "notice"}


def _text(problems: Sequence[Problem]) -> str:
    """One line a problem; notes and findings say what they are and which check found them."""
    return "".join(f"{_line(problem)}\n" for problem in problems)


def _json(problems: Sequence[Problem]) -> str:
    """`{"problems": [{path, line, column, field, message, severity, check}]}`."""
    return _pretty({"problems": [{**asdict(problem), "path": line(problem.path)} for problem in problems]})


def _github(problems: Sequence[Problem]) -> str:
    """Workflow commands: an annotation at line and column of each problem. What fails the check is an error."""
    lines = (
        workflow.command(
            _WORKFLOW_LEVELS[problem.severity],
            _message(problem),
            file=problem.path,
            line=str(problem.line or ""),
            col=str(problem.column or ""),
            title=f"kg check: {problem.check}",
        )
        for problem in problems
    )
    return "".join(f"{line}\n" for line in lines)


def sarif(problems: Sequence[Problem]) -> str:
    """SARIF 2.1.0 with one rule for each check that found something; a place in one file is one result."""
    rules = sorted({problem.check for problem in problems})
    driver = {"name": "kg check", "rules": [{"id": rule, "name": rule} for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, rules) for problem in problems],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return _pretty({"$schema": schema, "version": "2.1.0", "runs": [run]})


def _result(problem: Problem, rules: Sequence[str]) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(os.fsencode(problem.path.replace("\\", "/")))}}
    if problem.line:
        column = {"startColumn": problem.column} if problem.column else {}
        place["region"] = {"startLine": problem.line, **column}
    return {
        "ruleId": problem.check,
        "ruleIndex": rules.index(problem.check),
        "level": _SARIF_LEVELS[problem.severity],
        "message": {"text": _message(problem)},
        "locations": [{"physicalLocation": place}],
    }


def junit(problems: Sequence[Problem]) -> str:
    """JUnit XML: a test case for each problem, failed unless it is a note; one that passed if there is none."""
    failures = sum(problem.severity != "note" for problem in problems)
    cases = [_case(problem) for problem in problems] or ['    <testcase classname="kg check" name="all files"/>']
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="0"'
    body = "\n".join(cases)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<testsuites {counts}>\n  <testsuite name="kg check" {counts}>\n{body}\n  </testsuite>\n</testsuites>\n'
    )


def _case(problem: Problem) -> str:
    name = ":".join(str(part) for part in (problem.path, problem.line, problem.column) if part)
    opening = f"    <testcase classname={_attribute(f'kg check.{problem.check}')} name={_attribute(name)} file={_attribute(problem.path)}"
    said = _printable(str(problem))
    if problem.severity == "note":
        return f"{opening}>\n      <system-out>{escape(said)}</system-out>\n    </testcase>"
    inside = f"type={_attribute(problem.severity)} message={_attribute(_message(problem))}"
    return f"{opening}>\n      <failure {inside}>{escape(said)}</failure>\n    </testcase>"


def _attribute(value: str) -> str:
    return quoteattr(_printable(value))


def _printable(value: str) -> str:
    """`value` without what XML cannot hold, such as a NUL quoted from a broken file."""
    return "".join(
        sign
        if sign in "\t\n" or (sign >= " " and not "\ud800" <= sign <= "\udfff" and sign not in "\ufffe\uffff")
        else "\ufffd"
        for sign in value
    )


FINDINGS_FORMATS: dict[str, Callable[[Sequence[Problem]], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": sarif,
    "junit": junit,
}
"""Name of a format -> its rendering."""


def _pretty(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _message(problem: Problem) -> str:
    return f"{problem.field}: {problem.message}" if problem.field else problem.message


def _line(problem: Problem) -> str:
    return str(problem) if problem.severity == "error" else f"{problem} [{problem.severity}: {problem.check}]"
