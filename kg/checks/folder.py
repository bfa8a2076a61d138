"""A law lies in the folder that repeats its scope, so that a reader finds it without a tool."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import CheckFinding, OneLaw


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for a law outside `<hw>/<op>/`."""
    wanted = f"{one.law.scope.hw}/{one.law.scope.op}/{one.law.id}.yaml"
    if one.path != wanted:
        yield CheckFinding(
            check="folder", field="", message=f"the file's folders repeat its scope; move it to {wanted}"
        )
