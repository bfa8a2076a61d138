"""Text that is to be read: whatever it holds, it is seen and does nothing."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.errors import Problem
from spak.kg.visible import line, visible

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
