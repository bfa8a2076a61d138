"""Formatting and edits: canonical, idempotent, meaning and comments kept."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.files import fmt, scaffold, tree, yaml_reader
from spak.kg.files.edit import ChangedError, LawFile, withdraw
from spak.kg.files.loader import load
from spak.kg.law.status import status
from spak.kg.model.law import Evidence

UNTIDY = """# about the law
status: proposed   # computed
claim:
    # what the compiler does
    because: register-spill
    avoid: 'tile_m >= 128'
id: "a"
extra: {x: -1.0e+20}
kind: negative
evidence:
- role: suggested
  run: r  # the first
title: t
"""


def formatted(text: str) -> str:
    return fmt.formatted(yaml_reader.read(text.encode(), "f"), "law")


def test_keys_come_in_canonical_order_and_comments_stay():
    result = formatted(UNTIDY)
    assert [line.split(":")[0] for line in result.splitlines() if line[0].isalpha()] == [
        *("id", "title", "kind", "claim", "status", "evidence", "extra")
    ]
    for comment in ("# about the law", "# computed", "# what the compiler does", "# the first"):
        assert comment in result
    assert "'tile_m >= 128'" in result
    assert result.index("avoid") < result.index("because")
    assert formatted(result) == result


@pytest.mark.parametrize("text", ["", "[1]", "a: yes", "a: [", "x"])
def test_what_cannot_be_read_is_not_formatted(text):
    with pytest.raises(InvalidFilesError):
        formatted(text)


def test_a_writer_that_changes_the_meaning_is_stopped():
    root = tree.node({"a": 1}, 1)
    for wrong in ("2", "true", "1.0", "[", "1 # lost"):
        root.entries[0].value.text = wrong
        with pytest.raises(fmt.FormatError, match="would change what it means"):
            fmt.text_of(root, "law", "f")


_TEXT = st.text(
    alphabet=st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="\x7f\x85\xa0"), max_size=12
)
_KEYS = st.sampled_from(
    ["id", "title", "kind", "scope", "claim", "status", "evidence", "zzz", "because", "avoid", "run"]
)
_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
    | st.sampled_from(["yes", "010", "1e5", "~", "null", "1:30", "2020-01-01", "", "- x", "a: b", "#x", "a #b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=5))
@example({"id": ":0"})
@example({"id": ["?;"]})
def test_formatting_is_idempotent_and_never_changes_what_a_file_means(value):
    text = fmt.new_text(value, "law", "f")
    assert yaml_reader.read(text.encode(), "f").value == value
    once = formatted(text)
    assert yaml_reader.read(once.encode(), "f").value == value
    assert formatted(once) == once


def _entry(**more):
    given = {"run": "compiled-two", "verdict": "supports", "tier": "compiled", "role": "independent"}
    effect = {"effect": {"spill_bytes": 1440.0}, "problems": ["head_dim=96,seq=1", "head_dim=128,seq=1"]}
    return msgspec.convert(given | effect | more, Evidence)


def test_appended_evidence_brings_its_status_and_leaves_comments(law_file):
    file = LawFile.read(law_file)
    assert file.append_evidence(_entry(note="no"))
    assert file.save()
    text = law_file.read_text()
    assert text.startswith("# why: see the compiler\nid: spills\n")
    assert 'note: "no"' in text
    law = LawFile.read(law_file).law
    assert law.status == status(law) == "confirmed"
    assert law.evidence[-1] == _entry(note="no")


def test_an_edit_that_changes_nothing_writes_nothing(law_file):
    file = LawFile.read(law_file)
    file.save()
    before = law_file.stat().st_mtime_ns
    file = LawFile.read(law_file)
    assert not file.append_evidence(file.law.evidence[0])
    file.set_key(("status",), file.law.status)
    assert not file.save()
    assert law_file.stat().st_mtime_ns == before


def test_the_first_evidence_of_a_law_gets_its_list(law_file):
    text = law_file.read_text()
    law_file.write_text(text[: text.index("evidence:")])
    file = LawFile.read(law_file)
    assert file.append_evidence(_entry())
    file.save()
    assert "evidence:\n  - run: compiled-two\n    verdict: supports\n" in law_file.read_text()


def test_a_key_can_be_set_at_any_depth(law_file):
    file = LawFile.read(law_file)
    file.set_key(("scope", "toolchain"), "tileiras >=13.5")
    file.set_key(("examples", "admitted"), [{"tile_m": 32}])
    file.set_key(("withdrawn", "date"), "2026-01-01")
    file.set_key(("withdrawn", "reason"), "x")
    file.save()
    law = LawFile.read(law_file).law
    assert law.scope.toolchain == "tileiras >=13.5"
    assert law.withdrawn.date == "2026-01-01"


def test_a_file_that_changed_meanwhile_is_not_overwritten(law_file):
    file = LawFile.read(law_file)
    file.set_key(("title",), "new")
    law_file.write_text(law_file.read_text() + "# a person was here\n")
    with pytest.raises(ChangedError, match="changed since it was read"):
        file.save()
    assert "a person was here" in law_file.read_text()


def test_an_edit_that_makes_no_law_writes_nothing(law_file):
    before = law_file.read_text()
    file = LawFile.read(law_file)
    file.set_key(("title",), 3)
    with pytest.raises(InvalidFilesError, match="title: expected text"):
        file.save()
    assert law_file.read_text() == before


def test_withdrawing_says_when_and_why_once(law_file):
    file = LawFile.read(law_file)
    with pytest.raises(KgError, match="a reason is needed"):
        withdraw(file, date="2026-01-02", reason=" ")
    withdraw(file, date="2026-01-02", reason="another kernel")
    file.save()
    law = LawFile.read(law_file).law
    assert (law.status, law.withdrawn.reason) == ("withdrawn", "another kernel")
    assert law_file.read_text().startswith("# why: see the compiler\n")
    load(law_file.parents[2])
    with pytest.raises(KgError, match="withdrawn already, on 2026-01-02"):
        withdraw(file, date="2026-01-03", reason="again")


SLOW = {"effect": {"slowdown": {"at_least": 1.2}}}
DRAFTS = [
    ("negative", {"avoid": "tile_m == 128"} | SLOW),
    ("positive", {"prefer": {"tile_m": 64}, "over": [{"tile_m": 32}]}),
    ("indifferent", {"over": "v_latency", "values": [4, 5], "within": "1%"}),
    ("invariant", {"require": "tile_m < 256", "otherwise": "no"} | SLOW),
    ("transformation", {"from": "naive", "to": "fused", "rewrite": "fuse", "check": "equal"}),
]


def _draft(kind, claim, **scope):
    return scaffold.Draft(kind, "A new: law, 128 x 64", {"hw": "sm_120", "op": "fmha", "when": ""} | scope, claim)


@pytest.mark.parametrize(("kind", "claim"), DRAFTS)
def test_a_new_law_of_each_kind_loads_as_proposed(law_root, kind, claim):
    path = scaffold.write_new(load(law_root), _draft(kind, claim))
    assert path == law_root / "sm_120/fmha/sm_120-fmha-a-new-law-128-x-64.yaml"
    law = load(law_root).laws[path.stem]
    assert (law.status, law.title) == ("proposed", "A new: law, 128 x 64")
    assert formatted(path.read_text()) == path.read_text()


def test_a_new_law_that_is_wrong_is_not_written(law_root):
    laws = load(law_root)
    before = sorted(law_root.rglob("*"))
    for draft, expected in (
        (_draft("negative", {}), "a negative law needs --avoid, --effect"),
        (_draft("negative", {"avoid": "x", "prefer": {"a": 1}} | SLOW), "prefer: unknown field"),
        (_draft("negative", {"avoid": "tile_x == 1"} | SLOW), "unknown name 'tile_x'; nearest: tile_m"),
        (_draft("negative", {"avoid": "tile_m == 1"} | SLOW, hw="sm_9"), "unknown hardware 'sm_9'"),
        (
            scaffold.Draft("negative", "t", {"hw": "sm_120", "op": "fmha"}, {"avoid": "tile_m == 1"} | SLOW, "spills"),
            "exists already",
        ),
        (scaffold.Draft("negative", "", {"hw": "sm_120", "op": "fmha"}, {"avoid": "tile_m == 1"} | SLOW, "a"), "title"),
    ):
        with pytest.raises(KgError, match=expected):
            scaffold.write_new(laws, draft)
    assert sorted(law_root.rglob("*")) == before


def test_a_new_law_does_not_replace_a_file_that_appeared(law_root):
    laws = load(law_root)
    (law_root / "sm_120/fmha/late.yaml").write_text("x")
    with pytest.raises(KgError, match="exists already; give another id"):
        scaffold.write_new(
            laws,
            scaffold.Draft("negative", "t", {"hw": "sm_120", "op": "fmha"}, {"avoid": "tile_m == 1"} | SLOW, "late"),
        )
