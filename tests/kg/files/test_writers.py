"""Whatever any writer writes, our reader reads, PyYAML and libyaml agree on, and `kg fmt --check` accepts."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.generate_laws import generate
from spak.kg.checks import run_checks
from spak.kg.errors import InvalidFilesError
from spak.kg.files import fmt, scaffold, tree, tree_reader, yaml_reader
from spak.kg.files.edit import LawFile, withdraw
from spak.kg.files.loader import load
from spak.kg.files.merge import merge_files
from spak.kg.formats.importing import updated_op, yaml_text
from spak.kg.law.kinds import AnyLaw
from spak.kg.model.base import Reference
from spak.kg.model.hardware import Fact, Hardware
from spak.kg.model.law import Evidence, Law, Related
from spak.kg.model.op import Condition, Op, Parameter, ProblemParameter
from spak.tuner.learn.writeback import law_text

LAWS = Path(__file__).parents[3] / "laws"
FOLDERS = {"hardware": "hardware", "ops": "op", "systems": "system"}
SHIPPED = sorted(path for path in LAWS.rglob("*.yaml") if path.relative_to(LAWS).parts[0] not in {"evidence", "schema"})
MAX_INT = 2**63 - 1

WORDS = st.sampled_from(
    [
        *(
            "yes",
            "No",
            "on",
            "~",
            "null",
            "NULL",
            "true",
            "010",
            "0x1f",
            "0o17",
            "0b1",
            "1e5",
            "1e-05",
            "-1e20",
            "1_000",
        ),
        *(
            "1:30",
            "2020-01-01",
            "2001-12-14t21:59:43.10-05:00",
            ".inf",
            "-.INF",
            ".nan",
            "nan",
            "=",
            "<<",
            "-",
            "--- a",
        ),
        *(
            "",
            " ",
            "- x",
            "a: b",
            "a:",
            ":a",
            "#x",
            "a #b",
            "?",
            "? a",
            "!t",
            "&a",
            "*a",
            "%a",
            "@a",
            "`a",
            "|",
            ">",
            "'",
        ),
        *('"', "[", "]", "{", "}", "a,b", "{a: 1}", "a\nb", "a\n\n b\n", "\ta", "a\t#b", "\\", "a\\nb", "...", "---"),
        *(
            "\x85",
            "\u2028",
            "\ufeff",
            "\x7f",
            "\u00a0a",
            "é",
            "漢字",
            "🙂",
            "\ud7ff",
            "\ue000",
            "x" * 3000,
            "a b " * 400,
        ),
    ]
)
TEXT = WORDS | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
NUMBERS = (
    st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e-05, -1e20, 5e-324, 1.7976931348623157e308, 1e16, 123456789.0, -0.0, 0.1 + 0.2])
)
SCALARS = st.booleans() | NUMBERS | TEXT
KEYS = TEXT.filter(lambda key: len(key) <= tree.MAX_KEY)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)
TREES = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def read(text: str) -> yaml_reader.YamlDocument:
    return yaml_reader.read(text.encode(), "f")


def check(text: str, kind: str, value: object) -> None:
    """What every text that a writer wrote must be."""
    document = read(text)
    assert tree.same(document.value, value)
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        assert tree.same(yaml.load(text, loader), value)  # noqa: S506 - safe ones
    assert fmt.formatted(document, kind) == text


@given(st.sampled_from(["law", "hardware", "op", "system"]), st.dictionaries(KEYS, TREES, max_size=5))
@example("op", {"parameters": {"a": {"values": [1e-05, 1, True], "default": 1e-05}}})
@example("law", {"related": [{"0?": "why?", "a": ["b?"]}]})
@example("law", {"title": "a: b", "evidence": [{"note": "#"}], "examples": {"avoided": [{}]}})
def test_a_new_file_of_any_content(kind: str, value: dict) -> None:
    check(fmt.new_text(value, kind, "f"), kind, value)


@pytest.mark.parametrize(
    "value", [float("inf"), float("-inf"), float("nan"), 2**63, "a\0b", "\ud800", {"x" * (tree.MAX_KEY + 1): 1}]
)
def test_what_no_file_can_hold_is_refused_and_named(value: object) -> None:
    for held in (value, [value], {"b": value}):
        with pytest.raises(fmt.FormatError, match=r"f: a.*: "):
            fmt.new_text({"a": held}, "op", "f")


OP = """# of the recurrence
id: toy
title: 'Toy'   # a title
parameters:
  # the only one
  a:
    values: [1, 2]   # seen
    default: 1
    role: variant
    description: >-
      folded
      words

problem: {n: {type: int, default: 4, description: "n, m"}}
# the end
"""


@st.composite
def ops(draw: st.DrawFn) -> Op:
    parameter = st.lists(SCALARS, min_size=1, max_size=4).map(
        lambda values: Parameter(values=tuple(values), default=values[0], role="variant", description="d")
    )
    problem = st.builds(ProblemParameter, type=st.just("str"), default=SCALARS, description=TEXT)
    return Op(
        id="toy",
        title=draw(TEXT),
        aliases=tuple(draw(st.lists(TEXT, max_size=2))),
        parameters={"a": draw(parameter), **draw(st.dictionaries(KEYS, parameter, max_size=2))},
        problem=draw(st.dictionaries(KEYS, problem, max_size=2)),
        conditions=tuple(draw(st.lists(st.builds(Condition, require=st.just("a > 1"), because=TEXT), max_size=2))),
        open=draw(st.booleans()),
    )


@given(ops())
def test_an_op_that_an_import_makes_or_extends(op: Op) -> None:
    check(yaml_text(op), "op", msgspec.to_builtins(op))
    known = msgspec.structs.replace(op, parameters={"a": op.parameters["a"]})
    text = updated_op(read(OP), known)
    held = msgspec.convert(read(text).value, Op)
    check(text, "op", read(text).value)
    assert tree.same(
        msgspec.to_builtins(held.parameters["a"].values), msgspec.to_builtins(known.parameters["a"].values)
    )
    assert (held.open, held.conditions) == (known.open, known.conditions)
    assert held.problem.items() >= known.problem.items()
    assert all(f"# {words}" in text for words in ("of the recurrence", "a title", "the only one", "the end"))
    assert "'Toy'" in text


@given(
    st.builds(
        Hardware,
        id=st.just("gpu"),
        title=TEXT,
        kind=st.just("device"),
        aliases=st.lists(TEXT, max_size=3).map(tuple),
        facts=st.dictionaries(KEYS, st.builds(Fact, value=SCALARS, source=TEXT, note=TEXT), max_size=3),
        references=st.lists(st.builds(Reference, title=TEXT, url=TEXT), max_size=2).map(tuple),
    )
)
def test_a_hardware_node_that_an_import_makes(node: Hardware) -> None:
    check(yaml_text(node), "hardware", msgspec.to_builtins(node))


TITLES = TEXT.filter(bool).map(lambda title: title[:200])
ENTRIES = st.builds(
    Evidence,
    run=NAMES,
    verdict=st.sampled_from(["supports", "refutes", "inconclusive"]),
    tier=st.sampled_from(["reported", "compiled", "computed", "measured"]),
    role=st.sampled_from(["suggested", "independent"]),
    effect=st.dictionaries(KEYS, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    problems=st.lists(TEXT, max_size=2).map(tuple),
    toolchain=st.just(""),
    note=TEXT,
)
SETTINGS = st.dictionaries(KEYS, SCALARS, max_size=3)
EXPRESSIONS = st.sampled_from(
    [
        "a >= 128 and min(b, 64) == 64",
        "not a",
        "-a < 1e-05",
        "a == '#: - ~'",
        'a in ["x: y", \'{\', "%"]',
        "'' != a",
        "a",
        "hw.sms > 1 or '\\u2028' == a",
    ]
)
"""What a law may say, much of it what YAML would misread; a merge that changes evidence works out what it means."""
SLOW = st.just({"slowdown": {"at_least": 1.2}})
CLAIMS = st.one_of(
    st.tuples(
        st.just("positive"),
        st.fixed_dictionaries(
            {"prefer": st.dictionaries(KEYS, SCALARS, min_size=1, max_size=3), "over": st.lists(SETTINGS, max_size=2)}
        ),
    ),
    st.tuples(st.just("negative"), st.fixed_dictionaries({"avoid": EXPRESSIONS, "because": TEXT, "effect": SLOW})),
    st.tuples(
        st.just("indifferent"),
        st.fixed_dictionaries(
            {"over": TEXT, "values": st.lists(SCALARS, min_size=2, max_size=3), "within": st.just("1%")}
        ),
    ),
    st.tuples(st.just("invariant"), st.fixed_dictionaries({"require": EXPRESSIONS, "otherwise": TEXT, "effect": SLOW})),
)


@st.composite
def laws(draw: st.DrawFn) -> Law:
    kind, claim = draw(CLAIMS)
    raw = {
        "id": "l",
        "title": draw(TITLES),
        "kind": kind,
        "scope": {"hw": "h", "op": "o", "dtype": draw(st.lists(TEXT, max_size=2))},
        "claim": claim,
        "status": "proposed",
        "examples": {"avoided": draw(st.lists(SETTINGS, max_size=2))},
    }
    law = msgspec.convert(raw, AnyLaw)
    entries = tuple(draw(st.lists(ENTRIES, max_size=2, unique_by=lambda entry: (entry.run, entry.role))))
    return msgspec.structs.replace(law, evidence=entries, related=(Related(type="refines", id="other"),))


@given(laws())
def test_a_law_that_a_search_learns(law: Law) -> None:
    check(law_text(law), "law", msgspec.to_builtins(law))


@given(CLAIMS, TITLES)
def test_a_law_that_a_person_drafts(kind_and_claim: tuple[str, dict], title: str) -> None:
    kind, claim = kind_and_claim
    draft = scaffold.Draft(kind, title, {"hw": "h", "op": "o"}, claim, "l")
    try:
        text = scaffold.new_law_text(draft)
    except scaffold.KgError as error:
        assert "needs --" in str(error)  # noqa: PT017 - an empty part of the claim
        return
    assert read(text).value["title"] == title
    check(text, "law", read(text).value)


LAW = """# why: see the compiler
id: l
title: "quoted"   # said so
kind: negative
scope: {hw: h, op: o}
claim:
  # about the claim
  avoid: tile_m >= 128 and min(tile_n, 64) == 64
status: proposed   # computed
evidence:
  # the first
  - {run: r, verdict: supports, tier: compiled, role: suggested, note: '#'}   # old
  # no more
"""
COMMENTS = ("why: see the compiler", "said so", "about the claim", "computed", "the first", "old", "no more")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(ENTRIES, max_size=3), TEXT, st.lists(SETTINGS, max_size=2))
def test_edits_of_a_law(tmp_path: Path, entries: list[Evidence], reason: str, admitted: list[dict]) -> None:
    path = tmp_path / "l.yaml"
    path.write_text(LAW)
    file = LawFile.read(path)
    file.append_evidence(*entries)
    file.set_key(("examples", "admitted"), admitted)
    if reason.strip():
        withdraw(file, date="2026-01-01", reason=reason)
    file.save()
    text = path.read_bytes().decode()
    law = LawFile.read(path).law
    assert list(law.evidence[1:]) == entries
    assert tree.same(msgspec.to_builtins(law.examples.admitted), admitted)
    assert law.withdrawn is None or law.withdrawn.reason == reason.strip()
    check(text, "law", read(text).value)
    assert all(f"# {words}\n" in text for words in COMMENTS)


@given(laws(), st.lists(ENTRIES, max_size=3, unique_by=lambda entry: (entry.run, entry.role)), TITLES)
def test_the_merge_of_two_branches(law: Law, entries: list[Evidence], title: str) -> None:
    base = msgspec.structs.replace(law, evidence=())
    theirs = msgspec.structs.replace(base, title=title, evidence=tuple(entries))
    mine = [entry for entry in law.evidence if (entry.run, entry.role) not in {(e.run, e.role) for e in entries}]
    ours = msgspec.structs.replace(law, evidence=tuple(mine))
    merged = merge_files(*(law_text(one).encode() for one in (base, ours, theirs)), "f")
    held = read(merged).value
    check(merged, "law", held)
    assert held["title"] == title
    assert [entry["run"] for entry in held.get("evidence", [])] == [entry.run for entry in (*mine, *entries)]


def test_what_stood_in_braces_is_spread_where_an_edit_or_a_merge_needs_it() -> None:
    start = LAW[: LAW.index("evidence:")]
    entry = "run: r, verdict: supports, tier: compiled, role: suggested, note: "
    base = ours = f"{start}evidence: [{{{entry}old}}]\n"
    theirs = start.replace("quoted", "changed") + "evidence:\n  - " + entry.replace(", ", "\n    ") + "a, [b]\n"
    merged = merge_files(base.encode(), ours.encode(), theirs.encode(), "f")
    check(merged, "law", read(theirs).value)
    root = tree_reader.parse_tree("a: {b: 1}\n")
    fmt.put(root, ("a", "c", "d"), "x, y", "f")
    assert fmt.text_of(root, "law", "f") == "a:\n  b: 1\n  c:\n    d: x, y\n"


def test_the_parser_without_libyaml_gives_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_reader, "PARSER", yaml.BaseLoader)
    for text in (LAW, OP, *(path.read_text() for path in SHIPPED[::7])):
        with_libyaml = fmt.formatted(read(text), "law")
        assert tree.tree_text(tree_reader.parse_tree(with_libyaml)) == with_libyaml


PIECES = st.sampled_from(
    [
        *(
            "a",
            "b: ",
            "- ",
            "  ",
            "\n",
            "\n  ",
            "\n    ",
            "# c",
            " # d",
            "\n# e",
            "{",
            "}",
            "[",
            "]",
            ", ",
            '"q"',
            "'s'",
        ),
        *(
            "? ",
            ": ",
            "1",
            "-1.0e+20",
            "|",
            ">-",
            "|+",
            "\r\n",
            "\t",
            "\n\n",
            "---\n",
            "x y",
            "é",
            "\x85",
            "null",
            "id: ",
        ),
    ]
)


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=25).map("".join))
@example("a: {b: 1, # c\n  d: [2] # e\n }\n")
@example("a: [x: 1]\n")
@example("a: [x?, {y?: z?}]\nb: c?\nd: e\tf\n")
@example("a:\n- b # c\n# d\nid: e\n  # f\n")
@example("a: |  # c\n  x\n   y\n\nb: [ # d\n]\n")
@example("- a\n")
def test_formatting_keeps_what_a_person_wrote_or_refuses(text: str) -> None:
    try:
        document = yaml_reader.read(text.encode(), "f")
        once = fmt.formatted(document, "law")
    except (InvalidFilesError, fmt.FormatError):
        return
    check(once, "law", document.value)
    with contextlib.suppress(yaml.YAMLError):  # a tab or a `?` that only libyaml reads
        assert sorted(tree.comments(tree_reader.parse_tree(once))) == sorted(_comments(document.text))


def _comments(text: str) -> list[str]:
    """Comments as PyYAML's own scanner skips them: what is left of a text without its tokens, from each `#` on."""
    left, done = "", 0
    for token in yaml.scan(text, yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken):
            left += text[done : token.start_mark.index]
            if token.style in {"|", ">"}:
                left += "\n" + text[token.start_mark.index :].splitlines()[0] + "\n"
            done = token.end_mark.index
    left += text[done:]
    return ["#" + words.rstrip() for line in left.splitlines() for _, mark, words in [line.partition("#")] if mark]


@pytest.mark.uncounted
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_files_are_as_the_writer_writes_them(path: Path) -> None:
    kind = FOLDERS.get(path.relative_to(LAWS).parts[0], "law")
    text = path.read_text()
    check(text, kind, read(text).value)
    check(fmt.text_of(fmt.tree_of(read(text)), kind, "f"), kind, read(text).value)


@pytest.mark.parametrize("path", sorted((LAWS / "ops").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_op_file_that_an_import_changes_nothing_in_stays_as_it_is(path: Path) -> None:
    document = read(path.read_text())
    assert updated_op(document, msgspec.convert(document.value, Op)) == document.text


def test_the_laws_that_a_benchmark_generates(tmp_path: Path) -> None:
    """They are canonical, as true to their runs as real ones, the same every time, and what they rest on is no sham."""
    source, target = tmp_path / "source", tmp_path / "laws"
    for part in ("hardware", "ops"):
        shutil.copytree(LAWS / part, source / part)
    (source / "evidence").mkdir()
    for name in ("measured-h200-matmul-m4096", "compiled-sm_100-matmul-bf16"):
        shutil.copy(LAWS / "evidence" / f"{name}.json.gz", source / "evidence")
    generate(source, target, 30)
    found = sorted(target.rglob("generated-*.yaml"))
    assert len(found) == 30
    for path in found:
        check(path.read_text(), "law", read(path.read_text()).value)
    laws = load(target)
    assert run_checks(laws) == []
    assert {law.status for law in laws.laws.values()} == {"proposed", "confirmed"}
    assert {entry.tier for law in laws.laws.values() for entry in law.evidence} == {"compiled", "measured"}
    generate(source, tmp_path / "again", 30)
    files = [path.relative_to(target) for path in target.rglob("generated-*")]
    assert all((target / path).read_bytes() == (tmp_path / "again" / path).read_bytes() for path in files)


def test_a_law_file_saved_without_an_edit_is_not_touched(tmp_path: Path) -> None:
    for path in SHIPPED:
        if path.relative_to(LAWS).parts[0] not in FOLDERS:
            copy = tmp_path / path.name
            shutil.copy(path, copy)
            assert not LawFile.read(copy).save()
