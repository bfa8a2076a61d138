"""Kernel Tuner itself, its simulated runner and its C backend, searches in our order."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import UTC, datetime

import pytest

import spak
from spak.adapters.kernel_tuner import SessionStrategy

kernel_tuner = pytest.importorskip("kernel_tuner", reason="kernel_tuner is not installed (pip install 'spak[dev]')")
pytestmark = pytest.mark.filterwarnings("ignore:None of the tunable parameters specify thread block")

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THREE = spak.HardwareName("three", "family")
MARKERS = {"runtime": "RuntimeFailedConfig", "compile": "CompilationFailedConfig"}


def cached(record, folder, device="three"):
    """A record as the cache that Kernel Tuner would have written."""
    entries = {}
    for trial in record.trials:
        outcome = {"__error__": MARKERS[trial.invalidity]} if trial.failure else {"time": trial.value("time") * 1e-3}
        spent = {"compile_time": 1000.0, "verification_time": 0.0, "benchmark_time": 500.0}
        bookkeeping = {"strategy_time": 0.0, "framework_time": 0.0}
        key = ",".join(map(str, trial.configuration.values()))
        entries[key] = {**trial.configuration, **outcome, **spent, **bookkeeping}
    file = {
        "device_name": device,
        "kernel_name": "recorded",
        "problem_size": [1],
        "tune_params_keys": list(record.parameters),
        "tune_params": {name: list(values) for name, values in record.parameters.items()},
        "objective": "time",
        "cache": entries,
    }
    path = folder / f"{device}_cache.json"
    path.write_text(json.dumps(file))
    return path


def simulated(cache, strategy, **options):
    """Kernel Tuner's own simulation of `cache`, of all that it holds, failures included."""
    from constraint import FunctionConstraint

    file = json.loads(cache.read_text())
    held = {tuple(entry[name] for name in file["tune_params_keys"]) for entry in file["cache"].values()}
    chosen = {name: options.pop(name) for name in ("objective", "objective_higher_is_better") if name in options}
    return kernel_tuner.tune_kernel(
        file["kernel_name"],
        "",
        tuple(file["problem_size"]),
        [],
        file["tune_params"],
        restrictions=[FunctionConstraint(lambda *row: row in held)],
        strategy=strategy,
        strategy_options=options,
        cache=str(cache),
        simulation_mode=True,
        quiet=True,
        **chosen,
    )


def tried(strategy):
    return [(trial.configuration, trial.value("time"), trial.origin) for trial in strategy.session.result().trials]


@pytest.mark.parametrize(("seed", "budget"), [(0, None), (7, 12)])
def test_its_trials_are_those_of_a_replay(seed, budget, conv, record, tmp_path):
    """With laws, recorded runs, audits and failures; the last trial of a budget is told although Kernel Tuner stops at it."""
    cache = cached(record, tmp_path)
    strategy = SessionStrategy(conv, "conv", THREE, seed=seed)
    results, env = simulated(cache, strategy, **({"max_fevals": budget} if budget else {}))
    what = spak.Replay(THREE, "conv", conv.laws, own_runs="other-problems", seed=seed, budget=budget)
    done = spak.replay(spak.read_recording(cache), what)
    assert tried(strategy) == [(trial.configuration, trial.value("time"), trial.origin) for trial in done.trials]
    assert len(results) == (budget or len(record.trials))
    assert {"__error__" in one for one in results} == {False, True}
    assert env["best_config"]["time"] == pytest.approx(done.best.value("time") * 1e-3)


def test_the_time_limit_is_kernel_tuners(conv, record, tmp_path):
    """A recorded trial takes 1.5 s here."""
    strategy = SessionStrategy(conv, "conv", THREE)
    results, _ = simulated(cached(record, tmp_path), strategy, time_limit=15.0)
    assert 0 < len(results) <= 11
    assert len(strategy.session.result().trials) == len(results)


def test_what_laws_remove_is_audited_alone_and_logged(hard, conv, record, tmp_path, caplog):
    """Law and reason once, with how many configurations it is about."""
    caplog.set_level(logging.INFO, "spak.adapters")
    strategy = SessionStrategy(conv, "conv", THREE, seed=1)
    results, _ = simulated(cached(record, tmp_path), strategy, max_fevals=10)
    assert "18 of 36 configurations left out by avoid-narrow: Narrow blocks are slow" in caplog.messages
    narrow = [place for place, one in enumerate(results) if one["bx"] <= 32]
    assert narrow == [place for place, one in enumerate(tried(strategy)) if one[2] == "audit"]
    assert narrow


def test_where_laws_remove_everything_something_is_tried(hard, conv, record, tmp_path):
    """A budget of one is spent."""
    only = spak.Recording(
        "t4", record.parameters, False, tuple(t for t in record.trials if t.configuration["bx"] <= 32)
    )
    results, _ = simulated(cached(only, tmp_path), SessionStrategy(conv, "conv", THREE), max_fevals=1)
    assert len(results) == 1


def test_a_kernel_that_nobody_recorded_is_searched_all_the_same(conv, record, tmp_path, caplog):
    """And the log says that nothing was known of it."""
    strategy = SessionStrategy(conv, "stencil", seed=1)
    results, _ = simulated(cached(record, tmp_path), strategy, max_fevals=5)
    assert len(results) == 5
    assert "unknown op 'stencil'" in caplog.text
    with pytest.raises(spak.UnknownNameError, match="problem"):
        simulated(cached(record, tmp_path), SessionStrategy(conv, "conv", THREE, problem="large"))


def test_another_objective_or_option_is_refused(conv, record, tmp_path):
    """Our sessions rank by time."""
    cache = cached(record, tmp_path)
    with pytest.raises(ValueError, match="objective: this strategy minimises 'time'"):
        simulated(cache, SessionStrategy(conv, "conv", THREE), objective="GFLOP/s", objective_higher_is_better=True)
    with pytest.raises(ValueError, match="Unrecognized option popsize"):
        simulated(cache, SessionStrategy(conv, "conv", THREE), popsize=4)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="Kernel Tuner's C backend needs gcc")
def test_a_live_search_fills_the_cache_and_becomes_evidence(tmp_path, monkeypatch):
    """Compiled by gcc and called. The next machine begins with what this one measured."""
    monkeypatch.chdir(tmp_path)  # Kernel Tuner compiles where it is
    source = "float wait(float *x) { return kind + 0.1f * unroll; }"
    import numpy as np

    cache = tmp_path / "live.json"
    (tmp_path / "laws").mkdir()
    strategy = SessionStrategy(spak.load(tmp_path / "laws"), "wait", spak.HardwareName("this machine"), seed=1)
    results, _ = kernel_tuner.tune_kernel(
        "wait",
        source,
        1,
        [np.zeros(1, np.float32)],
        {"kind": [1, 2, 3], "unroll": [1, 2]},
        lang="C",
        iterations=1,
        strategy=strategy,
        cache=str(cache),
        quiet=True,
    )
    assert len(results) == 6
    assert strategy.session.best.configuration == {"kind": 1, "unroll": 1}
    imported = strategy.record(tmp_path / "laws", cache, NOW)
    assert (imported.trials, imported.failures) == (6, 0)
    later = spak.load(tmp_path / "laws").session("wait", hw="another machine", seed=3)
    assert later.strategy == "transfer"
    assert later.ask()["kind"] == 1


def test_results_without_a_cache_are_evidence_as_t4(conv, record, tmp_path):
    """As `get_t4_results` gives them; the hardware is then said by the strategy, else it is refused."""
    from kernel_tuner.file_utils import store_output_file

    strategy = SessionStrategy(conv, "conv", THREE)
    results, _ = simulated(cached(record, tmp_path), strategy, max_fevals=20)
    names = {name: list(values) for name, values in record.parameters.items()}
    store_output_file(str(tmp_path / "t4.json"), results, names)
    with pytest.raises(spak.KgError, match=r"t4\.json: does not say on what it ran"):
        SessionStrategy(conv, "conv").record(conv.root, tmp_path / "t4.json", NOW)
    imported = strategy.record(conv.root, tmp_path / "t4.json", NOW)
    assert (imported.trials, imported.failures) == (20, sum("__error__" in one for one in results))
    assert imported.hw == "three"


@pytest.mark.slow
def test_on_recorded_gpus_it_is_the_search_of_replay(hub, tmp_path):
    """The convolution kernel, one GPU held out: Kernel Tuner's own loop, our order."""
    for name, arch in {"A100": "sm_80", "A6000": "sm_86", "W7800": "rdna3"}.items():
        known = spak.Import(hub / f"{name}_T4.json.gz", spak.HardwareName(name, arch), "convolution")
        spak.import_file(tmp_path / "laws", known, NOW)
    laws, hw = spak.load(tmp_path / "laws"), spak.HardwareName("A4000", "sm_86")
    cache = cached(spak.read_recording(hub / "A4000_T4.json.gz"), tmp_path, "A4000")
    strategy = SessionStrategy(laws, "convolution", hw, seed=2)
    simulated(cache, strategy, max_fevals=40)
    done = spak.replay(spak.read_recording(cache), spak.Replay(hw, "convolution", laws.laws, budget=40, seed=2))
    assert tried(strategy) == [(trial.configuration, trial.value("time"), trial.origin) for trial in done.trials]
