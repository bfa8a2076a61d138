"""Each transition of a law's status, from evidence alone."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.law.kinds import AnyLaw
from spak.kg.law.status import standing, status

TIME = {"slowdown": {"at_least": 2}}
SPILL = {"spill_bytes": {"at_least": 1}}
FOUND = ("seq=1024",)
NEW = ("seq=2048", "seq=4096")


def _entry(effect=None, tier="measured", role="independent", verdict="supports", **more):
    effect = {"slowdown": 3.0} if effect is None else effect
    interval = {name: (value * 0.95, value * 1.05) for name, value in effect.items()} if tier == "measured" else {}
    entry = {"run": "other", "problems": list(NEW), "effect": effect, "interval": interval}
    return entry | {"tier": tier, "role": role, "verdict": verdict} | more


def _found(**changes):
    return _entry(**({"role": "suggested", "problems": FOUND, "run": "first"} | changes))


CLAIMS = {
    "negative": {"avoid": "tile_m == 128"},
    "positive": {"prefer": {"tile_m": 64}},
    "indifferent": {"over": "v", "values": [4, 5], "within": "1%"},
    "invariant": {"require": "x == 1", "otherwise": "NaN", "check": "c"},
    "unchecked": {"require": "x == 1", "otherwise": "NaN"},
    "transformation": {"from": "a", "to": "b", "rewrite": "r", "check": "c"},
}


def _law(*evidence, kind="negative", effect=TIME, **more):
    claim = CLAIMS[kind] | ({"effect": effect} if effect else {})
    kind = "invariant" if kind == "unchecked" else kind
    raw = {"kind": kind, "id": "a", "title": "t", "scope": {"hw": "h", "op": "o"}, "claim": claim, "status": "proposed"}
    return msgspec.convert(raw | {"evidence": list(evidence)} | more, AnyLaw)


SPILLED = {"spill_bytes": 1208}
UNNAMED = {"problems": [""]}


def _on(*devices, found="a", problems=("",), **more):
    """A law found on one device, shown on others, all at the same problem size."""
    shown = [_entry(run=name, problems=problems, occasion=f"2026-01-01 {name}") for name in devices]
    return _law(_found(problems=problems, occasion=f"2026-01-01 {found}"), *shown, **more)


TABLE = {
    "one size that has no name, on two further devices": (_on("b", "c"), "confirmed"),
    "one size, on one further device": (_on("b"), "proposed"),
    "one size, on the device where it was found": (_on("a", "b"), "proposed"),
    "one size, on devices that nobody noted": (
        _law(_found(**UNNAMED, occasion="2026-01-01 a"), _entry(**UNNAMED), _entry(**UNNAMED, run="third")),
        "proposed",
    ),
    "one size, of a law about all sizes": (_on("b", "c", problems=["seq=1"]), "proposed"),
    "one size, of a law about it alone": (
        _on("b", "c", problems=["seq=1"], scope={"hw": "h", "op": "o", "when": "seq == 1"}),
        "confirmed",
    ),
    "one size, of a law that leaves a part of it open": (
        _on("b", "c", problems=["k=2,seq=1"], scope={"hw": "h", "op": "o", "when": "seq == 1"}),
        "proposed",
    ),
    "one size, of a law about more than it": (
        _on("b", "c", problems=["seq=1"], scope={"hw": "h", "op": "o", "when": "seq in [1, 2]"}),
        "proposed",
    ),
    "one size and two devices for a claim about code": (
        _law(
            *(
                _entry(SPILLED, tier="compiled", run=d, role=r, **UNNAMED, occasion=f"2026-01-01 {d}")
                for d, r in (("a", "suggested"), ("b", "independent"), ("c", "independent"))
            ),
            effect=SPILL,
        ),
        "proposed",
    ),
    "one further size, and where it was found on a further device": (
        _law(
            _found(occasion="2026-01-01 a"),
            _entry(problems=["seq=2"], occasion="2026-01-01 a"),
            _entry(problems=FOUND, run="third", occasion="2026-01-01 b"),
        ),
        "confirmed",
    ),
    "the same of a claim about code": (
        _law(
            _found(effect=SPILLED, tier="compiled", occasion="2026-01-01 a"),
            _entry(SPILLED, problems=["seq=2"], occasion="2026-01-01 a"),
            _entry(SPILLED, problems=FOUND, run="third", occasion="2026-01-01 b"),
            effect=SPILL,
        ),
        "proposed",
    ),
    "no evidence": (_law(), "proposed"),
    "reported only": (_law(_entry(tier="reported")), "proposed"),
    "only the run that suggested it": (_law(_found(problems=NEW)), "proposed"),
    "an independent measured run at two new sizes": (_law(_found(), _entry()), "confirmed"),
    "nobody suggested it": (_law(_entry()), "confirmed"),
    "one new size": (_law(_found(), _entry(problems=["seq=2048"])), "proposed"),
    "two sizes, one of them where it was found": (_law(_found(), _entry(problems=["seq=2048", *FOUND])), "proposed"),
    "the same size in another order is not new": (
        _law(_found(problems=["a=1,b=2"]), _entry(problems=["b=2, a=1", "seq=2"])),
        "proposed",
    ),
    "a size that does not say how it differs is not new": (
        _law(_found(problems=["a=1,b=2"]), _entry(problems=["a=1", "a=2"])),
        "proposed",
    ),
    "two independent runs with one new size each": (
        _law(_found(), _entry(problems=["seq=2"]), _entry(problems=["seq=3"], run="third")),
        "confirmed",
    ),
    "the suggesting run called independent": (_law(_found(), _entry(run="first")), "proposed"),
    "a time from a compiler": (_law(_found(), _entry(tier="compiled")), "proposed"),
    "no interval": (_law(_found(), _entry(interval={"other": (1, 2)})), "proposed"),
    "the 95 % bound touches the other side": (_law(_found(), _entry(interval={"slowdown": (1.9, 4)})), "proposed"),
    "another effect was observed": (_law(_found(), _entry({"spill_bytes": 9})), "proposed"),
    "inconclusive": (_law(_found(), _entry(verdict="inconclusive")), "proposed"),
    "a spill from the compiler": (
        _law(_found(effect=SPILLED, tier="compiled"), _entry(SPILLED, tier="compiled"), effect=SPILL),
        "confirmed",
    ),
    "a spill seen by a measured run": (_law(_entry(SPILLED), effect=SPILL), "confirmed"),
    "a spill that is none": (_law(_entry({"spill_bytes": 0}, tier="compiled"), effect=SPILL), "proposed"),
    "a spill computed": (_law(_entry(SPILLED, tier="computed"), effect=SPILL), "proposed"),
    "credible evidence both ways": (
        _law(_found(), _entry(), _entry({"slowdown": 1.0}, verdict="refutes", run="third")),
        "contested",
    ),
    "the suggesting run for, another against": (
        _law(_found(), _entry({"slowdown": 1.0}, verdict="refutes")),
        "contested",
    ),
    "credible evidence against alone": (_law(_entry({"slowdown": 1.0}, verdict="refutes")), "refuted"),
    "reported for, measured against": (
        _law(_found(tier="reported"), _entry({"slowdown": 1.0}, verdict="refutes")),
        "refuted",
    ),
    "reported against": (_law(_entry({"slowdown": 1.0}, verdict="refutes", tier="reported")), "proposed"),
    "against, but the interval reaches the claim": (
        _law(_entry({"slowdown": 1.9}, verdict="refutes", interval={"slowdown": (1.5, 2.1)})),
        "proposed",
    ),
    "against an upper bound": (
        _law(_entry({"change": 0.05}, verdict="refutes"), kind="indifferent", effect=None),
        "refuted",
    ),
    "a tie inside the margin": (_law(_entry({"change": 0.005}), kind="indifferent", effect=None), "confirmed"),
    "two effects, one shown": (
        _law(_found(), _entry({"slowdown": 3}), effect=TIME | SPILL),
        "proposed",
    ),
    "two effects, both shown, by runs of their tiers": (
        _law(_entry({"slowdown": 3}), _entry(SPILLED, tier="compiled", run="c"), effect=TIME | SPILL),
        "confirmed",
    ),
    "an invariant without an effect, computed": (
        _law(_entry({}, tier="computed"), kind="invariant", effect=None),
        "confirmed",
    ),
    "an invariant about numbers that cites a run which its check did not make": (
        _law(_entry({"nan_rows": 0.0}, tier="measured"), kind="invariant", effect={"nan_rows": {"at_most": 0}}),
        "proposed",
    ),
    "an invariant about time that hides behind a check": (
        _law(_entry(tier="measured"), kind="invariant", effect=TIME),
        "proposed",
    ),
    "an invariant about numbers that names no check, whatever run it cites": (
        _law(_entry({"nan_rows": 0.0}, tier="computed"), kind="unchecked", effect={"nan_rows": {"at_most": 0}}),
        "proposed",
    ),
    "a transformation that fails its check": (
        _law(_entry({}, tier="computed", verdict="refutes"), kind="transformation", effect=None),
        "refuted",
    ),
    "a setting without an effect, compiled": (
        _law(_entry({}, tier="compiled"), kind="positive", effect=None),
        "proposed",
    ),
    "a setting without an effect, measured": (_law(_entry({}), kind="positive", effect=None), "proposed"),
    "a setting that costs nothing": (_law(_entry({"cost": -0.1}), kind="positive", effect=None), "confirmed"),
    "a setting that costs something": (
        _law(_entry({"cost": 0.1}, verdict="refutes"), kind="positive", effect=None),
        "refuted",
    ),
    "withdrawn, whatever the evidence": (
        _law(_found(), _entry(), withdrawn={"date": "2026-01-01", "reason": "wrong kernel"}),
        "withdrawn",
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_each_transition(case):
    law, expected = TABLE[case]
    assert status(law) == expected, standing(law)


def test_the_reason_names_runs_or_what_is_missing():
    rests = _law(_found(toolchain="tileiras 13.4", occasion="2026-01-01 h200"), _entry(occasion="2026-01-02 h200"))
    graded = "on 3 problem sizes, 1 device, 1 day, 1 occasion, 1 toolchain"  # the same numbers twice are one occasion
    assert standing(rests).reason == f"{graded}; nothing speaks against it"
    assert (
        "slowdown: 0 of 2 further problem sizes or devices shown by an independent measured run"
        in standing(_law()).reason
    )
    assert standing(_law(_entry({"slowdown": 1.0}, verdict="refutes"))).reason == "other against"
    assert "wrong kernel" in standing(TABLE["withdrawn, whatever the evidence"][0]).reason


_ENTRIES = st.lists(
    st.builds(
        _entry,
        st.sampled_from([{"slowdown": 3.0}, {"slowdown": 1.0}, {"slowdown": 2.0}, SPILLED]),
        st.sampled_from(["measured", "compiled", "reported"]),
        st.sampled_from(["independent", "suggested"]),
        st.sampled_from(["supports", "refutes", "inconclusive"]),
        problems=st.sampled_from([NEW, FOUND, ()]),
        run=st.sampled_from(["first", "other", "third"]),
    ),
    max_size=5,
)


@given(_ENTRIES, st.randoms())
def test_the_order_of_evidence_does_not_matter_and_repeating_an_entry_adds_nothing(entries, random):
    shuffled = [*entries, *entries[:1]]
    random.shuffle(shuffled)
    assert status(_law(*entries)) == status(_law(*shuffled))


@given(_ENTRIES)
def test_reported_evidence_never_changes_a_status(entries):
    hearsay = [_entry(tier="reported", verdict=verdict) for verdict in ("supports", "refutes")]
    assert status(_law(*entries)) == status(_law(*entries, *hearsay))


def test_two_names_of_one_machine_are_no_further_device():
    """What was measured on the very GPU that suggested a law confirms it under no other name; on another machine it does."""
    gpu, other = "0123456789ab", "ba9876543210"
    found = _found(problems=[""], occasion=f"2026-01-01 a {gpu}")

    def shown(*machines):
        rest = [
            _entry(run=name, problems=[""], occasion=f"2026-01-01 {name} {one}")
            for name, one in zip("bc", machines, strict=True)
        ]
        return status(_law(found, *rest))

    assert shown(gpu, gpu) == "proposed"
    assert shown(gpu, other) == "proposed"
    assert shown(other, other) == "confirmed"
