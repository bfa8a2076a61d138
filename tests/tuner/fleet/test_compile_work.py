"""What a member that compiles does with an order, asked in this process: send what a GPU needs, refuse strangers."""

from __future__ import annotations

import msgspec
import pytest

from spak.kg.model.hardware import hardware_facts
from spak.kg.space.completion import complete, completed
from spak.tuner.backend.gpu.cubins import CubinStore
from spak.tuner.backend.source import source_of
from spak.tuner.fleet.executor import RefusedError
from spak.tuner.fleet.orders import CompiledCubins, CompileOrder, KernelIdentity, decoded, digest_of, encoded
from spak.tuner.fleet.workbench import Workplace
from spak.tuner.fleet.works import CompileWork, keep_code
from tests.shipped import LAWS

OP = "rmsnorm"
ORDER = CompileOrder(
    kernel=KernelIdentity(op=OP, arch="sm_90", source_sha256=source_of(OP)),
    problem=complete(LAWS.ops[OP], {}),
    configuration=completed(LAWS.ops[OP], {}),
    facts={name.removeprefix("hw."): value for name, value in hardware_facts(LAWS, "h200").items()},
)


@pytest.fixture
def work(tmp_path):
    made = CompileWork(Workplace("w", tmp_path / "cache"))
    yield made
    made.close()


def done(work: CompileWork, **change) -> CompiledCubins:
    return decoded(work.perform(encoded(msgspec.structs.replace(ORDER, **change))), CompiledCubins)


@pytest.mark.compiler
def test_what_is_compiled_comes_back_the_same_and_a_gpus_host_can_keep_it(work, tmp_path):
    work.prepare()
    first, second = done(work), done(work)
    assert (first.failure, first.invalidity) == (None, "correct")
    assert first.features["registers"] > 0
    assert {digest_of(blob) for blob in first.blobs.values()} == {one.digest for one in first.cubins} != set()
    assert (second.cubins, second.blobs) == (first.cubins, first.blobs)
    store = CubinStore(tmp_path / "gpu")
    assert keep_code(store, first.cubins, {}) == tuple(one.digest for one in first.cubins)
    assert keep_code(store, first.cubins, first.blobs) == ()


@pytest.mark.compiler
def test_what_does_not_compile_is_an_answer_and_another_compiler_or_kernel_a_refusal(work):
    failed = done(work, configuration={**ORDER.configuration, "tile_m": 3})
    assert failed.invalidity == "compile"
    assert failed.failure is not None
    assert failed.cubins == ()
    with pytest.raises(RefusedError, match=r"it compiles with .*, the search with .*1\.0"):
        done(work, kernel=msgspec.structs.replace(ORDER.kernel, arch="sm_80"), toolchain={"tileiras": "1.0"})
    with pytest.raises(RefusedError, match="install the same spak on both"):
        done(work, kernel=msgspec.structs.replace(ORDER.kernel, source_sha256="0" * 64))
