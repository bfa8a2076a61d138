"""A Triton kernel compiled without a GPU: its features are read from the code that its own compiler makes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="Triton's binder wants its types")
pytest.importorskip("triton", reason="needs Triton")

from spak.kernels.own.file import declared_in
from spak.kernels.registry import resolve_spec
from spak.kg.model.hardware import hardware_facts
from spak.tuner.backend.compile import languages, triton_compiler
from spak.tuner.backend.compile.occupancy import OccupancyLimits
from spak.tuner.backend.compile.protocol import Order, Setup
from spak.tuner.backend.compile.toolchain import CompilerMissingError
from spak.tuner.backend.compile.worker import serve
from spak.tuner.backend.gpu.cubins import CubinStore, compile_into
from spak.tuner.backend.gpu.open import one_function
from tests.shipped import LAWS

EXAMPLE = Path(__file__).parents[4] / "docs" / "examples" / "own-kernel" / "triton_softmax.py"
PROBLEM, CONFIGURATION = {"rows": 64, "cols": 512}, {"num_warps": 2}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Triton's cache, empty."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))


def test_a_worker_reads_the_features_of_what_triton_makes(kept, tmp_path, monkeypatch):
    """Threads are the warps asked for; shared memory has the part that only a launch would add; nothing spills."""
    found = languages.toolchain_of(resolve_spec(str(EXAMPLE)))
    assert found.versions.keys() == {"triton"}
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    setup = Setup(
        spec=str(EXAMPLE),
        arch="sm_90",
        tileiras="",
        nvdisasm=found.nvdisasm,
        time_limit_s=60.0,
        memory_limit_bytes=6 << 30,
    )
    compiled = serve(setup, Order(problem=PROBLEM, configuration=CONFIGURATION))
    assert compiled.failure is None
    features = compiled.features
    assert (features["threads"], features["spill_bytes"]) == (64, 0)
    assert features["dynamic_smem_bytes"] > 0
    assert features["smem_bytes"] == features["static_smem_bytes"] + features["dynamic_smem_bytes"]
    kernel = declared_in(str(EXAMPLE))
    store = CubinStore(tmp_path / "cubins")
    (job,) = kernel.compile_jobs(PROBLEM, CONFIGURATION)
    key, made = compile_into(store, job, "sm_90", "source")
    assert store.get(key) == made
    limits = OccupancyLimits.of(hardware_facts(LAWS, "h200"))
    assert one_function(made, limits)["smem_bytes"] == features["smem_bytes"]


def test_without_triton_a_person_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CompilerMissingError, match="pip install triton"):
        triton_compiler.triton_toolchain()
