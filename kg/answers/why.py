"""`kg why`: which laws speak for or against one configuration, and what those that cannot tell would need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from spak.kg.answers.query import Ask, governed_names, query
from spak.kg.expression.assignment import check_names, show_assignments, show_scalar
from spak.kg.expression.condition import decide, names_in
from spak.kg.law.match import Match, hardware_facts
from spak.kg.law.prune import Permission, may_remove
from spak.kg.law.statement import kind_of
from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.law import AvoidClaim, IndifferentClaim, Law, PreferClaim, RequireClaim
from spak.kg.model.store import Store

Stance = Literal["against", "for", "indifferent", "undecided", "silent"]
"""What a law says of one configuration; `silent`: the configuration is outside its claim."""

STANCES: tuple[Stance, ...] = ("against", "for", "indifferent", "undecided", "silent")


@dataclass(frozen=True)
class Verdict:
    """What one claim says of values, whatever its scope.

    Attributes:
        stance: See `Stance`.
        reason: In words.
        needs: Names whose values would decide it; empty unless `undecided`.
    """

    stance: Stance
    reason: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opinion:
    """One law's verdict on the configuration asked about.

    Attributes:
        law: The law.
        match: How it matched.
        verdict: What its claim says.
        permission: Whether it may remove configurations here, and why (not).
    """

    law: Law
    match: Match
    verdict: Verdict
    permission: Permission


@dataclass(frozen=True)
class Account:
    """Every matching law's opinion, `against` first, nearest first within a stance.

    Attributes:
        hw: Canonical id.
        op: Canonical id.
        configuration: As asked.
        opinions: One for each law that is not withdrawn or refuted.
    """

    hw: str
    op: str
    configuration: Configuration
    opinions: tuple[Opinion, ...]


def why(store: Store, ask: Ask, configuration: Configuration) -> Account:
    """Which laws speak for or against `configuration` of `ask.op` on `ask.hw`.

    Names that are missing from the configuration and from `ask.problem` are unknown, not defaults.

    Raises:
        UnknownNameError: If the hardware, the op, a parameter or a problem parameter is unknown.
    """
    answer = query(store, ask)
    check_names(configuration, governed_names(store, answer.op, answer.hits), kind="parameter")
    facts = hardware_facts(store, answer.hw)
    known = {f"hw.{name}": value for name, value in facts.items()} | {**ask.problem, **configuration}
    opinions = [
        Opinion(hit.law, hit.match, judge(hit.law, known), may_remove(hit.law, store, answer.hw, ask.toolchain))
        for hit in answer.hits
        if hit.law.status != "refuted"
    ]
    opinions.sort(key=lambda opinion: (STANCES.index(opinion.verdict.stance), opinion.match.distance))
    return Account(hw=answer.hw, op=answer.op, configuration=configuration, opinions=tuple(opinions))


def judge(law: Law, known: Mapping[str, Scalar]) -> Verdict:
    """What the claim of `law` says of values, some of which may be missing.

    Args:
        law: Any law; its scope is not looked at.
        known: Values by name: parameters, problem parameters, `hw.<fact>`, compiled features.
    """
    claim = law.claim
    if isinstance(claim, AvoidClaim):
        return _decided(
            claim.avoid,
            known,
            true=("against", "in the region to avoid"),
            false=("silent", "outside the region to avoid"),
        )
    if isinstance(claim, RequireClaim):
        broken = f"broken; otherwise {claim.otherwise}"
        return _decided(claim.require, known, true=("for", "kept"), false=("against", broken))
    if isinstance(claim, PreferClaim):
        return _preferred(claim, known)
    if isinstance(claim, IndifferentClaim):
        return _indifferent(claim, known)
    return Verdict("silent", "about how one system becomes another")


def _decided(
    expression: str, known: Mapping[str, Scalar], *, true: tuple[Stance, str], false: tuple[Stance, str]
) -> Verdict:
    value = decide(expression, known)
    if value is True:
        return Verdict(*true)
    if value is False:
        return Verdict(*false)
    condition = f"against it if {value}" if true[0] == "against" else f"against it unless {value}"
    return Verdict("undecided", condition, tuple(sorted(names_in(value))))


def _preferred(claim: PreferClaim, known: Mapping[str, Scalar]) -> Verdict:
    missing = tuple(name for name in claim.prefer if name not in known)
    different = {name: value for name, value in claim.prefer.items() if name in known and known[name] != value}
    if not different:
        if missing:
            rest = show_assignments({name: claim.prefer[name] for name in missing})
            return Verdict("undecided", f"for it if {rest}", missing)
        return Verdict("for", "the preferred setting")
    if not claim.over:
        return Verdict("against", f"prefers {show_assignments(different)}")
    if any(all(known.get(name) == value for name, value in setting.items()) for setting in claim.over):
        return Verdict("against", f"{show_assignments(claim.prefer)} beats it")
    return Verdict("silent", "not one of the settings it ranks")


def _indifferent(claim: IndifferentClaim, known: Mapping[str, Scalar]) -> Verdict:
    if claim.over not in known:
        return Verdict("undecided", f"about {claim.over}", (claim.over,))
    value = known[claim.over]
    if value not in claim.values:
        return Verdict("silent", f"{claim.over}={show_scalar(value)} is not one of the values it compares")
    others = " and ".join(show_scalar(other) for other in claim.values if other != value)
    return Verdict("indifferent", f"{others} would take the same time within {claim.within}")


def to_json(account: Account) -> str:
    """The account as indented JSON with a final newline."""
    opinions = [
        {
            "id": opinion.law.id,
            "kind": kind_of(opinion.law),
            "status": opinion.law.status,
            "stance": opinion.verdict.stance,
            "reason": opinion.verdict.reason,
            "needs": opinion.verdict.needs,
            "may_remove": opinion.permission.allowed,
            "may_remove_reason": opinion.permission.reason,
            "match": opinion.match,
        }
        for opinion in account.opinions
    ]
    found = {"hw": account.hw, "op": account.op, "configuration": dict(account.configuration), "opinions": opinions}
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
