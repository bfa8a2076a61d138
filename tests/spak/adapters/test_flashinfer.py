"""Laws as FlashInfer's tactics blocklist, held to what its own writer wrote and, where it is installed, to its reader."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

import spak
from spak.adapters.advice import MeasuredBy, TunedKernel
from spak.adapters.flashinfer import ENVIRONMENT, RunnerTactics, failures, obeying, tactics_blocklist

WRITTEN = json.loads((Path(__file__).parents[2] / "data" / "flashinfer_blocklist.json").read_text())
"""What `TacticsBlocklist.save` of FlashInfer 0.7.2 wrote on a machine without a GPU."""

LAW = "sm103-matmul-256x256-two-ctas-at-occupancy-2-fails"
FAILS = (256, 256, 64, 2, 2)
TACTICS = [
    (bm, bn, 64, ctas, occupancy)
    for bm, bn, ctas in [(64, 64, 1), (128, 128, 1), (256, 128, 1), (256, 128, 2), (256, 256, 2)]
    for occupancy in (1, 2, 4, 8)
]
"""Some of what FlashInfer's cuTile mm_bf16 enumerated on compute capability 10.3 before it left the failing one out."""

SIZE = {"m": 64, "n": 14336, "k": 4096, "dtype": "bf16"}
NAMES = {
    "BLOCK_M": "tile_m",
    "BLOCK_N": "tile_n",
    "BLOCK_K": "tile_k",
    "num_ctas": "num_ctas",
    "occupancy": "occupancy",
}
KEY = "flashinfer::mm_bf16::CuTileRunner"


def named(tactic):
    return dict(zip(NAMES, tactic, strict=True))


@pytest.fixture(scope="module")
def laws():
    return spak.load()


def runner(laws, hw, tactics=TACTICS):
    return RunnerTactics(KEY, TunedKernel(laws, "matmul", hw, SIZE, NAMES), tactics, named)


@pytest.mark.parametrize("hw", ["NVIDIA GB300", "NVIDIA B300 SXM6 AC"])
def test_what_was_reported_to_fail_is_blocked_with_law_and_reason(laws, hw, caplog):
    """Though nobody measured it here: trying takes the CUDA context with it. The other 19 stay."""
    caplog.set_level(logging.INFO, "spak.adapters")
    found = tactics_blocklist([runner(laws, hw)], {"gpu": hw})
    assert found["invalid_tactics"] == {KEY: [list(FAILS)]}
    assert [(one["laws"], one["tactic"]) for one in found["reasons"][KEY]] == [((LAW,), list(FAILS))]
    assert "does not run" in found["reasons"][KEY][0]["reasons"][0]
    assert found["_metadata"]["gpu"] == hw
    assert any(LAW in line for line in caplog.messages)


@pytest.mark.parametrize("hw", ["h200", "b200", spak.HardwareName("NVIDIA B300 PCIe", "sm_103")])
def test_elsewhere_it_is_not(laws, hw):
    """Another capability; or a device of which nobody said how many SMs it has: the report excepts the PCIe card."""
    found = tactics_blocklist([runner(laws, hw)])
    assert list(FAILS) not in found["invalid_tactics"].get(KEY, [])
    assert LAW not in json.dumps(found)


def test_one_tactic_stays(laws, caplog):
    """Even the one that fails, if a runner has no other."""
    assert tactics_blocklist([runner(laws, "gb300", [FAILS])])["invalid_tactics"] == {}
    assert "this one is kept" in caplog.text
    assert tactics_blocklist([runner(laws, "gb300", [])])["invalid_tactics"] == {}


def test_the_file_is_of_the_form_that_flashinfer_writes(laws):
    """Its reader skips a file that lacks one of the fields that it compares."""
    found = json.loads(json.dumps(tactics_blocklist([runner(laws, "gb300")])))
    assert WRITTEN["_metadata"].keys() - found["_metadata"].keys() == {"generated_at", "generator_version"}
    assert set(found["_metadata"].values()) == {"*"}
    assert found.keys() - WRITTEN.keys() == {"reasons"}
    assert WRITTEN["invalid_tactics"].keys() == {"trtllm::fused_moe::gemm1::MoERunner"}
    with pytest.raises(ValueError, match="environment: driver; FlashInfer compares flashinfer_version, "):
        tactics_blocklist([], {"driver": "580"})


def test_flashinfer_reads_it(laws, tmp_path):
    """Its own reader passes over the tactic, under the key of that runner alone, and skips a file for another device."""
    blocklist = pytest.importorskip("flashinfer.tactics_blocklist", reason="flashinfer is not installed")
    from flashinfer.autotuner import _collect_metadata

    assert set(_collect_metadata()) == set(ENVIRONMENT)
    path = tmp_path / "blocked.json"
    path.write_text(json.dumps(tactics_blocklist([runner(laws, "gb300")])))
    read = blocklist.TacticsBlocklist()
    assert read.load(str(path))
    ours, other = type("CuTileRunner", (), {})(), type("CudnnRunner", (), {})()
    assert read.filter("flashinfer::mm_bf16", ours, TACTICS) == [one for one in TACTICS if one != FAILS]
    assert read.filter("flashinfer::mm_bf16", other, TACTICS) == TACTICS
    path.write_text(json.dumps(tactics_blocklist([runner(laws, "gb300")], {"gpu": "NVIDIA GB300"})))
    assert not blocklist.TacticsBlocklist().load(str(path))


def test_a_list_of_candidates_obeys(laws):
    """As cuTile's own search in FlashInfer asks for it, which reads no blocklist."""

    def candidates(device=None):
        for tactic in TACTICS:
            yield SimpleNamespace(**named(tactic), GROUP_SIZE_M=8)

    names = {**NAMES, "GROUP_SIZE_M": "group"}
    listed = obeying(candidates, TunedKernel(laws, "matmul", "gb300", SIZE, names))("cuda:0")
    assert len(listed) == 19
    assert all(tuple(vars(one).values())[:5] != FAILS for one in listed)


def test_what_failed_is_evidence(tmp_path):
    """From a file that FlashInfer wrote: nobody checked a result, so it is reported and settles nothing."""
    op = spak.op("moe-gemm1", {"tile": [64, 128], "cluster": ["1x1", "2x1"], "swap": [False, True]})
    laws = spak.load(_root(tmp_path))
    names = {name: name for name in op.parameters}
    kernel = TunedKernel(laws, op, spak.HardwareName("NVIDIA GB300"), names=names)

    def said(tactic):
        assert isinstance(tactic, tuple), tactic
        return {"tile": tactic[0], "cluster": "x".join(map(str, tactic[1])), "swap": tactic[2]}

    file = tmp_path / "written.json"
    key = "trtllm::fused_moe::gemm1::MoERunner"
    file.write_text(json.dumps({"invalid_tactics": {key: WRITTEN["invalid_tactics"][key][:1]}}))
    by = MeasuredBy("flashinfer 0.7.2", datetime(2026, 1, 2, tzinfo=UTC), "its AutoTuner")
    found = failures(RunnerTactics(key, kernel, (), said), file, by)
    done = spak.record(laws.root, found)
    assert (done.trials, done.failures) == (1, 1)
    trial = spak.load(laws.root).laws.run(done.run).trials[0]
    assert (trial.configuration, trial.invalidity) == ({"tile": 128, "cluster": "2x1", "swap": True}, "runtime")
    assert spak.load(laws.root).laws.run(done.run).tier == "reported"
    with pytest.raises(spak.KgError, match=r"flashinfer 0\.7\.2: "):
        failures(RunnerTactics("another", kernel, (), said), file, by)


def _root(folder):
    root = folder / "laws"
    root.mkdir()
    return root
