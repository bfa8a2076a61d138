"""The reader of plain lines gives what the reader of YAML gives, or nothing; and it does read what this package writes."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spak.kg.errors import InvalidFilesError
from spak.kg.files import fmt, yaml_reader
from spak.kg.files.yaml_plain import plain_mapping

LAW = """id: spills
title: FMHA spills at 128 x 128
kind: negative
scope:
  hw: sm_120
  op: fmha
  dtype: [fp16, bf16]
  when: head_dim >= 64 and seq > 1.5e+3
  toolchain: tileiras >=13.4,<14
claim:
  avoid: (tile_m == 128 or tile_n == 128) and not persistent
  effect: {spill_bytes: {at_least: 1}, slowdown: {at_least: 1.25, at_most: 7.0}}
status: proposed
examples:
  avoided:
    - {tile_m: 128, use_tma: true, pipeline: plain}
    - {}
origin: "it says: nothing"
evidence:
  - run: compiled-one
    verdict: supports
    tier: compiled
    role: suggested
    effect: {spill_bytes: 1208}
    interval: {slowdown: [-0.5, 1.25]}
    problems: ["batch=1,seq=128"]
  - run: compiled-two
    verdict: supports
references:
  - title: bench/generate_laws.py
acknowledges: []
"""

MARKS = list(" \n:-,{}[]\"'#&*!|>%@`?~.+eE019_atn\\/()<=\t\r\x85é\ufeff")
DIFFERENT = (
    *("a: 1\na: 2\n", "a: {b: 1, b: 2}\n", "a: yes\n", "a: 010\n", "a: null\n", "a:\nb: 1\n", "a: b: c\n", "a: b \n"),
    *(
        "a: b # c\n",
        "a: b#c\n",
        "a: 'b'\n",
        'a: "b\\n"\n',
        'a: "b" c\n',
        "a: [b] c\n",
        "a: [b,c]\n",
        "a: [b, ]\n",
        "a: {b}\n",
    ),
    *(
        "a: |\n  b\n",
        "a: b\n  c\n",
        "a: b\n c: d\n",
        "a:\n - b: 1\n",
        "a:\n- b: 1\n",
        "a:\n  - b\n",
        "  a: 1\n",
        "a: &b 1\n",
    ),
    *(
        "a: *b\n",
        "a: !b 1\n",
        "%a: 1\n",
        "---\na: 1\n",
        "a: 1\n---\nb: 1\n",
        "a: 1\n...\n",
        "? a\n: 1\n",
        "<<: 1\n",
        "yes: 1\n",
    ),
    *(
        "a: 1\n\nb: 2\n",
        "a: 1",
        "",
        "\n",
        "a:\n  - {b: 1}\n  c: 2\n",
        "a:\n  b: 1\n  - c: 2\n",
        "a: - b\n",
        "a: 99999999999999999999\n",
    ),
)


def _as_yaml(text):
    """What the reader of YAML makes of a text; None if it refuses it."""
    reading = yaml_reader._Reading("f")
    value = reading.compose(text)
    return None if reading.problems else value


def _agrees(text):
    plain = plain_mapping(text)
    assert plain is None or repr(plain) == repr(_as_yaml(text))  # 1, 1.0 and true are three things, and order counts
    return plain is not None


@pytest.mark.parametrize("text", DIFFERENT)
def test_what_leaves_the_form_is_not_decided_here(text):
    assert plain_mapping(text) is None


def test_what_is_in_the_form_is_read():
    assert _agrees(LAW)


_EDIT = st.tuples(st.integers(0, len(LAW)), st.integers(0, 3), st.sampled_from([*MARKS, ": ", "\n  ", "- ", ", "]))


@settings(max_examples=300)
@given(st.lists(_EDIT, min_size=1, max_size=4))
@example([(0, 0, " ")])
def test_a_text_that_was_edited_anywhere_means_the_same_to_both_or_is_not_decided(edits):
    text = LAW
    for place, gone, put in edits:
        text = text[:place] + put + text[place + gone :]
    _agrees(text)


@settings(max_examples=200)
@given(st.permutations(LAW.splitlines()), st.integers(1, 12))
def test_lines_in_any_order_mean_the_same_to_both_or_are_not_decided(lines, count):
    _agrees("\n".join(lines[:count]) + "\n")


_WORDS = st.text(st.sampled_from("abz_019. -:,{}\"'#é"), max_size=9)
_SCALARS = st.one_of(st.booleans(), st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6), _WORDS)
_KEYS = st.sampled_from(["id", "title", "scope", "claim", "effect", "at_least", "no", "x-1"])
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3))
)


@given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=5))
def test_whatever_is_written_means_the_same_to_both(value):
    _agrees(fmt.new_text(value, "law", "f"))


@given(st.integers(0, len(LAW) - 1))
def test_a_fault_is_told_as_the_reader_of_yaml_tells_it(place):
    text = LAW[:place] + "\t" + LAW[place:]
    reading = yaml_reader._Reading("f")
    reading.compose(text)
    found = []
    try:
        yaml_reader.read(text.encode(), "f")
    except InvalidFilesError as error:
        found = list(error.problems)
    assert found == reading.problems
