"""Reading YAML: values every loader agrees on, the place of each, and everything else refused in one line."""

from __future__ import annotations

import io

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from spak.kg.errors import InvalidFilesError
from spak.kg.files.reading import MAX_YAML_BYTES
from spak.kg.files.yaml_reader import MAX_DEPTH, MAX_PROBLEMS_SHOWN, Place, parent, read
from spak.kg.files.yaml_scalars import AmbiguousError, plain_value, spelled


def _problems(data: bytes) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        read(data, "f")
    return [str(problem) for problem in caught.value.problems]


REFUSED = {
    b"a: 1\na: 2\n": "f:2:1: a: the key a stands here twice; keep one",
    b"{a: 1, a: 2}": "f:1:8: a: the key a stands here twice; keep one",
    b"a: -1e20": "f:1:4: a: -1e20 means different things to different loaders; write -1.0e+20",
    b"a: yes": "f:1:4: a: yes is a truth value to some loaders and text to others; write true",
    b"off: 1": "f:1:1: off is a truth value",
    b"a: 010": "f:1:4: a: 010 is octal to some loaders",
    b"a: 1:30": "f:1:4: a: 1:30 means different things",
    b"a: 2020-01-01": "f:1:4: a: 2020-01-01 means different things",
    b"a: 0x1f": "f:1:4: a: 0x1f means different things",
    b"a: 0o17": "f:1:4: a: 0o17 means different things",
    b"a: 1_000": "f:1:4: a: 1_000 means different things to different loaders; write 1000",
    b"a: .5": "f:1:4: a: .5 means different things to different loaders; write 0.5",
    b"a: .inf": "f:1:4: a: .inf is not a finite number",
    b"a: .NaN": "f:1:4: a: .NaN is not a finite number",
    b"a: 1e999": "f:1:4: a: 1e999 is not a finite number",
    b"a: 1.0e+999": "f:1:4: a: 1.0e+999 is too large for a double",
    b"a: 99999999999999999999": "f:1:4: a: 99999999999999999999 is too large",
    b"a: " + b"9" * 5000: "f:1:4: a: the number has 5000 digits",
    b"<<: 3": "f:1:1: << means different things",
    b"=: 3": "f:1:1: = means different things",
    b"a: &x 3": "f:1:4: a: an anchor or a tag",
    b"a: !!int 3": "f:1:4: a: an anchor or a tag",
    b"a: !x [3]": "f:1:4: a: an anchor or a tag",
    b"a: *x": "f:1:4: a: an alias (*x)",
    b"? *x\n: 2": "f:1:3: an alias (*x)",
    b"? [a]\n: 3\n": "f:1:3: a key is text, not a mapping or a list",
    b"1: 2": "f:1:1: a key is text (got 1)",
    b"~: 2": "f:1:1: a key is text (got ~)",
    b"--- 1\n--- 2\n": "f:2:1: a second document",
    b"%YAML 1.1\n---\na: 1": "f:1:1: a directive",
    b"": "f:1:1: the file is empty",
    b"# only a comment\n": "f:1:1: the file is empty",
    b"\xff\xfea": "f:1:1: not UTF-8 (byte 0xff)",
    b"ab: c\n\xc3\xa9\xff": "f:2:2: not UTF-8 (byte 0xff)",
    b"a:\n  \x00": "f:2:3: a NUL character",
    b'a: "\\0"': "f:1:4: a: a NUL character",
    b"a: b: c": "f:1:5: not YAML: mapping values are not allowed in this context",
    b"a: [1": "f:2:1: not YAML",
    b"a\x07: 2": "f:1:2: not YAML: control characters are not allowed",
    b"a: @x": "f:1:4: not YAML: found character that cannot start any token",
    b" " * (MAX_YAML_BYTES + 1): f"f: the file has {MAX_YAML_BYTES + 1} bytes; at most {MAX_YAML_BYTES} are read",
    b"[" * 100_000: f"f:1:{MAX_DEPTH + 1}: " + "[0]" * MAX_DEPTH + f": nested deeper than {MAX_DEPTH} levels",
    b"- " * 50_000: f"f:1:{2 * MAX_DEPTH + 1}: " + "[0]" * MAX_DEPTH + f": nested deeper than {MAX_DEPTH} levels",
    b"{a: " * 50_000: f"f:1:{4 * MAX_DEPTH + 1}: " + ".".join("a" * MAX_DEPTH) + ": nested deeper",
}


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: repr(data[:20]))
def test_what_a_law_file_must_not_hold_is_refused_with_its_place(data):
    assert _problems(data)[0].startswith(REFUSED[data])


def test_every_problem_of_a_file_is_reported_up_to_a_bound():
    assert len(_problems(b"a: yes\nb: 010\nc: &x 1\n")) == 3
    assert len(_problems(b"- yes\n" * 1000)) == MAX_PROBLEMS_SHOWN


def test_values_have_their_types_and_a_byte_order_mark_is_no_text():
    text = '\ufeffa: {b: [1, -2.5, true, "010", ~, x y], "c": |\n    é\n'.replace(', "c": |\n    é\n', "}\nc: |\n  é\n")
    assert read(text.encode(), "f").value == {"a": {"b": [1, -2.5, True, "010", None, "x y"]}, "c": "é\n"}


def test_places_name_key_value_and_first_character_of_the_text():
    document = read(b'a:\n  b: [x, "y z"]\n  c: >\n    long\n', "f")
    assert document.places["a.b[1]"] == Place(2, 10, 2, 10, 11)
    assert document.places["a.b"] == Place(2, 6, 2, 3, 0)
    assert document.places["a.c"].text_column == 0
    assert str(document.problem("a.b[1]", "bad", offset=3)) == "f:2:13: a.b[1]: bad"
    assert str(document.problem("a.b", "bad", at_key=True)) == "f:2:3: a.b: bad"
    assert document.problem("a.missing.x", "bad").line == document.places["a"].line
    assert document.place("nowhere") == document.places[""]
    assert [parent("a.b[1]"), parent("a.b"), parent("a")] == ["a.b", "a", ""]


_WORDS = st.one_of(
    st.text(alphabet="0123456789+-._eExobnNyY:", min_size=1, max_size=8),
    st.text(alphabet="yesnotruefalsYESNOTRUEFALSnul~<=", min_size=1, max_size=5),
    st.floats(allow_nan=False, allow_infinity=False).map(spelled),
    st.integers(-(2**63) + 1, 2**63 - 1).map(str),
)


@given(_WORDS)
@example("-_")
@example("._")
@example("+0x_")
def test_a_word_that_is_accepted_means_the_same_to_yaml_1_1_and_1_2(word):
    try:
        ours = read(f"a: {word}".encode(), "f").value["a"]
    except (InvalidFilesError, TypeError, KeyError):
        return
    for theirs in (
        yaml.load(f"a: {word}", yaml.CSafeLoader)["a"],
        YAML(typ="safe", pure=True).load(io.StringIO(f"a: {word}"))["a"],
    ):
        assert (type(theirs), theirs) == (type(ours), ours)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_spelled_number_reads_back_as_itself(value):
    assert plain_value(spelled(value)) == value


def test_a_hint_can_be_followed():
    for word in ("1e20", "-1E-5", "+2e3", "1_000", ".5"):
        with pytest.raises(AmbiguousError) as caught:
            plain_value(word)
        hint = str(caught.value).split("write ")[1].split(" or ")[0]
        assert plain_value(hint) == float(word.replace("_", ""))


@given(st.binary(max_size=200))
def test_no_bytes_bring_anything_but_a_value_or_a_problem_with_its_place(data):
    try:
        read(data, "f")
    except InvalidFilesError as error:
        places = [(problem.path, problem.line >= 1) for problem in error.problems]
    else:
        return
    assert set(places) == {("f", True)}
