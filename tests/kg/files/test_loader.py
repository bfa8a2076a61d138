"""Loading a law root: typed collections, or every problem of the folder with file, line and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from spak.kg.errors import InvalidFilesError, KgError, UnknownNameError
from spak.kg.files import loader, references, validate
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Law


def _problems(root: Path) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        loader.load(root)
    return [str(problem).removeprefix(f"{root}/") for problem in caught.value.problems]


def test_a_sound_root_loads_into_typed_collections(law_root):
    laws = loader.load(law_root)
    assert laws.laws["spills"].claim.avoid == "tile_m >= 128 and tile_n >= 128"
    assert set(laws.hardware) == {"nvidia", "sm_120", "rtx5070"}
    assert set(laws.ops) == {"attention", "fmha"}
    assert set(laws.systems) == {"naive", "fused"}
    assert laws.run_ids == ["compiled-one"]
    assert laws.run("compiled-one") is laws.run("compiled-one")
    assert laws.path("law", "spills") == law_root / "sm_120/fmha/spills.yaml"
    assert laws.paths["op"]["fmha"] == "ops/fmha.yaml"
    assert hardware_facts(laws, "rtx5070").keys() >= {"num_sms", "smem_per_sm"}
    assert laws.document("law", "spills").place("scope.hw").line == 6


def test_contents_survive_a_cache(law_root):
    contents = loader.load(law_root).contents
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(contents), type=loader.Contents) == contents


def test_unknown_ids_come_with_the_nearest(law_root):
    with pytest.raises(UnknownNameError, match="compiled-one"):
        loader.load(law_root).run("compiled-on")


BROKEN = {
    "hw: sm_120": ("hw: sm_12", "6:7: scope.hw: unknown hardware 'sm_12'; nearest: sm_120"),
    "op: fmha": ("op: fhma", "7:7: scope.op: unknown op 'fhma'; nearest: fmha, attention"),
    "tile_n >= 128\n": ("tile_k >= 128\n", "11:28: claim.avoid: unknown name 'tile_k'; nearest: tile_m, tile_n"),
    "hw.smem_per_sm > 0": ("hw.smem > 0", "8:28: scope.when: unknown hardware fact 'hw.smem'; nearest: hw.smem_per_sm"),
    "head_dim == 64 and": ("tile_m == 64 and", "8:9: scope.when: unknown problem parameter 'tile_m'"),
    "tile_m >= 128 and tile_n": ("tile_m >= and tile_n", "11:20: claim.avoid: not an expression"),
    "avoid: tile_m >= 128": ("avoid: open('x') or 128", "11:10: claim.avoid: open is not a function"),
    "tile_n: 64, head": (
        "tile_x: 64, head",
        "19:20: examples.admitted[0].tile_x: unknown parameter 'tile_x'; nearest: ",
    ),
    "tile_n: 64, head_dim": (
        "hw.smem: 1, tile_n: 64, head_dim",
        "19:20: examples.admitted[0].hw.smem: unknown parameter 'hw.smem'; nearest: hw.smem_per_sm",
    ),
    "run: compiled-one": ("run: compiled-two", "21:10: evidence[0].run: unknown run 'compiled-two'"),
    "tileiras >=13.4,<14": ("tileiras 13.4", "9:14: scope.toolchain: a toolchain is NAME >=LOW,<HIGH"),
    "tileiras 13.4.92": ("tileiras", "27:16: evidence[0].toolchain: a toolchain is `name version`"),
    "kind: negative": ("kind: bad", "4:7: kind: a kind is one of positive, negative, indifferent"),
    "kind: negative\n": ("", "2:1: kind is missing; one of positive"),
    "id: spills": ("id: spill", "2:5: id: the id is the file's stem 'spills' (got 'spill')"),
    "id: spills\n": ("id: Bad Id\n", "2:5: id: expected text of the form"),
    "status: proposed": ("status: sure", "14:9: status: expected one of confirmed"),
    "status: proposed\n": ("status: withdrawn\n", "14:9: status: a law is withdrawn if and only if"),
    "title: FMHA spills at 128 x 128": ("title: 3", "3:8: title: expected text (got 3)"),
    "title: FMHA spills at 128 x 128\n": ("", "2:1: title is missing; add it"),
    "  because: register": (
        "  becuase: register",
        "12:3: claim.becuase: unknown field; there are because, effect, avoid",
    ),
    "{spill_bytes: {at_least: 1}}": ("[1]", "13:11: claim.effect: expected a mapping (got a list)"),
    "{at_least: 1}": (
        "{at_least: x}",
        "13:36: claim.effect.spill_bytes.at_least: expected a number or nothing (got 'x')",
    ),
    "avoid: tile": ('avoid: "" # tile', "11:10: claim.avoid: '' should be non-empty"),
}


@pytest.mark.parametrize("old", [old for old in BROKEN if BROKEN[old][1]])
def test_a_wrong_law_is_reported_where_it_is_wrong(law_root, law_file, old):
    new, expected = BROKEN[old]
    text = law_file.read_text()
    assert old in text
    law_file.write_text(text.replace(old, new, 1))
    assert any(line.startswith(f"sm_120/fmha/spills.yaml:{expected}") for line in _problems(law_root)), _problems(
        law_root
    )


OTHERS = [
    ("ops/fmha.yaml", "is_a: [attention]", "is_a: [fmha]", "goes in a circle: fmha -> fmha"),
    (
        "ops/attention.yaml",
        "title: Attention",
        "title: Attention\nis_a: [fmha]",
        "circle: attention -> fmha -> attention",
    ),
    (
        "ops/fmha.yaml",
        "default: 64, role: tile, description: rows",
        "default: 65, role: tile, description: rows",
        "65 is not one of",
    ),
    (
        "ops/fmha.yaml",
        "description: rows",
        "description: rows, core: [7]",
        "parameters.tile_m.core[0]: 7 is not one of",
    ),
    (
        "ops/fmha.yaml",
        "tile_m * tile_n <= 16384",
        "tile_m * tile_k <= 16384",
        "conditions[0].require: unknown name 'tile_k'",
    ),
    ("ops/fmha.yaml", "4 * seq * seq * head_dim,", "4 * sq,", "flops.full.expression: unknown problem parameter 'sq'"),
    ("ops/fmha.yaml", "8 * seq * head_dim", "8 * tile_m", "bytes.expression: unknown problem parameter 'tile_m'"),
    ("ops/fmha.yaml", "{seq: 128,", "{sq: 128,", "problems.small.sq: unknown parameter 'sq'"),
    ("ops/fmha.yaml", "{seq: 128,", "{seq: true,", "problems.small.seq: expected int (got True)"),
    (
        "ops/fmha.yaml",
        "type: bool, default: false",
        "type: bool, default: 0",
        "problem.causal.default: expected bool (got 0)",
    ),
    (
        "ops/fmha.yaml",
        "  seq: {",
        "  tile_m: {type: int, default: 1, description: x}\n  seq: {",
        "a name means one thing",
    ),
    ("systems/fused.yaml", "parameters: [tile_m]", "parameters: [tile]", "unknown parameter 'tile'; nearest: tile_"),
    (
        "systems/fused.yaml",
        "parameters: [tile_m]",
        "problem: large",
        "tuning_space[0].problem: unknown problem size 'large'",
    ),
    ("systems/fused.yaml", "fmha: {tile_m", "fmha: {tile", "configurations.fmha.tile: unknown parameter"),
    ("systems/fused.yaml", "[spills]", "[spill]", "inherits[0]: unknown law 'spill'; nearest: spills"),
    ("systems/naive.yaml", "state: built", "state: built\nderived_from: [fused]", "circle: fused -> naive -> fused"),
    ("hardware/sm_120.yaml", "is_a: [nvidia]", "is_a: [amd]", "is_a[0]: unknown hardware 'amd'"),
    (
        "hardware/sm_120.yaml",
        "is_a: [nvidia]",
        "is_a: [nvidia]\naliases: [nvidia-geforce rtx 5070]",
        "is an alias of rtx5070 already",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "expected"), OTHERS)
def test_wrong_nodes_are_reported(law_root, name, old, new, expected):
    path = law_root / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert any(expected in line for line in _problems(law_root)), _problems(law_root)


def _law(law_root: Path, name: str, text: str) -> None:
    (law_root / "sm_120" / "fmha" / f"{name}.yaml").write_text(
        f"id: {name}\ntitle: t\nscope: {{hw: sm_120, op: fmha}}\nstatus: proposed\n{text}"
    )


def test_names_in_every_kind_of_claim_are_checked(law_root):
    _law(law_root, "p", "kind: positive\nclaim: {prefer: {tile_x: 1}, over: [{tile_y: 1}]}\n")
    _law(law_root, "i", "kind: indifferent\nclaim: {over: seq, values: [1, 2], within: 1%}\n")
    _law(
        law_root,
        "r",
        "kind: invariant\nclaim: {require: spill_byte == 0, otherwise: slow, effect: {slowdown: {at_least: 2}}}\n",
    )
    _law(law_root, "t", "kind: transformation\nclaim: {from: naiv, to: fused, rewrite: x, check: y}\n")
    found = "\n".join(_problems(law_root))
    for expected in (
        "claim.prefer.tile_x",
        "claim.over[0].tile_y",
        "'seq'; nearest",
        "nearest: spill_bytes",
        "system 'naiv'",
    ):
        assert expected in found


def test_links_between_laws_must_lead_somewhere_and_not_in_circles(law_root):
    _law(
        law_root,
        "a",
        "kind: negative\nclaim: {avoid: tile_m == 1, effect: {slowdown: {at_least: 2}}}\nrelated: [{type: refines, id: b}]\n",
    )
    _law(
        law_root,
        "b",
        "kind: negative\nclaim: {avoid: tile_m == 1, effect: {slowdown: {at_least: 2}}}\nrelated: [{type: refines, id: a}, {type: renamed-from, id: gone}]\n",
    )
    _law(
        law_root,
        "c",
        "kind: negative\nclaim: {avoid: tile_m == 1, effect: {slowdown: {at_least: 2}}}\nrelated: [{type: refines, id: gone}]\n",
    )
    found = _problems(law_root)
    assert len(found) == 2
    assert "circle: a -> b -> a" in found[0]
    assert "related[0].id: unknown law 'gone'" in found[1]


def test_a_file_that_cannot_be_read_is_one_problem_not_one_for_each_that_names_it(law_root):
    (law_root / "ops" / "fmha.yaml").write_text("id: fmha\nid: fmha\n")
    assert len(_problems(law_root)) == 1


def test_problems_of_all_files_are_reported_at_once(law_root):
    (law_root / "ops" / "attention.yaml").write_text("[")
    (law_root / "hardware" / "nvidia.yaml").write_text("id: nvidia\nfoo: 1\n")
    (law_root / "ops" / "x.yml").write_text("")
    (law_root / "other" / "fmha").mkdir(parents=True)
    (law_root / "other" / "fmha" / "spills.yaml").write_text((law_root / "sm_120/fmha/spills.yaml").read_text())
    found = "\n".join(_problems(law_root))
    for expected in ("ops/attention.yaml:", "foo: unknown field", "kind is missing", "call it .yaml", "ids are unique"):
        assert expected in found


def test_other_files_in_a_root_are_left_alone(law_root):
    (law_root / "schema").mkdir()
    (law_root / "schema" / "x.yaml").write_text("[")
    (law_root / "README.md").write_text("[")
    (law_root / ".hidden").mkdir()
    (law_root / ".hidden" / "x.yaml").write_text("[")
    (law_root / "evidence" / "notes.txt").write_text("x")
    (law_root / "loop").symlink_to(law_root)
    assert loader.load(law_root).run_ids == ["compiled-one"]


def test_run_files_may_be_compressed(law_root):
    path = law_root / "evidence" / "compiled-one.json"
    whole, packed = path.read_bytes(), path.with_suffix(".json.gz")
    path.unlink()
    for data in (gzip.compress(whole), gzip.compress(whole[:100]) + gzip.compress(whole[100:])):
        packed.write_bytes(data)
        assert loader.load(law_root).run("compiled-one").hw == "sm_120"


def test_a_bad_run_file_is_one_line(law_root, monkeypatch):
    path = law_root / "evidence" / "compiled-one.json"
    good = path.read_bytes()
    for name, data, expected in (
        ("a.json", b"[" * 100_000, "not a run file"),
        ("a.json", b'{"id": "a"}', "not a run file: Object missing required field"),
        ("a.json.gz", b"xx", "corrupt gzip"),
        ("a.json.gz", gzip.compress(good)[:-9], "truncated or corrupt gzip"),
        ("a.json.gz", gzip.compress(good)[:-4] + bytes(4), "truncated or corrupt gzip"),
        ("a.json.gz", gzip.compress(good) + b"more", "truncated or corrupt gzip"),
        ("a.json", b'"\xff"', "not a run file"),
        ("a.json", good, "the id is the file's stem 'a' (got 'compiled-one')"),
    ):
        (path.parent / name).write_bytes(data)
        with pytest.raises(InvalidFilesError) as caught:
            loader.read_run(path.parent / name)
        assert expected in str(caught.value)
    monkeypatch.setattr(loader, "MAX_RUN_BYTES", 10)
    with pytest.raises(InvalidFilesError, match="at most 10 are read"):
        loader.read_run(path)


def test_a_missing_root_is_no_traceback(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        loader.load(tmp_path / "nowhere")


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), max_size=6))
def test_a_circle_is_found_exactly_when_a_node_reaches_itself(graph):
    def reaches(start: str, goal: str) -> bool:
        seen, todo = set(), [start]
        while todo:
            for following in graph.get(todo.pop(), ()):
                if following == goal:
                    return True
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return False

    circles = references.circles(graph)
    assert bool(circles) == any(reaches(node, node) for node in graph)
    for circle in circles:
        assert all(b in graph[a] for a, b in zip(circle, [*circle[1:], circle[0]], strict=True))


def test_a_long_chain_is_walked_without_recursion():
    chain = {str(i): (str(i + 1),) for i in range(20_000)}
    assert references.circles(chain) == []


def test_a_value_that_only_msgspec_refuses_still_has_a_flaw():
    flaws = validate.flaws({"kind": "negative"}, "law")
    assert {flaw.message.split()[0] for flaw in flaws} == {"id", "title", "scope", "status", "claim"}
    assert validate.flaws([], "law")[0].message.startswith("the file holds a mapping (got a list)")
    assert validate.flaws(True, "op")[0].message.startswith("the file holds a mapping (got true)")


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_GOOD = {
    "kind": "negative",
    "id": "a",
    "title": "t",
    "scope": {"hw": "a", "op": "b"},
    "claim": {"avoid": "x"},
    "status": "proposed",
    "evidence": [{"run": "r", "verdict": "supports", "tier": "compiled", "role": "suggested", "effect": {"x": 1}}],
}


@given(st.sampled_from([*_GOOD, "examples", "withdrawn", "related", "references", "acknowledges", "zzz"]), _JSON)
def test_the_fast_path_and_the_schema_agree_on_what_is_a_law(key, value):
    changed = _GOOD | {key: value}
    try:
        validate.convert(changed, "law")
    except msgspec.ValidationError:
        assert validate.flaws(changed, "law")
    else:
        assert Draft202012Validator(validate.model_schema("law", "negative")).is_valid(changed)
        assert isinstance(validate.convert(changed, "law"), Law)


def test_kg_errors_share_a_base():
    assert issubclass(InvalidFilesError, KgError)
