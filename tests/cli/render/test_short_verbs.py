"""What `kg verify`, `tune learn` and `tune first` show of much: the telling part, and how much is left."""

from __future__ import annotations

import re
from types import SimpleNamespace

from spak.cli.render.first import first_text
from spak.cli.render.learned import learned_text
from spak.cli.render.screenful import LINES, fitting, in_turn
from spak.cli.render.text import WIDTH, Pen
from spak.cli.render.verify import SHOWN, verification
from spak.kg.evidence.rows import Judgement
from spak.kg.model.run import Candidate
from spak.tuner.learn.records import LearnedRecords
from spak.tuner.verify import Line, Verification
from tests.kg.small import negative

PLAIN = Pen(colour=False)


def fits(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) <= LINES and all(len(line) <= WIDTH for line in lines)


def test_entries_fit_and_a_heading_costs_two_lines():
    entries = [("a", ["1"]), ("b", ["2", "3"]), ("a", ["4"]), ("a", ["5"])]
    assert fitting(entries, 8) == {"a": [["1"], ["4"]], "b": [["2", "3"]]}
    assert fitting(entries, 2) == {}
    assert list(in_turn(["abc", "", "d"])) == ["a", "d", "b", "c"]


def judged(verdict: str, number: int, *, noted: bool = True) -> Line:
    return Line(f"run-{number}", Judgement(verdict, {"slowdown": 2.0}), "m=1,n=2", noted)


def test_a_verification_tells_what_speaks_against_the_law_first_and_counts_the_rest():
    lines = (*(judged("supports", n) for n in range(20)), judged("refutes", 20), judged("supports", 21, noted=False))
    found = Verification("law", lines, (("run-3", "another number"),), "confirmed", "contested", "run-20 against")
    text = verification(found, PLAIN)
    assert fits(text)
    assert re.findall(r"run-\d+(?: \(.*\))?$", text, re.MULTILINE)[:3] == [
        "run-20",
        "run-21 (not in its evidence)",
        "run-0",
    ]
    assert f"and more: {len(lines) - SHOWN} supports; --verbose has them" in text
    assert "DIFFERS: run-3: another number" in text
    assert verification(found, PLAIN, verbose=True).count("    run-") == len(lines)


def learned(*outcomes: str) -> LearnedRecords:
    candidates = tuple(
        Candidate(law=negative(f"law-{place}", avoid=f"tile_m == {place}"), outcome=outcome, reason=f"because {place}")
        for place, outcome in enumerate(outcomes)
    )
    return LearnedRecords("fmha", ("run-a",), ("run-b",), candidates, (), ())


def test_what_was_learned_leads_and_what_did_not_hold_is_counted():
    found = learned(*["refuted"] * 30, "confirmed", "inconclusive")
    text = learned_text(found, is_dry=True)
    assert fits(text)
    assert "confirmed: avoid tile_m == 30" in text
    assert "31 more suggestions, each with its reason: --verbose" in text
    whole = learned_text(found, is_dry=True, verbose=True)
    assert whole.count("because ") == 32
    assert "--verbose" not in whole


def test_more_than_a_screen_of_confirmed_laws_is_counted_too():
    text = learned_text(learned(*["confirmed"] * 40), is_dry=False)
    assert fits(text)
    assert text.count("\nconfirmed: ") + int(re.search(r"(\d+) more suggestions", text)[1]) == 40


def test_the_first_to_try_share_their_settings_and_one_can_be_pasted():
    space = SimpleNamespace(op="toy")
    found = SimpleNamespace(hw="h200", space=space, order=[1, 2], sources=[(f"law l{n}", 1.0) for n in range(7)])
    settings = [{"tile_m": 64, "form": "plain"}, {"tile_m": 128, "form": "plain"}]
    lines = first_text(found, settings).splitlines()
    assert lines[-4:] == [
        "all with form=plain",
        "    1 tile_m=64",
        "    2 tile_m=128",
        'first = {"tile_m": 64, "form": "plain"}',
    ]
    assert "  and 2 more sources: --format json" in lines
    assert first_text(found, settings[:1]).splitlines()[-1] == 'first = {"tile_m": 64, "form": "plain"}'
