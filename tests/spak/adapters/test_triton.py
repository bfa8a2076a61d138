"""Triton's autotuner, the real class on a real kernel; only the launch and its time are made up."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import spak
from spak.adapters.triton import TritonTuning

triton = pytest.importorskip("triton", reason="needs triton")

from triton.runtime.errors import OutOfResources  # noqa: E402

NAMES = {"BX": "bx", "BY": "by", "UNROLL": "unroll", "num_warps": "", "num_ctas": "", "num_stages": ""}


def configs(*bx):
    return [triton.Config({"BX": x, "BY": by, "UNROLL": 0}, num_warps=4) for x in bx for by in (1, 4)]


@pytest.fixture
def asked(kernel):
    """The kernel, with Triton's own parameters."""
    from dataclasses import replace

    return replace(kernel, names=NAMES)


@pytest.fixture
def autotuned(launch_us):
    """An autotuner over some configurations, and what it launched."""

    def make(tuning, given, **options):
        launched = []

        def block(X, N, BX, BY, UNROLL):
            """Never compiled here."""

        function = triton.JITFunction(block)

        def launch(*_, BX, BY, UNROLL, **__):
            launched.append((BX, BY, UNROLL))
            try:
                return launch_us(BX, BY, UNROLL)
            except RuntimeError:
                raise OutOfResources(200, 100, "shared memory") from None

        def do_bench(call, quantiles):
            call()
            return [launch_us(*launched[-1]) / 1000] * len(quantiles)

        function.run = launch
        decorate = triton.autotune(given, ["N"], do_bench=tuning.watched(do_bench), **options)
        return decorate(function), launched

    return make


def test_laws_prune_and_order_what_triton_times(asked, hard, autotuned):
    """Narrow blocks are never launched; the last launch is of the best."""
    tuning = TritonTuning(asked, toolchain="")
    kernel, launched = autotuned(tuning, configs(16, 32, 64, 128), prune_configs_by=tuning.prune_configs_by())
    kernel.run(None, 7)
    assert [bx for bx, _, _ in launched] == [64, 64, 128, 128, 64]
    assert kernel.best_config.kwargs == {"BX": 64, "BY": 4, "UNROLL": 0}


@pytest.mark.parametrize(("top_k", "num_timed"), [(2, 2), (0.5, 4)])
def test_top_k_times_only_the_first_of_what_is_known(asked, autotuned, top_k, num_timed):
    """`perf_model` gives Triton the place of a configuration, not a time."""
    tuning = TritonTuning(asked, toolchain="")
    by = tuning.prune_configs_by(top_k=top_k)
    kernel, launched = autotuned(tuning, configs(16, 32, 64, 128), prune_configs_by=by)
    kernel.run(None, 7)
    assert len(launched) == num_timed + 1
    assert launched[0] == (64, 4, 0)


def test_laws_are_asked_for_code_of_tritons_compiler(asked):
    """What was seen with cuTile's compiler orders code of Triton's; who knows better says so."""
    assert TritonTuning(asked)._kernel.laws.toolchain == f"triton {triton.__version__}"
    assert TritonTuning(asked, toolchain="tileiras 13.4.92")._kernel.laws.toolchain == "tileiras 13.4.92"


def test_what_it_timed_is_heard_and_recorded_with_why_it_failed(asked, autotuned, now):
    """Triton itself forgets the message; medians in microseconds."""
    tuning = TritonTuning(asked)
    kernel, _ = autotuned(tuning, configs(64, 128), prune_configs_by=tuning.prune_configs_by())
    heard = []
    triton.knobs.autotuning.listener = lambda **event: heard.append(event)
    try:
        with tuning.listening():
            kernel.run(None, 7)
    finally:
        triton.knobs.autotuning.listener = None
    assert len(heard) == 1
    (told,) = tuning.results(now, checked=True)
    done = spak.record(asked.laws.root, told)
    assert (done.trials, done.failures) == (4, 1)
    run = spak.load(asked.laws.root).laws.run(done.run)
    assert (run.source, run.toolchain) == (
        f"tried by triton.autotune {triton.__version__}",
        {"triton": triton.__version__},
    )
    failed = next(trial for trial in run.trials if trial.failure)
    assert failed.invalidity == "runtime"
    assert failed.failure.message.startswith("OutOfResources: out of resource: shared memory")
    best = next(trial for trial in run.trials if trial.configuration == {"bx": 64, "by": 4, "unroll": 0})
    assert best.value("time") == pytest.approx(10.0)


def test_each_problem_size_is_asked_and_recorded_by_itself(asked, autotuned, now):
    """The arguments of the call say which it is."""
    from dataclasses import replace

    op = spak.op("mine", {"bx": [64, 128], "by": [1, 4], "unroll": [0]}, problem={"n": 1}, is_a=["conv"])
    tuning = TritonTuning(replace(asked, op=op), lambda arguments: {"n": arguments["N"]})
    kernel, _ = autotuned(tuning, configs(64, 128), prune_configs_by=tuning.prune_configs_by())
    for n in (7, 9):
        kernel.run(None, n)
        tuning.take(kernel)
    assert [told.problem for told in tuning.results(now)] == [{"n": 7}, {"n": 9}]


def test_timings_of_another_kernel_are_not_ours(asked, autotuned, now):
    """The listener hears every kernel of the process."""
    tuning, other = TritonTuning(asked), TritonTuning(asked)
    kernel, _ = autotuned(other, configs(64), prune_configs_by=other.prune_configs_by())
    kernel.run(None, 7)
    tuning.take(kernel)
    tuning.take(SimpleNamespace())
    assert tuning.results(now) == ()


def test_what_the_op_cannot_say_is_recorded_nowhere_and_harms_nothing(asked, autotuned, now):
    """Two numbers of warps are one configuration to an op that has no word for them."""
    tuning = TritonTuning(asked)
    twice = [triton.Config({"BX": 64, "BY": 4, "UNROLL": 0}, num_warps=warps) for warps in (4, 8)]
    kernel, _ = autotuned(tuning, twice, prune_configs_by=tuning.prune_configs_by())
    kernel.run(None, 7)
    tuning.take(kernel)
    assert tuning.results(now) == ()


def test_a_cache_file_is_evidence_too(asked, tmp_path, now):
    """In the form that Triton 3.6 to 3.9 write: the attributes of each configuration, and its quantiles in ms."""
    written = [(config.__dict__, [time] * 3) for config, time in zip(configs(64), (0.012, float("inf")), strict=True)]
    path = tmp_path / "block.autotune.json"
    path.write_text(json.dumps({"key": [7], "configs_timings": written}))
    tuning = TritonTuning(asked)
    tuning.take_cache(path)
    told = tuning.results(now)[0].tried
    assert [(one.time_us, one.failure) for one in told] == [(12.0, ""), (None, "Triton says that it failed, not why")]
    path.write_text('{"configs_timings": [3]}')
    with pytest.raises(spak.KgError, match=r"block\.autotune\.json: no \*\.autotune\.json"):
        tuning.take_cache(path)


def test_a_triton_that_tells_nobody_says_what_to_do_instead(asked, monkeypatch):
    """Triton 3.6, which comes with torch 2.11."""
    monkeypatch.setattr(triton.knobs, "autotuning", SimpleNamespace(print=False))
    with pytest.raises(RuntimeError, match=r"call take\(kernel\)"), TritonTuning(asked).listening():
        pass
