"""Names and walks along `is_a`."""

from __future__ import annotations

import pytest

from spak.kg.errors import UnknownNameError
from spak.kg.model.hardware import Hardware
from spak.kg.model.taxonomy import Taxonomy


def node(identifier: str, *is_a: str, kind: str = "architecture", aliases: tuple[str, ...] = ()) -> Hardware:
    return Hardware(id=identifier, title=identifier.upper(), kind=kind, is_a=is_a, aliases=aliases)


HARDWARE = Taxonomy(
    "hardware",
    {
        n.id: n
        for n in (
            node("nvidia", kind="vendor"),
            node("blackwell", "nvidia"),
            node("hopper", "nvidia"),
            node("sm_120", "blackwell", kind="compute-capability", aliases=("12.0",)),
            node("sm_90", "hopper", kind="compute-capability"),
            node("rtx5070", "sm_120", kind="device", aliases=("NVIDIA GeForce RTX 5070",)),
            node("rtx5090", "sm_120", kind="device"),
            node("other-vendor", kind="vendor"),
        )
    },
)


@pytest.mark.parametrize(
    "name", ["rtx5070", "RTX 5070", "rtx-5070", "nvidia geforce rtx 5070", "NVIDIA GeForce RTX 5070", "RTX_5070"]
)
def test_names_ignore_case_spaces_and_hyphens(name):
    """What a driver prints and what a person types mean the same node."""
    assert HARDWARE.resolve(name) == "rtx5070"


def test_a_longer_device_name_is_another_device():
    """The laptop card is not the desktop card: no name resolves by prefix."""
    with pytest.raises(UnknownNameError) as caught:
        HARDWARE.resolve("NVIDIA GeForce RTX 5070 Laptop GPU")
    assert caught.value.nearest[0] == "rtx5070"
    assert "unknown hardware 'NVIDIA GeForce RTX 5070 Laptop GPU'; nearest: rtx5070" in str(caught.value)


def test_ancestors_come_nearest_first_with_the_way_there():
    """An `is_a` chain carries the path that an answer shows."""
    assert HARDWARE.ancestors("rtx5070") == {
        "rtx5070": ("rtx5070",),
        "sm_120": ("rtx5070", "sm_120"),
        "blackwell": ("rtx5070", "sm_120", "blackwell"),
        "nvidia": ("rtx5070", "sm_120", "blackwell", "nvidia"),
    }


def test_the_path_between_relatives_goes_over_their_nearest_common_ancestor():
    """sm_90 is reached from a Blackwell card over the vendor; a sibling card over its compute capability."""
    assert HARDWARE.path("rtx5070", "sm_90") == ("rtx5070", "sm_120", "blackwell", "nvidia", "hopper", "sm_90")
    assert HARDWARE.path("rtx5070", "rtx5090") == ("rtx5070", "sm_120", "rtx5090")
    assert HARDWARE.path("sm_120", "rtx5070") == ("sm_120", "rtx5070")
    assert HARDWARE.path("rtx5070", "nvidia") == ("rtx5070", "sm_120", "blackwell", "nvidia")
    assert HARDWARE.path("rtx5070", "rtx5070") == ("rtx5070",)


def test_strangers_have_no_path():
    """Hardware of another vendor says nothing."""
    assert HARDWARE.path("rtx5070", "other-vendor") is None


def test_descendants_are_found_downwards():
    """Everything that is a Blackwell."""
    assert set(HARDWARE.descendants("blackwell")) == {"blackwell", "sm_120", "rtx5070", "rtx5090"}


def test_a_cycle_ends_the_walk():
    """The loader reports cycles; a walk over one still ends."""
    circle = Taxonomy("op", {"a": node("a", "b"), "b": node("b", "a")})
    assert set(circle.ancestors("a")) == {"a", "b"}
    assert set(circle.descendants("a")) == {"a", "b"}


def test_a_parent_without_a_file_ends_the_chain():
    """A dangling `is_a` (reported by the loader) is a node without a way on."""
    assert set(Taxonomy("op", {"a": node("a", "ghost")}).ancestors("a")) == {"a", "ghost"}


def test_an_id_beats_an_alias_and_an_alias_beats_a_title():
    """When two nodes share a name, the stronger claim to it wins."""
    names = Taxonomy("op", {"x": node("x", aliases=("y", "z")), "y": node("y"), "w": node("w", aliases=("X-Y",))})
    assert names.resolve("Y") == "y"
    assert names.resolve("z") == "x"
