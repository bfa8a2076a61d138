"""The cache of parsed roots: never stale, never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spak.kg.files.cache import Cache, Stamp, content_digest, stamp
from spak.kg.model.base import Model

OLD_NS = 1_600_000_000_000_000_000


class Texts(Model, frozen=True, kw_only=True):
    texts: dict[str, str]


class Numbers(Model, frozen=True, kw_only=True):
    numbers: tuple[int, ...]


def fresh(root: Path) -> Texts:
    """What a load would give: every file's text."""
    return Texts(texts={str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()})


def store(cache: Cache, root: Path, value: Model | None = None) -> None:
    before = stamp(root)
    cache.write(root, before, content_digest(root), fresh(root) if value is None else value)


def held(cache: Cache, root: Path, kind: type[Model]) -> Model | None:
    kept = cache.read(root, kind)
    return None if kept is None else kept.value


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "laws"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.yaml").write_text("a: 1\n")
    (folder / "sub" / "b.yaml").write_text("b: 2\n")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_what_was_stored_comes_back(cache, root):
    """A second load of unchanged files needs none of them parsed."""
    assert held(cache, root, Texts) is None
    store(cache, root)
    assert held(cache, root, Texts) == fresh(root)


def _edit(root: Path) -> None:
    (root / "a.yaml").write_text("a: 3\n")


def _add(root: Path) -> None:
    (root / "c.yaml").write_text("c: 3\n")


def _remove(root: Path) -> None:
    (root / "a.yaml").unlink()


def _rename(root: Path) -> None:
    (root / "a.yaml").rename(root / "d.yaml")


def _edit_and_restore_times(root: Path) -> None:
    """Same size, same modification time: what `touch -r` after an edit gives."""
    before = (root / "a.yaml").stat()
    (root / "a.yaml").write_text("a: 9\n")
    os.utime(root / "a.yaml", ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [_edit, _add, _remove, _rename, _edit_and_restore_times])
def test_any_change_is_seen_at_once(cache, root, change):
    """An edit of the same length right after the entry was written is the hard case; no sleep here hides it."""
    store(cache, root)
    change(root)
    assert held(cache, root, Texts) is None


def test_a_touched_file_with_the_same_content_still_hits(cache, root):
    """`git checkout` there and back changes times, not content."""
    store(cache, root)
    os.utime(root / "a.yaml", ns=(OLD_NS, OLD_NS))
    assert held(cache, root, Texts) == fresh(root)
    assert held(cache, root, Texts) == fresh(root)


def test_files_changed_during_the_load_are_not_stored(cache, root):
    """What was parsed may be half old, half new: it is not kept."""
    before = stamp(root)
    content = content_digest(root)
    _edit(root)
    cache.write(root, before, content, fresh(root))
    assert held(cache, root, Texts) is None


def test_a_change_within_one_clock_tick_of_the_load_is_not_stored(cache, root):
    """Equal stat data of young files prove nothing; the content is compared as well."""
    before = stamp(root)
    assert before.young
    cache.write(root, before, b"digest of other content", fresh(root))
    assert held(cache, root, Texts) is None


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda raw: raw[:-1], lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), lambda _: b"x" * 64],
)
def test_a_damaged_entry_is_ignored(cache, root, damage):
    """Truncation, a flipped bit and rubbish all read as no entry."""
    store(cache, root)
    entry = next(cache.directory.iterdir())
    entry.write_bytes(damage(entry.read_bytes()))
    assert held(cache, root, Texts) is None


def test_an_entry_of_another_shape_is_ignored(cache, root):
    """A value that is not of the type asked for is no answer."""
    store(cache, root, Numbers(numbers=(1,)))
    assert held(cache, root, Texts) is None


def test_another_version_of_the_code_is_ignored(cache, root, monkeypatch):
    """A model that changed never reads an older entry."""
    store(cache, root)
    monkeypatch.setattr("spak.kg.files.cache.code_digest", lambda: b"another")
    assert held(cache, root, Texts) is None


def test_roots_do_not_share_entries(cache, root, tmp_path):
    """The entry's name comes from the root's path."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.yaml").write_text("x\n")
    store(cache, root)
    store(cache, other)
    assert held(cache, root, Texts) == fresh(root)
    assert held(cache, other, Texts) == fresh(other)


def test_a_directory_that_cannot_be_written_costs_nothing_but_time(root, tmp_path):
    """A file in the cache directory's place stops no load."""
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file")
    store(cache, root)
    assert held(cache, root, Texts) is None


def test_a_root_that_is_gone_is_no_entry(cache, root, tmp_path):
    """Reading for a root that no longer exists is a miss."""
    store(cache, root)
    root.rename(tmp_path / "moved")
    assert held(cache, root, Texts) is None


def test_what_a_load_does_not_read_is_not_watched(cache, root, tmp_path):
    """A run file counts by its name, hidden files and links to folders not at all: as the loader sees it."""
    (root / "evidence").mkdir()
    (root / "evidence" / "run.json").write_text("{}")
    value = fresh(root)
    store(cache, root, value)
    (root / "evidence" / "run.json").write_text("{ }")
    (root / ".hidden.yaml").write_text("x: 1\n")
    (root / "link").symlink_to(tmp_path)
    assert held(cache, root, Texts) == value
    (root / "evidence" / "run2.json").write_text("{}")
    assert held(cache, root, Texts) is None


def test_a_failed_write_leaves_no_temporary_file(cache, root):
    """The directory holds entries only."""
    store(cache, root)
    (entry,) = cache.directory.iterdir()
    entry.unlink()
    entry.mkdir()
    store(cache, root)
    assert [path.name for path in cache.directory.iterdir()] == [entry.name]


def test_stamps_of_quiet_files_are_not_young(root):
    """Only recent changes cast doubt on stat data; change times cannot be set back, so the stamp is judged as built."""
    assert stamp(root).young
    assert not Stamp(b"", False).young


def test_two_processes_may_write_at_once(cache, root):
    """Whoever is last wins, and a reader meets a whole entry at every moment."""
    program = (
        "import sys; from pathlib import Path; from tests.kg.files.test_cache import Cache, store\n"
        "for _ in range(10): store(Cache(Path(sys.argv[1])), Path(sys.argv[2]))\n"
    )
    store(cache, root)
    command = [sys.executable, "-c", program, str(cache.directory), str(root)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(held(cache, root, Texts) for _ in range(50)))
    reader.start()
    assert [process.wait() for process in processes] == [0, 0]
    reader.join()
    assert seen == [fresh(root)] * 50
    assert len(list(cache.directory.iterdir())) == 1
