"""What a claim may bound, as JSON Schema: the table of effects for editors."""

from __future__ import annotations

from typing import Any

import msgspec

from spak.kg.law.effects import BoundRange, KnownEffect
from spak.kg.law.kinds import KINDS
from spak.kg.law.refutable import effects_of


def narrow_claims(document: dict[str, Any]) -> None:
    """In the schema of law or run files: each kind's claim bounds its own effects, within what can be refuted.

    What one field says of another (an upper bound below a lower one) no schema can say; `kg check` does.
    """
    for tag, kind in KINDS.items():
        field = next(field for field in msgspec.structs.fields(kind.model) if field.name == "claim")
        claim = document["$defs"][field.type.__name__]
        effects = {name: _bound(effect) for name, effect in effects_of(tag).items()}
        claim["properties"]["effect"] = {"type": "object", "properties": effects, "additionalProperties": False}
        if kind.about_effects:
            claim["properties"]["effect"]["minProperties"] = 1
            claim["required"].append("effect")


def _bound(effect: KnownEffect) -> dict[str, Any]:
    sides = effect.sides
    beside = {"at_most": effect.narrowing} if "at_least" in sides and effect.narrowing is not None else {}
    needed = [{"required": [side], "properties": {side: {"type": "number"}}} for side in sides]
    return {
        "description": f"{effect.what}, {effect.unit}: {effect.why}",
        "type": "object",
        "properties": {side: _number(where) for side, where in {**sides, **beside}.items()},
        "additionalProperties": False,
        "anyOf": needed,
    }


def _number(where: BoundRange) -> dict[str, Any]:
    return {"type": ["number", "null"], "minimum": where.least, "maximum": where.most}
