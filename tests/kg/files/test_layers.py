"""A law root over another one: read as one, written in the upper one alone."""

from __future__ import annotations

import shutil

import pytest

from spak.kg import checks
from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.files import cache, root
from spak.kg.files.loader import load
from spak.library import Library

OP = "id: mine\ntitle: Mine\nis_a: [{beneath}]\n"


@pytest.fixture
def layered(law_root):
    """A root with an op of its own over one with hardware, ops, laws and a run."""
    mine = law_root.parent / "mine" / "laws"
    (mine / "ops").mkdir(parents=True)
    (mine / root.LAYER_FILE).write_text(f"# ours\nover: {law_root} # theirs\n")
    (mine / "ops" / "mine.yaml").write_text(OP.format(beneath=next(iter(load(law_root).ops))))
    return mine


def test_what_lies_beneath_counts_and_is_not_written(layered, law_root):
    laws, beneath = load(layered), load(law_root)
    assert laws.ops.keys() == {*beneath.ops, "mine"}
    assert laws.laws == beneath.laws
    law = next(iter(beneath.laws))
    assert laws.path("law", law) == beneath.path("law", law).resolve()
    assert laws.is_beneath("law", law)
    assert not laws.is_beneath("op", "mine")
    assert laws.own_path("op", "mine") == layered / "ops" / "mine.yaml"
    with pytest.raises(KgError, match="which is only read"):
        Library(laws).withdraw(law, reason="no", date="2026-01-01")
    for run in beneath.run_ids:
        assert laws.run(run) == beneath.run(run)


def test_an_id_is_in_one_layer_only(layered, law_root):
    """Nothing overrides silently: the message names both files."""
    op = next(iter(load(law_root).ops))
    (layered / "ops" / f"{op}.yaml").write_text((law_root / "ops" / f"{op}.yaml").read_text())
    with pytest.raises(InvalidFilesError, match=r"is in .*/mine/laws/ops/.* already") as raised:
        load(layered)
    assert raised.value.problems[0].path.startswith(str(law_root))


def test_checks_look_at_the_upper_layer(layered, law_root):
    """What is wrong beneath is told where it lies."""
    law = next(iter(load(law_root).laws.values()))
    path = load(law_root).path("law", law.id)
    shutil.move(path, law_root / path.name)
    assert {problem.check for problem in checks.run_checks(load(law_root))} >= {"folder"}
    assert "folder" not in {problem.check for problem in checks.run_checks(load(layered))}


def test_the_cache_notices_a_change_beneath(layered, law_root, tmp_path):
    kept = cache.Cache(tmp_path / "cache")
    assert "newer" not in cache.load_cached(layered, kept).ops
    (law_root / "ops" / "newer.yaml").write_text("id: newer\ntitle: Newer\n")
    assert "newer" in cache.load_cached(layered, kept).ops
    assert cache.load_cached(layered, kept).contents == load(layered).contents


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("over packaged\n", r"one line, `over: packaged`, .* or `over: \[FOLDER, FOLDER\]` \(got 'over packaged'\)"),
        ("over: a\nover: b\n", "one line"),
        ("over: nowhere\n", r"no such folder of laws \(got 'nowhere'\)"),
        ("over: .\n", "end the circle"),
    ],
)
def test_a_bad_layer_is_named_with_its_place(layered, text, message):
    (layered / root.LAYER_FILE).write_text(text)
    with pytest.raises(InvalidFilesError, match=message) as raised:
        load(layered)
    assert str(raised.value).startswith(f"{layered / root.LAYER_FILE}:1:1: ")


def test_where_what_is_learned_of_a_kernel_goes(law_root, tmp_path, monkeypatch):
    """The root given, the nearest that may be written, or a new one beside the kernel over the packaged laws."""
    inside = law_root.parent / "kernels"
    inside.mkdir()
    assert root.own_root(None, inside) == root.LawRoot(law_root)
    monkeypatch.setattr(root, "PACKAGED", law_root)
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    assert root.own_root(str(law_root), outside).path == law_root
    monkeypatch.setattr(root.os, "access", lambda *_: False)
    made = root.own_root(None, inside)
    assert made == root.LawRoot(inside / "laws", over="packaged")
    made.make()
    made.make()
    assert load(made.path).contents == load(law_root).under(made.path).contents
    assert root.find_root(None, inside).path == made.path
