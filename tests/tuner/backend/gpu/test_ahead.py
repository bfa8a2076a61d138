"""Compiling ahead with the real compiler: shared work, failures as data."""

import subprocess
import sys

import pytest

from spak.tuner.backend.gpu.ahead import AheadCompiler, CubinTarget
from spak.tuner.backend.gpu.cubins import CubinStore

pytestmark = pytest.mark.compiler
SPEC = "tests.tuner.backend.gpu.scale_spec:SPEC"


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    folder = tmp_path_factory.mktemp("cubins")
    compiler = AheadCompiler(CubinTarget(SPEC, "sm_90", folder, "source"), workers=1)
    compiler.folder = folder
    yield compiler
    compiler.close()
    compiler.close()


def test_the_same_code_is_compiled_once_for_all_sizes(compiler):
    good = {"tile": 256, "kind": "good"}
    first = compiler.start({"n": 1 << 16}, good)
    assert compiler.start({"n": 1 << 16}, good) is first
    [key] = first.result().keys
    other = compiler.start({"n": 1 << 20}, good).result()
    assert other.keys == (key,)
    assert other.milliseconds < first.result().milliseconds, "it was in the store"
    assert CubinStore(compiler.folder).get(key).symbol == "scale"
    assert first.result().milliseconds > 0


@pytest.mark.parametrize(("kind", "type_"), [("refused", "ValueError"), ("uncompilable", "TypeCheckingError")])
def test_what_does_not_compile_is_a_failure_with_its_message(compiler, kind, type_):
    compiled = compiler.start({"n": 1 << 16}, {"tile": 256, "kind": kind}).result()
    assert compiled.failure.type == type_
    assert compiled.failure.message
    assert compiled.keys == ()


def test_the_toolchain_names_both_compilers(compiler):
    assert compiler.toolchain["tileiras"].startswith("13.")
    assert compiler.toolchain["cuda-tile"].startswith("1.7")


UNGUARDED = """
from pathlib import Path
from spak.tuner.backend.gpu.ahead import AheadCompiler, CubinTarget, awaited
from spak.tuner.errors import TunerError

compiler = AheadCompiler(CubinTarget("nowhere:SPEC", "sm_90", Path("cubins"), "source"), workers=1)
first = compiler.start({}, {})
for ask in (lambda: awaited(first), lambda: compiler.start({}, {"tile": 1})):
    try:
        ask()
    except TunerError as error:
        print(error)
"""


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path):
    """Both by the request under way and by the next one; each process that imports the script ends at once."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    ran = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.count('if __name__ == "__main__":') == 2, ran.stderr
