"""A small law root in memory: two families of hardware, attention and its kinds, a law of each kind and status."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import msgspec

from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.kinds.indifferent import IndifferentClaim, IndifferentLaw
from spak.kg.law.kinds.prefer import PositiveLaw, PreferClaim
from spak.kg.law.kinds.require import InvariantLaw, RequireClaim
from spak.kg.law.kinds.transform import TransformationLaw, TransformClaim
from spak.kg.model.cohort import HeldCohort, cohorts, links_of
from spak.kg.model.hardware import Fact, Hardware
from spak.kg.model.law import Bound, Evidence, Law, Related, Scope, Withdrawn
from spak.kg.model.op import Op, Parameter, ProblemParameter
from spak.kg.model.store import SupersededLaw
from spak.kg.model.system import System
from tests.shown import shown


@dataclass
class SmallRoot:
    """Has the collections that `spak.kg.model.store.Store` asks for."""

    laws: dict[str, Law] = field(default_factory=dict)
    hardware: dict[str, Hardware] = field(default_factory=dict)
    ops: dict[str, Op] = field(default_factory=dict)
    systems: dict[str, System] = field(default_factory=dict)
    superseded: tuple[SupersededLaw, ...] = ()

    def about(self, ops: Collection[str], /) -> list[Law]:
        """The laws stated for one of `ops`."""
        return [law for op in ops for law in self.laws.values() if law.scope.op == op]

    @property
    def links(self) -> dict[str, tuple[Related, ...]]:
        """What laws say of others."""
        return links_of(self.laws.values())

    def cohorts(self, ops: Collection[str], /) -> list[HeldCohort]:
        """The same laws by what they share."""
        return cohorts(self.about(ops))

    def layer_of(self, _law: str, /) -> str:
        """It is one folder."""
        return ""

    def with_laws(self, *laws: Law) -> SmallRoot:
        """The same root with other laws."""
        return SmallRoot({law.id: law for law in laws}, self.hardware, self.ops, self.systems)


def _node(identifier: str, kind: str, *is_a: str, **more: Any) -> Hardware:
    return Hardware(id=identifier, title=more.pop("title", identifier), kind=kind, is_a=is_a, **more)


HARDWARE = (
    _node("nvidia", "vendor"),
    _node("blackwell", "architecture", "nvidia"),
    _node("hopper", "architecture", "nvidia"),
    _node("sm_120", "compute-capability", "blackwell", facts={"smem_per_sm": Fact(value=102400, source="test")}),
    _node("sm_90", "compute-capability", "hopper", facts={"smem_per_sm": Fact(value=233472, source="test")}),
    _node("rtx5070", "device", "sm_120", title="NVIDIA GeForce RTX 5070", aliases=("GeForce RTX 5070",)),
    _node("rtx5090", "device", "sm_120"),
    _node("h200", "device", "sm_90"),
    _node("elsewhere", "vendor"),
)


def _parameter(*values: int) -> Parameter:
    return Parameter(values=values, default=values[0], role="tile", description="A parameter.")


_PROBLEM = {
    "head_dim": ProblemParameter(type="int", default=64, description="Head size."),
    "causal": ProblemParameter(type="bool", default=True, description="Causal."),
    "dtype": ProblemParameter(type="str", default="fp16", description="Input type."),
}
OPS = (
    Op(id="gpt-block", title="GPT block"),
    Op(id="attention", title="Attention", part_of=("gpt-block",), aliases=("SDPA",)),
    Op(
        id="fmha",
        title="Fused attention",
        is_a=("attention",),
        parameters={"tile_m": _parameter(64, 128), "tile_n": _parameter(64, 128), "v_latency": _parameter(1, 4, 5)},
        problem=_PROBLEM,
    ),
    Op(id="matmul", title="Matrix product", parameters={"tile_k": _parameter(32, 64)}),
)

SUPPORT = Evidence(
    run="run-a",
    verdict="supports",
    tier="measured",
    role="suggested",
    effect={"slowdown": 1.5},
    interval={"slowdown": (1.4, 1.6)},
    toolchain="tileiras 13.4",
    occasion="2026-01-01 rtx5070",
)
INDEPENDENT = Evidence(
    run="run-b",
    verdict="supports",
    tier="measured",
    role="independent",
    effect={"slowdown": 2.5},
    interval={"slowdown": (2.4, 2.6)},
    problems=("head_dim=64", "head_dim=128"),
    toolchain="tileiras 13.4",
    occasion="2026-01-02 rtx5070",
)
AGAINST = Evidence(
    run="run-c",
    verdict="refutes",
    tier="measured",
    role="independent",
    effect={"slowdown": 1.0},
    note="One card.",
    occasion="2026-01-03 rtx5070",
)


def negative(identifier: str, hw: str = "sm_120", avoid: str = "tile_m >= 128", **more: Any) -> NegativeLaw:
    scope = Scope(
        hw=hw,
        op=more.pop("op", "fmha"),
        when=more.pop("when", ""),
        dtype=more.pop("dtype", ()),
        toolchain=more.pop("spec", ""),
    )
    claim = AvoidClaim(
        avoid=avoid, because="register-spill", effect=more.pop("effect", {"slowdown": Bound(at_least=1.2)})
    )
    more.setdefault("status", "confirmed")
    law = NegativeLaw(id=identifier, title=f"Title of {identifier}", scope=scope, claim=claim, **more)
    if "evidence" in more:
        return law
    return msgspec.structs.replace(law, evidence=(SUPPORT, INDEPENDENT)) if "slowdown" in claim.effect else shown(law)


def positive(identifier: str, hw: str = "sm_120", **more: Any) -> PositiveLaw:
    scope = Scope(hw=hw, op=more.pop("op", "fmha"), when=more.pop("when", ""))
    claim = PreferClaim(prefer=more.pop("prefer", {"tile_m": 64, "tile_n": 64}), over=more.pop("over", ()))
    more.setdefault("status", "proposed")
    return PositiveLaw(id=identifier, title=f"Title of {identifier}", scope=scope, claim=claim, **more)


INDIFFERENT = IndifferentLaw(
    id="latency-4-or-5",
    title="V latency 4 and 5 tie",
    scope=Scope(hw="rtx5070", op="fmha"),
    status="proposed",
    claim=IndifferentClaim(over="v_latency", values=(4, 5), within="1%"),
    related=(Related(type="refines", id="spills"),),
)
INVARIANT = shown(
    InvariantLaw(
        id="mask-floor",
        title="Mask with a finite floor",
        scope=Scope(hw="nvidia", op="attention"),
        status="confirmed",
        claim=RequireClaim(
            require="mask_value == -1e20",
            otherwise="rows become NaN.",
            check="attention-mask-floor",
            effect={"nan_rows": Bound(at_most=0), "nan_rows_otherwise": Bound(at_least=1)},
        ),
        related=(Related(type="renamed-from", id="old-floor"),),
    )
)
REWRITE = TransformationLaw(
    id="one-to-two",
    title="One becomes two",
    scope=Scope(hw="nvidia", op="fmha"),
    status="proposed",
    claim=TransformClaim(source="v1", to="v2", rewrite="Add a mask.", check="Same output."),
)
SYSTEMS = (
    System(
        id="v1",
        title="Version 1",
        level="atom",
        state="built",
        built_from=("fmha",),
        delta=("fused",),
        inherits=("mask-floor",),
    ),
    System(
        id="v2",
        title="Version 2",
        level="atom",
        state="planned",
        built_from=("fmha",),
        derived_from=("v1",),
        aliases=("second",),
        delta=("masked",),
        inherits=("mask-floor", "spills", "gone"),
    ),
)

LAWS: tuple[Law, ...] = (
    negative("spills", when="head_dim == 64", dtype=("fp16", "bf16")),
    positive("small-tiles", hw="rtx5070", evidence=(SUPPORT,)),
    negative("hopper-tiles", hw="sm_90"),
    negative("refuted-claim", hw="blackwell", avoid="tile_n == 128", status="refuted", evidence=(AGAINST,)),
    negative("old-claim", status="withdrawn", withdrawn=Withdrawn(date="2026-01-01", reason="Wrong units.")),
    negative("matmul-k", op="matmul", avoid="tile_k == 32"),
    negative("other-vendor", hw="elsewhere"),
    INDIFFERENT,
    INVARIANT,
    REWRITE,
)

ROOT = SmallRoot(
    laws={law.id: law for law in LAWS},
    hardware={node.id: node for node in HARDWARE},
    ops={op.id: op for op in OPS},
    systems={system.id: system for system in SYSTEMS},
)
