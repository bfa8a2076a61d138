"""Laws and records in the form of Helion's settings, and its log as evidence; its real search on recorded times."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime

import pytest

import spak
from spak.adapters.advice import MeasuredBy, TunedKernel
from spak.adapters.helion import HelionAdvice, parameters

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BY = MeasuredBy("helion 1.5", NOW, "its do_bench", checked=True)
NAMES = {"block_sizes[0]": "bx", "block_sizes[1]": "by", "unroll": "unroll", "num_warps": ""}
DEFAULT = {"block_sizes": [16, 1], "unroll": 0, "num_warps": 4}

LOG = """run_id,timestamp_s,config_id,generation,status,perf_ms,compile_time_s,config
r,0.00,a,0,started,,,"Config(block_sizes=[64, 4], num_warps=4, unroll=0)"
r,0.01,a,0,ok,0.250000,0.10,"Config(block_sizes=[64, 4], num_warps=4, unroll=0)"
r,0.02,b,0,error,,,"Config(block_sizes=[128, 4], num_warps=4, unroll=0)"
r,0.03,c,0,accuracy_error,,,"Config(block_sizes=[32, 4], num_warps=4, unroll=0)"
r,0.04,d,0,filtered,,,"Config(block_sizes=[16, 4], num_warps=4, unroll=0)"
r,0.05,a,1,ok,0.350000,,"Config(block_sizes=[64, 4], num_warps=4, unroll=0)"
"""
"""As Helion 1.5 writes it."""


@pytest.fixture
def advice(conv):
    return HelionAdvice(TunedKernel(conv, "conv", spak.HardwareName("three", "family"), names=NAMES))


def config(bx, by=4, **more):
    return {"block_sizes": [bx, by], "unroll": 0, "num_warps": 4, **more}


def test_lists_are_named_by_place_and_none_is_not_said():
    """`loop_orders` are lists of lists."""
    assert parameters({"block_sizes": [64, 32], "loop_orders": [[1, 0]], "reduction_loops": [None], "x": True}) == {
        "block_sizes[0]": 64,
        "block_sizes[1]": 32,
        "loop_orders[0][0]": 1,
        "loop_orders[0][1]": 0,
        "x": True,
    }


def test_the_filter_skips_what_laws_remove_and_says_why(hard, advice, caplog):
    """The first that is asked passes, so that Helion is never left with nothing; what is not named passes too."""
    caplog.set_level(logging.INFO, "spak.adapters")
    assert advice.filter(config(16)) == config(16)
    assert advice.filter(config(64)) == config(64)
    assert advice.filter(config(32)) is None
    assert advice.filter(config(32)) is None
    assert advice.filter(config(32, maxnreg=64)) == config(32, maxnreg=64)
    assert sum("Narrow blocks are slow [avoid-narrow]" in line for line in caplog.messages if "32" in line) == 1


def test_seeds_are_what_records_put_first(advice, caplog):
    """Whole Helion configurations; what the op does not say is the kernel's default."""
    caplog.set_level(logging.INFO, "spak.adapters")
    seeds = advice.seeds(DEFAULT, count=3)
    assert seeds[0] == {"block_sizes": [64, 4], "unroll": 0, "num_warps": 4}
    assert len(seeds) == 3
    assert DEFAULT["block_sizes"] == [16, 1]
    assert "3 seeds from " in caplog.text
    fixed = HelionAdvice(
        TunedKernel(advice.kernel.laws, "conv", "one", names={"bx": "bx"}, fixed={"by": 1, "unroll": 0})
    )
    assert {tuple(seed) for seed in fixed.seeds({"bx": 16}, count=9)} == {("bx",)}
    assert len(fixed.seeds({"bx": 16}, count=9)) == 4


def test_without_knowledge_there_are_no_seeds(conv, caplog):
    """And the log says so."""
    own = HelionAdvice(TunedKernel(conv.without_knowledge(), "conv", "one", names=NAMES))
    assert own.seeds(DEFAULT) == []
    assert "no seeds: " in caplog.text


def test_its_log_is_evidence_failures_included(advice, tmp_path):
    """Times by the median; what was filtered was not measured."""
    path = tmp_path / "run.csv"
    path.write_text(LOG)
    done = spak.record(advice.kernel.laws.root, advice.results(path, BY))
    run = spak.load(advice.kernel.laws.root).laws.run(done.run)
    assert run.tier == "measured"
    assert [(trial.configuration["bx"], trial.value("time"), trial.invalidity) for trial in run.trials] == [
        (64, 300.0, "correct"),
        (128, None, "runtime"),
        (32, None, "correctness"),
    ]
    path.write_text("config,time\nx,1\n")
    with pytest.raises(spak.KgError, match="Helion's log has config, status and perf_ms"):
        advice.results(path, BY)
    path.write_text('config,status,perf_ms\n"__import__(1).x",ok,1\n')
    with pytest.raises(spak.KgError, match="not a Helion configuration"):
        advice.results(path, BY)


@pytest.mark.slow
def test_helion_searches_with_it(hard, advice, record, tmp_path):
    """Its own search, validation and log; a launch takes what was recorded. Seeds are tried, what laws remove is not."""
    pytest.importorskip("triton", reason="helion needs triton")
    external = pytest.importorskip("helion.autotuner.external", reason="helion is not installed")
    import torch
    from helion.autotuner import EnumFragment, RandomSearch
    from helion.autotuner.benchmark_provider import LocalBenchmarkProvider

    known = {tuple(trial.configuration.values()): trial.value("time") for trial in record.trials}

    class Recorded(LocalBenchmarkProvider):
        """Times and failures of the record."""

        def _benchmark_function(self, config, fn, **_):
            time = known[tuple(config[name] for name in ("bx", "by", "unroll"))]
            return time * 1e-3 if time else math.inf

    names = {name: name for name in ("bx", "by", "unroll")}
    advice = HelionAdvice(TunedKernel(advice.kernel.laws, "conv", spak.HardwareName("three", "family"), names=names))
    tunables = {name: EnumFragment(tuple(values)) for name, values in record.parameters.items()}
    spec = external.create_user_config_spec(tunables)
    seeds = advice.seeds(spec.default_config(), count=3)
    kernel = external._ExternalKernelAdapter(
        spec,
        lambda config: lambda x: x,
        (torch.ones(1),),
        baseline_fn=lambda x: x,
        device=torch.device("cpu"),
        autotune_config_filter=advice.filter,
        autotune_seed_configs=seeds,
        autotune_log=str(tmp_path / "run"),
        autotune_log_level=logging.ERROR,
        autotune_progress_bar=False,
        autotune_random_seed=1,
    )
    search = RandomSearch(kernel, (torch.ones(1),), count=12)
    search._benchmark_provider_cls = Recorded
    best = search.autotune()
    found = advice.results(tmp_path / "run.csv", BY)
    tried = [dict(one.configuration) for one in found.tried]
    assert all(seed in tried for seed in seeds)
    assert 3 < len(tried) < 12
    assert [one for one in tried[1:] if one["bx"] <= 32] == []
    assert dict(best) == min((o for o in found.tried if o.time_us), key=lambda one: one.time_us).configuration
    assert found.tried[0].time_us == pytest.approx(known[tuple(found.tried[0].configuration.values())], abs=1e-3)
