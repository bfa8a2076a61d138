"""Each check finds what it is for, at its place, and nothing in a sound root."""

from __future__ import annotations

from unittest.mock import Mock

import msgspec
import pytest

from spak.kg import checks
from spak.kg.checks import shared_trials, verdicts
from spak.kg.files import fmt
from spak.kg.files.cache import Cache, load_cached
from spak.kg.files.loader import load
from spak.kg.files.seal import trials_digest
from spak.kg.law.conflict import Conflicts


def _found(law_root, name=None):
    return [str(p).removeprefix(f"{law_root}/") for p in checks.run_checks(load(law_root)) if name in {None, p.check}]


def _edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _law(law_root, name, kind, claim, **more):
    scope = {"hw": "sm_120", "op": "fmha"} | more.pop("scope", {})
    if kind in {"negative", "invariant"}:
        claim = {**claim, "effect": claim.get("effect", {"slowdown": {"at_least": 2}})}
    raw = {"id": name, "title": name, "kind": kind, "scope": scope, "claim": claim, "status": "proposed"} | more
    raw = {key: raw[key] for key in fmt._arranged(list(raw), fmt._TOP["law"])}
    path = law_root / scope["hw"] / scope["op"] / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(raw))  # JSON is YAML


def _run(law_root, name, **more):
    raw = {"id": name, "tier": "measured", "created": "2026-01-01T00:00:00Z", "hw": "rtx5070", "op": "fmha"} | more
    raw["trials_sha256"] = trials_digest(raw.get("trials", []))
    if raw["tier"] == "measured":
        raw["device"] = {"name": "NVIDIA GeForce RTX 5070"}
    (law_root / "evidence" / f"{name}.json").write_bytes(msgspec.json.encode(raw))


def test_a_sound_root_has_no_findings_and_checks_are_found_without_registration(law_root):
    assert set(checks.checks()) >= {
        "status",
        "examples",
        "verdicts",
        "reported_peak",
        "conflicts",
        "hardware_facts",
        "folder",
        "mechanism",
    }
    assert _found(law_root) == []


def test_a_status_that_the_evidence_does_not_give_is_found(law_root, law_file):
    _edit(law_file, "status: proposed", "status: confirmed")
    [line] = _found(law_root)
    missing = "spill_bytes: 0 of 2 further problem sizes or devices shown by an independent compiled run"
    expected = f"the evidence gives proposed ({missing}), the file says confirmed; write proposed"
    assert line == f"sm_120/fmha/spills.yaml:14:9: status: {expected}"


EXAMPLES = {
    "{tile_m: 128, tile_n: 128, head_dim: 64}": ("{tile_m: 128}", "17:7: examples.avoided[0]: the claim admits it"),
    "{tile_m: 64, tile_n: 64, head_dim: 64}": (
        "{tile_m: 128, tile_n: 128}",
        "19:7: examples.admitted[0]: the claim avoids it",
    ),
    "{tile_m: 128, tile_n: 128, head_dim: 64": (
        "{tile_m: 128, head_dim: 96",
        "17:7: examples.avoided[0]: outside scope.when",
    ),
    "tile_n >= 128\n  because": (
        "spill_bytes > 0\n  because",
        "17:7: examples.avoided[0]: not decided: no value for spill_bytes",
    ),
}


@pytest.mark.parametrize("old", EXAMPLES)
def test_examples_are_executed(law_root, law_file, old):
    new, expected = EXAMPLES[old]
    _edit(law_file, old, new)
    assert any(line.startswith(f"sm_120/fmha/spills.yaml:{expected}") for line in _found(law_root, "examples")), _found(
        law_root
    )


def test_examples_of_each_kind_of_law(law_root):
    both = {"avoided": [{"tile_m": 128}], "admitted": [{"tile_m": 64}]}
    _law(law_root, "p", "positive", {"prefer": {"tile_m": 64}}, examples=both)
    _law(law_root, "r", "invariant", {"require": "tile_m < 128", "otherwise": "x"}, examples=both)
    _law(law_root, "i", "indifferent", {"over": "tile_m", "values": [64, 128], "within": "1%"}, examples=both)
    _law(law_root, "w", "negative", {"avoid": "tile_m == 128"}, examples=both, scope={"op": "attention", "when": ""})
    found = _found(law_root, "examples")
    assert len([line for line in found if "/i.yaml" in line and "neither avoids nor admits" in line]) == 2
    assert not [line for line in found if "/p.yaml" in line or "/r.yaml" in line]


def test_examples_of_a_ranking_are_held_against_what_it_is_over(law_root):
    """It avoids the settings it is over, admits the one it prefers, and any that it does not rank."""
    examples = {
        "avoided": [{"tile_m": 128}, {"tile_m": 256}],
        "admitted": [{"tile_m": 64}, {"tile_m": 256}, {"tile_m": 128}],
    }
    _law(law_root, "p", "positive", {"prefer": {"tile_m": 64}, "over": [{"tile_m": 128}]}, examples=examples)
    found = [line.split("examples.")[1] for line in _found(law_root, "examples") if "/p.yaml" in line]
    assert [line.split(";")[0] for line in found] == [
        "avoided[1]: the claim admits it",
        "admitted[2]: the claim avoids it",
    ]


def test_evidence_must_agree_with_its_own_numbers_and_its_run(law_root):
    entry = {"run": "timed", "verdict": "supports", "tier": "measured", "role": "independent", "problems": ["seq=1"]}
    _run(law_root, "timed")
    _run(law_root, "compiled", tier="compiled")
    (law_root / "evidence" / "torn.json").write_text("{")
    entries = [
        entry | {"effect": {"slowdown": 1.5}},
        entry | {"effect": {"slowdown": 3.0}, "verdict": "refutes"},
        entry | {"effect": {"slowdown": 3.0}, "interval": {"slowdown": [1.0, 2.0]}},
        entry | {"effect": {"slowdown": 3.0}, "problems": []},
        entry | {"run": "compiled"},
        entry | {"run": "torn"},
        entry | {"effect": {"slowdown": 3.0}, "interval": {"slowdown": [2.5, 3.5]}},
        entry | {"run": "elsewhere"},
    ]
    (law_root / "hardware" / "h100.yaml").write_text("id: h100\ntitle: H100\nkind: device\nis_a: [nvidia]\n")
    _run(law_root, "elsewhere", hw="h100")
    _law(law_root, "s", "negative", {"avoid": "tile_m == 1", "effect": {"slowdown": {"at_least": 2}}}, evidence=entries)
    found = [line.split("evidence")[1] for line in _found(law_root, "verdict")]
    assert [line.split(";")[0] for line in found] == [
        "[0].verdict: supports, but slowdown = 1.5 is outside the claim",
        "[1].verdict: refutes, but slowdown = 3 is inside the claim",
        "[2].interval.slowdown: the interval 1.0 to 2.0 does not hold the effect",
        "[3].problems: no problem sizes",
        "[4].tier: the run is compiled, the entry says measured",
        found[5],
        "[7].run: the run is about hardware h100, the law about sm_120",
    ]
    assert found[5].startswith("[5].run: not a run file")


def _reported(law_root, tflops, problem="causal=true", **more):
    _run(law_root, "said", tier="reported")
    entry = {
        "run": "said",
        "verdict": "supports",
        "tier": "reported",
        "role": "suggested",
        "effect": {"tflops": tflops},
    }
    entry |= {"problems": [problem]} if problem else {}
    _law(law_root, "r", "positive", {"prefer": {"tile_m": 64}}, evidence=[entry], **more)
    return _found(law_root, "reported-peak")


def test_a_figure_above_the_peak_is_flagged_with_the_rule_that_explains_it(law_root):
    assert _reported(law_root, 61.0) == []
    assert "only counting masked work (full rule) explains it" in _reported(law_root, 113.73)[0]
    assert "it is 67.5, still above, which needs 2.75 GHz" in _reported(law_root, 135)[0]
    assert "no counting rule of fmha explains it" in _reported(law_root, 135, "causal=false")[0]
    assert "no counting rule of fmha explains it" in _reported(law_root, 135, None)[0]


def test_an_acknowledged_figure_is_a_note(law_root):
    acknowledged = ["reported-peak: masked work counted"]
    assert _reported(law_root, 113.73, acknowledges=acknowledged)
    assert {p.severity for p in checks.run_checks(load(law_root)) if p.check == "reported-peak"} == {"note"}


def test_a_figure_of_an_op_without_counting_rules_or_hardware_without_a_peak(law_root):
    _run(law_root, "said", tier="reported", hw="nvidia", op="attention")
    entry = {"run": "said", "verdict": "supports", "tier": "reported", "role": "suggested", "effect": {"tflops": 1e6}}
    _law(law_root, "r", "negative", {"avoid": "spill_bytes > 0"}, evidence=[entry], scope={"op": "attention"})
    assert _found(law_root, "reported-peak") == []
    _run(law_root, "said", tier="reported", op="attention")
    assert "no counting rule of attention explains it" in _found(law_root, "reported-peak")[0]
    (law_root / "evidence" / "said.json").write_text("{")
    assert _found(law_root, "reported-peak") == []


def test_a_problem_size_that_the_formula_cannot_use_explains_nothing(law_root):
    _edit(law_root / "ops" / "fmha.yaml", "4 * seq * seq * head_dim, rule", "0 * seq, rule")
    assert "no counting rule" in _reported(law_root, 135)[0]


def test_facts_that_contradict_each_other_are_found(law_root):
    path = law_root / "hardware" / "rtx5070.yaml"
    _edit(path, "num_sms: {value: 48, source: paper}", 'num_sms: {value: 84, source: " "}')
    found = _found(law_root, "hardware-facts")
    assert "84 SMs x 2.512 GHz x 512 FLOPs give 108.0 TFLOPS, not 61.7" in found[1] + found[0]
    assert any("facts.num_sms.source: no source" in line for line in found)


def test_two_defaults_and_a_default_that_nothing_compiles_for_are_found(law_root):
    """What is searched where nobody names it is one device and one op."""
    for name in ("rtx5070", "sm_120"):
        _edit(law_root / "hardware" / f"{name}.yaml", "facts:", "default: true\nfacts:")
    [second] = _found(law_root, "defaults")
    assert second.startswith("hardware/sm_120.yaml")
    assert second.endswith("default: rtx5070 is the default already; one hardware at most is")
    _edit(law_root / "hardware" / "rtx5070.yaml", "default: true\n", "")
    assert "only a device can be compiled for" in _found(law_root, "defaults")[0]


def test_a_law_in_the_wrong_folder_is_found(law_root, law_file):
    law_file.rename(law_root / "spills.yaml")
    assert "move it to sm_120/fmha/spills.yaml" in _found(law_root, "folder")[0]


def _pairs(law_root):
    return {conflict.laws: conflict.reason for conflict in Conflicts(load(law_root)).all()}


def test_a_preferred_setting_that_another_law_avoids_is_a_conflict(law_root, law_file):
    _law(law_root, "p", "positive", {"prefer": {"tile_m": 128, "tile_n": 128}}, scope={"hw": "rtx5070"})
    assert _pairs(law_root) == {("p", "spills"): "p prefers tile_m=128, tile_n=128, which spills avoids"}
    found = checks.run_checks(load(law_root))
    assert [(p.check, p.severity) for p in found] == [("conflict", "note")]
    assert "spills is proposed: compiled-one (compiled, supports); narrow one scope" in found[0].message


def test_a_conflict_between_confirmed_laws_is_a_finding(law_root, law_file):
    _law(law_root, "p", "positive", {"prefer": {"tile_m": 128, "tile_n": 128}}, status="confirmed")
    _edit(law_file, "status: proposed", "status: confirmed")
    assert {p.severity for p in checks.run_checks(load(law_root)) if p.check == "conflict"} == {"finding"}


NO_CONFLICT = {
    "part of a setting is not the region": ({"prefer": {"tile_m": 128}}, {}),
    "outside the condition": ({"prefer": {"tile_m": 128, "tile_n": 128}}, {"scope": {"when": "head_dim == 96"}}),
    "another dtype": ({"prefer": {"tile_m": 128, "tile_n": 128}}, {"scope": {"dtype": ["fp8"]}}),
    "other hardware": ({"prefer": {"tile_m": 128, "tile_n": 128}}, {"scope": {"hw": "other"}}),
    "another op": ({"prefer": {"tile_m": 128}}, {"scope": {"op": "gemm"}}),
    "a refuted law": ({"prefer": {"tile_m": 128, "tile_n": 128}}, {"status": "refuted"}),
}


@pytest.mark.parametrize("case", NO_CONFLICT)
def test_what_does_not_overlap_is_no_conflict(law_root, law_file, case):
    (law_root / "hardware" / "other.yaml").write_text("id: other\ntitle: o\nkind: vendor\n")
    gemm = (law_root / "ops" / "fmha.yaml").read_text().replace("id: fmha", "id: gemm").replace("is_a: [attention]", "")
    (law_root / "ops" / "gemm.yaml").write_text(gemm)
    _edit(law_file, "  op: fmha\n", "  op: fmha\n  dtype: [fp16]\n")
    claim, more = NO_CONFLICT[case]
    _law(law_root, "p", "positive", claim, **more)
    assert _pairs(law_root) == {}


def test_two_laws_that_leave_nothing_conflict(law_root):
    _law(law_root, "low", "negative", {"avoid": "tile_m <= 64"})
    _law(law_root, "high", "invariant", {"require": "tile_m < 64", "otherwise": "x"}, scope={"op": "attention"})
    _law(law_root, "tall", "negative", {"avoid": "tile_m == 128 and tile_n > 32"})
    assert _pairs(law_root) == {("high", "low"): "high and low together leave no configuration of fmha"}


def test_two_laws_that_share_a_scope_and_leave_something_are_at_peace(law_root):
    _law(law_root, "a", "negative", {"avoid": "tile_m <= 64"})
    _law(law_root, "b", "negative", {"avoid": "tile_m == 128 and spill_bytes > 0"})
    _law(law_root, "c", "positive", {"prefer": {"tile_m": 128}})
    _law(law_root, "d", "positive", {"prefer": {"tile_m": 32}}, scope={"when": "head_dim == 1"})
    laws = load(law_root)
    assert Conflicts(laws).all() == []
    assert list(Conflicts(laws).contradictions([laws.laws["c"], laws.laws["d"]])) == []


def test_keys_out_of_order_are_found_where_the_disorder_begins(law_root, law_file):
    _edit(law_file, "  avoid: tile_m >= 128 and tile_n >= 128\n", "")
    _edit(
        law_file, "  because: register-spill\n", "  because: register-spill\n  avoid: tile_m >= 128 and tile_n >= 128\n"
    )
    path = law_root / "ops" / "attention.yaml"
    path.write_text("title: Attention\nid: attention\n")
    assert _found(law_root, "key-order") == [
        "ops/attention.yaml:1:1: title: keys are not in canonical order; run kg fmt",
        "sm_120/fmha/spills.yaml:11:3: claim.because: keys are not in canonical order; run kg fmt",
    ]


def _remembering(law_root, tmp_path):
    """What is found with the ledger of the runs of `kg check` before."""
    return [str(problem) for problem in checks.run_checks(load_cached(law_root, Cache(tmp_path / "cache")))]


def _counting(monkeypatch, module, function):
    """The laws or runs that a check is asked about from now on."""
    asked, look = [], getattr(module, function, lambda _: iter(()))
    monkeypatch.setattr(module, function, lambda one: asked.append(one) or look(one), raising=False)
    return asked


def test_a_law_that_did_not_change_is_not_checked_again(law_root, tmp_path, monkeypatch):
    """Neither is a run: what was found is remembered, whatever it was."""
    _law(law_root, "odd", "negative", {"avoid": "tile_m >= 128", "because": "regster-spill"})
    asked = _counting(monkeypatch, verdicts, "check_law"), _counting(monkeypatch, verdicts, "check_run")
    first = _remembering(law_root, tmp_path)
    assert (len(first), *map(len, asked)) == (1, 2, 1)
    assert _remembering(law_root, tmp_path) == first
    assert tuple(map(len, asked)) == (2, 1)


def test_a_check_that_was_stopped_goes_on_from_there(law_root, tmp_path, monkeypatch):
    asked = _counting(monkeypatch, verdicts, "check_law"), _counting(monkeypatch, verdicts, "check_run")
    with monkeypatch.context() as stopping:
        stopping.setattr(shared_trials, "check", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _remembering(law_root, tmp_path)
    assert _remembering(law_root, tmp_path) == []
    assert tuple(map(len, asked)) == (1, 1)


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("sm_120/fmha/spills.yaml", "because: register-spill", "because: regster-spill", "no mechanism"),
        ("sm_120/fmha/spills.yaml", "status: proposed", "status: confirmed", "the evidence gives proposed"),
        ("evidence/compiled-one.json", '"tier":"compiled"', '"tier":"computed"', "the run is computed"),
        ("evidence/compiled-one.json", '"trials"', '"tirals"', "not a run file"),
        ("hardware/sm_120.yaml", "value: 102400", "value: 0", "outside scope.when"),
        (
            "ops/fmha.yaml",
            "head_dim: {type: int, default: 64",
            "head_dim: {type: int, default: 65",
            "outside scope.when",
        ),
    ],
)
def test_a_change_of_anything_that_a_law_rests_on_is_seen(law_root, tmp_path, file, old, new, found):
    """The law, the run it cites, its op, its hardware: what was found of another content says nothing of this one."""
    scope, examples = {"when": "head_dim == 64"}, {"avoided": [{"tile_m": 128}]}
    _law(law_root, "defaulted", "negative", {"avoid": "tile_m >= 128"}, scope=scope, examples=examples)
    assert _remembering(law_root, tmp_path) == []
    _edit(law_root / file, old, new)
    again = _remembering(law_root, tmp_path)
    assert again == [str(problem) for problem in checks.run_checks(load(law_root))]
    assert found in "".join(again)


def test_a_move_of_a_law_is_seen(law_root, law_file, tmp_path):
    """Where a law lies is looked at too, though its content stays."""
    assert _remembering(law_root, tmp_path) == []
    law_file.rename(law_root / "spills.yaml")
    assert "move it to sm_120/fmha/spills.yaml" in "".join(_remembering(law_root, tmp_path))


def test_a_check_of_one_law_sees_no_run_that_the_law_does_not_cite(law_root, tmp_path, monkeypatch):
    """What is no part of the key cannot be part of what was found."""
    _run(law_root, "another")
    asked = _counting(monkeypatch, verdicts, "check_law")
    assert _remembering(law_root, tmp_path) == []
    [one] = asked
    assert one.run("compiled-one").id == "compiled-one"
    with pytest.raises(KeyError, match="another"):
        one.run("another")
    assert not hasattr(one, "laws")


def test_a_run_that_cannot_be_read_is_found_where_runs_are_checked(law_root, tmp_path, monkeypatch):
    """No law has to cite it; what is found of a run is placed at its file."""
    _run(law_root, "another")
    (law_root / "evidence" / "bad.json").write_text("{")
    finds = lambda one: iter([checks.CheckFinding(check="verdict", field="hw", message=f"{one.run.hw}?")])  # noqa: E731
    monkeypatch.setattr(verdicts, "check_run", finds, raising=False)
    shown = [line.removeprefix(f"{law_root}/evidence/") for line in _remembering(law_root, tmp_path)]
    assert shown[0] == "another.json: hw: rtx5070?"
    assert shown[1].startswith("bad.json: not a run file")
    assert shown[2] == "compiled-one.json: hw: sm_120?"


def _trials(*sides):
    rows = {"nan_rows": 0}
    return [
        {
            "configuration": {"tile_m": tile_m, "tile_n": tile_n},
            "problem": {"seq": seq},
            "measurements": [{"name": name, "value": 4 if tile_n == 128 else value} for name, value in rows.items()],
        }
        for seq in (128, 256, 512)
        for tile_m in (32, 64, 128)
        for tile_n in sides
    ]


def _safety(law_root, run, check="floor", require="tile_n < 128"):
    claim = {"require": require, "otherwise": "NaN", "effect": {"nan_rows": {"at_most": 0}}}
    entry = {"run": "r", "verdict": "supports", "tier": "computed", "role": "independent", "effect": {"nan_rows": 0}}
    evidence = [entry | {"problems": ["seq=128", "seq=256"]}]
    _run(law_root, "r", **({"tier": "computed", "check": "floor", "trials": _trials(64, 128)} | run))
    if check:
        claim["check"] = check
    _law(law_root, "safe", "invariant", claim, evidence=evidence, status="confirmed" if check else "proposed")
    return [line.partition("claim: " if "claim:" in line else ".run: ")[2] for line in _found(law_root, "named-check")]


CITED = {
    "its own check": ({}, "floor", "tile_n < 128", ""),
    "no check at all": ({}, "", "tile_n < 128", "it forbids because of numbers, and names no check that shows them"),
    "a measured run": ({"tier": "measured", "check": ""}, "floor", "tile_n < 128", "no check made the run"),
    "a run of no check": ({"check": ""}, "floor", "tile_n < 128", "no check made the run, the claim names floor"),
    "a run of another": ({"check": "other"}, "floor", "tile_n < 128", "the check other made the run"),
    "a run of another op": ({"op": "attention"}, "floor", "tile_n < 128", "the run is about op attention, which is no"),
    "one side": ({"trials": _trials(64)}, "floor", "tile_n < 128", "every trial in scope keeps the requirement"),
    "another matter": ({}, "floor", "v_latency == 4", "no trial in scope has a value for each of v_latency"),
    "what was not tried": ({}, "floor", "tile_n == 64", "it forbids tile_n=32, which no trial tried"),
}


@pytest.mark.parametrize("case", CITED)
def test_an_invariant_about_numbers_cites_what_its_check_made_of_its_own_matter(law_root, case):
    run, name, require, expected = CITED[case]
    found = _safety(law_root, run, name, require)
    assert [line[: len(expected)] for line in found] == ([expected] if expected else [])
