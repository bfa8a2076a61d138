"""Compiling ahead with the real compiler: shared work, failures as data."""

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
