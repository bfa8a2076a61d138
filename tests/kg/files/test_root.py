"""Finding the law root, and replacing a file whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spak.kg.errors import KgError
from spak.kg.files import atomic, root

CHECKOUT = Path(__file__).parents[3]


def test_a_given_root_wins_and_must_exist(law_root, tmp_path):
    assert root.find_root(str(law_root), tmp_path) == root.LawRoot(law_root)
    with pytest.raises(KgError, match="nowhere: no such folder of laws; check --laws"):
        root.find_root("nowhere", tmp_path)


def test_the_nearest_laws_folder_upwards_is_found(law_root):
    deep = law_root.parent / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "laws").mkdir()  # a folder of that name that holds no laws
    assert root.find_root(None, deep).path == law_root


def test_the_packaged_laws_are_the_last_resort_and_read_only(tmp_path, monkeypatch):
    monkeypatch.setattr(root, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(root, "CHECKOUT", tmp_path / "checkout")
    with pytest.raises(KgError, match="no law root"):
        root.find_root(None, tmp_path)
    (tmp_path / "checkout").mkdir()
    assert root.find_root(None, tmp_path) == root.LawRoot(tmp_path / "checkout", writable=False)
    (tmp_path / "packaged").mkdir()
    found = root.find_root(None, tmp_path)
    assert found == root.LawRoot(tmp_path / "packaged", writable=False)
    assert root.find_root(tmp_path / "packaged", tmp_path) == found
    with pytest.raises(KgError, match="read-only; name a law root of your own"):
        found.require_writable()
    root.LawRoot(tmp_path).require_writable()


def test_an_installed_checkout_answers_from_any_folder_with_its_own_laws(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "KG_LAWS"}
    environment |= {"PYTHONPATH": str(CHECKOUT / "src"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "spak.cli.kg", "query", "--hw", "h200", "--op", "fmha"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sm90-fmha" in done.stdout


def test_a_write_replaces_the_file_keeps_its_mode_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "new" / "law.yaml"
    atomic.write_text(path, "é\r\n")
    assert path.read_bytes() == "é\r\n".encode()
    path.chmod(0o600)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    atomic.write(link, b"two")
    assert link.is_symlink()
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["law.yaml"]


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "law.yaml"
    atomic.write(path, b"old")
    with pytest.raises(TypeError):
        atomic.write(path, "text")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["law.yaml"]
