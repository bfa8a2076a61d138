"""Laws above that take the power of laws beneath: by `supersedes` alone, in every layer beneath, never silently."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg import checks
from spak.kg.answers.view.document import view_document
from spak.kg.errors import InvalidFilesError
from spak.kg.files import cache, fmt, root
from spak.kg.files.loader import load
from spak.kg.law.superseding import LayerOrder, Placed, settle
from spak.kg.model.law import Related
from spak.library import Library, diff
from tests.kg import small

HARDWARE = "id: {0}\ntitle: {0}\nkind: compute-capability\n"
OP = """id: fmha
title: FMHA
parameters:
  tile_m: {values: [64, 128], default: 64, role: tile, description: A tile.}
problem:
  head_dim: {type: int, default: 64, description: Head size.}
"""


def law(identifier, *superseding, avoid="tile_m == 128", **more):
    """A negative law that supersedes others."""
    links = tuple(Related(type="supersedes", id=old) for old in superseding)
    return small.negative(identifier, avoid=avoid, status="proposed", evidence=(), related=links, **more)


def put(folder, *laws, over=()):
    """A law root of these laws, over others."""
    folder.mkdir(parents=True, exist_ok=True)
    if over:
        (folder / root.LAYER_FILE).write_text(f"over: [{', '.join(map(str, over))}]\n")
    for one in laws:
        path = folder / "sm_120" / "fmha" / f"{one.id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fmt.new_text(msgspec.to_builtins(one), "law", path.name))
    return folder


def base(folder, *laws):
    """A root with hardware and an op, which others lie over."""
    for name, text in (("hardware/sm_120", HARDWARE.format("sm_120")), ("ops/fmha", OP)):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return put(folder, *laws)


@pytest.fixture
def shelf(tmp_path):
    """Three layers: company over team over base."""
    lowest = base(tmp_path / "base", law("a"), law("b"))
    team = put(tmp_path / "team", law("c", "a"), over=[lowest])
    return put(tmp_path / "company", law("d", "c"), law("b", "b"), over=[team])


def test_a_chain_over_three_layers_leaves_the_uppermost(shelf):
    """What was replaced stays so when its successor is replaced; a law of one id says it of its own id."""
    laws = load(shelf)
    name = f"{shelf.parent.name}/"
    assert set(laws.laws) == {"b", "d"}
    assert {one.words for one in laws.superseded} == {
        f"a (proposed, {name}base) is superseded by c ({name}team)",
        f"b (proposed, {name}base) is superseded by b",
        f"c (proposed, {name}team) is superseded by d",
    }
    assert laws.layer_of("b") == ""
    assert load(shelf.parent / "team").layer_of("b") == f"{name}base"
    assert not laws.is_beneath("law", "b")


def test_every_answer_names_what_was_superseded(shelf):
    library = Library(load(shelf))
    answer = library.query(hw="sm_120", op="fmha")
    assert {hit.law.id for hit in answer.hits} == {"b", "d"}
    assert [(one.law.id, one.by) for one in answer.superseded] == [("a", "c"), ("b", "b"), ("c", "d")]
    account = library.why("fmha", hw="sm_120", config={"tile_m": 128})
    assert [one.law.id for one in account.superseded] == ["a", "b", "c"]
    assert library.explain("a").law.id == "d"
    assert [one.law.id for one in library.explain("b").supersedes] == ["b"]
    assert library.cite("c").law == "d"
    notes = [p for p in library.check() if p.check == "supersedes"]
    assert {p.severity for p in notes} == {"note"}
    assert len(notes) == 2  # what the team supersedes is told where it lies
    assert {p.line > 0 for p in notes} == {True}
    page = view_document(library.laws, paths={}, load_run=lambda _: None)
    assert {line.id: len(line.superseded) for line in page.laws} == {"b": 1, "d": 2}


def test_a_superseded_law_moves_nothing_and_gives_no_evidence(tmp_path):
    """The law above stands on its own evidence: none of what the one beneath cites is its own."""
    trusted = msgspec.structs.replace(law("a"), status="confirmed", evidence=())
    lowest = base(tmp_path / "base", trusted)
    mine = put(tmp_path / "mine", law("a", "a", avoid="tile_m == 64"), over=[lowest])
    laws = load(mine)
    assert laws.laws["a"].evidence == ()
    assert laws.laws["a"].status == "proposed"
    filtered = Library(laws).filter([{"tile_m": 64}, {"tile_m": 128}], op="fmha", hw="sm_120")
    assert len(filtered.kept) == 2


@pytest.mark.parametrize(
    ("upper", "message"),
    [
        ([law("a")], r"law a is in .*/mine/.* already; ids are unique"),
        ([law("n", "n")], "there is no law of its own id in a layer beneath"),
        ([law("n", "safe")], r"base/.*safe.yaml is about safety.*acknowledges: \[\"supersedes: REASON\"\]"),
        ([law("n", "nowhere")], "unknown law 'nowhere'"),
        ([law("n", "safe", acknowledges=("supersedes:",))], "is about safety"),
    ],
)
def test_what_is_not_said_is_an_error(tmp_path, upper, message):
    safe = msgspec.structs.replace(
        small.INVARIANT, id="safe", scope=law("a").scope, status="proposed", evidence=(), related=()
    )
    safe = msgspec.structs.replace(safe, claim=msgspec.structs.replace(safe.claim, require="tile_m == 64"))
    lowest = base(tmp_path / "base", law("a"), safe)
    mine = put(tmp_path / "mine", *upper, over=[lowest])
    with pytest.raises(InvalidFilesError, match=message) as raised:
        load(mine)
    assert all(problem.line for problem in raised.value.problems)
    said = law("n", "safe", acknowledges=("supersedes: driver 590 mends it",))
    (note,) = [p for p in Library(load(put(tmp_path / "said", said, over=[lowest]))).check() if p.check == "supersedes"]
    assert "about SAFETY" in note.message


def test_siblings_say_nothing_of_each_other(tmp_path):
    """A team's law of the same id as another team's is an error that a root above both can settle; base is read once."""
    lowest = base(tmp_path / "base", law("a"))
    one = put(tmp_path / "one", law("a", "a"), over=[lowest])
    two = put(tmp_path / "two", law("a", "a"), law("c", "a"), over=[lowest])
    with pytest.raises(InvalidFilesError, match=r"law a is in .*/one/.* already"):
        load(put(tmp_path / "both", over=[one, two]))
    laws = load(put(tmp_path / "both", law("a", "a"), over=[one, two]))
    assert sorted(one.by_layer for one in laws.superseded) == ["", "", ""]
    assert [layer.folder.name for layer in root.layers(tmp_path / "both")] == ["both", "one", "two", "base"]


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("over: [a, ./a]", "named twice"),
        ("over: [a, nowhere]", "no such folder"),
        ("over: []", "no such folder"),
        ("over: [a, a/sm_120]", "lies inside"),
        ("over: [a, b]", "end the circle"),
    ],
)
def test_bad_layers_are_refused(tmp_path, over, message):
    base(tmp_path / "mine" / "a", law("a"))
    put(tmp_path / "mine" / "b", over=[tmp_path / "mine"])
    (tmp_path / "mine" / root.LAYER_FILE).write_text(over + "\n")
    with pytest.raises(InvalidFilesError, match=message):
        root.layers(tmp_path / "mine")


def test_a_difference_says_superseded_and_restored(shelf):
    """Neither removed nor renamed, though the claim is the same."""
    team, company = (Library(load(folder)) for folder in (shelf.parent / "team", shelf))
    there, back = diff(team, company), diff(company, team)
    told = {item.change.id: item.change for item in there.items}
    assert told["c"].aspects == ("superseded",)
    assert told["c"].note.endswith("is superseded by d")
    assert told["b"].aspects[0] == "superseded"
    assert told["d"].aspects == ("added",)
    assert {item.change.id: item.change.aspects[0] for item in back.items} == {
        "b": "restored",
        "c": "restored",
        "d": "removed",
    }
    assert not diff(company, company)


def test_a_refuted_law_that_supersedes_is_a_finding(tmp_path):
    lowest = base(tmp_path / "base", law("a"))
    mine = put(tmp_path / "mine", msgspec.structs.replace(law("n", "a"), status="refuted"), over=[lowest])
    (problem,) = [p for p in checks.run_checks(load(mine)) if p.check == "supersedes"]
    assert problem.severity == "finding"
    assert "neither acts" in problem.message


def test_the_cache_keeps_what_was_superseded(shelf, tmp_path):
    kept = cache.Cache(tmp_path / "cache")
    first, second = cache.load_cached(shelf, kept), cache.load_cached(shelf, kept)
    assert first.contents == second.contents == load(shelf).contents
    (shelf / "sm_120" / "fmha" / "d.yaml").unlink()
    assert "c" in cache.load_cached(shelf, kept).laws


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.sets(st.sampled_from("abc"))), max_size=9),
    st.data(),
)
def test_no_law_loses_its_power_but_by_a_link_from_above(drawn, data):
    """Every law of every layer is in force, superseded by a law above that names it, or an error."""
    beneath = [frozenset(range(n + 1, 4)) if data.draw(st.booleans()) else frozenset() for n in range(4)]
    beneath[0] = frozenset({1, 2, 3})
    placed: dict[str, list[Placed]] = {}
    for number, name, targets in sorted(drawn, key=lambda one: one[0]):
        if not any(one.layer == number for one in placed.get(name, ())):
            folder = root.Path(f"/layer-{number}")
            placed.setdefault(name, []).append(Placed(law(name, *sorted(targets)), folder, f"{name}.yaml", number))
    settled = settle(placed, [LayerOrder(str(n), beneath[n]) for n in range(4)])
    every = [one for same in placed.values() for one in same]
    by_path = {one.path: one for one in settled.superseded}
    for one in every:
        above = [
            o for o in every if one.layer in beneath[o.layer] and one.law.id in {link.id for link in o.law.related}
        ]
        assert (one.path in by_path) == bool(above)
        if above:
            assert by_path[one.path].by in {other.law.id for other in above}
        else:
            twice = settled.laws[one.law.id] is not one
            assert twice == any(flawed is one and field == "id" for flawed, field, _ in settled.flaws)
