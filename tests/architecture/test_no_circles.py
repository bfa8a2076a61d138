"""Imports run in no circle, neither between modules nor between the folders of a package."""

from __future__ import annotations

import networkx as nx
import pytest

from tests.architecture.sources import imports


def circles(pairs) -> list[list[str]]:
    """Groups of names that reach each other."""
    graph = nx.DiGraph([(one, other) for one, other in pairs if one != other])
    return [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]


def test_no_two_modules_need_each_other():
    """Not even for a type checker: each module is understood after those it imports."""
    assert circles(imports()) == []


@pytest.mark.parametrize("package", ["spak.kg", "spak.tuner", "spak.kernels", "spak.cli"])
def test_no_two_folders_need_each_other(package):
    """`kg/files` imports `kg/law`, so `kg/law` never imports `kg/files`."""
    depth = package.count(".") + 2
    inside = [pair for pair in imports() if all(name.startswith(package + ".") for name in pair)]
    assert len(inside) > 2  # the package is there
    assert circles([tuple(".".join(name.split(".")[:depth]) for name in pair) for pair in inside]) == []
