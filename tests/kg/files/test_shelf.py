"""Laws kept by op: the answer from a cache is the answer from the files, whatever was edited in between."""

from __future__ import annotations

import gc
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import spak
from spak.kg.answers.query import answer_json
from spak.kg.files import cache, fmt, recorded
from spak.kg.files.loader import load
from spak.kg.files.shelf import Shelf, keep_loaded
from spak.library import Library
from tests.kg import small

OPS = "id: {0}\ntitle: {0}\n{1}parameters:\n  tile_m: {{values: [64, 128], default: 64, role: tile, description: A tile.}}\n"
EDITS = st.tuples(st.sampled_from("abcd"), st.sampled_from(("fmha", "matmul", "")), st.sampled_from((64, 128)))


def make(root: Path) -> Path:
    """Hardware and two ops, the one a kind of the other."""
    for name, text in (
        ("hardware/sm_120", "id: sm_120\ntitle: sm_120\nkind: compute-capability\n"),
        ("ops/matmul", OPS.format("matmul", "")),
        ("ops/fmha", OPS.format("fmha", "is_a: [matmul]\n")),
    ):
        path = root / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def edit(root: Path, name: str, op: str, tile: int) -> None:
    """Write the law `name` about `op`, or remove it if there is none."""
    for path in root.rglob(f"{name}.yaml"):
        path.unlink()
    if op:
        law = small.negative(name, op=op, avoid=f"tile_m == {tile}", status="proposed", evidence=())
        path = root / "sm_120" / op / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fmt.new_text(msgspec.to_builtins(law), "law", path.name))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=1, max_size=3))
def test_the_cached_answer_is_the_cold_one(rounds):
    with tempfile.TemporaryDirectory() as folder:
        root, kept = make(Path(folder, "laws")), cache.Cache(Path(folder, "cache"))
        for edits in rounds:
            for one in edits:
                edit(root, *one)
            cold = Library(load(root))
            for _ in range(2):  # the first may store, the second may answer from what was stored
                warm = Library(cache.load_cached(root, kept))
                for op in ("fmha", "matmul"):
                    assert answer_json(warm.query(hw="sm_120", op=op)) == answer_json(cold.query(hw="sm_120", op=op))
                assert warm.laws.contents == cold.laws.contents
                assert list(warm.laws.laws) == list(cold.laws.laws)


def test_a_question_decodes_no_other_op(tmp_path):
    root, kept = make(tmp_path / "laws"), cache.Cache(tmp_path / "cache")
    edit(root, "a", "fmha", 64)
    edit(root, "b", "matmul", 64)
    cache.load_cached(root, kept)
    shelf = cache.load_cached(root, kept).laws
    assert isinstance(shelf, Shelf)
    assert ("a" in shelf, "x" in shelf, len(shelf)) == (True, False, 2)
    assert opened(shelf) == set()
    assert [law.id for law in shelf.about(["matmul", "nothing"])] == ["b"]
    assert opened(shelf) == {"b"}
    assert shelf["a"].scope.op == "fmha"
    assert opened(shelf) == {"a", "b"}


def opened(shelf: Shelf) -> set[str]:
    """Ids of the laws that were decoded."""
    return {name for one in shelf.cohorts(["fmha", "matmul"]) if one.is_open for name in one.ids}


def test_what_a_run_is_about_is_read_again_when_its_file_changes(tmp_path, monkeypatch):
    """Remembered by stat data; a young file is read each time."""
    root, kept = tmp_path / "laws", cache.Cache(tmp_path / "cache")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for hw in ("one", "two"):
        tried = [spak.Tried({"x": 1}, time_us=3.0, problem={})]
        spak.record(root, spak.ToolRun("blur", spak.HardwareName(hw, arch="arch"), tried, "a tuner", at, checked=True))
    monkeypatch.setattr(recorded, "YOUNG_NS", 0)
    for _ in range(2):
        assert len(recorded.recorded_sizes(cache.load_cached(root, kept), "one", "blur")) == 1
    laws = load(root)
    path = next(laws.path("run", run) for run in laws.run_ids if laws.run(run).hw == "one")
    path.write_bytes(path.read_bytes().replace(b'"hw": "one"', b'"hw": "two"'))
    assert recorded.recorded_sizes(cache.load_cached(root, kept), "one", "blur") == ()


def test_a_process_that_ends_with_its_laws_never_scans_them_also_those_that_it_decodes_later(law_root, tmp_path):
    """One that goes on keeps nothing."""
    before = gc.get_freeze_count()
    shelves = []
    for _ in range(3):  # the first writes the cache
        laws = cache.load_cached(law_root, cache.Cache(tmp_path)).laws
        shelves.append(laws)
    going_on, ending = shelves[1:]
    assert dict(going_on)
    assert gc.get_freeze_count() == before
    try:
        keep_loaded(ending)
        kept = gc.get_freeze_count()
        assert kept > before
        assert dict(ending)
        assert gc.get_freeze_count() > kept
    finally:
        gc.unfreeze()
