"""The mechanisms that laws may name are one list: in kg, in the glossary, and in what the tuner writes."""

from __future__ import annotations

import re
from pathlib import Path

from spak.kg import checks
from spak.kg.files.loader import load
from spak.kg.law.mechanisms import MECHANISMS

ROOT = Path(__file__).parents[3]


def test_the_glossary_prints_the_list():
    """kg has no docs at run time, so the glossary is held to the list in the code."""
    page = (ROOT / "docs/glossary.md").read_text().partition("## Mechanisms")[2]
    assert dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", page, re.MULTILINE)) == MECHANISMS


def test_what_the_tuner_writes_is_in_the_list():
    """A learned law passes the check."""
    source = (ROOT / "tuner/learn/mining/mechanism.py").read_text()
    terms = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"\)', source))
    assert terms
    assert terms <= MECHANISMS.keys()


def test_a_reason_that_is_no_mechanism_is_found_with_the_nearest(law_root, law_file):
    """A typo gets the term that was meant, anything else the list."""
    text = law_file.read_text()
    for reason, hint in (
        ("register-spills", "; write register-spill, or"),
        ("magic", "; use one of bandwidth-bound, "),
    ):
        law_file.write_text(text.replace("because: register-spill", f"because: {reason}"))
        [problem] = checks.run_checks(load(law_root))
        assert (problem.check, problem.field, problem.severity) == ("mechanism", "claim.because", "finding")
        assert f"(got {reason!r})" in problem.message
        assert hint in problem.message
    law_file.write_text(text.replace("  because: register-spill\n", ""))
    assert checks.run_checks(load(law_root)) == []
