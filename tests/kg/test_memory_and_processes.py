"""A check from cold, one with a memory, and one by several processes find the same, whatever was done to files and memory."""

from __future__ import annotations

import os

import pytest

from spak.kg import checks
from spak.kg.errors import InvalidFilesError
from spak.kg.files import cache, loader, loading, remembered, yaml_reader
from spak.kg.files.cache import Cache, load_cached

MORE = 12
BROKEN = {
    "sound": lambda root: None,
    "wrong number": lambda root: _edit(root / "sm_120/fmha/copy-3.yaml", "1208", "1209"),
    "wrong verdict": lambda root: _edit(root / "sm_120/fmha/copy-4.yaml", "verdict: supports", "verdict: refutes"),
    "wrong reason": lambda root: _edit(root / "sm_120/fmha/copy-5.yaml", "register-spill", "regster-spill"),
    "altered trials": lambda root: _edit(root / "evidence/run-6.json", '"value":1208', '"value":1308'),
    "torn run": lambda root: _cut(root / "evidence/run-7.json"),
    "no run": lambda root: (root / "evidence/run-8.json").unlink(),
    "key twice in a run": lambda root: _edit(root / "evidence/run-9.json", '"tier":', '"tier":"measured","tier":'),
    "copied times": lambda root: (root / "evidence/run-x.json").write_bytes(
        (root / "evidence/run-1.json").read_bytes()
    ),
    "no law": lambda root: _edit(root / "sm_120/fmha/copy-2.yaml", "kind: negative", "kind: negativ"),
    "another id": lambda root: _edit(root / "sm_120/fmha/copy-2.yaml", "id: copy-2", "id: copy-1"),
    "op changed": lambda root: _edit(root / "ops/fmha.yaml", "values: [32, 64, 128]", "values: [32, 64, 129]"),
}


def _edit(path, old, new):
    """Another content under the same name and modification time, of the same size where `new` is as long."""
    stat, text = path.stat(), path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.fixture
def root(law_root):
    """Some laws, each with a run of its own."""
    law, run = law_root / "sm_120/fmha/spills.yaml", law_root / "evidence/compiled-one.json"
    for number in range(MORE):
        text = law.read_text().replace("id: spills", f"id: copy-{number}").replace("compiled-one", f"run-{number}")
        law.with_name(f"copy-{number}.yaml").write_text(text)
        (run.parent / f"run-{number}.json").write_text(run.read_text().replace("compiled-one", f"run-{number}"))
    return law_root


def _told(root, kept=None):
    """What is found, or why nothing can be; by `cache` if one is given."""
    try:
        laws = loader.load(root) if kept is None else load_cached(root, kept)
        return [repr(problem) for problem in checks.run_checks(laws)]
    except InvalidFilesError as error:
        return sorted(map(repr, error.problems))


def _by_processes(monkeypatch, *, many):
    for module in (checks, cache):
        monkeypatch.setattr(module, "num_processes", lambda: 2 if many else 1)
    monkeypatch.setattr(checks, "MIN_SHARED_WORK", 0)
    monkeypatch.setattr(loading, "MIN_PARSED_AHEAD", 0)


@pytest.mark.parametrize("what", BROKEN)
def test_cold_remembering_and_sharing_find_the_same(root, tmp_path, monkeypatch, what):
    """The memory is of the root before it was changed, and by turns of one process and of several."""
    kept = Cache(tmp_path / "kept")
    _by_processes(monkeypatch, many=True)
    before = _told(root, kept)
    BROKEN[what](root)
    found = [_told(root, Cache(tmp_path / "shared")), _told(root, kept), _told(root, kept)]
    _by_processes(monkeypatch, many=False)
    cold = _told(root)
    assert [*found, _told(root, kept)] == [cold] * 4
    assert (cold == before) is (what == "sound")


def _flipped(raw):
    return raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 1]) + raw[len(raw) // 2 + 1 :]


DAMAGE = {"torn": lambda raw: raw[:-7], "altered": _flipped, "empty": lambda _: b"", "foreign": lambda raw: raw[::-1]}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("what", ["wrong number", "altered trials"])
def test_a_damaged_memory_makes_nothing_pass(root, tmp_path, monkeypatch, what, damage):
    kept = Cache(tmp_path / "kept")
    _by_processes(monkeypatch, many=False)
    _told(root, kept)
    files = sorted(kept.directory.iterdir())
    assert len(files) == 2
    for path in files:
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    BROKEN[what](root)
    assert _told(root, kept) == _told(root)


def test_a_memory_of_other_code_is_not_asked(root, tmp_path, monkeypatch):
    """What another version found, and what it read laws to be, are nothing to this one."""
    kept = Cache(tmp_path / "kept")
    _by_processes(monkeypatch, many=False)
    with monkeypatch.context() as other:
        other.setattr(remembered, "_code", lambda: b"other")
        other.setattr(cache, "code_digest", lambda: b"other")
        other.setattr(checks, "_found", lambda looking, one: ())
        assert _told(root, kept) == []
    BROKEN["wrong number"](root)
    assert _told(root, kept) == _told(root) != []


def test_one_changed_law_is_parsed_and_no_other(root, tmp_path, monkeypatch):
    """Nodes are few and are parsed each time."""
    kept = Cache(tmp_path / "kept")
    load_cached(root, kept)
    read, parsed = yaml_reader.read, []
    monkeypatch.setattr(yaml_reader, "read", lambda data, path: parsed.append(path) or read(data, path))
    _edit(root / "sm_120/fmha/copy-3.yaml", "128 x 128", "128 x 256")
    contents = load_cached(root, kept).contents
    assert [path for path in parsed if "/sm_120/fmha/" in path] == [str(root / "sm_120/fmha/copy-3.yaml")]
    assert contents == loader.load(root).contents
    assert contents.laws["copy-3"].title == "FMHA spills at 128 x 256"
