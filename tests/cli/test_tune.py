"""`tune` as a person runs it, on a machine without a GPU and with every compilation already in the cache."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

from spak.cli import tune
from spak.cli.app import build_app, run_app
from spak.cli.progress import Progress
from spak.kg.files.loader import load, read_run
from spak.tuner.backend.compile.backend import CompileBackend
from spak.tuner.backend.compile.cache import CompileCache
from spak.tuner.backend.compile.protocol import Compiled, failed
from spak.tuner.engine import journal

ROOT = Path(__file__).parents[2]
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def spilled(configuration) -> float:
    m, n, occupancy = (int(configuration[name]) for name in ("tile_m", "tile_n", "occupancy"))
    return float(max(0, m * n - 4096) // 4) if occupancy < 4 else 200.0


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with a copy of the laws, no GPU, and a compiler whose every answer is known: nothing compiles."""
    pytest.importorskip("cuda.tile")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KG_LAWS", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    shutil.copytree(ROOT / "laws", tmp_path / "laws")
    known: dict[str, Compiled] = {}
    monkeypatch.setattr(CompileCache, "get", lambda self, key: known.get(key))
    from spak.tuner.backend.compile.cache import Identity

    original = Identity.key

    def key(self, problem, configuration):
        made = original(self, problem, configuration)
        features = {"registers": 128.0, "threads": 256.0, "smem_bytes": 40000.0, "spill_bytes": spilled(configuration)}
        known[made] = Compiled(features={**features, "loop_spill_bytes": features["spill_bytes"]})
        if configuration["num_ctas"] == 2:
            known[made] = failed("compile", "CompilerError", "clusters are not for this test")
        return made

    monkeypatch.setattr(Identity, "key", key)
    return tmp_path


def contents(place: Path) -> dict[Path, bytes]:
    """Every file but the user's cache, which is derived."""
    files = (path for path in place.rglob("*") if path.is_file() and not path.is_relative_to(place / "cache"))
    return {path: path.read_bytes() for path in files}


def call(*words: str) -> int:
    return run_app(build_app(registry=tune.COMMANDS, help_text=tune.HELP, default="search"), "tune", list(words))


def test_without_a_gpu_it_says_so_and_ends_with_the_answer(place, capsys):
    """Progress on stderr; on stdout, in 40 lines of 80 columns, a table of predicted times, the best, what was learned."""
    assert call("--use-laws", "--no-write", "--budget", "40") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") <= 40
    assert err.startswith("No GPU here: compiling for rtx5070")
    assert "40 of 40 trials" in err
    assert "predicted" in out.splitlines()[0]
    assert max(len(line) for line in out.splitlines() if not line.startswith("run file:")) <= 80
    counts, best, learned = out.split("\n\n")[-3:]
    assert counts.startswith("40 trials (")
    assert "laws had a say; the audit tried" in counts
    assert counts.endswith("Law by law: --verbose")
    assert "Nothing was timed" in best
    assert "Not tried:" in best
    assert "measured time" not in out
    assert learned.startswith("What it learned\nno law\nrun file: .spak/runs/")
    pasted = ast.literal_eval(best[len("best = ") : best.index("}") + 1])
    assert pasted.keys() >= {"tile_m", "use_tma"}
    assert pasted["use_tma"] in {True, False}
    after = best[best.index("}") + 1 :].splitlines()
    assert after[1].startswith('import spak; ran = spak.launch("fmha", best, "')


def test_verbose_says_what_each_law_did_and_what_the_audit_saw(place, capsys):
    assert call("--use-laws", "--no-write", "--budget", "40", "--verbose") == 0
    laws, audit = capsys.readouterr().out.split("\n\n")[1:3]
    assert laws.startswith("What each law did")
    assert "postpones" in laws
    assert "compiled for" in laws.replace("\n", " ")
    assert audit.startswith("What the audit saw")


def test_the_default_command_is_search(place, capsys):
    """`tune`, `tune fmha` and `tune search fmha` are the same."""
    answers = set()
    for words in ([], ["fmha"], ["search", "fmha"]):
        assert call(*words, "--budget", "6", "--dry-run", "--format", "json") == 0
        report = json.loads(capsys.readouterr().out)
        answers.add(json.dumps(report["ranked"]))
    assert len(answers) == 1


def test_json_is_stable(place, capsys):
    """The keys a program relies on, and one whole run file that holds the same trials."""
    assert call("--use-laws", "--budget", "12", "--no-write", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == [
        "hw", "op", "problem", "backend", "objective", "counts", "ranked", "default", "laws", "contradicted", "suspended",
        "answer", "seconds", "interrupted", "run", "superseded", "baselines", "launch",
    ]  # fmt: skip
    assert (report["hw"], report["op"], report["backend"], report["objective"]) == (
        "rtx5070",
        "fmha",
        "compile",
        "predicted_time",
    )
    stored = read_run(place / report["run"])
    assert len(stored.trials) == report["counts"]["tried"] == 12
    assert stored.tier == "compiled"
    assert (
        stored.reproduce
        == "tune fmha --strategy transfer --backend auto --use-laws --budget 12 --seed 0 --audit 0.05 --confirm 0.25"
    )
    assert {row["rank"] for row in report["ranked"]} >= {1}


def test_no_laws_means_no_laws(place, capsys):
    """Without --use-laws nothing is removed, postponed or audited, and no law is spoken of."""
    assert call("--budget", "8", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "What each law did" not in out
    assert "0 removed by laws, 0 postponed" in out.replace("\n", " ")


@pytest.mark.slow
def test_transfer_says_that_it_searches_a_part_of_a_large_space(place, capsys):
    """FMHA has millions of configurations, on each of which that strategy has an opinion."""
    assert call("--use-laws", "--strategy", "transfer", "--budget", "6", "--no-write", "--format", "json") == 0
    out, err = capsys.readouterr()
    counts = json.loads(out)["counts"]
    assert counts["feasible"] > 1_000_000 > counts["searched"]
    assert f"transfer searches a part, {counts['searched']} of {counts['feasible']} configurations" in err
    assert counts["tried"] == 6


def test_a_dry_run_writes_nothing_and_shows_the_diff(place, capsys):
    """Every file is as before, and the evidence the run would add is shown as a diff."""
    before = contents(place)
    assert call("--use-laws", "--dry-run", "--budget", "60", "--audit", "0.3") == 0
    out = capsys.readouterr().out
    assert contents(place) == before
    assert "the laws would change like this" in out
    assert "+    verdict: supports" in out or "+  - run: compiled-rtx5070" in out


def test_a_search_writes_back_what_it_confirmed(place, capsys):
    """The run file lands under evidence/, laws it speaks for gain an entry, comments stay, and the root still loads."""
    law = place / "laws" / "sm_120" / "fmha" / "sm120-fmha-128x128-spills.yaml"
    law.write_text("# a person wrote this\n" + law.read_text())
    before = load(place / "laws").run_ids
    assert call("--use-laws", "--budget", "60", "--audit", "0.3") == 0
    out = capsys.readouterr().out
    assert "law: sm120-" in out
    laws = load(place / "laws")
    (new,) = [name for name in laws.run_ids if name.startswith("compiled-rtx5070-fmha") and name not in before]
    grown = [one for one in laws.laws.values() if any(entry.run == new for entry in one.evidence)]
    assert grown
    assert law.read_text().startswith("# a person wrote this")
    for one in grown:
        entry = next(entry for entry in one.evidence if entry.run == new)
        assert entry.tier == "compiled"
        assert entry.effect.keys() <= {"spill_bytes", "occupancy_ratio"} or entry.role == "suggested"


def test_an_interrupted_search_goes_on(place, capsys, monkeypatch):
    """Ctrl-C ends with a partial report and 130; --resume tries the rest, with the settings the search began with."""
    interrupt_at(10, monkeypatch)
    assert call("--use-laws", "--budget", "20", "--seed", "5", "--no-write") == 130
    captured = capsys.readouterr()
    name = re.search(r"tune --resume (\S+)", captured.out)[1]
    assert "9 trials" in captured.out
    contents = journal.read_journal(place / ".spak" / "journal" / f"{name}.jsonl")
    assert len(contents.trials) == 9
    assert not (place / ".spak" / "runs").exists()
    assert call("--resume", name, "--no-write", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"]["tried"] == 20
    stored = read_run(place / report["run"])
    assert stored.id == name
    assert stored.seed == 5
    assert stored.trials[:9] == tuple(_without_problem(trial) for trial in contents.trials)


def interrupt_at(number: int, monkeypatch) -> None:
    whole, calls = CompileBackend.evaluate, []

    def interrupted(self, requests):
        for trial in whole(self, requests):
            calls.append(trial)
            if len(calls) == number:
                raise KeyboardInterrupt
            yield trial

    monkeypatch.setattr(CompileBackend, "evaluate", interrupted)


def test_a_dry_run_of_an_interrupted_search_leaves_its_journal_alone(place, monkeypatch):
    """`--dry-run` writes nothing, also where there is a journal to go on with."""
    interrupt_at(3, monkeypatch)
    assert call("--budget", "6", "--no-write") == 130
    before = contents(place)
    (path,) = (place / ".spak" / "journal").iterdir()
    assert call("--resume", path.stem, "--dry-run") == 0
    assert contents(place) == before


@pytest.mark.slow
def test_a_search_of_a_part_keeps_its_trials_when_the_recorded_runs_changed_since(place, capsys, monkeypatch):
    """Another part is drawn from other runs; what was tried belongs to it, is kept and is not paid for again."""
    interrupt_at(10, monkeypatch)
    assert call("--use-laws", "--budget", "20", "--no-write") == 130
    name = re.search(r"tune --resume (\S+)", capsys.readouterr().out)[1]
    tried = journal.read_journal(place / ".spak" / "journal" / f"{name}.jsonl").trials
    monkeypatch.setattr("spak.tuner.knowledge.gather.recorded", lambda laws, space, target: [])
    assert call("--resume", name, "--no-write", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"]["tried"] == 20
    assert read_run(place / report["run"]).trials[:9] == tuple(_without_problem(trial) for trial in tried)


def _without_problem(trial):
    import msgspec

    return msgspec.structs.replace(trial, problem={})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fhma"], "fmha"),
        (["--hw", "rtx507"], "rtx5070"),
        (["--backend", "gpu"], "no NVIDIA GPU with a driver was found"),
        (["--strategy", "genetik"], "unknown strategy 'genetik'; there are"),
        (["--resume", "nothing"], "no journal .spak/journal/nothing.jsonl; there are none"),
        (["--problem", "size=1"], "no problem parameter"),
        (["--budget", "0"], "0 is not between 1 and inf"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(place, capsys, words, message):
    """Nothing a person mistypes ends in a traceback, and nothing is written."""
    assert call(*words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not (place / ".spak" / "runs").exists()


def test_a_journal_of_other_code_is_not_resumed(place, capsys):
    """Trials of another kernel source or toolchain are not trials of this search."""
    assert call("--budget", "4", "--no-write", "--format", "json") == 0
    name = Path(json.loads(capsys.readouterr().out)["run"]).stem
    path = place / ".spak" / "journal" / f"{name}.jsonl"
    text = path.read_text()
    for old, new in (
        (r'"source_sha256":"[0-9a-f]+"', '"source_sha256":"00"'),
        (r'"tileiras":"[^"]+"', '"tileiras":"1.0"'),
    ):
        path.write_text(re.sub(old, new, text, count=1))
        assert call("--resume", name) == 2
        assert "start a new search" in capsys.readouterr().err


class Terminal:
    """A stream that says whether it is a terminal."""

    def __init__(self, *, tty: bool) -> None:
        self.tty, self.text = tty, ""

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""


def test_progress_is_one_line_on_a_terminal_and_few_elsewhere():
    """A terminal sees each trial and the time left; a pipe sees four lines in all."""
    live, pipe = Terminal(tty=True), Terminal(tty=False)
    for stream in (live, pipe):
        progress = Progress(stream, 100, None)
        for done in range(1, 101):
            progress.show(done, done * 2.0)
        progress.end()
        progress.end()
    assert "50 of 100 trials, 100 s, 100 s left" in live.text
    assert ANSI.sub("", live.text).replace("\r", "").endswith("100 of 100 trials, 200 s")
    assert pipe.text.splitlines() == [
        "25 of 100 trials, 50 s, 150 s left",
        "50 of 100 trials, 100 s, 100 s left",
        "75 of 100 trials, 150 s, 50 s left",
        "100 of 100 trials, 200 s",
    ]
    for stream in (live, pipe):
        stream.text = ""
        waiting = Progress(stream, 100, None)
        for seconds in range(60):
            waiting.doing("compiling", seconds)
        waiting.doing("reading", 59.5)
        waiting.doing("reading", 59.9)
        waiting.end()
    assert "\rcompiling, 3 s".replace("\r", "") in ANSI.sub("", live.text).split("\r")
    assert pipe.text.splitlines()[:-1] == [f"compiling, {seconds} s" for seconds in (0, 10, 20, 30, 45)]
    assert pipe.text.splitlines()[-1] == "reading, 60 s", "what is new is told at once"
    timed = Terminal(tty=False)
    Progress(timed, None, 10.0).show(3, 5.0)
    assert timed.text == "3 trials, 5 s, 5 s left\n"


SYSTEM = """\
id: duo
title: Duo
level: molecule
state: built
tuning_space:
  - {op: matmul, problem: m2048, time_us: 100}
  - {op: fmha, problem: d64-s1024-causal, time_us: 300}
"""


def test_the_name_of_a_system_searches_its_operators(place, capsys):
    """Each for its own budget; nothing is written by a dry run."""
    (place / "laws" / "systems" / "duo.yaml").write_text(SYSTEM)
    before = contents(place)
    assert call("duo", "--hw", "h200", "--backend", "compile", "--use-laws", "--budget", "3", "--dry-run") == 0
    out, err = capsys.readouterr()
    assert out.startswith("duo: 2 operators, predicted times\n")
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["fmha", "matmul"]
    assert "1 of 2: fmha d64-s1024-causal, 75% of the time of all" in err
    assert contents(place) == before
    words = ("duo", "--hw", "h200", "--backend", "compile", "--budget", "1", "--dry-run", "--format", "json")
    assert call(*words) == 0
    assert json.loads(capsys.readouterr().out)["system"] == "duo"


def test_a_system_that_leaves_nothing_open_is_bad_input(place, capsys):
    assert call("sdpa", "--hw", "h200", "--backend", "compile") == 2
    assert "'sdpa' has no tuning_space" in capsys.readouterr().err
