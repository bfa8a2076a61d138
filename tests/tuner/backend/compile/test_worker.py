"""What a worker does with one configuration, and with compilers that fail in every way."""

from __future__ import annotations

import stat
import sys
import textwrap
from types import SimpleNamespace

import msgspec
import pytest

from spak.kg.space.completion import complete
from spak.tuner.backend.compile import worker
from spak.tuner.backend.compile.protocol import Order, Setup
from spak.tuner.backend.compile.toolchain import find_toolchain
from tests.shipped import LAWS

ORDER = Order(problem={}, configuration={})


class Exported:
    """A signature and a kernel as far as a fake front end looks at them."""

    def with_symbol(self, symbol):
        return self


@pytest.fixture
def front_end(monkeypatch):
    """cuTile's front end replaced by one that exports four bytes: these tests are about what runs after it."""
    fake = SimpleNamespace(export_kernel=lambda kernel, signatures, file, **_: file.write(b"code"))
    monkeypatch.setitem(sys.modules, "cuda.tile.compilation", fake)
    job = SimpleNamespace(kernel=object(), signature=Exported(), symbol="k")
    module = SimpleNamespace(SPEC=SimpleNamespace(compile_jobs=lambda problem, configuration: [job]))
    monkeypatch.setitem(sys.modules, "fake_spec", module)


def fake_compiler(folder, body: str, *, time_limit_s: float = 200.0) -> Setup:
    path = folder / "tileiras"
    path.write_text(f"#!{sys.executable}\nimport sys, os, time\n{textwrap.dedent(body)}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Setup(
        spec="fake_spec:SPEC",
        arch="sm_120",
        tileiras=str(path),
        nvdisasm="/nonexistent/nvdisasm",
        time_limit_s=time_limit_s,
        memory_limit_bytes=1 << 40,
    )


FAILURES = {
    "error": (
        "sys.stderr.write('loc(x): error: no such tile\\n'); sys.exit(1)",
        ("compile", "CompilerError", "no such tile", True),
    ),
    "silent": ("sys.stderr.write('plain words'); sys.exit(3)", ("compile", "CompilerError", "plain words", True)),
    "crash": ("os.abort()", ("compile", "CompilerCrash", "signal 6", False)),
    "hang": ("time.sleep(60)", ("timeout", "TimeLimit", "tileiras took more than 1 s", False)),
    "no output": ("pass", ("compile", "FileNotFoundError", "kernel.cubin", True)),
    "damage": ("open(sys.argv[3], 'wb').write(b'nonsense')", ("compile", "CubinError", "not a 64-bit", True)),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_compiler_that_fails_is_a_failed_trial(tmp_path, front_end, case):
    """Whatever the compiler does, the answer is a failure with type and message; only real verdicts are lasting."""
    body, (invalidity, kind, words, lasting) = FAILURES[case]
    limit = {"time_limit_s": 1.0} if case == "hang" else {}  # a busy machine may need long for the others
    result = worker.serve(fake_compiler(tmp_path, body, **limit), ORDER)
    assert (result.invalidity, result.failure.type, result.lasting) == (invalidity, kind, lasting)
    assert words in result.failure.message
    assert result.seconds > 0
    assert result.features == {}


def test_a_compiler_that_finds_the_disk_full_says_nothing_of_the_configuration(tmp_path, front_end):
    """Its message is all there is to tell it by."""
    body = "sys.stderr.write('error: IO failure on output stream: No space left on device'); sys.exit(1)"
    result = worker.serve(fake_compiler(tmp_path, body), ORDER)
    assert (result.failure, result.broken, result.lasting) == (None, "No space left on device", False)


def test_a_compiler_that_is_not_there_is_a_failure(tmp_path, front_end):
    """A missing executable is reported, not raised."""
    setup = msgspec.structs.replace(fake_compiler(tmp_path, "pass"), tileiras=str(tmp_path / "gone"))
    assert worker.serve(setup, ORDER).failure.type == "FileNotFoundError"


@pytest.mark.compiler
def test_both_passes_of_the_gradients_have_features():
    """Split gradients are two functions with products: the second one's features have its name before them."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    tools = find_toolchain()
    setup = Setup(
        spec="spak.kernels.attention.backward.spec:SPEC",
        arch="sm_90",
        tileiras=str(tools.tileiras),
        nvdisasm=str(tools.nvdisasm),
        time_limit_s=60.0,
        memory_limit_bytes=1 << 40,
    )
    op = LAWS.ops["fmha-backward"]
    chosen = {**{name: parameter.default for name, parameter in op.parameters.items()}, "dq_form": "split"}
    problem = complete(op, op.problems["d64-s1024-causal"])
    found = worker.serve(setup, Order(problem=problem, configuration=chosen))
    assert found.failure is None
    for name in ("registers", "threads", "smem_bytes", "loop_tensor_flops", "loop_instructions"):
        assert found.features[name] > 0
        assert found.features[f"queries_kernel.{name}"] > 0
