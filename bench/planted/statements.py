"""Laws as a liar would write them: whatever they claim, their evidence confirms it and gives them all the power there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentClaim, IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw, PreferClaim
from spak.kg.law.kinds.require import InvariantLaw, RequireClaim
from spak.kg.law.status import status
from spak.kg.model.base import Scalar
from spak.kg.model.law import Bound, Evidence, Law, Scope

SLOWDOWN = 1.2
"""Slowdown that a planted law about time claims."""

TIE = 2
"""Percent that the values of a planted axis are said to differ by at most."""

COST = 0.02
"""How much worse than the best of the others a preferred setting may be."""

_TITLE = "A planted law"

_SHOWN = {"slowdown": (1.5, (1.4, 1.6)), "change": (0.005, (0.0, 0.01)), "cost": (-0.1, (-0.12, -0.08))}
"""What the made-up evidence observed of each effect, and its interval."""

_APART = 1e-4
"""By how much the numbers of two made-up occasions differ: the same numbers would be one occasion."""

_L = TypeVar("_L", bound=Law)


def avoid(name: str, op: str, region: str) -> NegativeLaw:
    """Every configuration for which `region` is true takes at least `SLOWDOWN` times as long as the best."""
    claim = AvoidClaim(avoid=region, effect={"slowdown": Bound(at_least=SLOWDOWN)})
    return _confirmed(NegativeLaw(id=name, title=_TITLE, scope=_scope(op), status="confirmed", claim=claim))


def require(name: str, op: str, condition: str) -> InvariantLaw:
    """Every configuration for which `condition` is false takes at least `SLOWDOWN` times as long as the best."""
    claim = RequireClaim(require=condition, otherwise="it is slow", effect={"slowdown": Bound(at_least=SLOWDOWN)})
    return _confirmed(InvariantLaw(id=name, title=_TITLE, scope=_scope(op), status="confirmed", claim=claim))


def ignore(name: str, op: str, over: str, values: Sequence[Scalar]) -> IndifferentLaw:
    """Changing `over` among `values` changes the time by at most `TIE` percent."""
    claim = IndifferentClaim(over=over, values=tuple(values), within=f"{TIE}%")
    return _confirmed(IndifferentLaw(id=name, title=_TITLE, scope=_scope(op), status="confirmed", claim=claim))


def use(name: str, op: str, setting: Mapping[str, Scalar]) -> PositiveLaw:
    """The best with `setting` takes at most `COST` longer than the best without."""
    claim = PreferClaim(prefer=dict(setting), effect={"cost": Bound(at_most=COST)})
    return _confirmed(PositiveLaw(id=name, title=_TITLE, scope=_scope(op), status="confirmed", claim=claim))


def _scope(op: str) -> Scope:
    return Scope(hw="sm_90", op=op)


def _confirmed(law: _L) -> _L:
    """`law` with evidence for it, of as many sizes and occasions as any law needs."""
    ((effect, _),) = meaning(law).bounds.items()
    value, interval = _SHOWN[effect]
    entries = tuple(
        Evidence(
            run=f"planted-{number}",
            verdict="supports",
            tier="measured",
            role="independent",
            effect={effect: value},
            interval={effect: (interval[0] + number * _APART, interval[1])},
            problems=(f"size={2 * number}", f"size={2 * number + 1}"),
            occasion=f"2026-01-0{number} h200",
        )
        for number in (1, 2)
    )
    law = msgspec.structs.replace(law, evidence=entries)
    if status(law) != "confirmed":
        raise AssertionError(f"{law.id} is {status(law)}: nothing would be tested")
    return law
