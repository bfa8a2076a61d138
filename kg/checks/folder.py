"""A law lies in the folder that repeats its scope, so that a reader finds it without a tool."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.files.loader import Laws


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each law outside `<hw>/<op>/`."""
    for law in laws.laws.values():
        wanted = f"{law.scope.hw}/{law.scope.op}/{law.id}.yaml"
        if laws.paths["law"][law.id] != wanted:
            yield finding(laws, "folder", law.id, "", f"the file's folders repeat its scope; move it to {wanted}")
