"""Compiling ahead with the real compiler: shared work, failures as data."""

import multiprocessing
import subprocess
import sys

import pytest

from spak.tuner.backend.gpu.ahead import AheadCompiler, CubinTarget
from spak.tuner.backend.gpu.cubins import CubinStore
from tests.tuner.backend.compile import broken

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
    kept = {path: path.stat().st_mtime_ns for path in compiler.folder.rglob("*")}
    assert compiler.start({"n": 1 << 20}, good).result().keys == (key,)
    assert {path: path.stat().st_mtime_ns for path in compiler.folder.rglob("*")} == kept, "it was in the store"
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


def test_what_still_compiles_when_a_search_ends_is_given_up(tmp_path):
    """One that hangs, and those that wait behind it: closing does not wait for them, and leaves no process."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    before = set(multiprocessing.active_children())
    compiler = AheadCompiler(CubinTarget(f"{broken.__name__}:SPEC", "sm_90", tmp_path, "source"), workers=1)
    refused = compiler.start({}, {"do": "refuse"})
    hanging = [compiler.start({"n": n}, {"do": "hang"}) for n in range(4)]
    assert refused.result().failure.type == "ValueError"
    compiler.close()
    compiler.close()
    assert not any(future.done() and future.exception() is None for future in hanging if not future.cancelled())
    assert set(multiprocessing.active_children()) <= before


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
