"""Kernels that lie outside the repository: the shipped examples on the simulator, and what is wrong in a file has a place."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch, on the CPU")
pytest.importorskip("cuda.tile", reason="needs cuTile")
pytest.importorskip("ml_dtypes", reason="needs the simulator")

import spak  # noqa: E402
from spak.kernels.interface import CompileJob, TritonJob  # noqa: E402
from spak.kernels.own.declared import WrongDeclarationError  # noqa: E402
from spak.kernels.own.file import declared_in, names_file  # noqa: E402
from spak.kernels.own.simulated import simulated_error  # noqa: E402

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "own-kernel"
FILES = sorted(path for path in EXAMPLES.glob("*.py") if not path.name.startswith("tilegym_"))
PLAIN = """import spak

mine = spak.kernel(
    "mine",
    spak.KernelSpace({"block": [1, 2]}, {"n": 4}, {"n8": {"n": 8}}),
    arrays=lambda p: {"x": spak.Array("fp32", (p["n"],)), "out": spak.Array("fp32", (p["n"],))},
    launch=spak.Runs(lambda tensors, p, c: tensors["out"].copy_(tensors["x"])),
    check=spak.OutputCheck(lambda inputs, p: inputs["x"], 1e-3),
)
"""


@pytest.fixture
def plain(tmp_path):
    """A file that declares a copy, after each of the changes given."""

    def made(*changes: tuple[str, str]) -> Path:
        text = PLAIN
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    return made


def test_each_example_has_at_most_forty_lines():
    """Of its own: NVIDIA's kernels lie beside two of them, with their header."""
    assert len(FILES) == 4
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 40
    for path in EXAMPLES.glob("tilegym_*.py"):
        assert path.read_text().startswith("# SPDX-FileCopyrightText: Copyright (c) 2025 NVIDIA CORPORATION")


def test_the_page_shows_the_file_that_it_searches():
    page = (EXAMPLES.parents[1] / "your-own-kernel.md").read_text()
    assert f"```python\n{(EXAMPLES / 'softmax.py').read_text()}```\n" in page


@pytest.mark.parametrize("name", ["softmax", "layer_norm"])
def test_the_cutile_examples_are_right_on_the_simulator(name):
    """In their usual configuration, at a size with tails, and each job is what a launch would compile."""
    kernel = declared_in(str(EXAMPLES / f"{name}.py"))
    problem, configuration = kernel.default
    small = {**problem, **kernel.check.small}
    assert simulated_error(kernel, small, configuration) <= kernel.tolerance(small)
    (job,) = kernel.compile_jobs(small, configuration)
    assert isinstance(job, CompileJob)
    assert job.symbol == job.kernel._pyfunc.__name__
    assert EXAMPLES / f"tilegym_{name}.py" in map(Path, kernel.source_files)
    assert EXAMPLES / f"{name}.py" in map(Path, kernel.source_files)


def test_wrong_numbers_and_what_is_not_written_show():
    """A reference over the other axis, and a launch of too few blocks."""
    kernel = declared_in(str(EXAMPLES / "softmax.py"))
    small = {**kernel.default[0], **kernel.check.small}
    wrong = replace(kernel.check, reference=lambda inputs, p: inputs["x"].softmax(dim=0))
    assert simulated_error(replace(kernel, check=wrong), small, kernel.default[1]) > 0.1
    unwritten = replace(kernel, launching=lambda p, c, sms: ())
    assert math.isnan(simulated_error(unwritten, small, kernel.default[1]))


def test_triton_is_described_without_being_compiled():
    pytest.importorskip("triton", reason="needs Triton")
    kernel = declared_in(str(EXAMPLES / "triton_softmax.py"))
    (job,) = kernel.compile_jobs(*kernel.default)
    assert isinstance(job, TritonJob)
    assert (kernel.language, job.symbol, job.options) == ("triton", "softmax_rows", {"num_warps": 4})
    problem, configuration = kernel.default
    with pytest.raises(ValueError, match="triton kernels run on a GPU; there is a simulator of cuTile alone"):
        kernel.launch({}, {name: torch.zeros(1) for name in kernel.outputs}, problem, configuration)
    assert kernel.work(*kernel.default) == ()


def test_a_callable_is_launched_and_held_to_its_reference(plain):
    """What a GPU would do, on the CPU: inputs are as declared, outputs poisoned, libraries timed beside it."""
    path = plain(("1e-3)", '1e-3, libraries={"torch": lambda inputs, p: inputs["x"]})'))
    kernel = declared_in(f"{path}::mine")
    problem, configuration = kernel.default
    assert (kernel.language, kernel.compile_jobs(problem, configuration)) == ("", ())
    inputs = kernel.make_inputs(problem, seed=1, device="cpu")
    assert torch.equal(inputs["x"], kernel.make_inputs(problem, seed=1, device="cpu")["x"])
    assert not torch.equal(inputs["x"], kernel.make_inputs(problem, seed=2, device="cpu")["x"])
    outputs = kernel.make_outputs(problem, device="cpu")
    assert outputs["out"].isnan().all()
    kernel.launch(inputs, outputs, problem, configuration)
    reference = kernel.reference(inputs, problem)["out"]
    assert reference.dtype == torch.float64
    assert torch.equal(outputs["out"].double(), reference)
    assert torch.equal(kernel.baselines(inputs, problem)["torch"](), inputs["x"])


def test_whole_numbers_are_poisoned_too(plain):
    kernel = declared_in(str(plain(('"out": spak.Array("fp32"', '"out": spak.Array("int32"'))))
    made = kernel.make_outputs(kernel.default[0], device="cpu")["out"]
    assert (made == torch.iinfo(torch.int32).max).all()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("1 / 0", "reference: ZeroDivisionError: division by zero"),
        ('inputs["x"][:2]', r"reference: out has the shape \(4,\) \(got \(2,\)\)"),
        ('{"y": inputs["x"]}', "reference: gives y; the outputs are out"),
    ],
)
def test_a_reference_that_fails_or_leaves_something_out_is_the_file_s_error(plain, reference, message):
    path = plain(('lambda inputs, p: inputs["x"]', f"lambda inputs, p: {reference}"))
    kernel = declared_in(str(path))
    problem = kernel.default[0]
    with pytest.raises(WrongDeclarationError, match=message) as raised:
        kernel.reference(kernel.make_inputs(problem, seed=0, device="cpu"), problem)
    assert str(raised.value).startswith(f"{path}:3:1: ")


def test_inputs_of_another_shape_are_refused(plain):
    path = plain(("1e-3)", '1e-3, inputs=lambda p, seed, device: {"x": __import__("torch").zeros(3)})'))
    kernel = declared_in(str(path))
    with pytest.raises(ValueError, match=r"inputs: x: float32 \(4,\) \(got float32 \(3,\)\)"):
        kernel.make_inputs(kernel.default[0], seed=0, device="cpu")
    none = replace(kernel, check=replace(kernel.check, inputs=lambda p, seed, device: {}))
    with pytest.raises(ValueError, match="inputs: x: is not made"):
        none.make_inputs(none.default[0], seed=0, device="cpu")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import spak\n", "import spak\nx = (1,\n", ":2:5: '(' was never closed"),
        ("import spak\n", "import spak\nimport nothing_there\n", ":2:1: ModuleNotFoundError: No module named 'nothing_there'"),
        ("mine = ", "", ": declares no kernel; it says `name = spak.kernel(...)`"),
        ('"block": [1, 2]', '"block": []', ":3:8: block: has the values []"),
        ('{"n": 8}', '{"m": 8}', ":3:8: op 'mine' has no problem parameter 'm'"),
        ('lambda inputs, p: inputs["x"], 1e-3', 'lambda inputs, p: 0, 1e-3, outputs=("y",)', "'y' is none of the arrays x, out"),
        ('{"n8": {"n": 8}}', '{}, flops="n"', "space: give both flops and bytes, or neither"),
        ('{"n8": {"n": 8}}', '{}, flops="m", bytes="n"', "unknown problem parameter 'm'"),
        ('spak.Runs(lambda tensors, p, c: tensors["out"].copy_(tensors["x"]))', "lambda p, c, sms: 1 / 0", ":7:30: ZeroDivisionError"),
        ('spak.Runs(lambda tensors, p, c: tensors["out"].copy_(tensors["x"]))', "lambda p, c, sms: spak.KernelLaunch(print, (1,), ())", "kernel: a function under"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_has_a_place(plain, old, new, message):
    path = plain((old, new))
    with pytest.raises(WrongDeclarationError) as raised:
        declared_in(str(path))
    said = str(raised.value)
    assert said.startswith(str(path))
    assert message in said
    assert "\n" not in said


def test_which_of_several_kernels_is_said(plain):
    path = plain(("mine = ", "other = spak.kernel\nmine = "))
    path.write_text(path.read_text() + PLAIN.replace("mine", "second").removeprefix("import spak\n"))
    with pytest.raises(WrongDeclarationError, match=r"declares 2 kernels; name one of mine.py::mine, mine.py::second"):
        declared_in(str(path))
    assert declared_in(f"{path}::second").op == "second"
    with pytest.raises(WrongDeclarationError, match="no such file"):
        declared_in(str(path.with_name("gone.py")))


def test_a_launch_that_is_none_is_refused():
    kernel = declared_in(str(EXAMPLES / "softmax.py"))
    (launch,) = kernel.launches(*kernel.default)
    with pytest.raises(ValueError, match="grid: one to three numbers"):
        replace(launch, grid=(0,))
    with pytest.raises(ValueError, match="'z' is none of the arrays out, x"):
        replace(launch, arguments=("z",)).job(kernel.arrays(kernel.default[0]))
    with pytest.raises(ValueError, match=r"has 5 parameters \(got 1 arguments\)"):
        replace(launch, arguments=("x",)).job(kernel.arrays(kernel.default[0]))


def test_counts_are_those_of_the_declared_formulas():
    kernel = declared_in(str(EXAMPLES / "softmax.py"))
    (work,) = kernel.work({"rows": 6, "cols": 10}, kernel.default[1])
    assert (work.ctas, work.global_bytes, work.fp32_per_iteration * work.ctas) == (6, 240, 300)


def test_names_of_files_and_signatures():
    """`FILE.py` and `FILE.py::NAME` are files; the public call has the parameters that the page shows."""
    assert [names_file(name) for name in ("a.py", "./b/a.py::x", "fmha", "a.b:c", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert list(inspect.signature(spak.kernel).parameters) == ["name", "space", "arrays", "launch", "check"]
