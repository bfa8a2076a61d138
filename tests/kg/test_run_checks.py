"""A run that cannot be as it says is found; each lie of a run alone, and a sound run has none."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS, HELP
from spak.kg import checks
from spak.kg.checks.run_dates import committed, dated
from spak.kg.files.loader import load
from spak.kg.files.seal import trials_digest

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AXES = {"tile_m": [32, 64, 128], "tile_n": [32, 64, 128]}


def trial(tile_m, tile_n, **more):
    value = 10.0 + tile_m / 7 + tile_n / 3
    timed = {"name": "time", "value": value, "unit": "us", "low": value - 1, "high": value + 1}
    return {"configuration": {"tile_m": tile_m, "tile_n": tile_n, "v_latency": 4}, "measurements": [timed]} | more


def sound():
    """A sweep of the small root's op as a search writes it."""
    return {
        "id": "swept",
        "tier": "measured",
        "created": "2026-01-02T03:04:05Z",
        "hw": "rtx5070",
        "op": "fmha",
        "device": {"name": "NVIDIA GeForce RTX 5070", "machine": "0123456789ab"},
        "kernel": {"name": "fmha", "source_sha256": "0" * 64},
        "problem": {"seq": 128, "head_dim": 64, "causal": True},
        "exhaustive_over": AXES,
        "trials": [trial(m, n) for m in AXES["tile_m"] for n in AXES["tile_n"]],
    }


def write(root, run, *, sealed=True):
    seal = {"trials_sha256": trials_digest(run["trials"])} if sealed else {}
    (root / "evidence" / f"{run['id']}.json").write_text(json.dumps(seal | run))


def found(root, name=None):
    wanted = {"run", "run-date", "shared-trials"} if name is None else {name}
    return [
        f"{problem.field}: {problem.message}"
        for problem in checks.run_checks(load(root))
        if problem.check in wanted and "swept" in problem.path
    ]


def test_a_time_marked_with_how_far_the_device_had_drifted_is_sound(law_root):
    run = sound()
    run["trials"][0]["measurements"] = [MARKED, DRIFTED]
    write(law_root, run)
    assert found(law_root) == []


def test_a_sound_run_has_no_findings(law_root):
    """The one that every lie below is told in."""
    write(law_root, sound())
    assert found(law_root) == []


def test_a_run_of_two_gpus_says_of_each_trial_which_and_is_an_occasion_of_no_machine(law_root):
    run = sound()
    _on("a" * 12, "b" * 12)(run)
    write(law_root, run)
    assert found(law_root) == []
    assert load(law_root).run("swept").occasion == "2026-01-02 rtx5070"


def _at(run, *steps):
    for step in steps:
        run = run[step]
    return run


def _set(*steps):
    *way, last, value = steps

    def lie(run):
        _at(run, *way)[last] = value

    return lie


def _drop(*steps):
    *way, last = steps

    def lie(run):
        del _at(run, *way)[last]

    return lie


def _without_the_best(run):
    run["trials"] = [one for one in run["trials"] if one["configuration"]["tile_m"] != 32]


def _without_a_failed_one(run):
    run["trials"] = run["trials"][1:]


def _on(*machines):
    """The trials ran on these GPUs in turn, and each says so."""

    def lie(run):
        run["device"].pop("machine")
        for number, one in enumerate(run["trials"]):
            one["machine"] = machines[number % len(machines)]

    return lie


TIMED = ("trials", 0, "measurements", 0)
MARKED = {"name": "unsteady_time", "value": 3.0, "unit": "us", "low": 2.0, "high": 4.0}
DRIFTED = {"name": "drift", "value": 0.1, "low": 0.05, "high": 0.15}
LIES = {
    "another card": (_set("device", "name", "NVIDIA GeForce RTX 3060"), "device.name: no hardware node is called"),
    "no card": (_drop("device"), "device: it was measured, and does not say on what device"),
    "a tile of 7777": (
        _set("trials", 3, "configuration", "tile_m", 7777),
        "trials[3].configuration.tile_m: tile_m of op",
    ),
    "a truth for a number": (_set("trials", 0, "configuration", "v_latency", True), "v_latency of op 'fmha' is one of"),
    "unknown parameter": (_set("trials", 2, "configuration", "tile_z", 1), "op 'fmha' has no parameter 'tile_z'"),
    "unknown problem parameter": (_set("problem", "sequence", 1), "op 'fmha' has no problem parameter 'sequence'"),
    "a problem of another type": (_set("problem", "seq", "many"), "seq is of type int"),
    "a trial's problem": (
        _set("trials", 1, "problem", {"seq": 0.5}),
        "trials[1].problem: op 'fmha': seq is of type int",
    ),
    "a condition broken": (
        _set("trials", 8, "configuration", "tile_n", 256),
        "tile_m * tile_n <= 16384 does not hold, so op",
    ),
    "the best tile deleted": (
        _without_the_best,
        "exhaustive_over: 3 of its configurations are in no trial, such as tile_m=32",
    ),
    "one trial deleted": (_without_a_failed_one, "exhaustive_over: 1 of its configurations are in no trial"),
    "a product of nothing": (
        _set("exhaustive_over", {"depth": [1, 2]}),
        "exhaustive_over: the trials do not all have depth",
    ),
    "a product too large": (
        _set("exhaustive_over", {"tile_m": list(range(1100)), "tile_n": list(range(1100))}),
        "spans more",
    ),
    "no time of day": (_set("created", "yesterday"), "created: no ISO 8601 time"),
    "a time of nowhere": (_set("created", "2026-01-02T03:04:05"), "created: no ISO 8601 time"),
    "an unknown op": (_set("op", "fmhaa"), "op: unknown op 'fmhaa'; nearest: fmha"),
    "unknown hardware": (_set("hw", "rtx5071"), "hw: unknown hw 'rtx5071'; nearest: rtx5070"),
    "a time marked and not": (
        _set("trials", 0, "measurements", [*sound()["trials"][0]["measurements"], MARKED, DRIFTED]),
        "trials[0].measurements: a time that counts and an unsteady_time",
    ),
    "a mark without its reason": (_set("trials", 0, "measurements", [MARKED]), "an unsteady_time has a drift beside"),
    "an unsteady time of nothing": (
        _set("trials", 0, "measurements", [{**MARKED, "value": 0.0, "low": 0.0}]),
        "trials[0].measurements[0]: a finite value inside its interval, a time above 0",
    ),
    "no time": (_set("trials", 0, "measurements", []), "trials[0].measurements: it is correct and has no time"),
    "a time without an interval": (
        _set(*TIMED, {"name": "time", "value": 3.0, "unit": "us"}),
        "without its 95 % interval",
    ),
    "half an interval": (_drop(*TIMED, "low"), "trials[0].measurements[0]: a finite value inside its interval"),
    "a value outside its interval": (_set(*TIMED, "value", 1.0), "a finite value inside its interval"),
    "a time before it began": (_set(*TIMED, "low", -1.0), "a finite value inside its interval"),
    "a time in parsecs": (_set(*TIMED, "unit", "pc"), "times are in us (got pc)"),
    "two times": (_set("trials", 0, "measurements", trial(32, 32)["measurements"] * 2), "names one quantity twice"),
    "a failure that is none": (_set("trials", 0, "failure", {"type": "A", "message": "b"}), "trials[0].failure"),
    "a failure without a reason": (_set("trials", 0, "invalidity", "runtime"), "trials[0].failure"),
    "a time of what failed": (
        lambda run: run["trials"][0].update(invalidity="timeout", failure={"type": "A", "message": "b"}),
        "it has a time though it failed (timeout)",
    ),
    "a time from a compiler": (_set("tier", "compiled"), "a compiled run has no time"),
    "another GPU than the run's": (_set("trials", 0, "machine", "b" * 12), "device.machine: its trials ran on bbbb"),
    "one GPU said nine times": (_on("a" * 12), "device.machine: all that ran did on aaaaaaaaaaaa; the device says it"),
    "a digest of no source": (_set("kernel", "source_sha256", "abc"), "kernel.source_sha256: 64 hex digits"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(law_root, lie):
    """By the field that it is told in."""
    tell, expected = LIES[lie]
    run = sound()
    tell(run)
    write(law_root, run)
    lines = found(law_root)
    assert any(expected in line for line in lines), lines


def test_what_is_another_card_of_the_root_is_named(law_root):
    """The run belongs to the card that it ran on."""
    (law_root / "hardware" / "rtx3060.yaml").write_text(
        "id: rtx3060\ntitle: RTX 3060\nkind: device\nis_a: [nvidia]\naliases: [NVIDIA GeForce RTX 3060]\n"
    )
    write(law_root, sound() | {"device": {"name": "NVIDIA GeForce RTX 3060"}})
    assert "device.name: it ran on 'NVIDIA GeForce RTX 3060', which is rtx3060, not rtx5070" in found(law_root)[0]


def test_a_failed_member_of_a_product_is_a_member_and_an_infeasible_one_is_none(law_root):
    """What was tried and failed was not left out; what the op forbids cannot be tried."""
    run = sound()
    run["trials"][4] = {
        **trial(64, 64),
        "measurements": [],
        "invalidity": "compile",
        "failure": {"type": "Timeout", "message": "60 s"},
    }
    run["exhaustive_over"] = {**AXES, "tile_n": [32, 64, 128, 256]}  # 128 x 256 breaks the op's condition
    run["trials"] += [trial(m, 256) for m in (32, 64)]
    write(law_root, run)
    assert not [line for line in found(law_root) if "exhaustive_over" in line]


def test_what_a_run_lacks_because_its_op_grew_is_no_lie(law_root):
    """A parameter that came later has its default in every trial; so it is in the product too."""
    run = sound()
    for one in run["trials"]:
        del one["configuration"]["v_latency"]
    write(law_root, run)
    assert found(law_root) == []


def test_an_open_op_takes_what_was_seen(law_root):
    """The values of an op made from imported results are those seen; another tool's file may bring more."""
    path = law_root / "ops" / "fmha.yaml"
    path.write_text(path.read_text() + "open: true\n")
    run = sound()
    run["trials"][0]["configuration"]["tile_m"] = 7777
    del run["exhaustive_over"]
    write(law_root, run)
    assert not [line for line in found(law_root) if "tile_m of op" in line]


def test_an_edited_trial_is_found_and_a_missing_digest_says_what_to_do(law_root):
    """One digit of one time; and an older file is told which command mends it."""
    run = sound()
    seal = {"trials_sha256": trials_digest(run["trials"])}
    run["trials"][5]["measurements"][0]["value"] += 1e-9
    write(law_root, run | seal)
    [line] = found(law_root)
    assert line.startswith("trials_sha256: the trials are not those that were recorded (their digest is ")
    write(law_root, run, sealed=False)
    [line] = found(law_root)
    assert line.endswith("add it with kg seal")


def test_kg_seal_gives_old_files_what_they_lack(law_root, capsys):
    """Afterwards the check has nothing to say of them; a second time changes nothing."""
    write(law_root, sound(), sealed=False)
    assert run_app(build_app(registry=COMMANDS, help_text=HELP), "kg", ["--laws", str(law_root), "seal"]) == 0
    assert "swept.json" in capsys.readouterr().out
    assert found(law_root) == []
    run_app(build_app(registry=COMMANDS, help_text=HELP), "kg", ["--laws", str(law_root), "seal"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("created", "late"), [("2999-01-01T00:00:00Z", True), ("2026-06-01T00:30:00Z", False)])
def test_a_run_of_the_future_is_found(law_root, created, late):
    """Clocks may differ by an hour, not by centuries."""
    write(law_root, sound() | {"created": created})
    lines = [str(problem) for problem in dated(load(law_root), NOW, committed(law_root)) if "swept" in problem.path]
    assert bool(lines) == late
    assert all("that is to come" in line for line in lines)


def _commit(folder, when):
    def call(*words):
        dates = {"GIT_AUTHOR_DATE": when.isoformat(), "GIT_COMMITTER_DATE": when.isoformat(), "PATH": "/usr/bin:/bin"}
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True, env=dates)

    call("init", "-q")
    call("add", "-A")
    call("commit", "-q", "-m", "all")


def test_a_run_is_not_younger_than_the_commit_that_brought_it(law_root):
    """Git knows when the file came, whatever the file says; one that is not committed yet it does not know."""
    write(law_root, sound())
    _commit(law_root, datetime(2026, 1, 2, 2, 0, tzinfo=UTC))
    [line] = [str(problem) for problem in dated(load(law_root), NOW, committed(law_root)) if "swept" in problem.path]
    assert "was made on 2026-01-02 03:04, and was committed on 2026-01-02 02:00 already" in line
    write(law_root, sound() | {"note": "edited since"})
    assert not [problem for problem in dated(load(law_root), NOW, committed(law_root)) if "swept" in problem.path]


def test_an_hour_between_two_clocks_is_forgiven(law_root):
    """The machine that measures and the one that commits need not agree to the minute."""
    write(law_root, sound())
    _commit(law_root, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) - timedelta(minutes=59))
    assert not [problem for problem in dated(load(law_root), NOW, committed(law_root)) if "swept" in problem.path]


COPY = {"id": "swept-again", "created": "2026-02-02T03:04:05Z", "problem": {"seq": 256, "head_dim": 64, "causal": True}}


def test_a_run_copied_under_another_name_is_named(law_root):
    """Whatever device, day and problem size the copy claims; the earlier one stays."""
    write(law_root, sound())
    write(law_root, sound() | COPY | {"hw": "rtx5070"})
    [line] = found(law_root, "shared-trials")
    assert line.startswith("trials: 9 of 9 times are those of swept, to the last digit")


def test_three_copies_are_told_of_once_each(law_root):
    """And whichever of them says that it came first, that one of the two is a copy is said, not which."""
    write(law_root, sound())
    for place in range(3):
        write(law_root, sound() | COPY | {"id": f"swept-{place}", "created": f"2025-01-0{place + 1}T00:00:00Z"})
    lines = found(law_root, "shared-trials")
    assert len(lines) == 3
    assert all("9 of 9 times are those of swept-0" in line and "one of the two is a copy" in line for line in lines)


def test_a_copy_of_a_part_with_more_beside_it_is_named(law_root):
    """And so is one whose configurations were told apart anew: the numbers are the same."""
    write(law_root, sound())
    copy = sound() | COPY
    del copy["exhaustive_over"]
    copy["trials"] = copy["trials"][:3]
    for one, other in zip(copy["trials"], (128, 64, 32), strict=True):
        one["configuration"]["tile_m"] = other
    write(law_root, copy)
    [line] = found(law_root, "shared-trials")
    assert line.startswith("trials: 3 of 3 times")


def test_two_runs_of_the_same_configurations_share_nothing(law_root):
    """A repetition gives other numbers; one or two that meet are chance."""
    write(law_root, sound())
    again = sound() | COPY
    for place, one in enumerate(again["trials"]):
        if place > 1:
            one["measurements"][0]["value"] += 0.001
    write(law_root, again)
    assert found(law_root, "shared-trials") == []
