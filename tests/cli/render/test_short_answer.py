"""The default answer of `kg query`: a screen, the surest first, what is left out counted."""

from __future__ import annotations

import re

import pytest

from spak.cli.render.screenful import LINES
from spak.cli.render.short_answer import short_table
from spak.cli.render.text import Pen
from spak.kg.answers.brief import brief
from spak.kg.answers.query import Ask, query
from tests.kg.small import ROOT, negative, positive


def shown(store=ROOT, **ask) -> str:
    return short_table(brief(store, Ask(**{"hw": "rtx5070", "op": "fmha", **ask}), LINES), store, Pen(colour=False))


MANY = ROOT.with_laws(
    *(negative(f"far-{number:02}", hw="sm_90") for number in range(60)),
    *(negative(f"near-{number:02}", hw="sm_120") for number in range(3)),
    positive("use-64", hw="rtx5070", prefer={"tile_n": 64}),
)


@pytest.mark.parametrize("store", [ROOT, MANY, ROOT.with_laws()])
def test_an_answer_fits_a_screen_of_80_columns(store):
    lines = shown(store).splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 80


def test_what_was_stated_for_the_hardware_comes_before_what_relatives_say():
    found = re.findall(r"^    (\S+)", shown(MANY).partition("Avoid")[2], re.MULTILINE)
    assert found[:3] == ["near-00", "near-01", "near-02"]
    assert found[3] == "far-00"


def test_each_verb_has_its_turn_however_many_laws_another_has():
    text = shown(MANY)
    assert text.index("\nUse\n") < text.index("\nAvoid\n")
    assert "use-64" in text


def test_what_is_left_out_is_counted():
    """The laws that are named and those that are not are all there are."""
    answer = query(MANY, Ask(hw="rtx5070", op="fmha"))
    text = shown(MANY)
    named = sum(hit.law.id in text.split() for hit in answer.hits)
    left = int(re.search(r"^(\d+) more laws?", text, re.MULTILINE)[1])
    assert 0 < named < len(answer.hits)
    assert named + left == len(answer.hits)


def test_refuted_claims_are_counted_and_not_recommended():
    text = shown()
    assert "refuted-claim" not in text
    assert "1 of them refuted" in text


def test_an_id_is_never_broken():
    long = "a-" * 45 + "z"
    assert f"\n{long}\n" in shown(ROOT.with_laws(negative(long, hw="sm_120")))


def test_nothing_known_is_an_answer_with_a_next_step():
    assert "Nothing is known yet: search" in shown(ROOT.with_laws())
