"""A rewrite is judged by the systems that it names: each system's own settings, timed beside each other."""

from __future__ import annotations

import msgspec
import pytest

from bench.attention_candidates import FUSED, NAIVE, VERSIONS
from spak.kg.evidence.judge import MIN_REFERENCES
from spak.kg.evidence.rewriting import own_configuration
from spak.kg.evidence.witness import RunWitness
from tests.shipped import LAWS

FULL = LAWS.run("measured-h200-fmha-d64-s1024-full-versions")
SEARCH = LAWS.run("measured-h200-matmul-m2048-20261121t034733")


def entry(law_id: str, run=FULL, **changed):
    return RunWitness(msgspec.structs.replace(run, **changed), LAWS).entry(LAWS.laws[law_id])


def timed(**settings) -> float:
    """The recorded time of the only version in `FULL` with these settings."""
    [trial] = [trial for trial in FULL.trials if trial.configuration.items() >= settings.items()]
    return trial.value("time")


def test_each_side_is_the_systems_own_configuration_not_the_best_that_was_tried():
    """The run holds a tuned version too, faster than all that the documents name."""
    v3, v4 = timed(split_loop=True, v_latency=1, sum_lanes=1), timed(v_latency=5)
    found = entry("fmha-v2-3-to-v4")
    assert found.verdict == "refutes"
    assert found.effect == {"speedup": round(v3 / v4, 4)}
    assert min(trial.value("time") for trial in FULL.trials) < min(v3, v4)


def test_a_time_that_the_run_states_itself_is_the_sources():
    found = entry("fused-attention-to-fmha-v1")
    assert found.effect == {
        "speedup": round(FULL.reference_times["fused-attention"].value / timed(split_loop=False), 4)
    }
    assert entry("fused-attention-to-fmha-v1", reference_times={}) is None


def test_without_either_side_nothing_is_said():
    without = tuple(trial for trial in FULL.trials if trial.configuration["v_latency"] != 5)
    assert entry("fmha-v2-3-to-v4", trials=without) is None
    without = tuple(
        trial for trial in FULL.trials if trial.configuration["sum_lanes"] != 1 or trial.configuration["v_latency"] == 5
    )
    assert entry("fmha-v2-3-to-v4", trials=without) is None


@pytest.mark.parametrize(("number", "speaks"), [(MIN_REFERENCES - 1, False), (MIN_REFERENCES, True)])
def test_the_best_of_few_is_no_tuned_system(number, speaks):
    """A system without settings of its own is the best of what was tried, if that is enough to tell."""
    default = own_configuration(LAWS.systems, "matmul-untuned", LAWS.ops["matmul"])
    right = [trial for trial in SEARCH.trials if trial.invalidity == "correct"]
    first = next(trial for trial in right if trial.configuration == default)
    others = [trial for trial in right if trial.configuration != default]
    few = (first, *others[: number - 1])
    assert (entry("matmul-untuned-to-tuned", SEARCH, trials=few) is not None) == speaks


def test_the_systems_are_what_the_bench_times():
    """One place says what FMHAv1 is; the bench spells every parameter out."""
    fmha = LAWS.ops["fmha"]
    for version, system in (("v1", "fmha-v1"), ("v2-3", "fmha-v2-3"), ("v4", "fmha-v4")):
        own = own_configuration(LAWS.systems, system, fmha)
        assert own is not None
        assert own | VERSIONS[version] == own
    assert LAWS.systems["fused-attention"].configurations == {"fused-attention": FUSED}
    assert LAWS.systems["naive-attention"].configurations == {"naive-attention": NAIVE}
    assert own_configuration(LAWS.systems, "sdpa", fmha) is None
    assert own_configuration(LAWS.systems, "nobody", fmha) is None
