"""`kg why`: which laws speak for or against one configuration, and what those that cannot tell would need."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from spak.kg.answers.query import Ask, governed_names, query, related
from spak.kg.expression.assignment import check_names
from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.kinds.base import STANCES, Verdict
from spak.kg.law.power import DEAD, Bearing, SearchPlace, bearing
from spak.kg.law.scope import Match
from spak.kg.law.statement import shown_elsewhere
from spak.kg.model.base import Configuration
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law
from spak.kg.model.store import Store, SupersededLaw
from spak.kg.space.completion import check_configuration


@dataclass(frozen=True)
class Opinion:
    """One law's verdict on the configuration asked about, and what it may do to a search here."""

    law: Law
    match: Match
    verdict: Verdict
    permission: Bearing
    layer: str = ""

    @property
    def is_safety(self) -> bool:
        """Whether the law says what hangs, does not run or computes wrong numbers: nobody tries that to find out."""
        return meaning(self.law).is_safety


@dataclass(frozen=True)
class Account:
    """The opinion of every law that matches and somebody may follow, `against` first, nearest first within a stance.

    Attributes:
        superseded: Laws beneath that would match if none above superseded them.
    """

    hw: str
    op: str
    configuration: Configuration
    opinions: tuple[Opinion, ...]
    superseded: tuple[SupersededLaw, ...] = ()


def why(store: Store, ask: Ask, configuration: Configuration) -> Account:
    """Which laws speak for or against `configuration` of `ask.op` on `ask.hw`.

    Names that are missing from the configuration and from `ask.problem` are unknown, not defaults.

    Raises:
        UnknownNameError: If the hardware, the op, a parameter or a problem parameter is unknown.
        KgError: If a parameter has no such value.
    """
    answer = query(store, ask)
    check_names(configuration, governed_names(store, answer.op, [hit.law for hit in answer.hits]), kind="parameter")
    check_configuration(related(store, answer.op), configuration)
    facts = hardware_facts(store, answer.hw)
    known = {f"hw.{name}": value for name, value in facts.items()} | {**ask.problem, **configuration}
    search = SearchPlace(store, answer.hw, ask.toolchain)
    followed = [hit for hit in answer.hits if hit.law.status not in DEAD]
    opinions = [
        Opinion(h.law, h.match, meaning(h.law).verdict(known), bearing(h.law, search, h.match, granted=True), h.layer)
        for h in followed
    ]
    opinions.sort(key=lambda opinion: (STANCES.index(opinion.verdict.stance), opinion.match.distance))
    return Account(answer.hw, answer.op, configuration, tuple(opinions), answer.superseded)


def account_json(account: Account) -> str:
    """The account as indented JSON with a final newline."""
    opinions = [
        {
            "id": opinion.law.id,
            "kind": kind_of(opinion.law),
            "status": opinion.law.status,
            "stance": opinion.verdict.stance,
            "reason": opinion.verdict.reason,
            "needs": opinion.verdict.needs,
            "may_remove": opinion.permission.removes,
            "may_remove_reason": opinion.permission.reason,
            "layer": opinion.layer,
            "found_on": (devices := shown_elsewhere(opinion.law.evidence))[0],
            "holds_on": devices[1],
            "match": opinion.match,
        }
        for opinion in account.opinions
    ]
    found = {"hw": account.hw, "op": account.op, "configuration": dict(account.configuration), "opinions": opinions}
    found["superseded"] = [{"id": one.law.id, "layer": one.layer, "by": one.by} for one in account.superseded]
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
