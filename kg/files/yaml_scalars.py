"""What an unquoted YAML word means, where every loader agrees; a hint where they do not.

PyYAML follows YAML 1.1, ruamel and most other languages YAML 1.2: `010`, `1e20`, `no` and `1:30` mean different
things to them. A law must mean the same to everybody, so such words are refused with what to write instead.
Source: https://yaml.org/type/ (1.1 types) and https://yaml.org/spec/1.2.2/#1032-tag-resolution (core schema).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import yaml

from spak.kg.model.base import Scalar

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?\Z")
_CORE_NUMBER = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN))\Z"
)
_UNDERSCORED = re.compile(r"[-+.0-9](?=.*_)(?:[box][0-9a-fA-F_]+|[0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9_]+)?)\Z")
"""`1_000` to some loaders, and `-_`, which they take for a number and then fail on."""

_MAX_INT = 2**63 - 1
"""The largest integer that JSON readers and NumPy columns hold exactly."""

_MAX_DIGITS = 400
"""More digits than any finite double has before its point; longer is not worth converting."""

_SHOWN = 40

_BARE = re.compile(r"(?!.*(?:: | #|:\Z| \Z))[\w(/]")
"""The start of a text that may stand without quotes: a word character, and no mark of YAML further on."""

_CUT_IN_BRACES = re.compile(r"[,\[\]{}:?]")
"""Marks of which one loader or another says that they end a bare text between braces."""

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_SHORT_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}

_RESOLVER: Any = yaml.resolver.Resolver()
_TEXT_TAG = "tag:yaml.org,2002:str"


def _casings(words: dict[str, object]) -> dict[str, object]:
    return {form: value for word, value in words.items() for form in (word, word.capitalize(), word.upper())}


_WORDS = _casings({"true": True, "false": False, "null": None}) | {"~": None, "": None}
_AMBIGUOUS = _casings({"yes": True, "no": False, "on": True, "off": False})


class AmbiguousError(ValueError):
    """A word that loaders read differently, or that no law can hold; the message says what to write."""


@lru_cache(maxsize=8192)
def plain_value(text: str) -> Scalar | None:
    """The value of the unquoted word `text`.

    Raises:
        AmbiguousError: If YAML 1.1 and 1.2 differ on it, or it is a number that is not finite or too large.
    """
    if text in _WORDS:
        return _WORDS[text]  # type: ignore[return-value]
    if text in _AMBIGUOUS:
        truth = str(_AMBIGUOUS[text]).lower()
        raise AmbiguousError(f'{text} is a truth value to some loaders and text to others; write {truth} or "{text}"')
    if text[0].isalpha():
        return text
    if len(text) > _MAX_DIGITS and text.strip("+-0123456789._eE") == "":
        raise AmbiguousError(f"the number has {len(text)} digits; a number has at most 64 bits, quote it if it is text")
    if _INT.match(text):
        return _integer(text)
    if _FLOAT.match(text):
        return _finite(text)
    if (
        _CORE_NUMBER.match(text)
        or _UNDERSCORED.match(text)
        or _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) != _TEXT_TAG
    ):
        raise AmbiguousError(_hint(text))
    return text


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) > _MAX_INT:
        raise AmbiguousError(f"{_short(text)} is too large; an integer has at most 64 bits, quote it if it is text")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise AmbiguousError(f"{_short(text)} is too large for a double; quote it if it is text")
    return value


def _hint(text: str) -> str:
    quoted = f'"{_short(text)}"'
    if text.lower().lstrip("+-") in {".inf", ".nan"}:
        return f"{text} is not a finite number; quote it: {quoted}"
    digits = text.lstrip("+-")
    if digits.startswith("0") and digits.isdigit():
        return f"{_short(text)} is octal to some loaders; write it without the leading 0 or quote it: {quoted}"
    vague = f"{_short(text)} means different things to different loaders"
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        return f"{vague}; write a decimal number, or quote it: {quoted}"
    if not math.isfinite(value):
        return f"{_short(text)} is not a finite number; quote it: {quoted}"
    return f"{vague}; write {spelled(value, text)} or quote it: {quoted}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def spelled(value: float, text: str = ".") -> str:
    """`value`, finite, as every loader reads it as a number: `1.0e+20`; a whole one that a person wrote so as an integer."""
    if value.is_integer() and not set(text) & set(".eE") and abs(value) <= _MAX_INT:
        return str(int(value))
    mantissa, e, exponent = repr(float(value)).partition("e")
    if not e:
        return mantissa
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def written(value: Scalar | None, *, in_braces: bool) -> str:
    """`value` in one line of YAML that every loader reads as `value`: bare where that is safe, else in double quotes.

    Between braces or brackets commas end a word.

    Raises:
        AmbiguousError: If no file can hold it: a number that is not finite or has more than 64 bits, a NUL character,
            half of a surrogate pair.
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int):
        return str(_integer(str(int(value))))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise AmbiguousError(f"{value} is not a finite number; write it as text")
        return spelled(value)
    return value if _is_bare(value, in_braces=in_braces) else quoted(value)


def _is_bare(text: str, *, in_braces: bool) -> bool:
    """Whether `text` needs no quotes: one word or line that starts like a word and that nothing in YAML cuts short."""
    if not _BARE.match(text) or not text.isprintable() or (in_braces and _CUT_IN_BRACES.search(text)):
        return False
    try:
        return plain_value(text) == text
    except AmbiguousError:
        return False


def quoted(text: str) -> str:
    """`text` in double quotes, on one line, with everything that is not printable escaped.

    Raises:
        AmbiguousError: If it holds a NUL character or half of a surrogate pair.
    """
    if _UNWRITABLE.search(text):
        raise AmbiguousError("text with a NUL character or half of a surrogate pair cannot be written; remove that")
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 1 << 8 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
