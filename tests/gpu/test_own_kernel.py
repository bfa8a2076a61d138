"""Kernels that lie outside the repository, on a GPU: each example searched end to end, and what is wrong in a file told as its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch")
import spak  # noqa: E402

pytestmark = pytest.mark.gpu
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "own-kernel"
SIZES = {"softmax": "cols=3000", "layer_norm": "cols=768", "triton_softmax": "cols=3000", "cuda_saxpy": "n=1000003"}


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "mine")
    return tmp_path / "mine"


def searched(path: Path, tmp_path: Path, problem: str):
    library = spak.load(kernel=str(path))
    around = spak.here(library, cache=tmp_path / "cache", local=tmp_path / "local")
    request = spak.SearchRequest(kernel=str(path), backend="gpu", problem=problem, trials=4, confirm=0.0, write="laws")
    return spak.search(request, around)


@pytest.mark.parametrize("name", SIZES)
def test_an_example_is_searched_end_to_end(folder, tmp_path, name):
    """Measured, right, and kept beside the file; what a compiler made is known of all but the callable."""
    if name == "triton_softmax":
        pytest.importorskip("triton", reason="needs Triton")
    found = searched(folder / f"{name}.py", tmp_path, SIZES[name])
    assert found.run.tier == "measured"
    assert [trial.failure for trial in found.run.trials if trial.invalidity != "correct"] == []
    assert all(trial.value("time") > 0 for trial in found.run.trials)
    known = [trial.value("registers") is not None for trial in found.run.trials]
    assert known == [name != "cuda_saxpy"] * len(known)
    assert found.run_file.is_relative_to(folder / "laws")
    assert spak.load(folder / "laws").laws.run(found.run.id).trials == found.run.trials


def test_a_launch_that_fails_or_writes_nothing_is_a_trial(folder, tmp_path):
    """With its message; the search goes on."""
    path = folder / "cuda_saxpy.py"
    text = path.read_text()
    path.write_text(
        text.replace(
            "    blocks = ",
            '    if c["each"] == 2: raise RuntimeError("no twos")\n    if c["each"] == 4: return\n    blocks = ',
        )
    )
    library = spak.load(kernel=str(path))
    around = spak.here(library, cache=tmp_path / "cache", local=tmp_path / "local")
    request = spak.SearchRequest(kernel=str(path), backend="gpu", problem="n=100003", trials=16, confirm=0.0)
    trials = spak.search(request, around).run.trials
    told = {(t.configuration["each"], t.invalidity) for t in trials}
    assert told == {(1, "correct"), (2, "runtime"), (4, "correctness"), (8, "correct")}
    assert {t.failure.message for t in trials if t.invalidity == "runtime"} == {"no twos"}
    assert all("NaN" in t.failure.message for t in trials if t.invalidity == "correctness")


def test_a_reference_that_fails_is_the_file_s_error(folder, tmp_path):
    """One line with its place, not a message about the GPU."""
    path = folder / "cuda_saxpy.py"
    path.write_text(path.read_text().replace('2.5 * inputs["x"]', '1 / 0 * inputs["x"]'))
    with pytest.raises(spak.TunerError, match=r"cuda_saxpy.py:\d+:1: reference: ZeroDivisionError"):
        searched(path, tmp_path, "n=1000")


def test_a_wrong_kernel_never_gets_a_time(folder, tmp_path):
    path = folder / "softmax.py"
    path.write_text(path.read_text().replace("softmax(dim=1), tolerance", "softmax(dim=0), tolerance"))
    found = searched(path, tmp_path, "cols=1000")
    assert {trial.invalidity for trial in found.run.trials} == {"correctness"}
    assert all(trial.value("time") is None for trial in found.run.trials)
    assert found.report.ranked == ()
