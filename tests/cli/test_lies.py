"""Lies about evidence, one after another, through the commands: `kg check` and `kg verify --all` both find each of them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS
from spak.kg.files.edit import LawFile
from spak.kg.law.status import status

LAWS = Path(__file__).parents[2] / "laws"
LAW = "sm_90/matmul/sm90-matmul-no-tma-slow.yaml"
FOUND = "measured-h200-matmul-m2048-20261121t040002"
RUNS = (
    FOUND,
    f"{FOUND}-confirm",
    "measured-h200-matmul-m2048-20261121t034733",
    "measured-h200-matmul-m2048-20261121t035351",
)
OTHER_OP = "measured-h200-fmha-d64-s1024-causal"

Entry = dict[str, object]


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """One shipped law with four of its runs, one of another op, and what they are about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KG_LAWS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    laws = tmp_path / "laws"
    for part in ("hardware", "ops"):
        shutil.copytree(LAWS / part, laws / part)
    (laws / "evidence").mkdir()
    for run in (*RUNS, OTHER_OP):
        (file,) = LAWS.glob(f"evidence/{run}.json*")
        shutil.copy(file, laws / "evidence")
    (laws / LAW).parent.mkdir(parents=True)
    shutil.copy(LAWS / LAW, laws / LAW)
    tell(laws, lambda entries: [entry for entry in entries if entry["run"] in RUNS])
    return laws


@pytest.fixture
def kg(capsys) -> Callable[..., tuple[int, str]]:
    def call(*words: str) -> tuple[int, str]:
        code = run_app(build_app(registry=COMMANDS, help_text=""), "kg", list(words))
        return code, "".join(capsys.readouterr())

    return call


def tell(laws: Path, lie: Callable[[list[Entry]], list[Entry] | None]) -> None:
    """Change the entries of the law, and its status to what they give: a lie is consistent with itself."""
    file = LawFile.read(laws / LAW)
    entries = [msgspec.to_builtins(entry) for entry in file.law.evidence]
    told = lie(entries) or entries
    file.set_key(("evidence",), told)
    file.set_key(("status",), status(file.law))
    file.save()


def taken(laws: Path, run: str) -> Entry:
    """The content of a run file, which is taken out of the root."""
    (path,) = laws.glob(f"evidence/{run}.json*")
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    path.unlink()
    return msgspec.json.decode(raw)


def set_(place: int, **fields: object) -> Callable[[list[Entry]], None]:
    def lie(entries: list[Entry]) -> None:
        entries[place].update(fields)

    return lie


LIES = {
    "effect inflated": (set_(2, effect={"slowdown": 5.9}, interval={"slowdown": [5.8, 6.0]}), "effect.slowdown"),
    "interval narrowed": (set_(2, interval={"slowdown": [5.21, 5.22]}), "interval.slowdown"),
    "interval left out": (set_(2, interval={}), "interval"),
    "verdict flipped": (
        set_(2, verdict="refutes", effect={"slowdown": 1.0}, interval={"slowdown": [0.9, 1.1]}),
        "verdict",
    ),
    "problem sizes added": (
        set_(2, problems=["batch=1,dtype=bf16,k=2048,m=2048,n=2048", "batch=9,dtype=bf16"]),
        "problems",
    ),
    "one problem size as two": (set_(2, problems=["batch=1,dtype=bf16,k=2048", "m=2048,n=2048"]), "problems"),
    "role flipped": (set_(0, role="independent"), "role"),
    "toolchain changed": (set_(2, toolchain="tileiras 13.5.1"), "toolchain"),
    "another day": (set_(2, occasion="2026-11-25 h200"), "occasion"),
    "a run of another op": (set_(2, run=OTHER_OP), "run"),
    "one run twice": (lambda entries: [*entries, entries[2]], "run"),
    "an effect that no trial shows": (set_(2, effect={"tflops": 900.0}), "effect.tflops"),
}


@pytest.mark.parametrize("what", LIES)
def test_a_lie_is_found_by_the_check_and_by_verify(root, kg, what):
    """After an honest check, whose answer is remembered; the place is named, and a status that agrees changes nothing."""
    assert kg("check")[0] == 0
    lie, field = LIES[what]
    tell(root, lie)
    for _ in range(2):  # what was found is remembered too
        code, out = kg("check")
        assert code == 1
        assert any(
            "evidence[" in line and f"].{field}: " in line and "[finding: derived]" in line for line in out.splitlines()
        )
    code, out = kg("verify", "--all")
    assert code == 1
    assert f": {field}: " in out


def test_no_law_may_acknowledge_a_lie(root, kg):
    tell(root, LIES["effect inflated"][0])
    file = LawFile.read(root / LAW)
    file.set_key(("acknowledges",), ["derived: measured elsewhere", "status: as well", "verdict: too"])
    file.save()
    assert kg("check")[0] == 1


def test_a_run_that_was_edited_no_longer_bears_its_entry(root, kg):
    """Though the law and its remembered answer are as they were."""
    assert kg("check")[0] == 0
    run = taken(root, RUNS[2])
    for trial in run["trials"]:
        for seen in trial.get("measurements", ()):
            if seen["name"] == "time" and trial["configuration"]["use_tma"] is False:
                seen.update({name: 2 * seen[name] for name in ("value", "low", "high")})
    (root / "evidence" / f"{RUNS[2]}.json").write_bytes(msgspec.json.encode(run))
    code, out = kg("check")
    assert code == 1
    assert "evidence[2].effect.slowdown: the entry has 5.2109, the trials give 10.4" in out


def test_a_cache_cannot_vouch(root, kg, tmp_path):
    """Neither damaged nor made for another root: what it says is worked out again."""
    honest = tmp_path / "honest"
    assert kg("check")[0] == 0
    shutil.copytree(tmp_path / "cache", honest)
    tell(root, LIES["effect inflated"][0])
    assert kg("check")[0] == 1
    files = sorted((tmp_path / "cache").rglob("results-*.msgpack"))
    assert files
    for file in files:
        told = file.read_bytes()
        for content in (
            (honest / file.relative_to(tmp_path / "cache")).read_bytes(),
            told.replace(b"trials", b"trails"),
            b"",
        ):
            file.write_bytes(content)
            code, out = kg("check")
            assert code == 1
            assert "the trials give" in out


def test_a_run_that_refutes_and_is_left_out_is_found_by_verify(root, kg):
    """Evidence is not chosen: what the root holds against a law counts. Only verify asks runs that no law cites."""
    run = taken(root, RUNS[2]) | {"id": "measured-h200-matmul-against"}
    run.pop("trials_sha256", None)
    tell(root, lambda entries: [entry for entry in entries if entry["run"] != RUNS[2]])
    for trial in run["trials"]:
        trial["configuration"]["use_tma"] = not trial["configuration"]["use_tma"]
    (root / "evidence" / "measured-h200-matmul-against.json").write_bytes(msgspec.json.encode(run))
    code, out = kg("verify", "--all")
    assert code == 1
    assert "-> contested" in out
