"""`kg verify`: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import re
import shutil

import msgspec
import pytest

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS
from spak.kg.files.edit import LawFile
from spak.kg.files.loader import load
from spak.tuner.backend.base import Provenance
from tests.shipped import LAWS, ROOT

SPILLS = "sm120-fmha-128x128-spills"
CONTESTED = "sm90-fmha-v-latency-4-or-5"
TALL = "sm90-fmha-tile-m-256-spills"
PROBED = "attention-finite-mask-floor"

RUN_KERNELS = ("microgpt-*-*.yaml",)
"""Laws whose checks take seconds; tests/kernels/test_scalar_equivalence.py executes them."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KG_LAWS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def every(place):
    """All shipped laws."""
    shutil.copytree(ROOT, place / "laws", ignore=shutil.ignore_patterns(*RUN_KERNELS))


@pytest.fixture
def laws(place):
    """Four shipped laws, those they name, the runs that all of them cite, and what they are about."""
    root = place / "laws"
    for part in ("hardware", "ops"):
        shutil.copytree(ROOT / part, root / part)
    names, new = set(), {SPILLS, CONTESTED, TALL, PROBED}
    while new := new & LAWS.laws.keys() - names:
        names |= new
        new = {link.id for name in new for link in LAWS.laws[name].related}
    runs = {entry.run for name in names for entry in LAWS.laws[name].evidence}
    for kind, name in (*(("law", name) for name in names), *(("run", run) for run in runs)):
        file = root / LAWS.paths[kind][name]
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(LAWS.path(kind, name), file)
    return root


@pytest.fixture
def kg(capsys):
    def call(*words):
        code = run_app(build_app(registry=COMMANDS, help_text=""), "kg", ["verify", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_replay_prints_each_problem_size_and_the_status(kg, laws):
    code, out, _ = kg(SPILLS, "--verbose")
    assert code == 0
    assert re.search(r"supports: spill_bytes \d+\n    compiled-sm_120-fmha-d64-fp16-causal\n    at batch=8, ", out)
    assert "verdict: supports; status: confirmed (" in " ".join(out.split())


def test_replay_of_a_contested_law_exits_1_and_shows_intervals(kg, laws):
    code, out, _ = kg(CONTESTED)
    assert code == 1
    assert re.search(r"refutes: change [\d.]+ \([\d.]+ to [\d.]+\)", out)


@pytest.mark.usefixtures("every")
def test_replay_of_a_law_without_trials_cannot_tell(kg):
    code, out, _ = kg("fmha-v1-to-v2-3")
    assert code == 1
    assert "no recorded trial speaks of it" in out
    assert "verdict: inconclusive" in out


def test_evidence_that_is_not_what_its_run_says_is_found(kg, laws):
    path = load(laws).path("law", CONTESTED)
    path.write_text(path.read_text().replace("effect: {change: 0.0169}", "effect: {change: 0.0163}"))
    code, out, _ = kg(CONTESTED)
    assert code == 1
    assert "DIFFERS: measured-h200-fmha-d128-s1024-full-latency: effect.change: the" in out
    code, out, _ = kg("--all")
    assert code == 1
    assert out.count("DIFFERS") == 1


def test_a_recorded_run_that_a_law_leaves_out_is_found_and_noted_on_demand(kg, laws):
    """Evidence is not chosen: a run that speaks against a law counts, whether or not its file names it."""
    path = load(laws).path("law", TALL)
    whole = load(laws).laws[path.stem]
    against = [entry.run for entry in whole.evidence if entry.verdict == "refutes"]
    assert against
    file = LawFile.read(path)
    file.set_key(("evidence",), [msgspec.to_builtins(entry) for entry in whole.evidence if entry.run not in against])
    file.set_key(("status",), "confirmed")
    file.save()
    code, out, _ = kg("--all")
    assert code == 1
    assert f"{path.stem}: refutes (" in out
    assert "; confirmed -> contested" in out
    code, out, _ = kg("--all", "--note")
    assert code == 0
    assert f"{path.stem}: noted {len(against)} run" in out
    assert load(laws).laws[path.stem].status == "contested"
    assert {entry.run for entry in load(laws).laws[path.stem].evidence} == {entry.run for entry in whole.evidence}
    assert kg("--all")[0] == 0


def test_the_run_in_which_a_law_was_found_is_noted_as_what_suggested_it(kg, laws):
    """A person says which; without their word it is the earliest that supports the law."""
    path = load(laws).path("law", TALL)
    whole = load(laws).laws[path.stem]
    latest = max(entry.run for entry in whole.evidence if entry.verdict == "supports")
    file = LawFile.read(path)
    file.set_key(("evidence",), [])
    file.set_key(("status",), "proposed")
    file.save()
    assert "noted" in kg(path.stem, "--note", "--found", latest)[1]
    noted = load(laws).laws[path.stem].evidence
    assert {entry.run for entry in noted} == {entry.run for entry in whole.evidence}
    assert {entry.run for entry in noted if entry.role == "suggested"} == {latest}


@pytest.mark.usefixtures("every")
def test_all_is_quiet_where_everything_is_true(kg):
    code, out, _ = kg("--all")
    assert code == 0
    assert f"{SPILLS}: supports (" in out
    assert "DIFFERS" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name one law"),
        ([SPILLS, "--all"], "name one law"),
        (["--all", "--backend", "compile"], "name one law"),
        ([SPILLS, "--backend", "compile", "--note"], "--note is for recorded runs"),
        (["sm120-fmha-128x128-spill"], SPILLS),
        ([CONTESTED, "--backend", "compile"], "use --backend gpu"),
        ([SPILLS, "--backend", "gpu"], "no NVIDIA GPU"),
        ([SPILLS, "--backend", "compile", "--hw", "h200"], "speaks of sm_120"),
        ([PROBED, "--backend", "gpu"], "nothing tries it unasked"),
        ([PROBED, "--probe", "--note"], "--note is for recorded runs"),
        (["--all", "--probe"], "name one law"),
        ([SPILLS, "--found", "any"], "--found says of one law, with --note"),
        (["--all", "--note", "--found", "any"], "--found says of one law, with --note"),
        ([SPILLS, "--note", "--found", "nobody-ran-this"], "unknown run 'nobody-ran-this'"),
    ],
)
def test_bad_input_is_one_line_and_2(kg, laws, words, message):
    code, out, err = kg(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


class Compiler:
    """A backend that answers from a formula: nothing compiles here."""

    name, batch_size, num_compilers = "compile", 8, 0

    def __init__(self, spills=lambda c: float(max(0, int(c["tile_m"]) * int(c["tile_n"]) - 8192))) -> None:
        self.spills, self.closed = spills, False

    def provenance(self):
        return Provenance("compiled", {"tileiras": "13.4.92"}, None, None, "predicted_time")

    def evaluate(self, requests):
        from spak.kg.model.run import Measurement, Trial

        for request in requests:
            spilled = Measurement(name="spill_bytes", value=self.spills(request.configuration))
            shared = {"configuration": dict(request.configuration), "problem": dict(request.problem)}
            yield request, Trial(**shared, origin=request.origin, measurements=(spilled,))

    def close(self):
        self.closed = True


@pytest.fixture
def compiler(monkeypatch):
    backend = Compiler()
    monkeypatch.setattr("spak.tuner.backend.compile.backend.open_task", lambda task: backend)
    return backend


def test_a_dry_run_shows_what_new_trials_would_change_and_writes_nothing(kg, laws, compiler):
    before = {path: path.read_bytes() for path in laws.rglob("*") if path.is_file()}
    code, out, err = kg(SPILLS, "--backend", "compile", "--problems", "2", "--dry-run")
    assert code == 0, out + err
    assert compiler.closed
    assert "+  - run: compiled-rtx5070-fmha-verify-sm120" in out
    assert {path: path.read_bytes() for path in laws.rglob("*") if path.is_file()} == before


def test_new_trials_are_written_as_a_run_and_as_evidence(kg, laws, compiler):
    code, out, err = kg(SPILLS, "--backend", "compile", "--problems", "2")
    assert code == 0, out + err
    assert "run file:" in err
    assert f"law: {SPILLS}: evidence supports; confirmed" in out
    entry = load(laws).laws[SPILLS].evidence[-1]
    assert entry.run.startswith("compiled-rtx5070-fmha-verify-sm120")
    assert len(entry.problems) == 2
    assert (
        load(laws).run(entry.run).reproduce
        == f"kg verify {SPILLS} --backend compile --hw rtx5070 --problems 2 --seed 0"
    )


def test_new_trials_that_contradict_make_the_law_contested(kg, laws, compiler):
    compiler.spills = lambda configuration: 0.0
    code, out, _ = kg(SPILLS, "--backend", "compile", "--problems", "1")
    assert code == 1
    assert "status: confirmed -> contested" in out
    assert load(laws).laws[SPILLS].status == "contested"
