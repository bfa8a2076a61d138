"""`tune` with several problem sizes or devices, as a person runs it, every compilation already in the cache."""

from __future__ import annotations

import json

from tests.cli.test_tune import call, contents, place  # noqa: F401 - a fixture


def test_sizes_and_devices_are_one_search_that_answers_in_a_screen(place, capsys):  # noqa: F811 - the fixture
    """Two sizes on two devices by the compiler alone: a line each, what to use, a run file each; JSON has every report."""
    words = ["fmha", "--hw", "h200,rtx5070", "--problem", "d64-s1024-causal,d128-s1024-causal"]
    words += ["--backend", "compile", "--budget", "24"]
    assert call(*words, "--no-write") == 0
    out, err = capsys.readouterr()
    assert out.startswith("fmha: 4 targets, 24 trials in ")
    assert out.count("\n") <= 40
    assert max(map(len, out.splitlines())) <= 80
    names = [line[:30].strip() for line in out.splitlines()[2:6]]
    assert names == [f"{hw} {size}" for hw in ("h200", "rtx5070") for size in ("d64-s1024-causal", "d128-s1024-causal")]
    assert "run files: 4 in .spak/runs" in out
    assert "4 targets: 2 problem sizes on 2 devices." in err
    assert "24 of 24 trials" in err
    before = contents(place)
    assert call(*words, "--dry-run", "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["hw"] for one in told["targets"]] == ["h200", "h200", "rtx5070", "rtx5070"]
    assert sum(one["report"]["counts"]["tried"] for one in told["targets"]) == 18
    assert contents(place) == before


def test_what_is_about_many_targets_is_refused_for_one(place, capsys):  # noqa: F811 - the fixture
    assert call("fmha", "--hw", "h200", "--backend", "compile", "--weights", "d64=2") == 2
    assert "--weights and --no-flow are about several problem sizes or devices" in capsys.readouterr().err
    assert call("fmha", "--hw", "h200,rtx5070", "--backend", "compile", "--weights", "d64=2") == 2
    assert "weights: 'd64' is none of the problem sizes searched" in capsys.readouterr().err
