"""A configuration to run where nothing may be tried first: what was recorded nearest, what laws say, or the default."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

import spak
from spak.candidates import Gate
from spak.choice import Chooser
from spak.kg.model.op import Op, ProblemParameter
from spak.kg.space.completion import complete
from spak.tunable import tunable
from spak.tuner.knowledge.fastest import incumbent, problem_distance

SIZE = "d64-s1024-causal"
H200 = spak.HardwareName("NVIDIA H200", "sm_90")


@pytest.fixture(scope="module")
def laws() -> spak.Library:
    return spak.load()


@pytest.fixture(scope="module")
def chooser(laws) -> Chooser:
    return Chooser(laws.laws, "fmha", H200, laws.toolchain)


def times(laws: spak.Library, hw: str, problem: dict) -> dict[tuple, float]:
    """The least recorded time of each configuration that ran correctly."""
    op, found = laws.laws.ops["fmha"], {}
    for run in map(laws.laws.run, laws.laws.run_ids):
        for trial in run.trials:
            time = trial.value("time")
            if (run.hw, run.op, trial.invalidity) != (hw, "fmha", "correct") or time is None:
                continue
            if complete(op, trial.problem or run.problem) == complete(op, problem):
                one = tuple(sorted(trial.configuration.items()))
                found[one] = min(time, found.get(one, math.inf))
    return found


def test_what_was_recorded_there_comes_first(laws, chooser):
    """The fastest that no law removes, by the times in the run files."""
    found = chooser.choose(SIZE)
    known = times(laws, "h200", laws.laws.ops["fmha"].problems[SIZE])
    kept = laws.filter([dict(one) for one in known], op="fmha", hw=H200, problem=SIZE).kept
    assert (found.hw, found.origin, found.because) == ("h200", "recorded", "the fastest recorded on h200")
    assert known[tuple(sorted(found.configuration.items()))] == min(known[tuple(sorted(c.items()))] for c in kept)
    assert laws.choose("fmha", hw=H200, problem=SIZE) == found


def test_the_nearest_size_stands_for_one_that_was_not_recorded(laws, chooser):
    """And the answer says what differs there."""
    near = chooser.choose({**laws.laws.ops["fmha"].problems[SIZE], "seq_q": 1000, "seq_kv": 1000})
    assert near.configuration == chooser.choose(SIZE).configuration
    assert (near.origin, near.because) == ("nearby", "the fastest recorded on h200 at seq_q=1024, seq_kv=1024")


def test_what_fares_by_the_inputs_is_not_taken_from_runs_on_others(chooser):
    """A first maximum that was fastest on standard normal inputs is none where every row outgrows it."""
    assert not chooser.choose("d64-s4096-full").configuration["running_max"]
    found = chooser.choose("d64-s4096-full,inputs=std-6")
    assert found.origin == "nearby"
    assert found.configuration["running_max"]


def test_another_gpu_of_the_same_compute_capability_stands_for_one_without_runs(laws):
    """Its runs are measured on the same code."""
    found = laws.choose("fmha", hw=spak.HardwareName("NVIDIA H800", "sm_90"), problem=SIZE)
    assert (found.hw, found.origin) == ("nvidia-h800", "related")
    assert found.because.startswith("the fastest recorded on h")


def test_elsewhere_laws_and_all_runs_order(conv):
    """As `first` has it."""
    hw = spak.HardwareName("three", "family")
    found = conv.choose("conv", hw=hw)
    assert (found.origin, found.configuration) == ("ranked", spak.first(conv.laws, hw, "conv", {}).best(1)[0])
    assert found.because == "first of what is known elsewhere: law avoid-narrow, one, two"


def test_one_order_serves_all_sizes_of_a_kind(conv, monkeypatch):
    """It takes seconds; a service that meets a new length every call would stand still."""
    import spak.choice

    ranked, asked = spak.choice.ranked, []
    monkeypatch.setattr(spak.choice, "ranked", lambda *a: asked.append(a) or ranked(*a))
    own = spak.op("mine", {"bx": [16, 64], "by": [1, 4], "unroll": [0, 1]}, problem={"n": 64}, is_a=["conv"])
    chooser = Chooser(conv.laws, own, spak.HardwareName("three", "family"))
    found = [chooser.choose({"n": n}) for n in (64, 128)]
    assert [one.problem["n"] for one in found] == [64, 128]
    assert [one.origin for one in found] == ["ranked", "ranked"]
    assert found[0].configuration["bx"] == 64
    assert len(asked) == 1


def test_where_nothing_is_known_it_is_the_default(laws):
    """And says so."""
    found = laws.without_knowledge().choose("matmul", hw="h200")
    defaults = {name: parameter.default for name, parameter in laws.laws.ops["matmul"].parameters.items()}
    assert (found.configuration, found.origin) == (defaults, "default")
    assert "nothing is known" in found.because
    other = next(value for value in laws.laws.ops["matmul"].parameters["tile_m"].values if value != defaults["tile_m"])
    near = laws.without_knowledge().choose("matmul", hw="h200", where=f"tile_m == {other}")
    assert near.configuration == {**defaults, "tile_m": other}


@pytest.mark.parametrize("hw", ["one", spak.HardwareName("three", "family")])
def test_what_laws_remove_is_never_chosen(hard, conv, hw):
    """Neither from runs nor from an order."""
    assert conv.choose("conv", hw=hw).configuration["bx"] > 32
    with pytest.raises(spak.KgError, match=r"no configuration is feasible .* and satisfies 'bx <= 32'"):
        conv.choose("conv", hw=hw, where="bx <= 32")


@pytest.mark.parametrize(("op", "problem"), [("matmul", {}), ("fmha", {"head_dim": 64}), ("fmha", {"head_dim": 96})])
def test_one_at_a_time_laws_and_conditions_say_what_they_say_of_many(laws, op, problem):
    """Of configurations that are not feasible too; three confirmed laws remove some of these."""
    asked = tunable(laws.laws, op, "h200", problem)
    draw = random.Random(7)
    some = [{name: draw.choice(p.values) for name, p in asked.op.parameters.items()} for _ in range(1000)]
    found = laws.filter(some, op=op, hw="h200", problem=problem)
    gate = Gate(asked, laws.toolchain)
    assert [one for one in some if gate.admits(one)] == list(found.kept)
    assert found.spared is None
    assert any(left.laws for left in found.left_out) == (problem != {"head_dim": 96})


def test_a_condition_of_the_caller_is_kept(chooser):
    """Whatever is faster; and it can be read."""
    other = {64: 128, 128: 64}.get(chooser.choose(SIZE).configuration["tile_m"], 64)
    assert chooser.choose(SIZE, f"tile_m == {other}").configuration["tile_m"] == other
    with pytest.raises(spak.KgError, match="tile_x"):
        chooser.choose(SIZE, "tile_x == 3")


def test_a_size_of_the_same_code_is_nearer_than_one_of_other_code():
    """Doubling what code is compiled for counts four times; what is no number counts one doubling."""
    number = ProblemParameter(type="int", default=1, description="")
    code = ProblemParameter(type="int", default=64, description="", specialises=True)
    flag = ProblemParameter(type="bool", default=False, description="", specialises=True)
    op = Op(id="o", title="o", problem={"s": number, "d": code, "c": flag, "off": number})
    start = {"s": 1024, "d": 64, "c": True, "off": 0}
    changed = [{}, {"s": 2048}, {"s": 4096}, {"d": 128}]
    apart = [problem_distance(op, start, {**start, **change}) for change in changed]
    assert apart == [0, 1, 2, 4]
    assert all(a < b for a, b in pairwise(apart))
    assert problem_distance(op, start, {**start, "c": False, "off": 7}) == 2


@pytest.mark.parametrize("name", ["d64-s1024-causal", "d128-s4096-full", "nanogpt-124m"])
def test_a_search_begins_with_what_would_run_there(laws, chooser, name):
    """The index of the same configuration, where it comes from a record."""
    asked = tunable(laws.laws, "fmha", H200, name)
    chosen = chooser.choose(name)
    assert chosen.origin in {"recorded", "nearby"}
    assert asked.space.config(incumbent(laws.laws, asked.space, "h200", asked.size)) == chosen.configuration


def test_nothing_would_run_where_nothing_is_recorded(laws):
    asked = tunable(laws.laws, "fmha", "rtx5070", SIZE)
    assert incumbent(laws.without_knowledge().laws, asked.space, "rtx5070", asked.size) is None
