"""Text that is to be read: whatever it holds, it is seen and does nothing."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.errors import Problem
from spak.kg.visible import as_markdown, line, visible

HARMFUL = ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u061c", "\u200b", "\u200d", "\u2028", "\u202e", "\u2066", "\ufeff"]


@given(st.text())
def test_what_is_shown_has_nothing_that_is_not_seen(text):
    shown = visible(text)
    assert shown.replace("\n", "").replace("\t", "").isprintable() or any(sign.isspace() for sign in text)
    assert not set(shown) & set(HARMFUL)
    assert "\n" not in line(text)


@given(st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"])))
def test_json_means_what_it_meant(text):
    encoded = msgspec.json.encode({"text": text}).decode()
    assert json.loads(visible(encoded)) == {"text": text}


@pytest.mark.parametrize("sign", HARMFUL)
def test_what_would_act_is_written_as_json_writes_it(sign):
    assert visible(f"a{sign}b") == f"a\\u{ord(sign):04x}b"


def test_ordinary_text_stays():
    text = "µs · 3 %\u00a0→ 🔴 é\n\tnext"
    assert visible(text) is text or visible(text) == text


@pytest.mark.parametrize("path", ["a\nb", "a\udcff", "a\x1b[2J"])
def test_a_problem_names_its_file_in_one_line_that_can_be_written(path):
    said = str(Problem(path, 1, 2, "f", "m"))
    assert said.isprintable()
    said.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", r"a \| b"),
        ("# not a heading\n## nor this", r"\# not a heading ## nor this"),
        ("- no item", r"\- no item"),
        ("1. no item", r"1\. no item"),
        ("> no quote", r"\> no quote"),
        ("[x] no task", r"\[x] no task"),
        ("*a* _b_ ~~c~~ `d`", r"\*a\* \_b\_ ~\~c\~\~ \`d\`"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("&lt;b&gt; &#60; A & B", "&amp;lt;b&amp;gt; &amp;#&#8203;60; A & B"),
        ("![x](http://a.b/c) [y][z] [w]: d", r"![x\](http:&#8203;//a.b/c) [y\][z] [w\]: d"),
        ("@somebody, GH-12, #34, www.a.b", r"@&#8203;somebody, GH-&#8203;12, #&#8203;34, www.&#8203;a.b"),
        ("tile_m 1.04 [1.03, 1.05] ~1.2 x<=2", "tile_m 1.04 [1.03, 1.05] ~1.2 x&lt;=2"),
        ("\u202eevil\x1b", r"\\u202eevil\\u001b"),
    ],
)
def test_markdown_shows_what_stands_there(text, shown):
    """One line whatever the text, so that nothing in it begins a block of its own."""
    assert as_markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`tile_m*2` is @code", "`tile_m*2` is @&#8203;code"),
        ("a `b", r"a \`b"),
        ("`a|b` and *c*", r"`a\|b` and \*c\*"),
        ("``", ""),
    ],
)
def test_code_stays_code_and_ends_where_it_ends(text, shown):
    assert as_markdown(text, code="`") == shown
