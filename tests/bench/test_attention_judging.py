"""How one size is judged, with contestants that are plain functions and a clock that is told what to say."""

from __future__ import annotations

import json
import math

import pytest
import torch

from bench.attention_judging import OURS, Case, Contestant, Results, checked, fastest_of, judge, summary
from spak.tuner.backend.gpu.statistics import summarise

WANT = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


class Clock:
    """Stands in for `Comparison`: a contestant takes as long as `us` says of its name, and fails if it says nothing."""

    def __init__(self, us):
        self.us, self.plans = us, []

    def prepared(self, launches):
        ready = {name: launch for name, launch in launches.items() if name in self.us}
        return ready, {name: "cannot be captured" for name in launches if name not in ready}

    def times(self, launches, plan):
        self.plans.append(plan)
        return {name: summarise([self.us[name]] * 51) for name in launches}


def case(outputs=None):
    return Case("size", "normal", {"seq_q": 3}, 10.0, [] if outputs is None else outputs, lambda: WANT, 1e-3)


def gives(x, configuration=None):
    return Contestant(lambda: x, configuration)


def raises():
    raise RuntimeError("no such kernel\nat line 7")


def test_the_ratio_is_that_to_the_fastest_library():
    clock = Clock({"ours": 10.0, "ours-first": 5.0, "slow": 15.0, "fast": 12.0})
    contestants = {
        "ours": gives(WANT, {"tile": 1}),
        "ours-first": gives(WANT),
        "slow": gives(WANT),
        "fast": gives(WANT),
    }
    row = judge(clock, case(), contestants)
    assert (row.fastest, row.ratio) == ("fast", 1.2)
    assert row.contestants["ours"].configuration == {"tile": 1}
    assert row.contestants["fast"].errors == (0.0,)
    assert "ratio 1.200" in row.line()


def test_what_ours_does_not_write_is_found_although_an_earlier_launch_wrote_it():
    out = WANT.float().clone()
    with pytest.raises(RuntimeError, match=r"size on normal: relative errors \(nan,\) above 0.001"):
        judge(Clock({"ours": 1.0}), case(out), {"ours": Contestant(lambda: out)})


def test_one_of_ours_that_is_wrong_is_not_timed_and_a_library_that_is_wrong_shows_its_error():
    off = WANT * 1.01
    clock = Clock({"ours": 1.0, "ours-first": 0.5, "library": 2.0})
    row = judge(clock, case(), {"ours": gives(WANT), "ours-first": gives(off), "library": gives(off)})
    assert set(row.contestants) == {"ours", "library"}
    assert "above 0.001" in row.refused["ours-first"]
    assert row.contestants["library"].errors == (pytest.approx(0.01),)


def test_a_library_that_is_missing_says_so_in_the_row():
    row = judge(Clock({"ours": 1.0}), case(), {"ours": gives(WANT), "fa4": Contestant(raises)})
    assert row.refused == {"fa4": "RuntimeError: no such kernel"}
    assert (row.fastest, row.ratio) == (None, None)
    assert "refused fa4" in row.line()


def test_what_cannot_be_captured_is_refused_and_ours_must_run():
    row = judge(Clock({"ours": 1.0}), case(), {"ours": gives(WANT), "flex": gives(WANT)})
    assert row.refused == {"flex": "cannot be captured"}
    with pytest.raises(RuntimeError, match="cannot be captured"):
        judge(Clock({"flex": 1.0}), case(), {"ours": gives(WANT), "flex": gives(WANT)})


def test_contestants_apart_are_timed_in_the_same_rounds_and_not_checked():
    clock = Clock({"ours": 2.0, "ours-on-normal": 1.0, "fa4": 3.0})
    row = judge(clock, case(), {"ours": gives(WANT), "fa4": gives(WANT)}, apart={"ours-on-normal": gives(-WANT)})
    assert row.contestants["ours-on-normal"].time_us == 1.0
    assert row.ratio == 1.5
    assert len(clock.plans) == 1


def test_errors_are_told_output_by_output():
    both = Case("size", "normal", {}, 1.0, [], lambda: (WANT, WANT), 1e-2)
    errors, refused = checked(both, {"ours": gives((WANT, WANT * 1.001)), "ours-b": gives((WANT, WANT * 1.1))})
    assert errors == {"ours": (0.0, pytest.approx(1e-3))}
    assert list(refused) == ["ours-b"]


def test_the_fastest_candidate_is_chosen_among_those_that_run():
    candidates = [gives(WANT, {"number": number}) for number in range(3)]
    chosen, refused = fastest_of(Clock({"1": 5.0, "2": 4.0}), candidates)
    assert chosen.configuration == {"number": 2}
    assert list(refused) == ["0"]
    with pytest.raises(RuntimeError, match="none of 3 candidates runs: cannot be captured"):
        fastest_of(Clock({}), candidates)


def row(inputs, ours, **libraries):
    times = {OURS: ours, "ours-first": 0.5, "ours-on-normal": 0.1, **libraries}
    contestants = {
        name: {"time_us": us, "errors": [] if name == "ours-on-normal" else [0.0]} for name, us in times.items()
    }
    fastest = min(libraries, key=libraries.get, default=None)
    ratio = libraries[fastest] / ours if fastest else None
    return {
        "size": "s",
        "inputs": inputs,
        "contestants": contestants,
        "fastest": fastest,
        "ratio": ratio,
        "policy": "running",
    }


def test_means_are_geometric_over_all_rows_and_by_kind_of_inputs():
    rows = [row("normal", 1.0, a=2.0, b=8.0), row("normal", 1.0, a=8.0), row("sink", 4.0, a=2.0), row("rising", 1.0)]
    found = summary(rows)
    assert found["all"] == {"geometric_mean": pytest.approx(2.0), "worst": 0.5, "rows": 3}
    assert found["inputs"]["normal"] == {"geometric_mean": pytest.approx(4.0), "worst": 2.0, "rows": 2}
    assert set(found["inputs"]) == {"normal", "sink"}
    assert found["libraries"]["b"]["geometric_mean"] == pytest.approx(8.0)
    assert found["libraries"]["a"] == {"geometric_mean": pytest.approx(4.0), "worst": 2.0, "rows": 2}
    first = {"geometric_mean": pytest.approx(2 ** (8 / 3)), "worst": 4.0, "rows": 3}
    assert found["policies"] == {"first": first, "running": found["all"]}
    assert summary([])["all"] == {"geometric_mean": None, "worst": None, "rows": 0}


def test_a_result_file_grows_row_by_row_and_is_gone_on_with(tmp_path):
    path = tmp_path / "new" / "results.json"
    first = Results(path, {"seed": 1})
    first.add(judge(Clock({"ours": 1.0, "fa4": 2.0}), case(), {"ours": gives(WANT), "fa4": gives(WANT)}))
    assert json.loads(path.read_text())["summary"]["all"]["rows"] == 1
    first.save(machine={"device": "H200"}, errors=[1])
    again = Results(path, {"seed": 2})
    assert again.sizes == {"size"}
    assert again.list_of("errors") == [1]
    assert again.list_of("nothing") == []
    again.save()
    kept = json.loads(path.read_text())
    assert (kept["seed"], kept["machine"], len(kept["rows"])) == (2, {"device": "H200"}, 1)
    assert math.isclose(kept["rows"][0]["ratio"], 2.0)
