"""Several processes that write one law root at once: nobody's values are lost, and who is killed leaves nothing behind."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spak.kg.errors import KgError
from spak.kg.files import atomic
from spak.kg.files.loader import load
from spak.kg.files.lock import locked
from spak.kg.files.scaffold import Draft, write_new
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROCESSES = multiprocessing.get_context("fork")


def at_once(work, arguments):
    """Run `work` on each of `arguments` in a process of its own, all from the same moment on; their exit codes."""
    start = PROCESSES.Barrier(len(arguments))

    def begin(argument):
        start.wait()
        work(argument)

    processes = [PROCESSES.Process(target=begin, args=(argument,)) for argument in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def import_into(root: Path, file: Path, op: str = "conv") -> None:
    import_file(root, Import(file, HardwareName("gpu"), op), NOW)


@pytest.fixture
def one_value(tmp_path, samples):
    """Makes a result file with one value of x."""

    def make(value: int) -> Path:
        results = [samples.t4_result({"x": value, "y": y}, float(1 + value)) for y in range(300)]
        return samples.save(tmp_path, samples.t4_file(results), f"{value}.json")

    return make


@pytest.mark.parametrize("exists", [False, True], ids=["a new root", "a root"])
def test_parallel_imports_keep_every_value_and_every_run(tmp_path, one_value, exists):
    root = tmp_path / "laws"
    files = [one_value(value) for value in range(6)]
    if exists:
        import_into(root, one_value(6))
    assert at_once(lambda file: import_into(root, file), files) == [0] * 6
    laws = load(root)
    assert laws.ops["conv"].parameters["x"].values == tuple(range(6 + exists))
    assert len(laws.run_ids) == 6 + exists


def test_an_import_that_fails_beside_one_that_succeeds_takes_nothing_of_it_away(tmp_path, one_value, samples):
    root = tmp_path / "laws"
    bad = samples.save(tmp_path, samples.t4_file([samples.t4_result({"x": float("inf")}, 1.0)]), "bad.json")

    def quiet(file: Path) -> None:
        if file == bad:
            with pytest.raises(KgError):
                import_into(root, file, op="other")
        else:
            import_into(root, file)

    assert at_once(quiet, [bad, one_value(1), bad, one_value(2), bad]) == [0] * 5
    assert load(root).ops["conv"].parameters["x"].values == (1, 2)


def test_two_new_laws_of_one_id_in_different_folders_are_one_law_and_one_refusal(tmp_path, one_value):
    root = tmp_path / "laws"
    import_into(root, one_value(1))
    import_file(root, Import(one_value(2), HardwareName("other"), "conv"), NOW)
    laws = load(root)

    def propose(hw: str) -> None:
        claim = {"avoid": "x >= 1", "effect": {"slowdown": {"at_least": 1.2}}}
        write_new(laws, Draft("negative", "t", {"hw": hw, "op": "conv"}, claim, "same"))

    assert sorted(at_once(propose, ["gpu", "other"])) == [0, 1]
    assert list(load(root).laws) == ["same"]


def test_an_import_waits_for_the_lock_no_longer_than_it_must(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(KgError, match="another process holds its lock"),
        locked(tmp_path, patience_s=0),
    ):
        pass
    with locked(tmp_path, patience_s=0):
        pass


def test_a_folder_that_another_takes_back_at_that_moment_is_made_again(tmp_path, monkeypatch):
    """`mkdir` finds it there; before anybody looks, who made it has failed and removed it."""
    root = tmp_path / "laws"
    root.mkdir()
    make = os.mkdir

    def vanishing(path, *mode):
        monkeypatch.setattr(os, "mkdir", make)
        root.rmdir()
        raise FileExistsError(path)

    monkeypatch.setattr(os, "mkdir", vanishing)
    with locked(root, create=True):
        assert root.is_dir()


def _killed_while_it_writes(root: Path, file: Path) -> None:
    """Import in another process, and kill that when it has a temporary file, before it can rename it."""
    child = os.fork()
    if child == 0:
        Path.replace = lambda *_: time.sleep(60)  # type: ignore[method-assign,assignment]
        import_into(root, file)
        os._exit(0)
    while not list(root.rglob(".*.part")):
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_a_killed_import_leaves_is_read_by_nobody_and_swept_by_the_next(tmp_path, one_value):
    root = tmp_path / "laws"
    _killed_while_it_writes(root, one_value(1))
    assert list(root.rglob(".*.part"))
    assert load(root).run_ids == []
    import_into(root, one_value(1))
    assert len(load(root).run_ids) == 1
    assert not [path for path in root.rglob("*") if path.name.startswith(".")]


def test_the_temporary_file_of_a_writer_that_lives_is_not_swept(tmp_path):
    handle, staged = atomic._temporary(tmp_path)
    atomic.write(tmp_path / "other", b"")
    assert staged.exists()
    os.close(handle)
    atomic.write(tmp_path / "other", b"")
    assert not staged.exists()


def test_a_writer_that_was_swept_before_it_locked_makes_another_file(tmp_path, monkeypatch):
    taken = []

    def flock(handle: int, operation: int) -> None:
        if not taken:
            (found,) = tmp_path.glob(".*.part")
            found.unlink()
            taken.append(found)

    monkeypatch.setattr(fcntl, "flock", flock)
    handle, staged = atomic._temporary(tmp_path)
    os.close(handle)
    assert staged.exists()
    assert staged not in taken


def _on_a_small_disk(work, most_bytes: int) -> int:
    """`work` in another process, where no file may grow beyond `most_bytes`; 0 if it raised that one cannot be written."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        try:
            work()
        except OSError as error:
            os._exit(0 if error.filename and error.filename.endswith(".json") else 3)
        os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_import_that_the_disk_cannot_hold_changes_nothing_and_names_the_file(tmp_path, one_value):
    root, other = tmp_path / "laws", tmp_path / "other"
    import_into(root, one_value(1))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    more = one_value(2)
    assert _on_a_small_disk(lambda: import_into(root, more), 4000) == 0
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert _on_a_small_disk(lambda: import_into(other, more), 4000) == 0
    assert not other.exists()
