"""`tune replay` and `kg import` together: recorded spaces searched as if they were live."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from spak.cli import kg as kg_cli
from spak.cli import tune as tune_cli
from spak.cli.app import build_app, run_app
from spak.kg.files.loader import load
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.reader import read_recording
from spak.kg.formats.recording import Recording
from spak.kg.model.run import Measurement, Trial
from spak.tuner.engine import loop
from spak.tuner.errors import TunerError
from spak.tuner.replay import Replay, expected_random, replay
from tests.shipped import LAWS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("bx", "by", "unroll")
SPACE = [(bx, by, unroll) for bx in (16, 32, 64, 128, 256) for by in (1, 2, 4, 8) for unroll in (0, 1, 2, 4)]


def t4(seed, broken=False):
    """A made-up GPU as a T4 file: 80 configurations; `seed` 0 is the family's common behaviour."""
    common, own = np.random.default_rng(7), np.random.default_rng(seed)
    results = []
    for values in SPACE:
        time = float(np.exp(abs(np.log2(values[0]) - 6) * 0.5 + abs(values[1] - 4) * 0.3 + common.normal(0, 0.2)))
        time *= float(np.exp(own.normal(0, 0.05 if seed else 0.0)))
        failed = broken and values[0] == 256
        results.append(
            {
                "configuration": dict(zip(NAMES, values, strict=True)),
                "times": {"compilation": 1000.0, "framework": 10.0, "runtimes": [] if failed else [time] * 5},
                "invalidity": "runtime" if failed else "correct",
                "correctness": int(not failed),
                "measurements": [{"name": "time", "value": "RuntimeFailedConfig" if failed else time, "unit": "ms"}],
            }
        )
    return {"schema_version": "1.0.0", "metadata": {"timeunit": "ms"}, "results": results}


@pytest.fixture
def files(tmp_path):
    found = {}
    for seed, name in enumerate(("one", "two", "three")):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(t4(seed, broken=name == "two")))
        found[name] = path
    return found


@pytest.fixture
def laws(tmp_path, files):
    for name in ("one", "two"):
        import_file(tmp_path / "laws", Import(files[name], HardwareName(name, "family"), "conv"), NOW)
    return load(tmp_path / "laws")


def asked(hw="three", **changes):
    return Replay(**{"hardware": HardwareName(hw, "family"), "op": "conv", **changes})


def test_without_laws_it_is_random_search_over_the_record(files):
    done = replay(read_recording(files["three"]), asked())
    assert (done.strategy, done.knowledge, len(done.trials)) == ("random", None, len(SPACE))
    assert {trial.origin for trial in done.trials} == {"strategy"}
    assert done.best == done.trials[done.evaluations_to(1.0) - 1]
    assert done.best.value("time") == done.optimum.value("time")


def test_evaluations_are_counted_in_order_and_null_where_not_reached(files):
    done = replay(read_recording(files["three"]), asked(seed=3))
    times = [trial.value("time") for trial in done.trials]
    assert done.evaluations_to(0.95) == next(n for n, t in enumerate(times, 1) if min(times) >= 0.95 * t)
    short = replay(read_recording(files["three"]), asked(seed=3, budget=1))
    assert short.evaluations_to(0.99) is None
    assert short.seconds_to(None) is None


def test_with_laws_the_other_gpus_say_where_to_look_and_each_trial_says_why(files, laws):
    done = replay(read_recording(files["three"]), asked(laws=laws))
    assert done.strategy == "transfer"
    assert done.knowledge.labels == ("one", "two")
    assert done.evaluations_to(0.95) <= 4
    assert done.reasons[0].startswith("one 50%, two 50%")
    assert set(done.reasons) == set(range(len(SPACE)))


@pytest.mark.parametrize("strategy", ["random", "genetic", "forest", "exhaustive"])
def test_every_strategy_starts_from_what_the_other_gpus_say_and_names_them(files, laws, strategy):
    done = replay(read_recording(files["three"]), asked(laws=laws, strategy=strategy))
    assert done.reasons[0] == "known order: one 50%, two 50%"
    assert done.space.index(done.trials[0].configuration) == done.knowledge.order()[0]
    assert set(done.reasons) == set(range(len(SPACE)))


def test_a_replay_that_was_stopped_goes_no_further(files, laws):
    def stop(trials, _seconds):
        if trials == 3:
            raise KeyboardInterrupt

    hooks = loop.Hooks(time.monotonic, lambda _: None, stop)
    assert len(replay(read_recording(files["three"]), asked(laws=laws), hooks).trials) == 3


def test_runs_of_the_same_hardware_take_part_only_if_asked_for(files, laws):
    record = read_recording(files["one"])
    assert replay(record, asked("one", laws=laws)).knowledge.labels == ("two",)
    assert replay(record, asked("one", laws=laws, own_runs="all")).knowledge.labels == ("one", "two")
    assert replay(record, asked("one", laws=laws, own_runs="other-problems")).knowledge.labels == ("two",)
    assert replay(record, asked("one", laws=laws, own_runs="all")).evaluations_to(0.99) == 1


def test_costs_are_those_of_the_record(files):
    done = replay(read_recording(files["three"]), asked(budget=3))
    expected = sum(1.0 + 0.01 + 5 * trial.value("time") * 1e-6 for trial in done.trials)
    assert done.seconds_to(3) == pytest.approx(expected)


@pytest.mark.parametrize("strategy", ["transfer", "random", "genetic", "forest", "exhaustive"])
def test_same_seed_same_trials_for_every_strategy(files, laws, strategy):
    record = read_recording(files["three"])
    one, two = (replay(record, asked(laws=laws, strategy=strategy, seed=5, budget=30)) for _ in range(2))
    assert one.trials == two.trials
    assert len(one.trials) == 30


def test_an_unknown_op_and_hardware_are_strangers_and_no_error(files, laws):
    done = replay(read_recording(files["three"]), Replay(HardwareName("nobody"), "something-new", laws))
    assert (done.strategy, done.knowledge.labels) == ("random", ())


def of_one_size():
    """Packaged measured runs; those that test laws hold several problem sizes and are no space to search."""
    for name in LAWS.run_ids:
        run = LAWS.run(name)
        if run.tier == "measured" and all(trial.problem in ({}, run.problem) for trial in run.trials):
            yield name


@pytest.mark.uncounted
@pytest.mark.parametrize("name", list(of_one_size()))
def test_every_packaged_run_replays_with_laws(name):
    """An op gains parameters; what was recorded before has their defaults, here as everywhere."""
    found = LAWS.run(name)
    record = read_recording(LAWS.path("run", name))
    done = replay(record, Replay(HardwareName(found.hw), found.op, LAWS, budget=2))
    assert len(done.trials) == min(2, len(record.trials))
    assert done.trials[0].configuration.keys() == LAWS.ops[found.op].parameters.keys()
    assert len(done.space) == len(record.trials)


def test_a_record_that_does_not_match_the_op_is_refused(tmp_path, files, laws):
    content = t4(0)
    for result in content["results"]:
        result["configuration"]["extra"] = 1
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(content))
    with pytest.raises(TunerError, match="extra"):
        replay(read_recording(path), asked(laws=laws))


def test_a_record_of_failures_alone_is_refused(tmp_path):
    content = t4(1, broken=True)
    content["results"] = [r for r in content["results"] if r["invalidity"] == "runtime"]
    path = tmp_path / "failed.json"
    path.write_text(json.dumps(content))
    with pytest.raises(TunerError, match="no correct time"):
        replay(read_recording(path), asked())


LAW = """\
id: avoid-small
title: Small blocks are slow
kind: negative
scope: {hw: family, op: conv}
claim:
  avoid: bx <= 64
  effect: {slowdown: {at_least: 8.0}}
status: proposed
"""


def test_a_wrong_soft_law_only_reorders(tmp_path, files, laws):
    (laws.root / "family").mkdir()
    (laws.root / "family" / "avoid-small.yaml").write_text(LAW)
    done = replay(read_recording(files["three"]), asked(laws=load(laws.root)))
    assert "law avoid-small" in done.knowledge.labels
    assert done.restriction.removed.sum() == 0
    assert done.best.value("time") == done.optimum.value("time")


def test_what_a_hard_law_removed_comes_last_and_is_not_lost(files, laws, monkeypatch):
    """A confirmed law from a near relative that forbids the very optimum here costs evaluations, not the optimum."""
    from spak.kg.law.kinds.base import Power
    from spak.tuner.engine import opening

    (laws.root / "family").mkdir()
    optimum = replay(read_recording(files["three"]), asked()).optimum.configuration
    text = LAW.replace("bx <= 64", f"bx == {optimum['bx']} and by == {optimum['by']}")
    (laws.root / "family" / "avoid-small.yaml").write_text(text)
    soft = opening.restrict

    def hard(*args):
        found = soft(*args)
        return replace(found, rules=tuple(replace(rule, power=Power.REMOVE) for rule in found.rules))

    monkeypatch.setattr(opening, "restrict", hard)
    done = replay(read_recording(files["three"]), asked(laws=load(laws.root), audit=0.0))
    assert len(done.trials) == len(SPACE)
    assert done.evaluations_to(1.0) > len(SPACE) - 5
    audited = replay(read_recording(files["three"]), asked(laws=load(laws.root), audit=0.05))
    assert audited.evaluations_to(1.0) < done.evaluations_to(1.0)


def command(app, *args):
    command_ = build_app(registry=app.COMMANDS, help_text="", default="search" if app is tune_cli else "")
    return run_app(command_, "app", [str(arg) for arg in args])


def test_the_commands_do_the_same_from_a_shell(tmp_path, files, capsys):
    root = tmp_path / "mine"
    assert command(kg_cli, "--laws", root, "import", files["one"], "--hw", "one", "--op", "conv") == 0
    assert "80 configurations of conv on one, 0 of them failed" in capsys.readouterr().out
    assert (
        command(kg_cli, "import", files["one"], "--hw", "one", "--op", "conv", "--laws", root, "--format", "json") == 0
    )
    assert json.loads(capsys.readouterr().out)["written"] == []
    assert command(kg_cli, "import", files["one"], "--hw", "one", "--op", "conv", "--laws", root) == 0
    assert "nothing changed" in capsys.readouterr().out
    args = ("replay", files["three"], "--hw", "three", "--op", "conv", "--laws", root, "--use-laws", "--budget", 12)
    assert command(tune_cli, *args, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["evaluations_to"]) == {"0.95", "0.99"}
    times = [trial.value("time") for trial in read_recording(files["three"]).trials]
    good = sum(min(times) >= 0.95 * time for time in times)
    assert found["random_expects"]["0.95"] == (len(SPACE) + 1) / (good + 1)
    assert [trial["n"] for trial in found["trials"]] == list(range(1, 13))
    assert found["best"]["time_us"] == min(trial["time_us"] for trial in found["trials"])
    assert command(tune_cli, *args) == 0
    shown = capsys.readouterr().out
    assert "known: one, weight 1.00" in shown
    assert "(random search expects " in shown
    assert command(tune_cli, "replay", files["two"], "--hw", "two", "--op", "conv", "--budget", 1) == 0
    assert "not reached" in capsys.readouterr().out


def test_the_first_configurations_for_a_gpu_without_a_record(tmp_path, files, laws, capsys):
    root = tmp_path / "mine"
    for name in ("one", "two"):
        assert command(kg_cli, "--laws", root, "import", files[name], "--hw", name, "--op", "conv") == 0
    capsys.readouterr()
    args = ("first", "--hw", "three", "--op", "conv", "--laws", root, "--count", 5)
    assert command(tune_cli, *args, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    replayed = replay(read_recording(files["three"]), asked(laws=laws))
    assert found["configurations"][0] == replayed.trials[0].configuration
    space, order = replayed.space, replayed.knowledge.order()
    assert found["configurations"] == [space.config(int(row)) for row in order[:5]]
    assert [item["source"] for item in found["knowledge"]] == ["one", "two"]
    assert command(tune_cli, *args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "conv on three: first of 80 configurations",
        "  known: one, weight 0.50",
        "  known: two, weight 0.50",
    ]
    rows, last = lines[4:-1], lines[-1]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4", "5"]
    shared = dict([lines[3].removeprefix("all with ").split("=")])
    assert all(str(one[name]) == value for one in found["configurations"] for name, value in shared.items())
    assert last == f"first = {json.dumps(found['configurations'][0])}"
    assert command(tune_cli, "first", "--hw", "three", "--op", "none", "--laws", root) == 2
    assert command(tune_cli, "first", "--hw", "x", "--op", "conv", "--laws", tmp_path / "nowhere") == 2


def test_notes_on_the_rules_applied_go_to_stderr(tmp_path, capsys):
    content = t4(0)
    content["results"].append(content["results"][0])
    path = tmp_path / "twice.json"
    path.write_text(json.dumps(content))
    assert command(kg_cli, "--laws", tmp_path / "l", "import", path, "--hw", "one", "--op", "conv") == 0
    assert "occur more than once" in capsys.readouterr().err
    assert command(tune_cli, "replay", path, "--hw", "one", "--op", "conv", "--budget", 2) == 0
    assert "occur more than once" in capsys.readouterr().err


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    path = tmp_path / "cut.json"
    path.write_text('{"results": [')
    for app, args in ((kg_cli, ("import",)), (tune_cli, ("replay",))):
        assert command(app, *args, path, "--hw", "x", "--op", "y") == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_public_records_one_architecture_held_out(tmp_path, hub):
    """The claim of docs/transfer.md on the data it was measured on, with wide margins and one seed."""
    arch = {"A100": "sm_80", "A4000": "sm_86", "A6000": "sm_86", "MI250X": "cdna2", "W6600": "rdna2", "W7800": "rdna3"}
    for name, node in arch.items():
        import_file(tmp_path / "l", Import(hub / f"{name}_T4.json.gz", HardwareName(name, node), "conv"), NOW)
    whole = load(tmp_path / "l")
    logs = []
    for name in ("A4000", "MI250X", "W6600", "W7800"):
        record = read_recording(hub / f"{name}_T4.json.gz")
        what = Replay(HardwareName(name, arch[name]), "conv", whole, budget=400)
        done = replay(record, what)
        times = [trial.value("time") for trial in record.trials if trial.value("time")]
        good = sum(min(times) >= 0.95 * time for time in times)
        logs.append(np.log((len(record.trials) + 1) / (good + 1) / done.evaluations_to(0.95)))
    assert np.exp(np.mean(logs)) > 25


def test_what_random_search_expects_asks_for_the_best_once():
    """It was looked for anew for every configuration: 11 s at 20,000."""

    class Counted(float):
        asked = 0

        def __lt__(self, other: float) -> bool:
            Counted.asked += 1
            return float(self) < other

    times = [Counted(1 + place) for place in range(500)]
    trials = tuple(
        Trial(configuration={"x": place}, measurements=(Measurement(name="time", value=time, unit="us"),))
        for place, time in enumerate(times)
    )
    found = expected_random(Recording("t4", {}, declared=False, trials=trials), 0.5)
    assert found == 501 / 3
    assert Counted.asked < 2 * len(times)
