"""The facts under laws/hardware agree with each other: a wrong one would corrupt every bound computed from it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from spak.kg.model.hardware import Hardware

ROOT = Path(__file__).parents[2] / "laws" / "hardware"
NODES = {path.stem: msgspec.convert(yaml.safe_load(path.read_text("utf-8")), Hardware) for path in ROOT.glob("*.yaml")}
REPORTED = {"b300", "gb300"}
"""Devices that are there for what was reported of them: of their facts only those that the reports give."""

DEVICES = sorted(name for name, node in NODES.items() if node.kind == "device" and name not in REPORTED)
CAPABILITIES = sorted(name for name, node in NODES.items() if node.kind == "compute-capability")

LIMITS = {
    "max_warps_per_sm", "max_ctas_per_sm", "max_threads_per_cta", "registers_per_sm", "max_registers_per_thread",
    "register_allocation_unit", "smem_per_sm", "max_smem_per_cta", "smem_reserved_per_cta", "smem_bytes_per_sm_clock",
    "compute_capability", "gpu_code",
}  # fmt: skip
DEVICE_FACTS = {"num_sms", "boost_clock_ghz", "fp16_tflops", "bandwidth_gb_per_s", "l2_bytes"}
THROUGHPUTS = {"tensor_flops_per_sm_clock", "fp32_lanes_per_sm", "mufu_per_sm_clock"}


def facts(name: str) -> dict[str, object]:
    """Own and inherited facts, the nearest first."""
    node = NODES[name]
    found: dict[str, object] = {}
    for parent in node.is_a:
        found = {**found, **facts(parent)}
    return {**found, **{key: fact.value for key, fact in node.facts.items()}}


def test_every_gpu_of_the_table_is_there() -> None:
    """The eight devices that the project names are the devices of the law root."""
    assert DEVICES == ["a100", "b200", "gb10", "h100", "h200", "rtx4090", "rtx5070", "rtx5090"]


@pytest.mark.parametrize("name", sorted(NODES))
def test_every_node_reaches_the_vendor_through_known_nodes(name: str) -> None:
    """Lineage is complete: device, compute capability, architecture, vendor."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        assert current not in seen
        seen.add(current)
        todo += NODES[current].is_a
    assert "nvidia" in seen


@pytest.mark.parametrize("name", CAPABILITIES)
def test_a_compute_capability_has_every_limit(name: str) -> None:
    """What bounds residency is known for every target the compiler is used for, in mutually consistent numbers."""
    own = {key: fact.value for key, fact in NODES[name].facts.items()}
    assert own.keys() >= LIMITS
    assert own["gpu_code"] == name
    assert name == "sm_" + own["compute_capability"].replace(".", "")
    assert own["max_smem_per_cta"] == own["smem_per_sm"] - own["smem_reserved_per_cta"]
    assert own["max_warps_per_sm"] * 32 >= own["max_threads_per_cta"]


@pytest.mark.parametrize("name", [name for name in DEVICES if "fp16_tflops" in facts(name)])
def test_peak_follows_from_sms_clock_and_throughput(name: str) -> None:
    """Printed peak = SMs x clock x tensor FLOPs per SM and clock, within the rounding of the printed figures."""
    known = facts(name)
    derived = known["num_sms"] * known["boost_clock_ghz"] * known["tensor_flops_per_sm_clock"] / 1000
    assert derived == pytest.approx(known["fp16_tflops"], rel=0.004)


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_knows_what_a_prediction_needs(name: str) -> None:
    """Every device has its sizes, bandwidth and element-wise rates; only GB10 lacks a dense fp16 peak."""
    missing = (LIMITS | DEVICE_FACTS | THROUGHPUTS) - facts(name).keys()
    assert missing == ({"fp16_tflops", "tensor_flops_per_sm_clock"} if name == "gb10" else set())


@pytest.mark.parametrize("name", sorted(REPORTED))
def test_of_a_reported_device_what_was_reported_is_said_to_be_no_more(name: str) -> None:
    """No fact of its own without a source, none called confirmed, and a page to read."""
    node = NODES[name]
    assert node.facts.keys() == {"num_sms"}
    assert all(fact.source and not fact.confirmed for fact in node.facts.values())
    assert [reference.url for reference in node.references] == ["https://github.com/flashinfer-ai/flashinfer/pull/5155"]


@pytest.mark.parametrize("name", sorted(NODES))
def test_no_fact_outside_the_documented_list(name: str) -> None:
    """A misspelt fact name would silently never be found by an expression."""
    assert NODES[name].facts.keys() <= LIMITS | DEVICE_FACTS | THROUGHPUTS


@pytest.mark.parametrize(
    ("name", "fact", "wrong"),
    [("rtx5090", "num_sms", 84), ("b200", "num_sms", 128), ("sm_120", "smem_per_sm", 128 * 1024)],
)
def test_known_wrong_public_numbers_are_not_ours(name: str, fact: str, wrong: int) -> None:
    """Three figures that circulate and are wrong stay out."""
    assert facts(name)[fact] != wrong


def test_geforce_and_datacenter_blackwell_meet_only_at_blackwell() -> None:
    """A law about B200 must not be inherited by an RTX 5070."""
    assert "blackwell-datacenter" in NODES["sm_100"].is_a
    assert "blackwell-geforce" in NODES["sm_120"].is_a
    assert NODES["blackwell-geforce"].is_a == NODES["blackwell-datacenter"].is_a == ("blackwell",)
