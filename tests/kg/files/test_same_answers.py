"""Every answer by a cache is that of the files alone, whatever became of files and cache in between."""

from __future__ import annotations

import os
import shutil

import msgspec
import pytest

from spak.cli.render.query import table
from spak.cli.render.short_answer import short_table
from spak.cli.render.text import Pen
from spak.kg.answers.query import answer_json
from spak.kg.answers.why import account_json
from spak.kg.errors import InvalidFilesError
from spak.kg.files import cache as cache_module
from spak.kg.files import entry, fmt
from spak.kg.files.cache import Cache, load_cached
from spak.kg.files.loader import load
from spak.library import Library
from tests.kg import small

NODES = {
    "hardware/nvidia": "id: nvidia\ntitle: nvidia\nkind: vendor\n",
    "hardware/sm_120": "id: sm_120\ntitle: sm_120\nkind: compute-capability\nis_a: [nvidia]\n",
    "hardware/sm_90": "id: sm_90\ntitle: sm_90\nkind: compute-capability\nis_a: [nvidia]\n",
    "ops/attention": "id: attention\ntitle: attention\n{}",
    "ops/fmha": "id: fmha\ntitle: fmha\nis_a: [attention]\n{}",
}
PARAMETERS = "parameters:\n  tile_m: {values: [64, 128], default: 64, role: tile, description: A tile.}\n"
LAWS = (
    small.positive("use-z", "sm_120", prefer={"tile_m": 128}, evidence=()),
    small.positive("use-y", "sm_120", op="attention", prefer={"tile_m": 128}, evidence=()),
    small.positive("use-x", "sm_120", prefer={"tile_m": 128}, evidence=()),
    small.negative("not-a", "nvidia", "tile_m == 128", status="proposed", evidence=()),
    small.negative("not-b", "sm_120", "tile_m == 128", op="attention", status="proposed", evidence=()),
    small.negative("not-c", "sm_120", "tile_m >= 65", status="proposed", evidence=()),
    small.negative("not-d", "sm_90", "tile_m == 64", status="proposed", evidence=()),
)


def write(root, law):
    """`use-z` lies before laws of other cohorts, and `use-x` of its own behind them."""
    path = root / ("first" if law.id == "use-z" else law.scope.hw) / law.scope.op / f"{law.id}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fmt.new_text(msgspec.to_builtins(law), "law", path.name))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "laws"
    for name, text in NODES.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(PARAMETERS))
    for law in LAWS:
        write(folder, law)
    return folder


def answers(laws) -> list[str]:
    """What commands say, each from laws of its own kind of use: a few of them, those of an op, all."""
    library, pen, found = Library(laws), Pen(colour=False), []
    for hw, op in (("sm_120", "fmha"), ("sm_120", "attention"), ("nvidia", "fmha")):
        brief = library.brief(hw=hw, op=op)
        answer = library.query(hw=hw, op=op)
        assert brief.conflicts == answer.conflicts
        found += [short_table(brief, laws, pen), table(answer, laws, pen), answer_json(answer)]
        found.append(account_json(library.why(op, hw=hw, config={"tile_m": 128})))
    found += map(repr, library.listing("laws"))
    found += (f"{kind}: {dict(paths)}" for kind, paths in laws.paths.items())
    return [*found, repr(library.explain(next(iter(laws.laws)))), repr(dict(laws.laws)), repr(list(laws.laws.values()))]


def _edit(root):
    path = root / "sm_120/fmha/not-c.yaml"
    path.write_text(path.read_text().replace("tile_m >= 65", "tile_m >= 129"))


def _edit_and_restore_times(root):
    path = root / "sm_120/fmha/not-c.yaml"
    before = path.stat()
    path.write_text(path.read_text().replace("tile_m >= 65", "tile_m >= 99"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def _touch(root):
    os.utime(root / "sm_120/fmha/not-c.yaml", ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))


def _swap(root):
    """Each has the other's content and none another name: the ids say so, and it does not load."""
    one, other = root / "sm_120/fmha/use-x.yaml", root / "first/fmha/use-z.yaml"
    one.rename(root / "x")
    other.rename(one)
    (root / "x").rename(other)


CHANGES = {
    "nothing": lambda root: None,
    "edited": _edit,
    "edited, times put back": _edit_and_restore_times,
    "touched": _touch,
    "swapped": _swap,
    "added": lambda root: write(
        root, small.negative("not-e", "sm_90", "tile_m == 128", status="proposed", evidence=())
    ),
    "removed": lambda root: (root / "sm_120/fmha/not-c.yaml").unlink(),
    "moved": lambda root: (root / "sm_120/fmha/not-c.yaml").rename(root / "sm_90/not-c.yaml"),
    "node edited": lambda root: (root / "hardware/sm_90.yaml").write_text("id: sm_90\ntitle: 90\nkind: vendor\n"),
    "broken": lambda root: (root / "sm_120/fmha/not-c.yaml").write_text("id: not-c\n"),
}


def _piece_altered(raw: bytes) -> bytes:
    """The last byte, and one of the first laws, which lie in pieces."""
    place = raw.index(b"Title of use-z", len(raw) // 4)
    return raw[:place] + b"t" + raw[place + 1 : -1] + bytes([raw[-1] ^ 1])


DAMAGE = {
    "sound": lambda raw: raw,
    "cut": lambda raw: raw[:-1],
    "core altered": lambda raw: raw[:60] + bytes([raw[60] ^ 1]) + raw[61:],
    "piece altered": _piece_altered,
    "empty": lambda _: b"",
    "longer": lambda raw: raw + b"\0",
    "foreign": lambda raw: raw[::-1],
}


def test_the_order_of_laws_is_none_of_their_cohorts(root):
    """Else it could be lost unseen."""
    found = load(root)
    conflicts = Library(found).query(hw="sm_120", op="fmha").conflicts
    assert list(dict.fromkeys(one.laws[0] for one in conflicts)) == ["use-z", "use-x", "use-y"]
    assert {one.ids: one.places for one in found.cohorts(["fmha"])}["use-x", "use-z"] == (3, 0)


@pytest.mark.parametrize("damage", sorted(set(DAMAGE) - {"sound", "piece altered"}))
def test_what_is_cut_short_or_altered_in_its_core_is_not_opened(root, tmp_path, damage):
    load_cached(root, Cache(tmp_path))
    path = Cache(tmp_path).path(root)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(ValueError, match="entry"):
        entry.open_entry(path)


def told(load_laws):
    try:
        return answers(load_laws())
    except InvalidFilesError as error:
        return [str(error)]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("change", CHANGES)
def test_answers_by_a_cache_are_those_of_the_files(root, tmp_path, change, damage):
    cache = Cache(tmp_path / "cache")
    before = told(lambda: load_cached(root, cache))
    path = cache.path(root)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    CHANGES[change](root)
    cold = told(lambda: load(root))
    assert [told(lambda: load_cached(root, cache)) for _ in range(3)] == [cold] * 3
    assert (cold == before) is (change in {"nothing", "touched"})


def test_the_entry_of_another_root_answers_for_none(root, tmp_path):
    """Put in its place by hand, it was made from other files."""
    other, cache = tmp_path / "other", Cache(tmp_path / "cache")
    shutil.copytree(root, other)
    _edit(other)
    for folder in (root, other):
        load_cached(folder, cache)
    shutil.copyfile(cache.path(other), cache.path(root))
    assert answers(load_cached(root, cache)) == answers(load(root))


@pytest.fixture
def old_files(monkeypatch):
    """No file counts as young: an entry that is read is not written again."""
    monkeypatch.setattr(cache_module, "YOUNG_NS", 0)


@pytest.mark.usefixtures("old_files")
@pytest.mark.parametrize("how", ["altered", "cut", "replaced", "gone"])
def test_an_entry_that_changes_while_it_is_used_changes_no_answer(root, tmp_path, how):
    """What is decoded later comes from the file that was opened, or from the laws' own."""
    cache, cold = Cache(tmp_path / "cache"), answers(load(root))
    load_cached(root, cache)
    laws, path = load_cached(root, cache), cache.path(root)
    if how == "replaced":
        _edit(root)
        load_cached(root, cache)
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes(_piece_altered(path.read_bytes()) if how == "altered" else path.read_bytes()[:-2000])
    assert answers(laws) == cold
    assert path.exists() is (how == "replaced")  # a damaged one is taken away


@pytest.mark.usefixtures("old_files")
def test_a_damaged_entry_whose_files_are_gone_too_is_said_in_one_line(root, tmp_path):
    cache = Cache(tmp_path / "cache")
    load_cached(root, cache)
    laws, path = load_cached(root, cache), cache.path(root)
    path.write_bytes(_piece_altered(path.read_bytes()))
    (root / "first/fmha/use-z.yaml").unlink()
    with pytest.raises(InvalidFilesError, match="changed while it was being read; run the command again"):
        answers(laws)


@pytest.mark.usefixtures("old_files")
def test_no_byte_of_an_entry_can_change_unseen(root, tmp_path):
    """One bit in every 97th byte, each in turn, wherever that lies."""
    cache, cold = Cache(tmp_path / "cache"), answers(load(root))
    load_cached(root, cache)
    path = cache.path(root)
    whole, seen, kept_start = path.read_bytes(), 0, entry.open_entry(path).pieces.start
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            entry.open_entry(path)
        except (ValueError, OSError, msgspec.MsgspecError):
            assert place < kept_start
            continue
        assert place >= kept_start
        assert answers(load_cached(root, cache)) == cold
        assert path.exists() is False
        seen += 1
    assert 0 < seen < len(whole) // 97
