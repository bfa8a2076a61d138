"""`spak.launch`: the line that `tune` ends with launches the kernel with that configuration, and says what is wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="kernels need torch (pip install 'spak[gpu]')")
pytest.importorskip("cuda.tile", reason="the simulator needs cuda-tile (pip install 'spak[sim]')")

import spak  # noqa: E402
from spak.kernels.cutile import DTYPES  # noqa: E402
from spak.kernels.registry import SPECS, resolve_spec  # noqa: E402
from spak.kernels.registry import spec as spec_of  # noqa: E402
from spak.kg.expression.assignment import parse_assignments  # noqa: E402
from spak.kg.space.completion import complete  # noqa: E402
from spak.tuner.engine.session import ask  # noqa: E402
from spak.tuner.engine.summary import launch_text  # noqa: E402
from tests import shipped  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "own-kernel" / "softmax.py"
SMALL = "m=64,n=72,k=40"


@pytest.fixture(scope="module")
def library():
    return shipped.library()


def error(found, wanted) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("problem", ["m=64,n=72,k=40", "m=64,n=72,k=40,dtype=fp16,batch=2"])
def test_the_line_of_a_search_launches_what_it_found(library, problem, monkeypatch):
    """Pasted below `best = {...}`, with nothing else before it."""
    monkeypatch.chdir(Path(__file__).parents[2])
    task = ask(library.laws, "matmul", "h200", problem)
    names: dict[str, object] = {"best": {"tile_m": 64, "tile_n": 64, "tile_k": 32}}
    exec(launch_text(task), names)  # noqa: S102 - what a person would paste
    ran = names["ran"]
    product = ran.inputs["a"].double() @ ran.inputs["b"].double()
    assert error(ran.outputs["out"], product) < 8e-3


def test_a_named_size_is_called_by_its_name_and_a_long_one_fits_the_screen(library):
    assert launch_text(ask(library.laws, "matmul", "h200", "m2048")) == (
        'import spak; ran = spak.launch("matmul", best, "m2048")'
    )
    problem = "batch=2,heads=3,kv_heads=3,seq_q=77,seq_kv=770,head_dim=32,causal=false,dtype=bf16,inputs=sink"
    task = ask(library.laws, "fmha", "h200", problem)
    lines = launch_text(task).splitlines()
    assert max(map(len, lines)) <= 80
    asked = []
    told = SimpleNamespace(launch=lambda *arguments: asked.append(arguments))
    exec("\n".join(lines).replace("import spak; ", ""), {"best": {}, "spak": told})  # noqa: S102 - as above
    ((kernel, _, size),) = asked
    assert kernel == "fmha"
    assert complete(task.op, parse_assignments(size, what="size")) == task.problem


def test_arrays_of_ones_own_are_taken_as_they_are(library):
    a = torch.randn(1, 64, 40).to(torch.bfloat16)
    b = torch.randn(1, 40, 72).to(torch.bfloat16)
    ran = spak.launch("matmul", {"tile_m": 64, "tile_n": 64}, SMALL, {"a": a, "b": b}, laws=library)
    assert ran.inputs["a"] is a
    assert error(ran.outputs["out"], a.double() @ b.double()) < 8e-3


def test_a_kernel_of_ones_own_is_launched_from_its_file_without_any_laws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kernel in (str(EXAMPLE), resolve_spec(str(EXAMPLE))):
        ran = spak.launch(kernel, {"occupancy": 2}, "rows=5,cols=200")
        assert error(ran.outputs["out"], ran.inputs["x"].double().softmax(dim=1)) < 2e-3


@pytest.mark.parametrize("op", SPECS)
def test_every_kernel_here_takes_the_arrays_that_it_says_it_is_given(library, op):
    """And names the first that lacks."""
    spec, problem = spec_of(op), complete(library.op(op), {})
    declared = {name: array for name, array in spec.arrays(problem).items() if name not in spec.written(problem)}
    given = {
        name: torch.empty(array.shape, dtype=getattr(torch, DTYPES[array.dtype]), device="meta")
        for name, array in declared.items()
    }
    assert vars(spec.given_inputs(given, problem)) == given
    first = next(iter(given))
    with pytest.raises(ValueError, match=f"^{first}: is missing; the inputs are {first} "):
        spec.given_inputs({}, problem)


@pytest.mark.parametrize(
    ("kernel", "configuration", "problem", "arrays", "words"),
    [
        ("matmull", {}, "", {}, "unknown op 'matmull'; nearest: matmul"),
        ("mlp", {}, "", {}, "there is no kernel of mlp here"),
        ("no-such.py", {}, "", {}, "no such file"),
        ("matmul", {"tile_q": 64}, "", {}, "unknown parameter 'tile_q'"),
        ("matmul", {"tile_m": 63}, "", {}, "tile_m=63: tile_m of op 'matmul' is one of"),
        ("matmul", {}, "m2047", {}, "unknown problem size 'm2047'; nearest: m2048"),
        ("matmul", {}, {"m": 64, "rows": 3}, {}, "no problem parameter 'rows'"),
        ("matmul", {}, SMALL, {"a": 1, "c": 2}, "c: no input; the inputs are a \\(bfloat16 \\(1, 64, 40\\)\\), b"),
        ("matmul", {}, SMALL, {"a": torch.zeros(3), "b": torch.zeros(3)}, "a: bfloat16 \\(1, 64, 40\\) \\(got float32"),
        ("fmha", {"running_max": True, "catch_up": 8}, "", {}, "configuration: "),
    ],
)
def test_bad_input_is_named(library, kernel, configuration, problem, arrays, words):
    with pytest.raises((spak.KgError, ValueError), match=words):
        spak.launch(kernel, configuration, problem, arrays, laws=library)
