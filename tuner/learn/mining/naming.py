"""Names and titles of mined laws, made from what a law claims and where: the same law always has the same name.

Nothing else names a mined law, so what a person reads in a search's answer, in a run file and in a law file is one name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from zlib import crc32

import msgspec

from spak.kg.law.kinds.avoid import NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw
from spak.kg.model.figures import number_text
from spak.kg.model.law import Bound, Law
from spak.tuner.learn.mining.phrases import Phrase, conjuncts, phrase, with_and_without

MAX_ID = 48
"""Longest name of a mined law: beside its status and a verdict it fits a line of 80 columns."""

MAX_TITLE = 200
"""Longest title (spak.kg.model.law.Law)."""

MAX_STEM = 30
"""Most that hardware and op may take of a name that does not fit."""

_SIGNATURE = 5
"""Characters of a checksum and the dash before it."""

_L = TypeVar("_L", bound=Law)


@dataclass(frozen=True)
class _Saying:
    """What a kind of law says.

    Attributes:
        tag: Last word of the claim in an id.
        says: What a title says of the op, after it.
        bound: By how much, for the title's end.
    """

    tag: str
    says: str
    bound: str = ""


def name_law(law: _L, op_title: str, called: Mapping[str, str]) -> _L:
    """The law with the name and the title that its claim and its scope give it.

    Args:
        law: Of a kind that is mined: negative, positive, indifferent.
        op_title: Title of its op.
        called: What its op calls parameters and products of two (`Op.phrases`).
    """
    claim = [phrase(node, called) for node in conjuncts(_region(law))]
    where = [phrase(node, called) for node in conjuncts(law.scope.when)]
    said = _saying(law)
    title = _title(law, said, f"{_running(op_title)}{_types(law)}{_with(where)}", _with(claim))
    return msgspec.structs.replace(law, id=_id(law, said, claim, where), title=title)


def distinct(law: _L, taken: Collection[str]) -> _L:
    """The law under a name that no other law has: a checksum of all it says is added where its own is taken."""
    if law.id not in taken:
        return law
    return msgspec.structs.replace(law, id=_signed(law.id, f"{law.claim!r} {law.scope!r}"))


def _region(law: Law) -> str:
    """What the law names, as an expression."""
    match law:
        case NegativeLaw():
            return law.claim.avoid
        case PositiveLaw():
            return " and ".join(f"{name} == {value!r}" for name, value in law.claim.prefer.items())
        case IndifferentLaw():
            return f"{law.claim.over} in [{', '.join(map(repr, law.claim.values))}]"
    raise TypeError(f"no law of the kind {type(law).__name__} is mined")


def _saying(law: Law) -> _Saying:
    if isinstance(law, PositiveLaw):
        return _Saying("best", "reaches its best")
    if isinstance(law, IndifferentLaw):
        return _Saying("same", f"is as fast within {law.claim.within}")
    least = law.claim.effect.get("slowdown", Bound()).at_least
    if least is not None:
        return _Saying("slow", "is slow", f": at least {number_text(least)} times its best")
    return (
        _Saying("spills", "spills registers") if "spill_bytes" in law.claim.effect else _Saying("fails", "does not run")
    )


def _id(law: Law, said: _Saying, claim: Sequence[Phrase], where: Sequence[Phrase]) -> str:
    """Hardware, op, claim, what comes of it, what narrows it: all if it fits, else as much as does and a checksum of all."""
    stem = f"{law.scope.hw.replace('_', '')}-{law.scope.op}"
    parts = [one.short for one in claim]
    whole = "-".join(filter(None, [stem, *parts, said.tag, *(one.short for one in where if not one.is_choice)]))
    if len(whole) <= MAX_ID:
        return whole
    stem = stem[:MAX_STEM].rstrip("-_.")
    shorter = ("-".join(filter(None, [stem, *parts[:count], said.tag])) for count in range(len(parts), -1, -1))
    return _signed(next(name for name in shorter if len(name) <= MAX_ID - _SIGNATURE), whole)


def _signed(name: str, text: str) -> str:
    """`name`, cut to leave room, and four digits of a checksum of `text`."""
    return f"{name[: MAX_ID - _SIGNATURE].rstrip('-_.')}-{crc32(text.encode()) & 0xFFFF:04x}"


def _title(law: Law, said: _Saying, subject: str, region: str) -> str:
    """Whole if it fits, else without its mechanism, else cut; that what spills does so by spilling need not be said."""
    short = f"On {law.scope.hw}, {subject} {said.says}{region}{said.bound}"
    mechanism = law.claim.because.replace("-", " ") or "mechanism unknown"
    whole = short if "spill_bytes" in law.claim.effect else f"{short}; {mechanism}"
    made = whole if len(whole) <= MAX_TITLE else short
    return made if len(made) <= MAX_TITLE else f"{made[: MAX_TITLE - 2].rsplit(' ', 1)[0]} …"


def _types(law: Law) -> str:
    return f" in {' or '.join(law.scope.dtype)}" if law.scope.dtype else ""


def _with(phrases: Sequence[Phrase]) -> str:
    return f" {with_and_without(phrases)}" if phrases else ""


def _running(title: str) -> str:
    """A title within a sentence: `Fused attention` loses its capital, `GPT block` does not."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
