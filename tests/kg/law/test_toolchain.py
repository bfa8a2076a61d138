"""Toolchain specifiers, and when evidence is stale."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.law import toolchain
from spak.kg.law.kinds import AnyLaw

LAW = {
    "kind": "negative",
    "id": "a",
    "title": "t",
    "scope": {"hw": "h", "op": "o", "toolchain": "tileiras >=13.4,<14"},
    "claim": {"avoid": "x"},
    "status": "proposed",
}


def _law(*seen, **scope):
    evidence = [
        {"run": "r", "verdict": "supports", "tier": "compiled", "role": "suggested", "toolchain": name} for name in seen
    ]
    return msgspec.convert(LAW | {"evidence": evidence, "scope": LAW["scope"] | scope}, AnyLaw)


@pytest.mark.parametrize("text", ["", ">=13", "tileiras 13.4", "tileiras>=13", "1x >=2"])
def test_what_is_not_a_requirement_is_refused(text):
    with pytest.raises(toolchain.ToolchainError, match="NAME >=LOW,<HIGH"):
        toolchain.parse_requirement(text)


@pytest.mark.parametrize("text", ["", "tileiras", "13.4", "tileiras new"])
def test_what_is_not_a_toolchain_is_refused(text):
    with pytest.raises(toolchain.ToolchainError, match="`name version`"):
        toolchain.parse_toolchain(text)


def test_a_law_holds_for_toolchains_of_its_scope():
    inside = [toolchain.holds_for(_law(), f"tileiras {v}") for v in ("13.4", "13.5", "13.10.1", "14", "14.0", "13.3.9")]
    assert inside == [True, True, True, False, False, False]
    assert toolchain.holds_for(_law(), "torch 1")
    assert toolchain.holds_for(_law(toolchain="tileiras"), "tileiras 1")
    assert toolchain.holds_for(_law(toolchain=""), "tileiras 14.0")


def test_a_law_is_stale_when_none_of_its_evidence_is_from_the_release_asked_about():
    assert toolchain.is_stale(_law("tileiras 13.4.92"), "tileiras 13.5.1")
    assert not toolchain.is_stale(_law("tileiras 13.4.92"), "tileiras 13.4.1")
    assert not toolchain.is_stale(_law("tileiras 13.4.92", "tileiras 13.5"), "tileiras 13.5.1")
    assert not toolchain.is_stale(_law("tileiras 13.4.92"), "")
    assert not toolchain.is_stale(_law(""), "tileiras 13.5")


def test_the_newest_toolchain_seen_is_by_version_not_by_text():
    assert toolchain.newest_seen([_law("tileiras 13.4.92", "tileiras 13.10"), _law("")]) == "tileiras 13.10"
    assert toolchain.newest_seen([]) == ""


def test_the_compiler_of_a_run_is_one_of_its_components_or_nothing():
    """A backend that compiles with something else asks laws about no toolchain."""
    assert toolchain.compiler_of({"cuda-tile": "1.7", "tileiras": "13.4.92"}) == "tileiras 13.4.92"
    assert toolchain.compiler_of({"triton": "3.7"}) == "triton 3.7"
    assert toolchain.compiler_of({"nvcc": "13.0"}) == ""
