"""Ledgers: what was computed from other inputs is never an answer, and no file can make it one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spak.kg.errors import InvalidFilesError
from spak.kg.files import remembered
from spak.kg.files.cache import Cache, load_cached
from spak.kg.files.remembered import Ledger, ledger_of


class Counted:
    """A computation that counts how often it is asked for."""

    def __init__(self, result: object = "found") -> None:
        self.result, self.times = result, 0

    def __call__(self):
        self.times += 1
        return self.result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "results.msgpack"


def noted(path: Path, *parts: bytes, result: object = "found") -> None:
    ledger = Ledger(path)
    ledger.remembered(parts, lambda: result, type(result))
    ledger.save()


def test_what_was_noted_is_not_computed_again(path):
    """Neither in the same process nor, once saved, in another."""
    compute, ledger = Counted(("a", 1)), Ledger(path)
    for _ in range(2):
        assert ledger.remembered((b"what", b"of"), compute, tuple[str, int]) == ("a", 1)
    ledger.save()
    assert Ledger(path).remembered((b"what", b"of"), compute, tuple[str, int]) == ("a", 1)
    assert compute.times == 1


@pytest.mark.parametrize(
    "parts", [(b"what", b"of ", b"it"), (b"what", b"ofit"), (b"wha", b"tof", b"it"), (b"what", b"of")]
)
def test_other_inputs_are_computed(path, parts):
    """Also where the bytes of all parts together are the same."""
    noted(path, b"what", b"of", b"it")
    assert Ledger(path).remembered(parts, lambda: "other", str) == "other"


def test_other_code_computes_again(path, monkeypatch):
    """A check that was mended never answers with what it found before."""
    noted(path, b"what")
    monkeypatch.setattr(remembered, "_code", lambda: b"another")
    assert Ledger(path).remembered((b"what",), lambda: "other", str) == "other"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: raw.replace(b"found", b"bound"),
        lambda raw: b"x" + raw[1:],
        lambda _: b"x" * 64,
    ],
)
def test_a_damaged_ledger_is_an_empty_one(path, damage):
    """Cut short, lengthened, one letter changed, of another layout, rubbish: computed again, and mended by the next save."""
    noted(path, b"what")
    path.write_bytes(damage(path.read_bytes()))
    ledger = Ledger(path)
    assert ledger.remembered((b"what",), lambda: "other", str) == "other"
    ledger.save()
    assert Ledger(path).remembered((b"what",), Counted(), str) == "other"


def test_a_result_of_another_type_is_none(path):
    """What is noted is decoded as what is asked for, or computed."""
    noted(path, b"what", result="found")
    assert Ledger(path).remembered((b"what",), lambda: 7, int) == 7


def test_what_raises_is_not_noted(path):
    """An input that cannot be judged is no result."""
    ledger = Ledger(path)
    with pytest.raises(ZeroDivisionError):
        ledger.remembered((b"what",), lambda: 1 // 0, int)
    assert ledger.remembered((b"what",), lambda: 1, int) == 1


def test_a_full_ledger_keeps_what_was_asked_last(path, monkeypatch):
    """It never grows beyond its bound, and what the last run needed stays."""
    noted(path, b"old", result="o" * 500)
    monkeypatch.setattr(remembered, "MAX_LEDGER_BYTES", 800)
    noted(path, b"new", result="n" * 500)
    assert path.stat().st_size < 800
    assert Ledger(path).remembered((b"new",), Counted(), str) == "n" * 500
    assert Ledger(path).remembered((b"old",), lambda: "again", str) == "again"


def test_what_another_question_noted_stays_while_there_is_room(path):
    """Two commands that ask different things do not empty each other's ledger."""
    noted(path, b"one", result="1")
    noted(path, b"two", result="2")
    assert [Ledger(path).remembered((name,), Counted(), str) for name in (b"one", b"two")] == ["1", "2"]


def test_a_directory_that_cannot_be_written_costs_time_only(tmp_path):
    """A file in the directory's place stops nothing, and leaves nothing behind."""
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "results.msgpack")
    assert ledger.remembered((b"what",), lambda: 1, int) == 1
    ledger.save()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_processes_may_save_at_once(path):
    """A reader meets a whole ledger at every moment; the last writer wins."""
    program = (
        "import sys; from pathlib import Path; from spak.kg.files.remembered import Ledger\n"
        "for n in range(20):\n"
        "    book = Ledger(Path(sys.argv[1])); book.remembered((b'%d' % n,), lambda: sys.argv[2] * 9999, str); book.save()\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    assert Ledger(path).remembered((b"19",), Counted("none"), str) in {"a" * 9999, "b" * 9999}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_roots_do_not_share_a_ledger(tmp_path):
    """A huge root cannot push out what is noted of a small one."""
    one, other = (ledger_of(tmp_path / name, tmp_path) for name in ("one", "other"))
    one.remembered((b"what",), lambda: 1, int)
    one.save()
    assert other.remembered((b"what",), lambda: 2, int) == 2


def test_a_run_that_changes_between_digest_and_reading_is_refused(law_root, tmp_path):
    """A result is never noted for the digest of one content and computed from another."""
    laws, name = load_cached(law_root, Cache(tmp_path / "cache")), "compiled-one"
    laws.run_digest(name)
    path = laws.path("run", name)
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"sm_120"', b'"sm_999"') + b"\n")
    assert laws.run(name).hw == "sm_120"  # what the digest is of
    laws.close_runs()
    with pytest.raises(InvalidFilesError, match="changed while it was being read"):
        laws.run(name)
    assert load_cached(law_root, Cache(tmp_path / "cache")).run_digest(name) != laws.run_digest(name)
