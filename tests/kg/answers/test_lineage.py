"""The line of systems."""

from __future__ import annotations

import pytest

from spak.kg.answers.lineage import lineage
from spak.kg.errors import KgError, UnknownNameError
from spak.kg.model.system import System
from tests.kg.small import ROOT, SmallRoot


def test_a_line_runs_from_the_oldest_and_says_what_each_step_gained():
    """A law inherited again is kept, not gained; one without a file is named as missing; rewrites lead to a step."""
    first, second = lineage(ROOT, "Second")
    assert (first.system.id, second.system.id) == ("v1", "v2")
    assert list(first.gained) == ["mask-floor"]
    assert second.kept == ("mask-floor",)
    assert [law and law.id for law in second.gained.values()] == ["spills", None]
    assert [law.id for law in second.rewrites] == ["one-to-two"]


def test_an_unknown_system_gets_the_nearest():
    """A typo is answered with the systems it resembles."""
    with pytest.raises(UnknownNameError, match="unknown system 'v22'; nearest: v2"):
        lineage(ROOT, "v22")


def test_a_circle_is_an_error_not_a_hang():
    """Two systems cannot be derived from each other."""
    circle = {
        n: System(id=n, title=n, level="atom", state="built", derived_from=(o,)) for n, o in (("a", "b"), ("b", "a"))
    }
    with pytest.raises(KgError, match="derived from each other"):
        lineage(SmallRoot(systems=circle), "a")
