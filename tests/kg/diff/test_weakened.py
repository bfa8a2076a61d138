"""What takes from the ground that laws stand on is pointed out: runs gone or rewritten, findings silenced, safety that holds less."""

from __future__ import annotations

import json

import pytest

from spak.cli.render import diff as render_diff
from spak.cli.render.short_diff import short_diff
from spak.cli.render.text import Pen
from spak.kg.diff import words
from tests.kg.diff.history import History, diff, law, only, said


def test_a_run_that_is_gone_or_rewritten_is_a_red_flag_and_one_that_came_says_what_is_best_now(
    history: History,
) -> None:
    """No law changed: what is run where nothing may be tried first comes from runs alone."""
    history.write_run("quick", (1,))
    quick = history.laws / "evidence/quick.json"
    quick.write_text(quick.read_text().replace('"value":10.0', '"value":1.0'))
    (history.laws / "evidence/later.json").unlink()
    held = history.laws / "evidence/held.json"
    held.write_text(held.read_text().replace('"value":20.0', '"value":21.0', 1))
    found = diff(history)
    assert [(run.id, run.fate, run.red_flag) for run in found.runs] == [
        ("held", "rewritten", True),
        ("later", "removed", True),
        ("quick", "added", False),
    ]
    told = [said for _, said in words.run_lines(found)]
    assert told[0] == "run held is rewritten: laws were judged by what it said before (measured, toy on h200)"
    assert (
        "toy on h200 at size=1: the best on record is 1 us (measured, run quick), before 10 us (measured, run found)"
        in told
    )
    assert "toy on h200 at size=8: the best on record is none, before 80 us (measured, run later)" in told
    assert words.headline(found).endswith("3 runs; look at 2: 2 runs are gone or rewritten")
    assert "- 🔴 run later is gone (measured, toy on h200)\n" in render_diff.diff_markdown(found)
    assert "::warning title=run::run later is gone" in render_diff.github(found, {})
    for text in (render_diff.diff_text(found, Pen(colour=False)), short_diff(found, Pen(colour=False))):
        assert "! run later is gone" in text
        assert max(map(len, text.splitlines())) <= 80
    assert [run["fate"] for run in json.loads(render_diff.json(found))["runs"]] == ["rewritten", "removed", "added"]


def test_a_run_file_in_another_layout_is_the_same_run(history: History) -> None:
    path = history.laws / "evidence/held.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=3))
    assert not diff(history)


def test_a_run_that_cannot_be_read_is_named_all_the_same(history: History) -> None:
    (history.laws / "evidence/new.json").write_text("{}")
    history.write_run("other", (2,))
    found = diff(history)
    assert [(run.id, run.about) for run in found.runs] == [("new", ""), ("other", "measured, toy on h200")]
    history.commit("damaged")
    (history.laws / "evidence/new.json").write_text("[]")
    assert [run.fate for run in diff(history).runs] == ["rewritten"]


def test_many_runs_are_told_in_few_lines(history: History) -> None:
    for number in range(12):
        history.write_run(f"more-{number:02}", (16 + number,))
    told = list(words.run_lines(diff(history)))
    assert told[0] == (False, "12 runs added: more-00, more-01, more-02 and 9 more")
    assert told[-1] == (False, "2 more problem sizes have another best on record")
    assert len(told) == 2 + words.NAMED_BESTS


def test_a_law_that_acknowledges_a_finding_is_a_red_flag(history: History) -> None:
    """`kg check` only notes it then: new law or old, a reviewer reads why."""
    quiet = law("quiet", "tile_m == 128 and latency == 3", status="proposed", evidence="  []")
    history.write("sm_90/toy/quiet.yaml", quiet + 'acknowledges: ["origin: nobody knows"]\n')
    item = only(diff(history))
    assert item.red_flag
    assert "ALERT: acknowledges a finding, which kg check only notes then: origin: nobody knows" in said(item)
    assert "1 law silences a check" in words.headline(diff(history))


SAFE = """\
id: safe
title: Nothing slower than three
kind: invariant
scope: {hw: sm_90, op: toy}
claim:
  require: latency < 4
  otherwise: it hangs
  effect: {failure_rate: {at_least: 1}}
status: proposed
origin: by hand
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SAFE, ""),
        (
            SAFE,
            SAFE.replace("status: proposed", 'status: withdrawn\nwithdrawn: {date: "2026-01-01", reason: in the way}'),
        ),
        (SAFE, SAFE.replace("latency < 4", "latency < 9")),
        (SAFE, SAFE.replace("hw: sm_90", "hw: h200")),
    ],
    ids=["deleted", "withdrawn", "requires less", "of fewer devices"],
)
def test_a_law_about_safety_that_holds_less_is_a_red_flag(history: History, before: str, after: str) -> None:
    """It removes nothing from searches, so that only what it guarded tells."""
    history.write("sm_90/toy/safe.yaml", before)
    history.commit("safe")
    path = history.laws / "sm_90/toy/safe.yaml"
    path.write_text(after) if after else path.unlink()
    found = diff(history)
    assert "1 law about SAFETY holds less" in words.headline(found)
    assert "ALERT: about SAFETY" in said(only(found))


def test_wording_of_a_law_about_safety_is_no_red_flag(history: History) -> None:
    history.write("sm_90/toy/safe.yaml", SAFE)
    history.commit("safe")
    history.write("sm_90/toy/safe.yaml", SAFE.replace("slower", "longer"))
    assert not only(diff(history)).red_flag
