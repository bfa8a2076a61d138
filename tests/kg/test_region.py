"""A law that names every configuration of its op, or none, is no claim, and `kg check` says so at its place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spak.kg import checks
from spak.kg.expression import parse
from spak.kg.files.loader import load
from spak.kg.law.feature_cases import feature_cases

SLOW = {"effect": {"slowdown": {"at_least": 2}}}


def found(law_root: Any, kind: str, claim: dict[str, Any], **scope: str) -> list[str]:
    """What is said of the claim of one more law."""
    raw = {
        "id": "one",
        "title": "t",
        "kind": kind,
        "scope": {"hw": "sm_120", "op": "fmha", **scope},
        "claim": claim,
        "status": "proposed",
    }
    path = law_root / "sm_120" / raw["scope"]["op"] / "one.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(raw))
    return [str(one).partition("/one.yaml:")[2] for one in checks.run_checks(load(law_root)) if one.check == "region"]


EVERYTHING = {
    "true": "True",
    "by its values": "tile_m >= 1",
    "by two halves": "tile_m <= 64 or tile_m > 64",
    "every kernel has registers": "registers >= 1",
    "no kernel spills a negative number": "spill_bytes >= 0 or tile_m == 64",
    "no thread has more": "registers < 256",
    "by a listed half of features": "ctas_per_sm in [1] or ctas_per_sm > 1",
    "no name at all": "1 < 2",
}
NOTHING = {
    "false": "False",
    "a value that the op has not": "tile_m == 7777",
    "contradiction": "tile_m < 64 and tile_m > 64",
    "a spill below none": "spill_bytes < 0",
    "more registers than there are": "registers > 255",
}
SOME = {
    "a half": "tile_m >= 128",
    "by the problem": "tile_m == head_dim",
    "spills": "spill_bytes > 0",
    "the last register": "registers >= 255",
    "all but one value": "tile_m != 64",
    "spills or few": "spill_bytes > 0 or ctas_per_sm <= 1",
    "arithmetic on features, which nobody decides before compiling": "registers * threads >= 0",
}


@pytest.mark.parametrize("case", EVERYTHING)
def test_naming_everything_is_no_claim(law_root, case):
    [line] = found(law_root, "negative", {"avoid": EVERYTHING[case], **SLOW})
    assert line.startswith("1:")
    assert "claim: names every configuration of fmha" in line


@pytest.mark.parametrize("case", NOTHING)
def test_naming_nothing_is_no_claim(law_root, case):
    [line] = found(law_root, "negative", {"avoid": NOTHING[case], **SLOW})
    assert "claim: names no configuration of fmha" in line


@pytest.mark.parametrize("case", SOME)
def test_naming_some_is_a_claim(law_root, case):
    assert found(law_root, "negative", {"avoid": SOME[case], **SLOW}) == []


@pytest.mark.parametrize(
    ("kind", "claim", "words"),
    [
        ("invariant", {"require": "tile_m > 7777", "otherwise": "slow", **SLOW}, "every configuration"),
        ("invariant", {"require": "tile_m > 0", "otherwise": "slow", **SLOW}, "no configuration"),
        ("positive", {"prefer": {"tile_m": 7777}}, "no configuration"),
        ("positive", {"prefer": {"tile_m": 64}}, ""),
        ("indifferent", {"over": "v_latency", "values": [4, 77], "within": "1%"}, "no configuration"),
        ("indifferent", {"over": "v_latency", "values": [4, 5], "within": "1%"}, ""),
    ],
)
def test_every_kind_is_held_to_it(law_root, kind, claim, words):
    lines = found(law_root, kind, claim)
    assert [words in line for line in lines] == [True] * bool(words)


def test_nobody_may_acknowledge_it(law_root):
    """No reason makes a law of everything a law."""
    found(law_root, "negative", {"avoid": "True", **SLOW})
    path = law_root / "sm_120" / "fmha" / "one.yaml"
    raw = msgspec.json.decode(path.read_bytes()) | {"acknowledges": ["region: I know better"]}
    path.write_bytes(msgspec.json.encode(raw))
    [one] = [one for one in checks.run_checks(load(law_root)) if one.check == "region"]
    assert one.severity == "finding"


def test_what_the_conditions_of_an_op_leave_is_everything(law_root):
    """A region that looks like a part is all there is where the rest is infeasible."""
    op = law_root / "ops" / "fmha.yaml"
    more = "conditions:\n  - {require: tile_m <= 64, because: test}\n"
    op.write_text(op.read_text().replace("conditions:\n", more))
    assert "every configuration" in found(law_root, "negative", {"avoid": "tile_m <= 64", **SLOW})[0]


def test_a_law_that_nobody_follows_is_left_alone(law_root):
    """Its claim is history."""
    (law_root / "sm_120" / "fmha").mkdir(exist_ok=True)
    assert found(law_root, "negative", {"avoid": "True", **SLOW})
    path = law_root / "sm_120" / "fmha" / "one.yaml"
    raw = msgspec.json.decode(path.read_bytes())
    raw |= {"status": "withdrawn", "withdrawn": {"date": "2026-01-01", "reason": "wrong"}}
    path.write_bytes(msgspec.json.encode(raw))
    assert [one for one in checks.run_checks(load(law_root)) if one.check == "region"] == []


def test_features_are_looked_at_beside_each_number_they_are_compared_with():
    cases = feature_cases(parse("registers >= 168 and spill_bytes == 0"))
    assert cases is not None
    assert {case["registers"] for case in cases} == {8, 167, 168, 169, 255}
    assert {case["spill_bytes"] for case in cases} == {0, 1, 512 * 1024}
    assert feature_cases(parse("registers * 2 >= 168")) is None
    assert feature_cases(parse("registers >= threads")) is None
