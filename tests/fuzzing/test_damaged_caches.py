"""A cache with any byte changed is as good as none: what it answers is what was stored, or nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spak.kg.files.cache import Cache, load_cached
from spak.kg.files.remembered import Ledger
from spak.tuner.backend.compile.cache import CompileCache
from spak.tuner.backend.compile.protocol import Compiled
from tests.fuzzing.bounds import ends
from tests.fuzzing.damage import torn
from tests.kg.conftest import FILES, RUN

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A small law root, its cache entry, and what it holds."""
    folder = tmp_path_factory.mktemp("cached")
    root = folder / "laws"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "evidence").mkdir()
    (root / "evidence" / "compiled-one.json").write_bytes(msgspec.json.encode(RUN))
    cache = Cache(folder / "cache")
    contents = load_cached(root, cache).contents
    (entry,) = cache.directory.glob("laws-*")
    return root, cache, entry, entry.read_bytes(), contents


@SHARED
@given(data=st.data())
def test_a_damaged_entry_of_the_laws_is_never_trusted(stored, data):
    root, cache, entry, whole, contents = stored
    raw = data.draw(torn(whole))
    entry.write_bytes(raw)
    with ends():
        found = load_cached(root, cache).contents
    assert found == contents


@given(st.data())
def test_a_damaged_ledger_remembers_nothing_that_was_not_computed(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.msgpack")
        ledger = Ledger(path)
        for number in range(3):
            assert ledger.remembered([b"square", b"%d" % number], lambda n=number: n * n, int) == number * number
        ledger.save()
        path.write_bytes(data.draw(torn(path.read_bytes())))
        again = Ledger(path)
        with ends():
            for number in range(3):
                answer = again.remembered([b"square", b"%d" % number], lambda n=number: n * n, int)
                assert answer == number * number


@given(st.data())
def test_a_damaged_compilation_is_compiled_again(data):
    result = Compiled(features={"registers": 168.0, "spill_bytes": 0.0})
    key = "ab" * 32
    with tempfile.TemporaryDirectory() as folder:
        cache = CompileCache(Path(folder))
        cache.put(key, result)
        (entry,) = (path for path in Path(folder).rglob("*") if path.is_file())
        entry.write_bytes(data.draw(torn(entry.read_bytes())))
        with ends():
            assert cache.get(key) in (None, result)
        cache.put(key, result)
        assert cache.get(key) == result
