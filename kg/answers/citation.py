"""A law as a reviewer wants it cited: one sentence, how sure it is, and on what that rests."""

from __future__ import annotations

from dataclasses import dataclass

from spak.kg.answers.certainty import strongest_tier
from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.power import followed_status
from spak.kg.law.statement import evidence_text, sentence
from spak.kg.model.law import Law, Status, Tier
from spak.kg.model.store import Store


@dataclass(frozen=True)
class Citation:
    """One law, cited.

    Attributes:
        law: Id.
        status: What a search goes by: a file that says `confirmed` without the evidence for it is not believed.
        tier: The strongest of what speaks for it; None if nothing does.
        kind: `kind` in the law's file.
        verb: What it tells a person to do.
        sentence: Scope and claim in English.
        evidence: How much speaks for and against, by tier, and on what each rests.
    """

    law: str
    status: Status
    tier: Tier | None
    kind: str
    verb: str
    sentence: str
    evidence: str

    def __str__(self) -> str:
        """`id (status; evidence): sentence`."""
        return f"{self.law} ({self.status}; {self.evidence}): {self.sentence}"


def cite(store: Store, law: Law) -> Citation:
    """`law` of `store`, cited."""
    hardware, op = store.hardware.get(law.scope.hw), store.ops.get(law.scope.op)
    return Citation(
        law=law.id,
        status=followed_status(law),
        tier=strongest_tier(law),
        kind=kind_of(law),
        verb=meaning(law).verb,
        sentence=sentence(law, hw=hardware.title if hardware else law.scope.hw, op=op.title if op else law.scope.op),
        evidence=evidence_text(law.evidence),
    )
