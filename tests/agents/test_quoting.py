"""A quotation ends only where it ends, whatever is quoted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spak.agents.quoting import MAX_TEXT, name, names, quoted, settings, shown


@given(st.text(max_size=2 * MAX_TEXT))
def test_a_quotation_is_one_line_of_visible_characters_between_its_two_signs(text):
    found = quoted(text)
    assert (found[0], found[-1]) == ("«", "»")
    assert not set(found[1:-1]) & set("«»")
    assert all(sign.isprintable() for sign in found)


@given(st.text(max_size=200))
def test_a_name_is_quoted_unless_it_is_made_as_ids_are(text):
    found = name(text)
    assert found == text or (found[0], found[-1]) == ("«", "»")
    assert all(sign.isprintable() for sign in found)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3))
def test_settings_are_one_quotation(values):
    found = settings(values)
    assert found.count("«") == found.count("»") == 1


def test_what_is_long_is_cut_and_says_so():
    assert shown("x" * 20, 10) == "x" * 10 + " [cut at 10 of 20 characters]"


def test_names_beyond_the_limit_are_counted():
    assert names(["a", "b c", "d"], 2) == "a, «b c» and 1 more"
