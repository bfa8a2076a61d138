"""The compile cache: found again for the same content, ignored when anything about it is wrong."""

from __future__ import annotations

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.tuner.backend.compile.cache import CompileCache, Identity, source_sha256
from spak.tuner.backend.compile.protocol import Compiled, failed

IDENTITY = Identity("fmha", "ab" * 32, "sm_120", {"tileiras": "13.4.92"}, ("head_dim",))
RESULT = Compiled(features={"registers": 128.0, "spill_bytes": 0.0}, seconds=1.5)
KEY = IDENTITY.key({"head_dim": 64}, {"m": 64})


def test_what_was_put_is_found(tmp_path):
    """A result and a lasting failure come back as they were; an unknown key gives nothing."""
    cache = CompileCache(tmp_path / "deep")
    assert cache.get(KEY) is None
    cache.put(KEY, RESULT)
    assert cache.get(KEY) == RESULT
    refused = failed("constraints", "ValueError", "no")
    cache.put(KEY[::-1], refused)
    assert cache.get(KEY[::-1]) == refused


def test_a_failure_of_the_machine_is_not_kept(tmp_path):
    """Time and memory may be there next time."""
    CompileCache(tmp_path).put(KEY, failed("timeout", "TimeLimit", "slow", lasting=False))
    assert list(tmp_path.iterdir()) == []


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_damaged_entry_is_as_good_as_none(tmp_path_factory, place, value):
    """Any changed byte is noticed: the answer is the true result or nothing."""
    folder = tmp_path_factory.mktemp("cache")
    cache = CompileCache(folder)
    cache.put(KEY, RESULT)
    (path,) = folder.rglob("*.json")
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    path.write_bytes(bytes(data))
    assert cache.get(KEY) in (None, RESULT)


def test_an_entry_of_another_key_or_form_is_not_used(tmp_path):
    """A file copied to another key, cut short, or of a later form is ignored."""
    cache = CompileCache(tmp_path)
    cache.put(KEY, RESULT)
    (path,) = tmp_path.rglob("*.json")
    other = IDENTITY.key({"head_dim": 128}, {"m": 64})
    target = tmp_path / other[:2] / f"{other}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(path.read_bytes())
    assert cache.get(other) is None
    path.write_bytes(path.read_bytes()[:-5])
    assert cache.get(KEY) is None
    body = b'{"features": "none"}'
    path.write_bytes(hashlib.sha256(KEY.encode() + body).hexdigest().encode() + b"\n" + body)
    assert cache.get(KEY) is None


def test_a_folder_that_cannot_be_written_keeps_nothing_and_breaks_nothing(tmp_path):
    """Without a place for the cache the search still runs."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    CompileCache(blocked).put(KEY, RESULT)
    assert CompileCache(blocked).get(KEY) is None
    cache = CompileCache(tmp_path)
    (tmp_path / KEY[:2] / f"{KEY}.json").mkdir(parents=True)  # the rename fails; the temporary file goes
    cache.put(KEY, RESULT)
    assert [p.name for p in (tmp_path / KEY[:2]).iterdir()] == [f"{KEY}.json"]


def test_writers_at_once_leave_a_whole_entry(tmp_path):
    """Many writers of one key end with one good entry and no litter."""
    cache = CompileCache(tmp_path)
    threads = [threading.Thread(target=cache.put, args=(KEY, RESULT)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get(KEY) == RESULT
    assert len(list(tmp_path.rglob("*.*"))) == 1


def test_the_key_is_what_the_code_depends_on():
    """Sizes that do not specialise share an entry; everything that changes the code changes the key."""
    same = IDENTITY.key({"head_dim": 64, "seq": 4096}, {"m": 64})
    assert same == KEY
    others = [
        IDENTITY.key({"head_dim": 128}, {"m": 64}),
        IDENTITY.key({"head_dim": 64}, {"m": 32}),
        IDENTITY.key({"head_dim": 64}, {"m": True}),
        Identity("matmul", "ab" * 32, "sm_120", {"tileiras": "13.4.92"}, ("head_dim",)).key(
            {"head_dim": 64}, {"m": 64}
        ),
        Identity("fmha", "cd" * 32, "sm_120", {"tileiras": "13.4.92"}, ("head_dim",)).key({"head_dim": 64}, {"m": 64}),
        Identity("fmha", "ab" * 32, "sm_90", {"tileiras": "13.4.92"}, ("head_dim",)).key({"head_dim": 64}, {"m": 64}),
        Identity("fmha", "ab" * 32, "sm_120", {"tileiras": "13.5.0"}, ("head_dim",)).key({"head_dim": 64}, {"m": 64}),
    ]
    assert len({KEY, *others}) == 8
    every = Identity("fmha", "ab" * 32, "sm_120", {})
    assert every.key({"a": 1, "seq": 1}, {}) != every.key({"a": 1, "seq": 2}, {})


def test_a_source_hash_does_not_depend_on_where_the_repository_lies(tmp_path):
    """Absolute and relative names of the same files give one hash; a changed byte or name gives another."""
    hashes = set()
    for name in ("here", "there"):
        root = tmp_path / name
        (root / "k").mkdir(parents=True)
        (root / "k" / "a.py").write_text("x = 1\n")
        hashes |= {source_sha256(["k/a.py"], root), source_sha256([str(root / "k" / "a.py")], root)}
    assert len(hashes) == 1
    (root / "k" / "a.py").write_text("x = 2\n")
    assert source_sha256(["k/a.py"], root) not in hashes
    with pytest.raises(FileNotFoundError):
        source_sha256(["none.py"], root)
