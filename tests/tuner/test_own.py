"""A search of a kernel that lies outside the repository: by its file, or as an installed package names it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spak.kg import checks
from spak.kg.errors import InvalidFilesError
from spak.kg.files.loader import load
from spak.kg.model.run import Device
from spak.library import load as load_library
from spak.tuner.backend.registry import BACKENDS, Task
from spak.tuner.engine import own
from spak.tuner.errors import TunerError
from spak.tuner.search import SearchRequest, outside_name, search
from spak.verbs import here
from tests.tuner.searching import Formula

FILE = """import spak

mine = spak.kernel(
    "mine",
    spak.KernelSpace({"block": [16, 32, 64], "stages": [1, 2]}, {"n": 4}, {"n8": {"n": 8}, "n9": {"n": 9}}, tiles=["block"]),
    arrays=lambda p: {"x": spak.Array("fp32", (p["n"],)), "out": spak.Array("fp32", (p["n"],))},
    launch=spak.Runs(print),
    check=spak.OutputCheck(lambda inputs, p: inputs["x"], 1e-3),
)
"""
REQUEST = SearchRequest(hw="h200", backend="compile", trials=6, confirm=0.0, write="laws")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "work" / "mine.py"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


class Card(Formula):
    """A backend on a GPU that the laws know."""

    def provenance(self):
        return replace(super().provenance(), device=Device(name="NVIDIA H200"), toolchain={"tileiras": "13.4.92"})


@pytest.fixture(autouse=True)
def compiled_nowhere(monkeypatch):
    """Features that no formula here has are not asked for."""
    monkeypatch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)


def surroundings(file, tmp_path, said=None):
    """This machine, with a backend that answers from a formula."""
    library = load_library(kernel=str(file))
    made = here(library, cache=tmp_path / "cache", local=tmp_path / "local")
    backend = Card(time=lambda c: 1.0 + c["block"] * c["stages"])
    return replace(made, open=lambda entry, task: backend, say=(said or []).append)


def test_a_file_is_searched_and_what_comes_of_it_lies_beside_it(file, tmp_path):
    """Its op, its run and its laws, over the packaged laws; the packaged ones are as they were."""
    around = surroundings(file, tmp_path)
    assert not (file.parent / "laws").exists()
    found = search(replace(REQUEST, kernel=str(file)), around)
    assert found.run.kernel.name == "mine"
    assert found.run_file.parent == file.parent / "laws" / "evidence"
    assert f"tune {file}" in found.run.reproduce
    root = file.parent / "laws"
    assert (root / "root.yaml").read_text().startswith("over: packaged")
    laws = load(root)
    assert laws.ops["mine"].declared_in == "mine.py"
    assert laws.ops["mine"].parameters["block"].role == "tile"
    assert laws.run(found.run.id).trials == found.run.trials
    assert {path.name for path in (root / "ops").iterdir()} == {"mine.yaml"}
    assert "fmha" in laws.ops
    assert [problem for problem in checks.run_checks(laws) if problem.severity != "note"] == []
    again = load_library(kernel=str(file))
    assert (again.root, again.over) == (root, "")
    assert again.query(hw="h200", op="mine").hits == ()


def test_the_hash_is_of_the_file_and_of_what_lies_beside_it(file, tmp_path):
    first = search(replace(REQUEST, kernel=str(file), write="nothing"), surroundings(file, tmp_path)).run
    file.write_text(FILE + "\n# changed\n")
    second = search(replace(REQUEST, kernel=str(file), write="nothing"), surroundings(file, tmp_path)).run
    assert first.kernel.source_sha256 != second.kernel.source_sha256
    assert not (file.parent / "laws").exists()


def test_a_file_that_has_changed_its_space_rewrites_its_op(file, tmp_path):
    """The file owns the space, unless a law says what it no longer has: then that is told, and nothing is written."""
    search(replace(REQUEST, kernel=str(file)), surroundings(file, tmp_path))
    file.write_text(FILE.replace("[16, 32, 64]", "[16, 32, 128]"))
    search(replace(REQUEST, kernel=str(file)), surroundings(file, tmp_path))
    root = file.parent / "laws"
    assert load(root).ops["mine"].parameters["block"].values == (16, 32, 128)
    law = root / "sm_90" / "mine" / "big.yaml"
    law.parent.mkdir(parents=True)
    law.write_text(
        "id: big\ntitle: Big\nkind: negative\nscope: {hw: sm_90, op: mine}\n"
        "claim:\n  avoid: stages == 2\n  because: register-spill\n  effect: {spill_bytes: {at_least: 1}}\nstatus: proposed\n"
    )
    file.write_text(FILE.replace("stages", "steps"))
    with pytest.raises(InvalidFilesError, match=r"big.yaml:6:\d+: .*stages"):
        search(replace(REQUEST, kernel=str(file)), surroundings(file, tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"mine",', '"fmha",', "fmha is the name of an op of"),
        ('"mine",', '"layernorm",', "layernorm is the name of an op of"),
        ("tiles=", 'is_a=["nothing"], tiles=', "is_a: no op 'nothing'"),
        ("spak.kernel(\n", "print(\n", "mine.py:3:8: TypeError"),
    ],
)
def test_what_contradicts_the_law_root_is_the_file_s_error(file, tmp_path, old, new, message):
    file.write_text(FILE.replace(old, new))
    with pytest.raises(TunerError, match=message) as raised:
        search(replace(REQUEST, kernel=str(file)), surroundings(file, tmp_path))
    assert str(raised.value).startswith(f"{file}:3:")


def test_two_files_do_not_share_an_op(file, tmp_path):
    search(replace(REQUEST, kernel=str(file)), surroundings(file, tmp_path))
    other = file.with_name("other.py")
    other.write_text(FILE)
    with pytest.raises(TunerError, match=r"mine is declared in mine\.py already"):
        search(replace(REQUEST, kernel=str(other)), surroundings(other, tmp_path))
    with pytest.raises(TunerError, match=r"kernel 'mine' is declared in mine\.py; name that: tune mine\.py"):
        search(replace(REQUEST, kernel="mine"), surroundings(other, tmp_path))


def test_a_callable_is_not_compiled(file, tmp_path):
    """One line that says what can be done; the backend is the real one."""
    said: list[str] = []
    around = replace(surroundings(file, tmp_path, said), open=lambda entry, task: entry.open(task))
    with pytest.raises(TunerError, match="mine: a callable launches it, so nothing can be compiled here; run tune"):
        search(replace(REQUEST, kernel=str(file)), around)
    assert said == []


def test_a_resumed_search_names_its_kernel(file, tmp_path):
    """So that its laws are found again; a kernel of the repository, and a system, are none from outside."""
    found = search(replace(REQUEST, kernel=str(file)), surroundings(file, tmp_path))
    assert outside_name("", tmp_path / "local", found.run.id) == str(file)
    assert outside_name(str(file), tmp_path) == str(file)
    assert [outside_name(name, tmp_path) for name in ("fmha", "", "microgpt")] == ["", "", ""]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed distribution with a kernel, and one more entry for each of the given names."""

    def made(*entries: str, name: str = "theirs") -> Path:
        folder = tmp_path / name
        (folder / f"{name}-1.0.dist-info").mkdir(parents=True)
        (folder / f"{name}_kernels.py").write_text(FILE.replace('"mine"', '"theirs"'))
        (folder / f"{name}-1.0.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        text = "\n".join(("[spak.kernels]", *entries))
        (folder / f"{name}-1.0.dist-info" / "entry_points.txt").write_text(text + "\n")
        monkeypatch.syspath_prepend(str(folder))
        return folder

    yield made
    for name in [one for one in sys.modules if one.endswith("_kernels")]:
        del sys.modules[name]


def test_an_installed_package_brings_a_kernel(installed, tmp_path, monkeypatch):
    """Its laws go to where the person stands."""
    installed("theirs = theirs_kernels:mine", "gone = theirs_kernels:gone", "odd = theirs_kernels:spak")
    monkeypatch.chdir(tmp_path)
    around = surroundings("theirs", tmp_path)
    found = search(replace(REQUEST, kernel="theirs"), around)
    assert found.run.op == "theirs"
    assert load(tmp_path / "laws").ops["theirs"].declared_in == "theirs_kernels:mine"
    with pytest.raises(TunerError, match="gone: the installed package names theirs_kernels:gone, which cannot be had"):
        search(replace(REQUEST, kernel="gone"), around)
    with pytest.raises(TunerError, match=r"odd: theirs_kernels:spak is no kernel made by spak\.kernel"):
        search(replace(REQUEST, kernel="odd"), around)
    installed("theirs = theirs_kernels:mine", name="others")
    with pytest.raises(TunerError, match="2 installed packages declare a kernel of that name: others, theirs"):
        own.place_outside("theirs")


def test_an_entry_point_does_not_replace_a_kernel_of_ours(installed):
    """`tune fmha` is the one of this repository, whatever is installed."""
    installed("fmha = theirs_kernels:mine")
    assert own.place_outside("fmha") == ""


def test_a_task_for_the_workers_names_the_file(file, tmp_path):
    """They load it by its path."""
    tasks: list[Task] = []
    around = surroundings(file, tmp_path)
    search(replace(REQUEST, kernel=str(file)), replace(around, open=lambda e, t: tasks.append(t) or around.open(e, t)))
    assert tasks[0].own == str(file)
    assert BACKENDS["compile"].tier == "compiled"
