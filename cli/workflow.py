"""Workflow commands: the lines in a job's log that GitHub turns into annotations."""

from __future__ import annotations


def command(level: str, message: str, **properties: str) -> str:
    """`::error file=a.yaml,line=3::message`, escaped so that no text ends it early or starts another.

    Args:
        level: `error`, `warning` or `notice`.
        message: What to show; may have several lines.
        properties: `file`, `line`, `col`, `title`; an empty one is left out.
    """
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{level}{' ' if given else ''}{given}::{_data(message)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
