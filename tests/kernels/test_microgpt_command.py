"""`python -m spak.kernels.microgpt train`: progress, checkpoints, samples, and one line for what is wrong."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spak.kernels.microgpt import checkpoint, download
from spak.kernels.microgpt.checkpoint import TrainingState
from spak.kernels.microgpt.command import is_resident, main, place_and_plan
from spak.kernels.microgpt.data import SMALL
from spak.kernels.microgpt.model import Model
from spak.kernels.microgpt.resident_engine import RESIDENT_CONFIGURATION
from spak.kg.space.completion import completed
from spak.kg.space.space import build
from tests.shipped import LAWS

pytest.importorskip("torch", reason="needs torch, on the CPU")

OP = LAWS.ops["microgpt"]
TINY = ("--width", "8", "--heads", "2", "--context", "6", "--samples", "2", "--device", "cpu", "--plan", "torch")


@pytest.fixture
def names(tmp_path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text(SMALL.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def train(names, *options: str) -> int:
    return main(["train", "--data", str(names), *TINY, *map(str, options)])


def test_it_says_what_trains_reports_losses_and_prints_samples(names, capsys):
    """Samples are data, on stdout; all else is for people."""
    assert train(names, "--steps", "5", "--every", "2") == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2
    assert set(shown.out) <= set(SMALL.read_text(encoding="utf-8"))
    lines = shown.err.splitlines()
    assert lines[0].endswith("40 documents: torch in float64 on the CPU")
    assert [line.split("  ")[0] for line in lines[1:]] == ["step 2 / 5", "step 4 / 5", "step 5 / 5"]


def test_a_run_that_is_resumed_ends_bitwise_where_an_uninterrupted_one_does(names, tmp_path, capsys, monkeypatch):
    """Parameters, moments and losses, after a stop between two checkpoints; the samples, too."""
    assert train(names, "--steps", "7", "--every", "3", "--checkpoint", tmp_path / "whole") == 0
    whole = capsys.readouterr().out

    with monkeypatch.context() as patch:
        patch.setattr("spak.kernels.microgpt.command.report_losses", interrupted_after(3))
        assert train(names, "--steps", "7", "--every", "3", "--checkpoint", tmp_path / "parts") == 130
    with np.load(tmp_path / "parts") as found:
        assert int(found["steps"]) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert train(names, "--steps", "7", "--every", "2", "--checkpoint", tmp_path / "parts") == 0
    shown = capsys.readouterr()
    assert "going on after step 3" in shown.err
    assert shown.out == whole
    with np.load(tmp_path / "whole") as one, np.load(tmp_path / "parts") as other:
        assert all(np.array_equal(one[name], other[name]) for name in ("parameters", "moments", "losses", "steps"))


@pytest.mark.parametrize("plan", ["resident", "sequence", "layered"])
def test_kernels_on_the_simulator_resume_bitwise_and_follow_the_reference(names, tmp_path, capsys, plan):
    """Between two launches all that a run is lies in what the checkpoint has."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")

    def kernels(file: str, every: int) -> int:
        return train(names, "--plan", plan, "--steps", "4", "--every", every, "--checkpoint", tmp_path / file)

    assert kernels("whole", 2) == 0
    whole = capsys.readouterr()
    assert f"cuTile kernels on the CPU simulator, which is slow: plan {plan}" in whole.err
    with np.load(tmp_path / "whole") as found:
        assert found["parameters"].dtype == np.float32
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spak.kernels.microgpt.command.report_losses", interrupted_after(2))
        assert kernels("parts", 2) == 130
    if plan == "resident":
        assert kernels("parts", 3) == 2
        assert "every: the checkpoint has 2 steps, which is no multiple (got 3)" in capsys.readouterr().err
    assert kernels("parts", 2) == 0
    assert capsys.readouterr().out == whole.out
    with np.load(tmp_path / "whole") as one, np.load(tmp_path / "parts") as other:
        assert all(np.array_equal(one[name], other[name]) for name in ("parameters", "moments", "losses"))
        assert train(names, "--steps", "4", "--checkpoint", tmp_path / "torch") == 0
        with np.load(tmp_path / "torch") as exact:
            np.testing.assert_allclose(one["losses"], exact["losses"], atol=1e-5)


def interrupted_after(steps: int):
    """What stands for a report, and is interrupted from the checkpoint after `steps` on."""

    def stop(state, before, total):
        if state.steps > steps:
            raise KeyboardInterrupt

    return stop


def test_the_order_of_the_data_and_the_samples_depend_on_the_seed(names, capsys):
    train(names, "--steps", "1")
    first = capsys.readouterr()
    train(names, "--steps", "1", "--seed", "43")
    other = capsys.readouterr()
    assert first.out != other.out
    assert first.err != other.err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--steps", "0"), "error: argument --steps: must be at least 1 (got 0)"),
        (("--steps", "many"), "error: argument --steps: invalid whole number value: 'many'"),
        (("--heads", "3"), "error: heads: must divide width (got 3 heads, width 8)"),
        (("--temperature", "0"), "error: temperature: must be above 0 (got 0.0)"),
        (("--temperature", "nan"), "error: temperature: must be above 0 (got nan)"),
        (("--samples", "-1"), "error: samples: must be at least 0 (got -1)"),
        (
            ("--plan", "resident", "--context", "64"),
            "error: plan: resident holds at most 512 as layers * width^2 and 32 of",
        ),
        (("--plan", "other"), "error: argument --plan: invalid choice"),
        (("--device", "cuda"), "error: "),
        (("--checkpoint", "no-such-folder/run"), "error: checkpoint: no folder no-such-folder"),
        (("--no-such-option",), "error: unrecognized arguments: --no-such-option"),
    ],
)
def test_a_bad_option_is_one_line(names, capsys, options, line):
    """And exit code 2, whoever notices it."""
    try:
        code = train(names, *options)
    except SystemExit as stop:
        code = stop.code
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert shown.err.startswith(line)
    assert shown.err.count("\n") == 1


def test_without_torch_it_says_what_to_install(names, capsys, monkeypatch):
    """An installation without extras has no torch."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert train(names, "--steps", "1") == 2
    assert capsys.readouterr().err == (
        "error: torch is not installed, and training needs it: pip install 'spak[gpu,sim]'\n"
    )


@pytest.mark.parametrize(
    ("content", "line"), [(None, "No such file"), (b"\n  \n", "data: no document"), (b"\xff\xfe", "is not UTF-8 text")]
)
def test_bad_data_is_one_line(tmp_path, capsys, content, line):
    path = tmp_path / "data"
    if content is not None:
        path.write_bytes(content)
    assert train(path) == 2
    shown = capsys.readouterr()
    assert line in shown.err
    assert shown.err.count("\n") == 1


def test_a_checkpoint_of_another_run_is_refused_and_kept(names, tmp_path, capsys):
    """It says what differs."""
    file = tmp_path / "run"
    assert train(names, "--steps", "2", "--checkpoint", file) == 0
    before = file.read_bytes()
    capsys.readouterr()
    assert train(names, "--steps", "3", "--seed", "1", "--checkpoint", file) == 2
    assert "is of another run (steps 2, not 3; seed 42, not 1" in capsys.readouterr().err
    assert file.read_bytes() == before
    names.write_text("other\n", encoding="utf-8")
    assert train(names, "--steps", "2", "--checkpoint", file) == 2


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_checkpoint_is_named(names, tmp_path, capsys, content):
    """Empty, of another format, and an archive with nothing in it."""
    file = tmp_path / "run"
    file.write_bytes(content)
    assert train(names, "--checkpoint", file) == 2
    assert f"checkpoint: {file} is not one" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    """A full disk, a kill: there is never half a file under its name, and nothing beside it."""
    state = TrainingState(1, np.ones(2), np.ones((2, 2)), np.ones(1))
    checkpoint.save_checkpoint(tmp_path / "run", state, {"seed": 1})
    before = (tmp_path / "run").read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save_checkpoint(tmp_path / "run", state, {"seed": 1})
    assert (tmp_path / "run").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_disk_that_is_full_ends_in_one_line(names, tmp_path, capsys, monkeypatch):
    def full(path, state, run):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("spak.kernels.microgpt.command.save_checkpoint", full)
    assert train(names, "--steps", "1", "--checkpoint", tmp_path / "run") == 2
    assert capsys.readouterr().err.endswith(f"error: {tmp_path / 'run'}: No space left on device\n")


def test_a_download_is_written_only_with_its_checksum(tmp_path, monkeypatch):
    """What came is another file: nothing is written."""
    path = tmp_path / "names.txt"
    with pytest.raises(ValueError, match="nothing was written"):
        download.download(path, lambda url: b"other")
    assert not path.exists()
    monkeypatch.setattr(download, "NAMES_SHA256", sha256(b"emma\n").hexdigest())
    download.download(path, lambda url: b"emma\n")
    assert path.read_bytes() == b"emma\n"
    assert list(tmp_path.iterdir()) == [path]


def test_it_runs_as_a_module():
    """The one place where it meets a process."""
    asked = [sys.executable, "-m", "spak.kernels.microgpt", "train", "--help"]
    result = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert "--checkpoint" in result.stdout


@given(
    width=st.sampled_from([4, 8, 12, 16, 24, 32]),
    layers=st.integers(1, 4),
    heads=st.sampled_from([1, 2, 4, 6]),
    context=st.sampled_from([4, 32, 33]),
)
def test_the_plan_of_one_cta_is_offered_where_the_op_has_it(width, layers, heads, context):
    """The op's conditions on the configuration that the command trains by, not a size more or less."""
    assume(width % heads == 0)
    model = Model(27, width, layers, heads, context)
    space = build(OP, {**vars(model), "batch": 1, "steps": 1})
    assert is_resident(model) == (space.index(completed(OP, RESIDENT_CONFIGURATION)) is not None)


@pytest.mark.parametrize(("batch", "plan"), [(1, "resident"), (8, "sequence")])
def test_a_gpu_trains_by_the_plan_that_was_faster_with_so_many_documents(monkeypatch, batch, plan):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert place_and_plan("auto", None, Model(), batch) == ("cuda", plan)
