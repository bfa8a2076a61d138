"""The parts put together: features of what was compiled, hashes that do not depend on the machine, no early process."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from spak.kernels.registry import spec
from spak.tuner.backend.gpu.ahead import CompiledFunctions
from spak.tuner.backend.gpu.backend import TimingMethod
from spak.tuner.backend.gpu.cubins import Cubin, CubinStore, compile_into
from spak.tuner.backend.gpu.open import PREDICTING, Inspector, hot_loop, open_gpu, target_of
from spak.tuner.backend.source import source_of

H200 = {
    "max_warps_per_sm": 64,
    "max_ctas_per_sm": 32,
    "registers_per_sm": 65536,
    "register_allocation_unit": 256,
    "smem_per_sm": 233472,
    "max_smem_per_cta": 232448,
    "smem_reserved_per_cta": 1024,
}


@pytest.mark.compiler
def test_features_are_those_of_the_cubin_that_is_launched(tmp_path):
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    from tests.tuner.backend.gpu.scale_spec import SPEC

    [job] = SPEC.compile_jobs({"n": 1 << 16}, {"tile": 256, "kind": "good"})
    key, _ = compile_into(CubinStore(tmp_path), job, "sm_90", "source")
    features = Inspector(tmp_path, H200)(CompiledFunctions((key,)))
    loop = {name for name in features if name.startswith("loop_")}
    assert set(features) - loop == {"registers", "smem_bytes", "threads", "spill_bytes", "ctas_per_sm"}
    assert loop == set(PREDICTING)
    assert features["loop_instructions"] > 0
    assert 0 < features["registers"] <= 255
    assert features["threads"] == 128
    assert features["spill_bytes"] == 0
    assert features["ctas_per_sm"] >= 1


@pytest.mark.compiler
def test_a_second_function_with_products_has_features_of_its_own(tmp_path):
    """Naive attention's launches: scores, softmax, product with V. The second multiplies nothing and keeps none."""
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    problem = {"batch": 1, "heads": 1, "seq_q": 128, "seq_kv": 128, "head_dim": 64, "causal": False, "dtype": "fp16"}
    jobs = spec("naive-attention").compile_jobs(problem, {"tile_m": 64, "tile_n": 64, "occupancy": 1, "num_ctas": 1})
    keys = [compile_into(CubinStore(tmp_path), job, "sm_90", "source")[0] for job in jobs]
    features = Inspector(tmp_path, H200)(CompiledFunctions(tuple(keys)))
    own = {name.partition(".")[2] for name in features if name.startswith("product_kernel.")}
    assert own >= {"registers", "threads", "ctas_per_sm", *PREDICTING}
    assert not any(name.startswith("softmax_kernel.") for name in features)


def test_a_function_is_disassembled_once_whoever_asks(tmp_path, monkeypatch):
    """Two configurations that share one, asked for at the same time and again."""
    read = []

    def one(cubin, limits):
        read.append(cubin.symbol)
        return {"spill_bytes": float(len(cubin.symbol)), "registers": 32.0}

    monkeypatch.setattr("spak.tuner.backend.gpu.open.one_function", one)
    store = CubinStore(tmp_path)
    for key, symbol in (("a", "shared"), ("b", "first"), ("c", "second_one")):
        store.put(key, Cubin(symbol, b"code"))
    inspect = Inspector(tmp_path, H200)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(inspect, [CompiledFunctions(("a", "b")), CompiledFunctions(("a", "c"))] * 2))
    assert sorted(read) == ["first", "second_one", "shared"]
    assert [each["spill_bytes"] for each in found] == [6.0, 10.0, 6.0, 10.0]


def test_what_is_not_in_the_store_has_no_features(tmp_path):
    assert Inspector(tmp_path, H200)(CompiledFunctions(("gone",))) == {}


def test_code_that_cannot_be_disassembled_only_lacks_the_hot_loop():
    assert hot_loop(Cubin("kernel", b"not a cubin")) == {}


def test_the_source_hash_is_of_names_within_the_repository():
    assert re.fullmatch("[0-9a-f]{64}", source_of("fmha"))


@pytest.mark.compiler
def test_opening_starts_nothing(tmp_path):
    pytest.importorskip("cuda.tile", reason="needs cuda-tile")
    backend = open_gpu(target_of("fmha", "sm_90", tmp_path), H200, TimingMethod(), workers=1)
    assert backend.provenance().device is None
    backend.close()
