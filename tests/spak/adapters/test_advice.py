"""What every adapter stands on: sifting by laws in the op's terms, and what a tuner measured as evidence."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import spak
from spak.adapters.advice import MeasuredBy, TunedKernel
from spak.kg.checks import run_checks
from spak.kg.files.loader import load

BY = MeasuredBy("sometuner 1.2", datetime(2026, 1, 2, tzinfo=UTC), "a clock", {"sometuner": "1.2"}, checked=True)


def tuples(found):
    return [tuple(one.values()) for one in found]


def space(*bx, by=(1, 4), unroll=(0,)):
    return [{"BX": x, "BY": y, "UNROLL": u} for x in bx for y in by for u in unroll]


def test_what_laws_remove_is_left_out_with_ids_and_reasons(kernel, hard, caplog):
    """The log has what the result has."""
    caplog.set_level(logging.INFO, "spak.adapters")
    found = kernel.sift(space(32, 64), dict)
    assert tuples(one.item for one in found.left_out) == [(32, 1, 0), (32, 4, 0)]
    assert {(one.laws, one.reasons) for one in found.left_out} == {(("avoid-narrow",), ("Narrow blocks are slow",))}
    assert sum("Narrow blocks are slow [avoid-narrow]" in line for line in caplog.messages) == 2
    assert caplog.messages[0] == "2 of 4 configurations are worth trying"


def test_the_rest_comes_best_first(kernel):
    """By the trials of the other two GPUs; the law is only proposed, so nothing is removed."""
    found = kernel.sift(space(16, 64, by=(1, 2, 4)), dict)
    assert tuples(found.kept)[0] == (64, 4, 0)
    assert tuples(found.kept)[-1] == (16, 1, 0)
    assert len(found.kept) == 6
    assert {source for source, weight in found.sources if weight} >= {"one", "two"}


def test_where_laws_remove_all_one_is_kept(kernel, hard, caplog):
    """A tuner is never left with nothing."""
    found = kernel.sift(space(16, 32), dict)
    assert len(found.kept) == 1
    assert len(found.left_out) == 3
    assert "laws remove every configuration" in caplog.text


def test_what_the_op_cannot_say_is_kept_last_and_said(kernel, hard, caplog):
    """A value and a parameter that the op has not; unknown is not forbidden."""
    closed = replace(kernel, op=spak.op("mine", {"bx": [16, 64], "by": [1], "unroll": [0]}, is_a=["conv"]))
    caplog.set_level(logging.INFO, "spak.adapters")
    odd = [{"BX": 48, "BY": 1, "UNROLL": 0}, {"BX": 16, "BY": 1, "UNROLL": 0, "STAGES": 2}]
    found = closed.sift([*odd, *space(16, 64, by=(1,))], dict)
    assert tuples(found.kept) == [(64, 1, 0), (48, 1, 0), (16, 1, 0, 2)]
    assert [item for item, _ in found.unsaid] == odd
    assert "bx of op 'mine' is one of 16, 64 (got 48)" in caplog.text
    assert "nothing says what STAGES is" in caplog.text


def test_an_empty_name_says_that_laws_hold_whatever_it_is(kernel, hard):
    """The caller's word, not a guess."""
    told = replace(kernel, names={**kernel.names, "STAGES": ""})
    tried = [{"BX": bx, "BY": 1, "UNROLL": 0, "STAGES": stages} for bx in (16, 64) for stages in (2, 3)]
    assert tuples(told.sift(tried, dict).kept) == [(64, 1, 0, 2), (64, 1, 0, 3)]


def test_a_name_that_the_op_has_not_leaves_nothing_out(kernel, hard):
    """A slip in the mapping is not silently a law."""
    slipped = replace(kernel, names={**kernel.names, "BX": "block"})
    found = slipped.sift(space(16, 64), dict)
    assert len(found.kept) == 4
    assert {why for _, why in found.unsaid} == {"op 'conv' has no parameter 'block'"}


def test_a_law_about_what_nobody_said_leaves_nothing_out(kernel, hard):
    """The op's default for it is not what this kernel does; saying so is what `fixed` is for."""
    silent = replace(kernel, names={"BY": "by", "UNROLL": "unroll"})
    tried = [{"BY": by, "UNROLL": 0} for by in (1, 2, 4)]
    assert len(silent.sift(tried, dict).kept) == 3
    assert len(replace(silent, fixed={"bx": 16}).sift(tried, dict).kept) == 1


def test_a_condition_leaves_out_only_by_what_was_said(conv):
    """What the op has not is left out without a law; where that goes by a default, it is kept."""
    op = spak.op("mine", {"a": [1, 2, 3], "b": [2, 1]}, restrictions=["a * b <= 4"])
    kernel = TunedKernel(conv, op, "three", names={"A": "a", "B": "b"})
    found = kernel.sift([{"A": a, "B": 2} for a in (1, 2, 3)], dict)
    assert [(one.item, one.laws) for one in found.left_out] == [({"A": 3, "B": 2}, ())]
    assert "a * b <= 4" in found.left_out[0].reasons[0]
    assert len(kernel.sift([{"A": 3}, {"A": 1}], dict).kept) == 2


def test_where_the_op_has_none_of_them_all_are_kept(conv, caplog):
    """It is the wrong op then; the tuner still gets its configurations."""
    op = spak.op("mine", {"a": [2, 3]}, restrictions=["a <= 1"])
    found = TunedKernel(conv, op, "three", names={"A": "a"}).sift([{"A": 2}, {"A": 3}], dict)
    assert len(found.kept) == 2
    assert "all are kept: none of the configurations is feasible" in caplog.text


def test_laws_of_another_compiler_only_order(kernel):
    """The kernel is asked for with the compiler that its tuner uses."""
    assert kernel.compiled_by("triton 3.6.0").laws.toolchain == "triton 3.6.0"
    assert kernel.laws.toolchain == ""


@pytest.fixture
def tried():
    return [
        spak.Tried({"BX": 64, "BY": 1, "UNROLL": 0}, 12.5, margin_us=0.5),
        spak.Tried({"BX": 64, "BY": 2, "UNROLL": 0}, 11.5),
        spak.Tried({"BX": 64, "BY": 4, "UNROLL": 0}, failure="OutOfResources: smem"),
    ]


def test_what_was_measured_is_a_run_file_that_every_check_accepts(kernel, tried):
    """Who, how, with what, failures included; it orders the next search."""
    done = spak.record(kernel.laws.root, kernel.results(tried, BY))
    assert (done.trials, done.failures) == (3, 1)
    laws = load(kernel.laws.root)
    run = laws.run(done.run)
    assert (run.tier, run.hw, run.op, run.source) == ("measured", "three", "conv", "tried by sometuner 1.2")
    assert (run.noise.timer, run.toolchain, run.strategy) == ("a clock", {"sometuner": "1.2"}, "imported")
    time = run.trials[0].measurements[0]
    assert (time.name, time.value, time.unit, time.low, time.high) == ("time", 12.5, "us", 12.0, 13.0)
    assert run.trials[2].failure.message == "OutOfResources: smem"
    assert [problem for problem in run_checks(laws) if done.run in problem.path] == []
    choice = spak.load(laws.root).choose("conv", hw="three")
    assert (choice.origin, choice.configuration) == ("recorded", {"bx": 64, "by": 2, "unroll": 0})


def test_the_same_results_again_change_nothing(kernel, tried):
    """As with an import."""
    spak.record(kernel.laws.root, kernel.results(tried, BY))
    assert spak.record(kernel.laws.root, kernel.results(tried, BY)).written == ()


def test_times_that_nobody_checked_are_reported_and_nothing_runs_by_them(kernel, tried):
    """They order, they prove nothing, and `choose` does not take the fastest wrong answer."""
    unchecked = replace(BY, checked=False)
    done = spak.record(kernel.laws.root, kernel.results(tried, unchecked))
    library = spak.load(kernel.laws.root)
    assert library.laws.run(done.run).tier == "reported"
    assert library.choose("conv", hw="three").origin != "recorded"
    assert "three" in dict(library.rank([{"bx": 64, "by": 1, "unroll": 0}], op="conv", hw="three").sources)


def test_an_op_of_ones_own_is_registered_as_it_is(kernel, tried, tmp_path):
    """With what it is a kind of; the same name with other values is refused."""
    op = spak.op("mine", {"bx": [64], "by": [1, 2, 4], "unroll": [0]}, is_a=["conv"], problem={"n": 7})
    own = replace(kernel, op=op, problem={"n": 9})
    done = spak.record(kernel.laws.root, own.results(tried, BY))
    after = spak.load(kernel.laws.root)
    assert after.op("mine") == op
    assert after.laws.run(done.run).problem == {"n": 9}
    other = spak.op("mine", {"bx": [64, 65], "by": [1, 2, 4], "unroll": [0]}, problem={"n": 7})
    with pytest.raises(spak.KgError, match="another of that name"):
        spak.record(kernel.laws.root, replace(own, op=other).results(tried, BY))


def test_what_the_op_cannot_say_whole_is_not_recorded(kernel, tried, caplog):
    """No default is invented for what ran, and of two that are one to the op neither is its time."""
    odd = [
        spak.Tried({"BX": 64, "BY": 1}, 1.0),
        spak.Tried({"BX": 32, "BY": 1, "UNROLL": 0, "STAGES": 2}, 2.0),
        spak.Tried({"BX": 32, "BY": 1, "UNROLL": 0, "STAGES": 3}, 3.0),
    ]
    told = replace(kernel, names={**kernel.names, "STAGES": ""})
    assert [one.time_us for one in told.results([*odd, *tried[:1]], BY).tried] == [12.5]
    assert "nothing says unroll of op 'conv'" in caplog.text
    assert "2 of the tuner's are one to the op" in caplog.text
    with pytest.raises(spak.KgError, match="can say none"):
        told.results(odd, BY)


def test_a_problem_size_goes_by_its_name_too(kernel):
    """One that the op has; else it is said by values."""
    matmul = replace(kernel, laws=spak.load(), op="matmul", names={}, fixed={})
    found = spak.load().op("matmul").parameters
    whole = {name: parameter.default for name, parameter in found.items()}
    named = replace(matmul, fixed=whole, problem="m2048")
    assert named.results([spak.Tried({}, 1.0)], BY).problem["m"] == 2048
    with pytest.raises(spak.KgError, match="no size 'large'"):
        replace(named, problem="large").results([spak.Tried({}, 1.0)], BY)


def test_a_run_file_of_a_tuner_is_read_as_a_recording(kernel, tried):
    """It replays like any other."""
    done = spak.record(kernel.laws.root, kernel.results(tried, BY))
    path = next(path for path in done.written if done.run in path.name)
    assert len(spak.read_recording(path).trials) == 3
    assert json.loads(path.read_text())["trials_sha256"]
