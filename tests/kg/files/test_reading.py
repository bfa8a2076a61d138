"""Files that are no plain files, too large, badly named, or somebody else's: one clear line, soon, and nothing of theirs."""

from __future__ import annotations

import gzip
import os
import subprocess
import tracemalloc

import pytest

from spak.kg.errors import InvalidFilesError
from spak.kg.files import cache, loader, reading
from spak.kg.formats import content


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "laws"
    (folder / "evidence").mkdir(parents=True)
    (folder / "hardware").mkdir()
    return folder


def lines(root):
    """What a load of `root` says, each problem a line."""
    with pytest.raises(InvalidFilesError) as caught:
        loader.load(root)
    return str(caught.value).split("\n")


def sparse(path, size=3 << 30):
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_a_file_of_gigabytes_is_refused_unread(root, tmp_path):
    for path in (root / "l.yaml", root / "evidence" / "r.json", tmp_path / "t4.json"):
        sparse(path)
    tracemalloc.start()
    assert lines(root) == [
        f"{root / 'l.yaml'}: the file has {3 << 30} bytes; at most {reading.MAX_YAML_BYTES} are read, split it"
    ]
    with pytest.raises(InvalidFilesError, match="the file has"):
        loader.read_run(root / "evidence" / "r.json")
    with pytest.raises(InvalidFilesError, match="the file has"):
        content.read_bytes(tmp_path / "t4.json")
    with pytest.raises(InvalidFilesError, match="the file has"):
        cache.load_cached(root, cache.Cache(tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["l.yaml", "hardware/h.yaml"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_passed_over(root, name, kind):
    path = root / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else root)
    (said,) = lines(root)
    assert said.startswith(f"{path}: ")
    assert {"pipe": "not a plain file", "device": "a link out of the law root", "folder": "a folder"}[kind] in said


def test_a_law_whose_link_leads_nowhere_is_not_passed_over(root):
    (root / "l.yaml").symlink_to("nothing")
    with pytest.raises(FileNotFoundError, match=r"l\.yaml"):
        loader.load(root)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/self/fd/{pipe}"])
def test_a_device_or_a_pipe_is_no_result_file(path):
    reader, writer = os.pipe()
    try:
        with pytest.raises(InvalidFilesError, match="not a plain file"):
            content.read_bytes(content.Path(path.format(pipe=reader)))
    finally:
        os.close(reader)
        os.close(writer)


def test_a_file_that_says_it_is_empty_is_read_no_further_than_allowed():
    """Those of /proc have size 0 whatever they hold."""
    with pytest.raises(InvalidFilesError, match="more than 10 bytes"):
        reading.content(content.Path("/proc/self/status"), 10)


def test_no_more_is_unpacked_than_is_allowed(tmp_path):
    path = tmp_path / "r.json.gz"
    path.write_bytes(gzip.compress(bytes(64 << 20)))
    tracemalloc.start()
    with pytest.raises(InvalidFilesError, match="more than 1048576 bytes once unpacked"):
        reading.unpacked(path, path.read_bytes(), 1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_result_file_may_hold_no_more_than_a_run_file(tmp_path):
    """A gigabyte of zeros, packed into one megabyte, took 2.4 GB."""
    assert content.MAX_BYTES == loader.MAX_RUN_BYTES <= 256 << 20


@pytest.mark.parametrize(
    "name", [b"bad\xff.yaml", b"line\n::error::x.yaml", b"turn\xe2\x80\xaeed.yaml", b"evidence/\x1b.json"]
)
def test_a_name_that_cannot_be_shown_is_refused_and_shown(root, name):
    with open(os.fsencode(root) + b"/" + name, "w"):  # noqa: PTH123 - no str has such a name
        pass
    (said,) = lines(root)
    assert said.isprintable()
    assert "rename it" in said


FOREIGN = "account: hunter2 # of somebody else"


@pytest.mark.parametrize("text", [FOREIGN, "{" + FOREIGN, f"id: {FOREIGN}\nkind: negative"])
def test_a_link_out_of_the_root_shows_nothing_of_what_it_leads_to(root, tmp_path, text):
    (tmp_path / "secret").write_text(text)
    (root / "l.yaml").symlink_to(tmp_path / "secret")
    (said,) = lines(root)
    assert said == f"{root / 'l.yaml'}: a link out of the law root, to what cannot be used; put the file itself there"


def test_a_run_file_that_leads_out_of_the_root_shows_nothing_either(root, tmp_path):
    (tmp_path / "secret").write_text('{"id": "r", "hunter2": 1}')
    (root / "evidence" / "r.json").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidFilesError) as caught:
        loader.load(root).run("r")
    assert "hunter2" not in str(caught.value)


def test_a_link_to_a_file_that_can_be_used_is_used(root, tmp_path):
    """Some stores keep every file behind a link."""
    (tmp_path / "elsewhere.yaml").write_text("id: h\ntitle: h\nkind: device\n")
    (root / "hardware" / "h.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert list(loader.load(root).hardware) == ["h"]


def test_folders_nested_deeper_than_python_recurses_are_read(root):
    deep = root / "/".join("d" * 1500)
    handle = os.open(root, os.O_RDONLY)
    try:
        for _ in range(1500):  # one after the other: the whole path is longer than some calls take
            os.mkdir("d", dir_fd=handle)
            inner = os.open("d", os.O_RDONLY, dir_fd=handle)
            os.close(handle)
            handle = inner
    finally:
        os.close(handle)
    try:
        assert deep.is_dir()
        assert loader.load(root).laws == {}
    finally:
        subprocess.run(["rm", "-r", root / "d"], check=True)  # Python's own removal recurses
