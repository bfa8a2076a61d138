"""The default answers of `kg why` and `kg explain`: a screen, the surest first, nothing that speaks against left out."""

from __future__ import annotations

import re

import msgspec
import pytest

from spak.cli.render.screenful import LINES
from spak.cli.render.short_account import ruling, short_account
from spak.cli.render.short_explanation import short_explanation
from spak.cli.render.text import WIDTH, Pen
from spak.kg.answers.explain import explain
from spak.kg.answers.query import Ask
from spak.kg.answers.why import why
from tests.kg.answers.test_explain import load_run
from tests.kg.small import AGAINST, INDEPENDENT, ROOT, SUPPORT, negative

PLAIN = Pen(colour=False)
LONG = "a-" * 45 + "z"
MANY = ROOT.with_laws(
    *(negative(f"far-{number:02}", hw="sm_90") for number in range(40)),
    negative(LONG, hw="sm_120"),
    negative("depends", hw="rtx5070", avoid="tile_n >= 64 and spill_bytes > 0"),
    negative("elsewhere", hw="rtx5070", avoid="tile_m == 32"),
)


def account(configuration=None, store=MANY, **ask):
    return why(
        store,
        Ask(**{"hw": "rtx5070", "op": "fmha", "toolchain": "tileiras 13.4", **ask}),
        configuration or {"tile_m": 128, "tile_n": 64},
    )


def shown(**ask) -> str:
    return short_account(account(**ask), MANY, PLAIN)


def explained(law) -> str:
    return short_explanation(explain(ROOT.with_laws(law), law.id, load_run=load_run, num_trials=1), PLAIN)


def entries(number: int, entry=SUPPORT):
    return [msgspec.structs.replace(entry, run=f"run-{place:02}") for place in range(number)]


TEXTS = {"why": shown, "explain": lambda: explained(negative("spills", evidence=(*entries(30), SUPPORT)))}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_answer_fits_a_screen_and_no_id_is_broken(text):
    lines = text().splitlines()
    assert 20 < len(lines) <= LINES
    assert all(len(line) <= WIDTH or len(line.split()) == 1 for line in lines)
    assert LONG in text().split() or text is TEXTS["explain"]


def test_every_law_that_speaks_is_named_or_counted():
    found = account()
    speaking = [opinion.law.id for opinion in found.opinions if opinion.verdict.stance != "silent"]
    words = shown().split()
    left = int(re.search(r"^(\d+) more laws?: --all", shown(), re.MULTILINE)[1])
    assert sum(law in words for law in speaking) + left == len(speaking)
    assert "elsewhere" not in words
    assert re.search(r"\b1 about something else$|\b\d+ about something else$", shown().splitlines()[1])


def test_what_is_decided_stands_before_what_is_not():
    """And what would decide it is named with its claim."""
    text = shown()
    assert text.index("Against it") < text.index("Cannot be decided yet")
    assert "against it if spill_bytes > 0" in text


@pytest.mark.parametrize(
    ("laws", "words"),
    [
        ([], "No law keeps a search from trying it."),
        ([negative("slow", hw="sm_120", evidence=(SUPPORT, INDEPENDENT))], "A search leaves it out: slow."),
        (
            [negative("slow", hw="sm_120", avoid="spill_bytes > 0", evidence=(SUPPORT, INDEPENDENT))],
            "Whether a search leaves it out depends on spill_bytes.",
        ),
        (
            [negative("slow", hw="sm_120", when="causal", evidence=(SUPPORT, INDEPENDENT))],
            "Whether a search leaves it out depends on the problem size (--problem).",
        ),
    ],
)
def test_the_ruling_is_what_a_search_does(laws, words):
    assert ruling(account(store=ROOT.with_laws(*laws))) == words


def test_a_law_that_nobody_asked_for_is_no_law():
    assert "No law speaks about it." in short_account(account(store=ROOT.with_laws()), ROOT.with_laws(), PLAIN)


def test_evidence_against_a_law_is_shown_first_and_what_is_left_is_counted():
    """However much speaks for it."""
    text = explained(negative("doubted", evidence=(*entries(30), msgspec.structs.replace(AGAINST, run="the-other"))))
    rows = re.findall(r"^([+~-]) .*\n    (\S+)$", text, re.MULTILINE)
    assert rows[0] == ("-", "the-other")
    assert len(rows) + int(re.search(r"\.\.\. and (\d+) more", text)[1]) == 31


def test_two_trials_show_the_claim_by_what_differs():
    """The best of those the claim names, and the best of the others."""
    run = load_run("run-a")
    one_size = msgspec.structs.replace(run, trials=tuple(trial for trial in run.trials if not trial.problem))
    found = explain(ROOT, "spills", load_run={"run-a": one_size}.get, num_trials=1)
    lines = short_explanation(found, PLAIN).splitlines()
    assert any(re.fullmatch(r"  what the claim speaks against, best of 3 +10 us", line) for line in lines)
    assert lines[lines.index("    tile_m=128") + 1].endswith(" 5 us")
    assert "Two of the trials" not in explained(negative("none"))
