"""Text of laws, runs and file names where people and programs read it: nothing in it acts, hides or turns around."""

from __future__ import annotations

import unicodedata


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


def _is_seen(sign: str) -> bool:
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def _escape(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
