"""A library for programs that run for long: the same until a file changes, then what is on disk."""

from __future__ import annotations

import os
import time

import pytest

import spak
from spak import live


@pytest.fixture
def aged(conv, monkeypatch):
    """The law root, its files as if written long ago."""
    monkeypatch.setattr(live, "_YOUNG_NS", 0)
    return conv.root


def test_nothing_is_read_before_the_first_question(tmp_path):
    with pytest.raises(spak.KgError):
        spak.LiveLibrary(tmp_path / "none").now()


def test_the_library_stays_the_same_while_no_file_changes(aged):
    laws = spak.LiveLibrary(aged)
    assert laws.now() is laws.now()


@pytest.mark.parametrize("ending", ["*.yaml", "evidence/*.json*"])
def test_a_file_that_changes_is_read_anew_a_run_file_too(aged, ending):
    laws = spak.LiveLibrary(aged)
    before = laws.now()
    path = next(aged.rglob(ending))
    stat = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its size and time of change of content are as before
    assert laws.now() is not before


def test_a_file_that_comes_or_goes_is_seen(aged):
    laws = spak.LiveLibrary(aged)
    assert "avoid-narrow" in laws.now().laws.laws
    path = aged / "family" / "avoid-narrow.yaml"
    text = path.read_text()
    path.unlink()
    assert "avoid-narrow" not in laws.now().laws.laws
    path.write_text(text)
    assert "avoid-narrow" in laws.now().laws.laws


def test_a_file_that_was_just_written_is_not_trusted_to_show_its_next_change(conv):
    """Within one tick of the file system's clock a file can be written twice and keep its stat data."""
    laws = spak.LiveLibrary(conv.root)
    assert time.time_ns() - (conv.root / "family" / "avoid-narrow.yaml").stat().st_mtime_ns < live._YOUNG_NS
    assert laws.now() is not laws.now()


def test_a_link_to_nothing_is_told_by_whoever_loads(aged):
    laws = spak.LiveLibrary(aged)
    laws.now()
    (aged / "family" / "lost.yaml").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        laws.now()


def test_a_root_that_was_broken_is_read_again_once_it_is_whole(aged):
    laws = spak.LiveLibrary(aged)
    bad = aged / "family" / "bad.yaml"
    bad.write_text("id: [")
    for _ in range(2):
        with pytest.raises(spak.InvalidFilesError):
            laws.now()
    bad.unlink()
    assert laws.now().laws.laws
