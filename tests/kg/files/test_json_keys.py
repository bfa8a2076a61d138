"""A key that stands twice in an object is refused, whether or not somebody has written the values again to compare."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spak.kg.errors import InvalidFilesError
from spak.kg.files.json_keys import check_keys

_TEXTS = st.sampled_from(['"a"', '"b"', '"a:b"', '":"', r'"\u003a"', r'"a\""', r'"\":"', r'"\u0061"', '"trials"'])
_SPACE = st.sampled_from(["", " ", "\n "])
_VALUES = st.recursive(
    st.one_of(_TEXTS, st.sampled_from(["1", "2.50", "null", "true"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(_TEXTS, _SPACE, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{key}{space}:{space}{value}" for key, space, value in pairs) + "}"
        ),
    ),
    max_leaves=8,
)


def _refusal(text, written):
    try:
        check_keys(text, Path("f"), written)
    except InvalidFilesError as error:
        return [str(problem) for problem in error.problems]
    return []


@given(_VALUES)
@example(r'{"a": 1, "a": "\u003a"}')
@example('{"a": {"b": 1, "b": ":"}}')
@example('{"a" : 1, "a":2}')
def test_what_was_written_again_changes_no_refusal(text):
    raw = text.encode()
    written = msgspec.json.encode(msgspec.json.decode(raw))
    assert _refusal(raw, [written]) == _refusal(raw, ())


@pytest.mark.parametrize("text", [r'{"a": 1, "a": "\u003a"}', '{"a":1,"a":2}', '[{"b":{":":1,":":2}}]'])
def test_two_equal_keys_are_refused(text):
    raw = text.encode()
    assert "stands twice" in _refusal(raw, [msgspec.json.encode(msgspec.json.decode(raw))])[0]
