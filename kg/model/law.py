"""Law files: a claim, its scope, and the evidence for and against it. What a kind of law claims is `spak.kg.law.kinds`' to say."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from spak.kg.model.base import Model, Reference, Scalar

Status = Literal["proposed", "confirmed", "contested", "refuted", "withdrawn"]
Tier = Literal["reported", "compiled", "computed", "measured"]
EvidenceVerdict = Literal["supports", "refutes", "inconclusive"]
EvidenceRole = Literal["suggested", "independent"]

Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]
CHECK_NAME = r"^([a-z0-9][a-z0-9-]{0,99})?$"
CheckName = Annotated[str, Meta(pattern=CHECK_NAME)]
ExpressionText = Annotated[str, Meta(min_length=1, max_length=1000)]


class Bound(Model, frozen=True, kw_only=True):
    """What a claim says about one effect: inclusive bounds in the effect's own unit (named in its key)."""

    at_least: float | None = None
    at_most: float | None = None


class Scope(Model, frozen=True, kw_only=True):
    """Where a law holds.

    Attributes:
        hw: Id of a hardware node (device, compute capability, architecture or vendor).
        op: Id of an op node.
        dtype: Input dtypes it covers; empty means all.
        when: Expression over problem parameters (and `hw.<fact>`); empty means every problem size.
        toolchain: Version specifier, `NAME >=LOW,<HIGH`; empty means any.
    """

    hw: Id
    op: Id
    dtype: tuple[str, ...] = ()
    when: Annotated[str, Meta(max_length=1000)] = ""
    toolchain: str = ""


class Evidence(Model, frozen=True, kw_only=True):
    """One run's verdict on the law.

    Attributes:
        run: Id of a run file under `evidence/`.
        verdict: What the run says of the claim.
        tier: How the run knows (see `Tier`).
        role: `suggested` if the law was found in this run, else `independent`.
        effect: Observed effect: name -> value, the unit in the name (`spill_bytes`, `slowdown`, `tflops`).
        interval: 95 % interval of each measured effect: name -> (low, high).
        problems: Problem sizes the verdict rests on, as `name=value,...` in canonical order.
        toolchain: `name version` that produced it.
        occasion: When, on what and, if known, on which machine it ran: the run's `occasion`; empty if only reported.
        note: What a reader must know, such as how FLOPs were counted.
    """

    run: Id
    verdict: EvidenceVerdict
    tier: Tier
    role: EvidenceRole
    effect: dict[str, float] = {}
    interval: dict[str, tuple[float, float]] = {}
    problems: tuple[str, ...] = ()
    toolchain: str = ""
    occasion: Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2} [a-z0-9][a-z0-9_.-]*( [0-9a-f]{12})?)?$")] = ""
    note: str = ""


class Examples(Model, frozen=True, kw_only=True):
    """The law's own unit test: configurations (with problem parameters) it must avoid and must admit."""

    avoided: tuple[dict[str, Scalar], ...] = ()
    admitted: tuple[dict[str, Scalar], ...] = ()


class Related(Model, frozen=True, kw_only=True):
    """A link to another law."""

    type: Literal["derived-from", "refines", "supersedes", "renamed-from"]
    id: Id


class Withdrawn(Model, frozen=True, kw_only=True):
    """The one act by hand: who reads the law later must learn when and why it was withdrawn."""

    date: str
    reason: str


class Claim(Model, frozen=True, kw_only=True):
    """What all claims share.

    Attributes:
        because: The mechanism, a term of docs/glossary.md.
        effect: What the claim says is observed where it applies: effect name -> bounds.
    """

    because: str = ""
    effect: dict[str, Bound] = {}


class Law(Model, frozen=True, kw_only=True, tag_field="kind"):
    """What every law has; each kind narrows its claim (`spak.kg.law.kinds`). The field order is the canonical key order of a file.

    Attributes:
        origin: How it was found, in words, where no run lists it and no document states it: by hand, in which runs.
    """

    id: Id
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    scope: Scope
    claim: Claim
    status: Status
    examples: Examples = Examples()
    origin: Annotated[str, Meta(max_length=300)] = ""
    evidence: tuple[Evidence, ...] = ()
    withdrawn: Withdrawn | None = None
    related: tuple[Related, ...] = ()
    references: tuple[Reference, ...] = ()
    acknowledges: tuple[str, ...] = ()
    """Findings of `kg check` that the law knows of, each as `check-name: reason`."""
