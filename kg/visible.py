"""Text of laws, runs and file names where people and programs read it: nothing in it acts, hides or turns around."""

from __future__ import annotations

import re
import unicodedata

_LEADING = re.compile(r"^(?:[-+](?=\s)|[#>]|\[(?=[ xX]\])|\d+(?=[.)](?:\s|$)))")
"""What makes a list, a heading, a quote or a task of a text at the start of a line."""

_MARKUP = re.compile(r"[\\`*|]|(?<=\S)~|(?<!\w)_|_(?!\w)|\](?=[(:\[])|<|&(?=#|\w+;)")
_ENTITIES = {"&": "&amp;", "<": "&lt;"}
_LINK = re.compile(r"(?i)[@#](?=\w)|:(?=//)|(?<=www)\.|(?<=\bgh)-(?=\d)")
"""What GitHub makes a link or a mention of; it does so after Markdown's own escapes are gone."""


def visible(text: str, keep: str = "\n\t") -> str:
    r"""`text` with every character that is not seen as itself written as JSON writes it (`\u001b`), but those in `keep`.

    Those are control characters, marks of direction and of no width, halves of surrogate pairs, private and unassigned
    code points. In JSON text it means what it meant.
    """
    if all(line.isprintable() for line in text.split("\n")) and ("\n" in keep or "\n" not in text):
        return text
    return "".join(sign if _is_seen(sign) or sign in keep else _escape(sign) for sign in text)


def line(text: str) -> str:
    """`text` as it may stand in one line of a log, such as a file's name."""
    return visible(text, keep="")


def as_markdown(text: str, code: str = "") -> str:
    """`text` as one line of Markdown, in a table too, that shows it as it is: no markup, no HTML, no link, no mention.

    What stands between two of the character `code` is shown as code.
    """
    parts = line(" ".join(text.split())).split(code) if code else [line(" ".join(text.split()))]
    if len(parts) % 2 == 0:
        parts[-2:] = [code.join(parts[-2:])]  # the last one has no other
    shown = "".join(_code(part) if place % 2 else _plain(part) for place, part in enumerate(parts))
    return _LEADING.sub(lambda mark: f"{mark[0]}\\" if mark[0].isdigit() else f"\\{mark[0]}", shown)


def _plain(text: str) -> str:
    escaped = _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), text)
    return _LINK.sub(r"\g<0>&#8203;", escaped)


def _code(text: str) -> str:
    """Nothing acts in code but a bar, which ends a cell, and a backtick, which ends the code."""
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`" if text.strip() else ""


def _is_seen(sign: str) -> bool:
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def _escape(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
