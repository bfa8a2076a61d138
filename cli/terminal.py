r"""Where text meets a terminal or a log: what laws, runs and file names say is shown, and nothing in it acts.

Everything a command prints goes through a `Screen`. What is no visible character becomes an escape such as `\u001b`, which
in JSON means the same; a line that a workflow runner would take for a command loses its mark. What this package itself has
to say to a terminal (styles, annotations) stands behind `MARK`, which no file can know.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from spak.kg.visible import visible

MARK = f"\x1b{os.urandom(8).hex()}"
"""Stands in front of what a terminal or a runner is to obey; it is not printed."""

_SIGNAL = re.compile(r"\[[\d;]*m|::")
"""A style, or the start of an annotation."""

_COMMAND = re.compile(r"^[^\S\n]*:(?=:)|#(?=#\[)", re.MULTILINE)
"""What a workflow runner obeys: `::name` first in a line, `##[name]` anywhere. Source: actions/runner, ActionCommand.cs."""


class Screen:
    """A text stream that shows what is written to it."""

    encoding, errors = "utf-8", "backslashreplace"

    def __init__(self, stream: TextIO) -> None:
        """Show on `stream`; what its encoding has not is escaped too."""
        self.behind = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=self.errors)

    def write(self, text: str) -> int:
        """Write `text`, shown; its own marks are obeyed."""
        first, *marked = text.split(MARK)
        self.behind.write("".join([_shown(first), *map(_own, marked)]))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Anything else is the stream's."""
        return getattr(self.behind, name)


def obeyed(text: str) -> str:
    """Lines of workflow commands, to be obeyed."""
    return "".join(MARK + line for line in text.splitlines(keepends=True))


def behind(stream: TextIO) -> TextIO:
    """The stream itself, for what prints no text of a file."""
    return stream.behind if isinstance(stream, Screen) else stream


@contextmanager
def screens() -> Iterator[None]:
    """Let stdout and stderr show what they are given; one that is closed takes it and shows nothing."""
    before = sys.stdout, sys.stderr
    with ExitStack() as stack:
        out, err = (stack.enter_context(Path(os.devnull).open("w")) if one is None else one for one in before)
        sys.stdout, sys.stderr = Screen(out), Screen(err)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def _shown(text: str) -> str:
    return _COMMAND.sub(lambda found: f"{found[0][:-1]}\\u{ord(found[0][-1]):04x}", visible(text))


def _own(text: str) -> str:
    own = _SIGNAL.match(text)
    if own is None:
        return _shown(text)
    return ("" if own[0] == "::" else "\x1b") + own[0] + _shown(text[own.end() :])
