"""Which targets are unseen: a further size anywhere, a known size on a further device, never more than was shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.law.unseen import Target, size, unseen


def _targets(*words):
    return {Target(size(word.partition("@")[0]), word.partition("@")[2]) for word in words}


ENOUGH = {
    "two further sizes on the device where it was found": (["n=1@a"], ["n=2@a", "n=3@a"], True),
    "one further size, and one known on another device": (["n=1@a"], ["n=2@a", "n=1@b"], True),
    "one further size on two devices": (["n=1@a"], ["n=2@a", "n=2@b"], True),
    "two known sizes on another device: devices never stand for sizes": (["n=1@a", "n=2@a"], ["n=1@b", "n=2@b"], False),
    "one further size alone": (["n=1@a"], ["n=2@a"], False),
    "where it was found, again": (["n=1@a", "n=2@a"], ["n=1@a", "n=2@a"], False),
    "a further size, and a known one on a device that nobody noted": (["n=1@a"], ["n=2@a", "n=1"], False),
    "a further size, and a known one where nobody noted on what it was found": (["n=1"], ["n=2@a", "n=1@b"], False),
    "found nowhere, one size on two devices": ([], ["n=1@a", "n=1@b"], False),
    "found nowhere, two sizes": ([], ["n=1@a", "n=2@a"], True),
    "a size that does not say how it differs": (["m=1,n=1@a"], ["m=1@a", "n=2,m=1@a"], False),
}


@pytest.mark.parametrize("name", ENOUGH)
def test_what_confirms_a_law_of_several_sizes(name):
    found, shown, enough = ENOUGH[name]
    assert (unseen(_targets(*found), _targets(*shown)).missing(one_size=False) == "") is enough


def test_a_law_of_one_size_takes_two_further_devices():
    found = _targets("n=1@a")
    assert unseen(found, _targets("n=1@b")).missing(one_size=True) == "1 of 2 further devices"
    assert not unseen(found, _targets("n=1@b", "n=1@c")).missing(one_size=True)


TARGETS = st.frozensets(
    st.builds(Target, st.sampled_from([size("n=1"), size("n=2"), size("n=3")]), st.sampled_from("abc"))
)


@given(TARGETS, TARGETS, TARGETS)
def test_more_evidence_never_unconfirms_and_more_that_suggests_never_confirms(found, shown, more):
    missing = unseen(found, shown).missing(one_size=False)
    assert missing or not unseen(found, shown | more).missing(one_size=False)
    if found:
        assert not missing or unseen(found | more, shown).missing(one_size=False)
    assert unseen(found, shown).targets <= shown - found
