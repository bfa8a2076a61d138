"""transformation: how one system becomes the next, and what proves that it is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import field

from spak.kg.law.kinds.base import Meaning, Mention, RewriteTest, Verdict
from spak.kg.model.base import Scalar
from spak.kg.model.law import CHECK_NAME, Claim, Law


class TransformClaim(Claim, frozen=True, kw_only=True):
    """How one system becomes the next: the rewrite in words, and the check that proves equivalence.

    Attributes:
        check: Name of a check that `kg verify` executes, or in words what would prove it, which nobody executes.
    """

    source: str = field(name="from")
    to: str
    rewrite: str
    check: str


class TransformationLaw(Law, frozen=True, kw_only=True, tag="transformation"):
    """Rewrite like this."""

    claim: TransformClaim


class Transform(Meaning[TransformationLaw]):
    """What a transformation means."""

    model = TransformationLaw
    verb = "rewrite"
    rank = 4
    powerless = "it rewrites code, not settings"
    tier = "computed"

    @property
    def rewrites(self) -> tuple[str, str]:
        return self.law.claim.source, self.law.claim.to

    @property
    def test(self) -> RewriteTest:
        return RewriteTest(self.law.claim.source, self.law.claim.to)

    @property
    def check(self) -> str:
        return self.law.claim.check if re.match(CHECK_NAME, self.law.claim.check) else ""

    @property
    def text(self) -> str:
        return f"{self.law.claim.source} to {self.law.claim.to}"

    @property
    def advice(self) -> str:
        claim = self.law.claim
        return f"{claim.source} becomes {claim.to}: {claim.rewrite.rstrip('.')} (proved by {claim.check.rstrip('.')})"

    def verdict(self, known: Mapping[str, Scalar]) -> Verdict:
        del known
        return Verdict("silent", "about how one system becomes another")

    def mentions(self) -> Iterator[Mention]:
        yield Mention("claim.from", "system", self.law.claim.source)
        yield Mention("claim.to", "system", self.law.claim.to)
