"""The compile backend as the search sees it: real compilations of FMHA, and the cache in front of them."""

from __future__ import annotations

import importlib.util
import io
import subprocess

import msgspec
import pytest

from spak.kernels.attention.fmha.spec import SPEC
from spak.tuner.backend.base import Request
from spak.tuner.backend.compile import toolchain
from spak.tuner.backend.compile.backend import CompileBackend, CompileTarget, open_task
from spak.tuner.backend.compile.cache import CompileCache, Identity
from spak.tuner.backend.compile.protocol import Compiled
from spak.tuner.backend.compile.toolchain import CompilerMissingError, Toolchain
from spak.tuner.backend.registry import Task
from spak.tuner.engine import session
from tests.shipped import LAWS
from tests.tuner.backend.compile import broken

TOOLS = Toolchain("/nonexistent/tileiras", "/nonexistent/nvdisasm", {"tileiras": "13.4.92"})
FEATURES = {"registers": 128.0, "threads": 256.0, "smem_bytes": 30000.0, "spill_bytes": 0.0}


@pytest.fixture(scope="module")
def question():
    return session.ask(LAWS, "fmha", "rtx5070", "")


@pytest.fixture
def backend(question, tmp_path):
    """A backend whose workers can only refuse, die or hang; what it knows comes from its cache."""
    identity = Identity("fmha", "ab" * 32, "sm_120", {}, ())
    made = CompileBackend(
        CompileTarget(SPEC, f"{broken.__name__}:SPEC", identity, question.facts),
        TOOLS,
        CompileCache(tmp_path),
        workers=1,
    )
    yield made, lambda configuration, result: CompileCache(tmp_path).put(identity.key({}, configuration), result)
    made.close()


def configured(question, **changes):
    return {**{name: p.default for name, p in question.op.parameters.items()}, **changes}


def test_what_is_cached_is_not_compiled(question, backend):
    """A trial from the cache has its features, what fits on an SM, and a predicted time that is not called time."""
    made, keep = backend
    configuration = configured(question)
    keep(configuration, Compiled(features=FEATURES, seconds=1.5))
    request = Request(configuration, question.problem, "default")
    assert made.features([request]) == [{**FEATURES, "ctas_per_sm": 2, "warp_occupancy": 1 / 3}]
    ((_, trial),) = made.evaluate([request])
    assert made.compiled == 0
    assert trial.value("predicted_time") > 0
    assert trial.value("time") is None
    assert (trial.origin, trial.invalidity, trial.times.compilation) == ("default", "correct", 1500)
    assert next(m.unit for m in trial.measurements if m.name == "predicted_time") == "us"
    assert made.references(question.problem) == {}


def test_failures_become_trials_and_are_not_compiled_twice(question, backend):
    """Refusals and crashes are trials with their reason; asking again asks no worker."""
    made, _ = backend
    requests = [Request({"do": deed}, question.problem, "strategy") for deed in ("refuse", "die", "refuse")]
    trials = [trial for _, trial in made.evaluate(requests)]
    assert sorted(t.invalidity for t in trials) == ["compile", "constraints", "constraints"]
    assert made.compiled == 2  # the same configuration asked twice is compiled once
    assert made.features(requests) == [None, None, None]
    assert made.compiled == 2


def test_what_does_not_fit_an_sm_fails(question, backend):
    """Code that compiles but of which not one CTA fits is a failure, not a time."""
    made, keep = backend
    keep(configured(question), Compiled(features={**FEATURES, "smem_bytes": 200_000.0}))
    ((_, trial),) = made.evaluate([Request(configured(question), question.problem, "strategy")])
    assert (trial.invalidity, trial.failure.type) == ("runtime", "DoesNotFit")
    assert "200000 bytes" in trial.failure.message
    assert trial.value("predicted_time") is None
    assert trial.value("registers") == 128


def test_provenance_says_compiled(backend):
    """Nothing ran, so there is no device and no noise, and the objective is a prediction."""
    found = backend[0].provenance()
    assert (found.tier, found.device, found.noise, found.objective) == ("compiled", None, None, "predicted_time")


def test_a_missing_compiler_says_how_to_install_it(monkeypatch):
    """Without the package, one line with the command that helps."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompilerMissingError, match=r"pip install 'spak\[compile\]'"):
        toolchain.find_toolchain()


def test_a_missing_tool_names_itself(monkeypatch, tmp_path):
    """A tool that is neither packaged nor on the search path is named; one on the path is asked its version."""
    monkeypatch.setattr(toolchain, "_packaged", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerMissingError, match="tileiras was found neither"):
        toolchain.find_toolchain()
    for name in ("tileiras", "nvdisasm"):
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 13.4, V13.4.92'\n")
        tool.chmod(0o755)
    assert toolchain.find_toolchain().versions["tileiras"] == "13.4.92"
    tool.write_text("#!/bin/sh\necho something else\n")
    assert toolchain.find_toolchain().versions["nvdisasm"] == "unknown"


@pytest.mark.compiler
@pytest.mark.slow
def test_fmha_compiles_for_sm_120(question, tmp_path):
    """The claim this project began with: 128x128 spills, 64x64 does not; a second backend compiles nothing."""
    pytest.importorskip("cuda.tile")
    requests = [
        Request(configured(question, tile_m=64, tile_n=64), question.problem, "default"),
        Request(configured(question, tile_m=128, tile_n=128), question.problem, "strategy"),
    ]
    task = Task(question.hw, question.op, question.facts, tmp_path, 2)
    first = open_task(task)
    try:
        trials = {trial.configuration["tile_m"]: trial for _, trial in first.evaluate(requests)}
    finally:
        first.close()
    assert trials[64].value("spill_bytes") == 0
    assert trials[128].value("spill_bytes") > 500
    assert trials[64].value("loop_tensor") >= 64
    assert trials[64].value("loop_mufu") > 0
    assert trials[128].value("loop_local_loads") > 0
    assert trials[64].value("predicted_time") < trials[128].value("predicted_time")
    again = open_task(task)
    try:
        assert {t.configuration["tile_m"]: t for _, t in again.evaluate(requests)} == trials
        assert again.compiled == 0
    finally:
        again.close()


@pytest.mark.compiler
@pytest.mark.slow
def test_line_information_does_not_change_the_code(question, tmp_path):
    """Compiling without --lineinfo, as done here, gives the code that cuTile's own flags give."""
    pytest.importorskip("cuda.tile")
    from cuda.tile.compilation import export_kernel

    from spak.tuner.backend.compile.features import disassemble

    tools = toolchain.find_toolchain()
    (job,) = SPEC.compile_jobs(question.problem, configured(question, tile_m=32, tile_n=32))
    file = io.BytesIO()
    signature = job.signature.with_symbol(job.symbol)
    export_kernel(job.kernel, [signature], file, gpu_code="sm_120", output_format="tileir_bytecode")
    source = tmp_path / "k.tileirbc"
    source.write_bytes(file.getvalue())
    texts = []
    for flags in ([], ["--lineinfo"]):
        out = tmp_path / f"k{len(flags)}.cubin"
        command = [tools.tileiras, str(source), "-o", str(out), "--gpu-name", "sm_120", "-O3", *flags]
        subprocess.run(command, check=True, capture_output=True)
        lines = disassemble(out.read_bytes(), tools.nvdisasm, time_limit_s=60).splitlines()
        texts.append([line for line in lines if "/*" in line and ";" in line])
    assert texts[0] == texts[1]
    assert len(texts[0]) > 500


def test_protocol_documents_survive_the_pipe():
    """What a worker answers reads back equal."""
    result = Compiled(features=FEATURES, seconds=2.0)
    assert msgspec.json.decode(msgspec.json.encode(result), type=Compiled) == result
