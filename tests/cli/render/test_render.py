"""What people read: 80 columns, the same with and without colour, every part of an answer in its place."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.cli.render import query as render_query
from spak.cli.render.explain import account, explanation
from spak.cli.render.lineage import lineage_lines
from spak.cli.render.text import WIDTH, Pen, side_by_side, wrap
from spak.cli.terminal import MARK
from spak.kg.answers.explain import explain
from spak.kg.answers.lineage import lineage
from spak.kg.answers.query import Ask, query
from spak.kg.answers.why import why
from spak.kg.model.system import Saving
from tests.kg.answers.test_explain import load_run
from tests.kg.small import LAWS, ROOT, negative, positive

PLAIN = Pen(False)


def table(root=ROOT, pen=PLAIN, **ask) -> str:
    ask = {"hw": "rtx5070", "op": "attention", "toolchain": "tileiras 13.4.92", **ask}
    return render_query.table(query(root, Ask(**ask)), root, pen)


TEXTS = {
    "table": lambda pen: table(pen=pen),
    "why": lambda pen: account(why(ROOT, Ask(hw="rtx5070", op="fmha"), {"tile_m": 128}), ROOT, pen),
    "explain": lambda pen: explanation(explain(ROOT, "spills", load_run=load_run), pen),
    "lineage": lambda pen: lineage_lines(lineage(ROOT, "v2"), pen),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_everything_fits_80_columns_and_colour_changes_nothing_else(text):
    """A pipe gets the same words in the same places as a terminal."""
    plain, coloured = text(PLAIN), text(Pen(True))
    assert max(map(len, plain.splitlines())) <= WIDTH
    assert "\x1b" not in plain
    assert coloured != plain
    assert re.sub(rf"{MARK}\[[\d;]*m", "", coloured) == plain


def test_a_table_whole():
    """The product's face, pinned: knobs in the op's order, advice, status at the edge, evidence, how it matched."""
    shown = table(
        kinds=frozenset({"positive", "negative", "indifferent"}), statuses=frozenset({"proposed", "confirmed"})
    )
    assert (
        shown
        == """\
Attention on NVIDIA GeForce RTX 5070
rtx5070 → sm_120 → blackwell → nvidia
4 laws: 2 confirmed, 2 proposed · toolchain tileiras 13.4.92

tile_m
  avoid   tile_m >= 128                                                confirmed
          if head_dim == 64 and dtype is fp16 or bf16
          Title of spills
          2 measured for (2 problem sizes, 1 device, 2 days, 2 occasions, 1
          toolchain): slowdown 1.5..2.5
          spills · sm_120, inherited · fmha, a kind of attention

tile_m × tile_n
  use     tile_m=64, tile_n=64                                          proposed
          Title of small-tiles
          1 measured for (1 device, 1 day, 1 occasion, 1 toolchain): slowdown
          1.5
          small-tiles · rtx5070 · fmha, a kind of attention

v_latency
  ignore  v_latency in 4, 5 (same time within 1%)                       proposed
          V latency 4 and 5 tie
          no evidence
          latency-4-or-5 · rtx5070 · fmha, a kind of attention

── From relatives: may order a search, removes nothing ─────────────────────────

tile_m
  avoid   tile_m >= 128                                                confirmed
          Title of hopper-tiles
          2 measured for (2 problem sizes, 1 device, 2 days, 2 occasions, 1
          toolchain): slowdown 1.5..2.5
          hopper-tiles · sm_90, transferred via nvidia · fmha, a kind of
          attention

1 withdrawn law not shown: --status withdrawn
More about one: kg explain small-tiles
"""  # noqa: RUF001 - the sign for a product is meant
    )


def test_refuted_claims_stand_apart():
    """What was claimed and did not hold is knowledge, under its own heading."""
    after = table().partition("Claimed and refuted")[2]
    assert "refuted-claim" in after
    assert "1 measured against (1 device, 1 day, 1 occasion)" in after


def test_staleness_shows_beside_the_status():
    """Evidence from another toolchain weakens a status without changing it."""
    assert "confirmed, stale" in table(toolchain="tileiras 14.0")


CLASH = ROOT.with_laws(
    positive("use-128", hw="rtx5070", prefer={"tile_m": 128}),
    negative("avoid-128", hw="sm_120", avoid="tile_m >= 128"),
    negative("avoid-128-too", hw="rtx5070", avoid="tile_m == 128"),
)


def test_conflicts_stand_side_by_side_and_the_nearer_law_wins():
    """A farther law that loses is marked; two that are as near are left to a measurement."""
    shown = table(CLASH)
    assert "use     tile_m=128" in shown
    assert "avoid-128 " in shown
    assert "confirmed, overridden" in shown
    assert shown.count("── Conflict ") == 2
    assert "use-128 is nearer and wins" in shown.replace("\n", " ")
    assert "neither overrides the other: measure" in shown.replace("\n", " ")
    assert re.search(r"^use tile_m=128 +avoid tile_m >= 128$", shown, re.MULTILINE)


def test_no_laws_is_an_answer_with_a_next_step():
    """An unknown field invites a search."""
    assert "Nothing is known yet: search" in table(ROOT.with_laws())


def test_markdown_has_a_row_for_each_law_and_the_conflicts():
    """For pull requests; bars inside a cell are escaped."""
    shown = render_query.answer_markdown(query(CLASH, Ask(hw="rtx5070", op="fmha")), CLASH)
    assert shown.startswith("### Fused attention on NVIDIA GeForce RTX 5070\n\n| knob | what |")
    assert shown.count("\n| tile_m |") == 3
    assert "- `use-128` and `avoid-128`" in shown
    barred = ROOT.with_laws(negative("a", avoid='tile_m in [1, 2] or "x|y" == "z"'))
    assert "x\\|y" in render_query.answer_markdown(query(barred, Ask(hw="sm_120", op="fmha")), barred)


def test_explain_names_missing_runs_and_links():
    """A law is traced as far as the root has it."""
    shown = explanation(explain(ROOT, "spills", load_run=load_run), PLAIN)
    for part in (
        "Why confirmed: on 2 problem sizes, 1 device, 2 days, 2 occasions, 1",
        "+ supports: measured, suggested",
        "slowdown = 2.5 (95 % interval 2.4 to 2.6)",
        "its run file is not in this law root",
        "what the claim speaks against, 3:",
        "tile_m=128: timeout: Timeout: after 10 s",
        "tile_m=64: time 5 us",
        "latency-4-or-5 refines this",
        "inherited by v2",
    ):
        assert part in shown
    withdrawn = explanation(explain(ROOT, "old-claim", load_run=load_run), PLAIN)
    assert "Withdrawn on 2026-01-01: Wrong units." in withdrawn


def test_why_says_what_is_needed():
    """A law that cannot tell names what would decide it."""
    shown = TEXTS["why"](PLAIN)
    assert "Against it" in shown
    assert "needs mask_value" in shown
    assert "only reorders: it is proposed" in shown
    assert "No law speaks about it." in account(
        why(ROOT.with_laws(), Ask(hw="rtx5070", op="fmha"), {"tile_m": 64}), ROOT, PLAIN
    )


def test_lineage_marks_what_is_missing():
    """A law that a system names but the root lacks is no silent gap."""
    shown = TEXTS["lineage"](PLAIN)
    assert re.search(r"law gone +missing", shown)
    assert re.search(r"rewrite one-to-two +proposed", shown)
    assert "keeps mask-floor" in shown


def test_columns_keep_apart():
    """Blocks of different height share lines without running into each other."""
    assert side_by_side(["a", "b"], ["c"]) == ["a" + " " * 40 + "c", "b"]
    assert wrap("") == [""]
    assert len(LAWS) == len(ROOT.laws)


@given(text=st.text("ab- ", max_size=400), indent=st.integers(0, 8))
def test_wrapping_breaks_no_word_and_only_a_word_alone_is_wider(text, indent):
    """Such a word stands at the margin only where it does not fit with its indent."""
    lines = wrap(text, indent=indent)
    assert " ".join(lines).split() == text.split()
    for line in lines:
        word = line.strip()
        assert len(line) <= WIDTH or line == word
        assert line.startswith(" " * indent) or not word or indent + len(word) > WIDTH


def test_a_line_of_systems_says_what_laws_saved():
    """Measured, or that nobody measured it; of several laws how many."""
    steps = lineage(ROOT, "v2")
    silent = lineage_lines(steps, PLAIN)
    assert "nobody measured what these laws saved" in silent
    one = {"op": "fmha", "hw": "rtx5070", "sizes": 7, "seeds": 10, "evaluations": (40, 8), "seconds": (60.5, 9)}
    saved = msgspec.convert(
        (
            {**one, "laws": ("a", "b"), "records": True},
            {**one, "laws": ("spills",)},
            {**one, "laws": ("idle",), "evaluations": (8, 8)},
        ),
        tuple[Saving, ...],
    )
    last = replace(steps[-1], system=msgspec.structs.replace(steps[-1].system, saved=saved))
    told = " ".join(lineage_lines((*steps[:-1], last), PLAIN).split())
    assert (
        "fmha on rtx5070, 2 laws and what other sizes recorded: 40 evaluations became 8, 60.5 s of compiling 9 s"
        in told
    )
    assert "each law beside the others: spills 40 evaluations became 8; 1 law changes nothing" in told
    assert max(map(len, lineage_lines((*steps[:-1], last), PLAIN).splitlines())) <= 80
