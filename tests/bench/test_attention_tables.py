"""The tables of attention, from rows as a run records them; numbers are worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import attention_tables as tables
from bench import gpu_tables
from bench.attention_judging import summary

ROOT = Path(__file__).parents[2]


def timed(us, *errors, **configuration):
    return {"time_us": us, "low_us": us - 1, "high_us": us + 1, "errors": list(errors), "configuration": configuration}


def row(size, inputs, contestants, *, refused=None, scores=None):
    libraries = {name: each["time_us"] for name, each in contestants.items() if not name.startswith("ours")}
    fastest = min(libraries, key=libraries.get) if libraries else None
    return {
        "size": size,
        "inputs": inputs,
        "flops": 4e9,
        "contestants": contestants,
        "fastest": fastest,
        "ratio": libraries[fastest] / contestants["ours"]["time_us"] if fastest else None,
        "refused": refused or {},
        "scores": scores,
        "policy": "running",
    }


def rates(fallback, raised):
    return {"ours": {"fallback": fallback, "raised": {"8": raised}}}


ROWS = [
    row("a", "normal", {"ours": timed(10.0, 1e-4, m=64), "fa4": timed(12.0, 2e-4), "sdpa-cudnn": timed(11.0, 2e-4)}),
    row(
        "b",
        "normal",
        {"ours": timed(20.0, 3e-4, m=128), "ours-first": timed(16.0, 3e-4, m=64), "sdpa-cudnn": timed(20.0, 2e-4)},
        refused={"fa4": "ModuleNotFoundError: No module named 'flash_attn'"},
    ),
    row(
        "b",
        "sink",
        {
            "ours": timed(25.0, 5e-4, m=128),
            "ours-on-normal": timed(20.0),
            "ours-first": timed(50.0, 4e-4),
            "fa4": timed(20.0),
        },
        scores=rates(0.25, 0.01),
    ),
    row(
        "model", "model-200-layer-5", {"ours": timed(8.0, 2e-4, m=64), "ours-on-normal": timed(8.0), "fa4": timed(16.0)}
    ),
]


def cells(lines, first):
    return [line.strip("| ").split(" | ") for line in lines if line.startswith(f"| {first} |")]


def test_a_size_is_told_with_both_times_their_ratio_and_the_share_of_the_matrix_rate():
    [line] = cells(tables.sizes_on(ROWS, "normal", 800.0), "a")
    assert line == ["a", "10.0 (9.0 to 11.0)", "400", "sdpa-cudnn", "11.0 (10.0 to 12.0)", "1.100", "1.0e-04", "50%"]


def test_a_library_that_is_missing_is_told_with_its_reason():
    [line] = cells(tables.every_library(ROWS, "normal"), "b")
    assert line == ["b", "ModuleNotFoundError: No module named 'flash_attn'", "20.0", "16.0", "20.0"]


def test_kinds_of_inputs_have_mean_worst_what_is_kept_and_rates():
    lines = tables.by_inputs(ROWS)
    assert cells(lines, "normal") == [["normal", "2", "1.049", "1.000", "-", "3.0e-04", "-", "-"]]
    assert cells(lines, "sink") == [
        ["sink", "1", "0.800", "0.800", "0.80", "5.0e-04", "25.0% to 25.0%", "1.0% to 1.0%"]
    ]


def test_ratios_stand_by_size_and_kind_and_the_trained_models_apart():
    lines = tables.ratios_by_size(ROWS)
    assert lines[0] == "| size | normal | sink |"
    assert [cells(lines, size) for size in "ab"] == [[["a", "1.100", "-"]], [["b", "1.000", "0.800"]]]
    assert tables.ratios_on_trained(ROWS)[::2] == ["| inputs | model |", "| model-200-layer-5 | 2.000 |"]


def test_each_policy_is_told_as_if_it_were_taken_at_every_size_that_has_it():
    lines = tables.by_policy(ROWS)
    assert lines[0] == "| inputs | judged | `first` | `running` |"
    assert cells(lines, "normal") == [["normal", "1.049", "1.250", "1.049"]]
    assert cells(lines, "sink") == [["sink", "0.800", "0.400", "0.800"]]
    assert cells(lines, "model-200-layer-5") == [["model-200-layer-5", "2.000", "-", "2.000"]]
    other = {**ROWS[1], "policy": "catch-up"}
    assert cells(tables.by_policy([ROWS[0], other]), "normal") == [["normal", "1.049", "1.000", "1.250", "1.100"]]


def test_only_settings_that_differ_are_told_of_what_was_chosen():
    rows = [row("a", "normal", {"ours": timed(1.0, m=64, n=64)}), row("b", "normal", {"ours": timed(1.0, m=128, n=64)})]
    assert cells(tables.chosen(rows, "normal"), "b") == [["b", "running", "m=128"]]


BACKWARD = {
    "seed": 7,
    "bf16_matmul_tflops": 800.0,
    "flash_attention_4": "4.0.0b36",
    "rows": [
        row(
            "a",
            "normal",
            {
                "ours": timed(10.0, 1e-4, 2e-4, 3e-4, dq_form="fused"),
                "ours-deterministic": timed(12.0, 1e-4, 2e-4, 3e-4, dq_form="split"),
                "fa4": timed(11.0, 1e-4, 2e-4, 3e-4),
                "sdpa-cudnn": timed(14.0, 1e-4, 2e-4, 3e-4),
            },
        ),
        row("a", "normal, both passes", {"ours": timed(15.0, 1e-4, 2e-4, 3e-4), "fa4": timed(18.0)}),
    ],
    "errors": [
        {"size": "a", "inputs": "sink", "errors": {"ours": [1e-4, 5e-4, 3e-4]}, "refused": {}},
        {
            "size": "b",
            "inputs": "sink",
            "errors": {"ours": [2e-4, 4e-4, 3e-4], "fa4": [1e-4, 1e-4, 1e-4]},
            "refused": {},
        },
    ],
}


def recorded(name):
    return json.loads((ROOT / "bench" / "results" / f"{name}-h200.json").read_text())


@pytest.fixture
def results():
    return {name: recorded(name) for name in ("attention", "attention-versions", "attention-model", "matmul")}


def test_the_deterministic_mode_is_told_beside_the_fast_one():
    [line] = cells(tables.deterministic(BACKWARD["rows"], "normal"), "a")
    assert line == ["a", "fused", "10.0 (9.0 to 11.0)", "12.0 (11.0 to 13.0)", "1.200"]


def test_the_largest_error_of_each_gradient_is_told_over_all_sizes():
    lines = tables.gradient_errors(BACKWARD["errors"])
    assert cells(lines, "sink") == [
        ["sink", "ours", "2", "2.0e-04", "5.0e-04", "3.0e-04"],
        ["sink", "fa4", "1", "1.0e-04", "1.0e-04", "1.0e-04"],
    ]


def test_scores_of_a_trained_model_are_told_from_least_to_most_layer():
    def layer(step, std, over):
        rates = {"exceeding": {"16": over, "26": 0.0}, "raised": {"8": over / 2}}
        return {"step": step, "std": std, "tiles": {"tile_m": 64, "tile_n": 128}, **rates}

    lines = tables.trained_scores([layer(0, 0.3, 0.0), layer(9, 1.0, 0.5), layer(9, 4.0, 0.25)])
    assert cells(lines, "9") == [
        ["9", "64 x 128", "2", "1.0 to 4.0", "25.0% to 50.0%", "0.0% to 0.0%", "12.5% to 25.0%"]
    ]


@pytest.fixture(scope="module")
def races():
    return gpu_tables.searched()


def test_the_searches_and_the_benchmarks_race_other_libraries(races):
    """Which is why their numbers differ, and what the page says of them."""
    assert races.keys() == {"fmha", "fmha-backward", "matmul"}
    assert all("fa4" not in race.libraries for race in races.values())
    assert any("fa4" in row["contestants"] for row in gpu_tables.recorded("attention")["rows"])


def test_the_page_in_the_repository_is_what_the_recorded_results_and_the_reports_give(results, races):
    results["attention-backward"] = gpu_tables.recorded("attention-backward")
    assert gpu_tables.PAGE.read_text() == gpu_tables.page(results, races)


def twelve_digits(summary_):
    return json.loads(json.dumps(summary_), parse_float=lambda text: f"{float(text):.12g}")


def test_recorded_summaries_are_what_their_rows_give(results):
    told = results["attention"]["summary"]
    again = summary(results["attention"]["rows"])
    assert twelve_digits(again) == twelve_digits(told)  # versions of Python round the last digit of a sum differently


def test_the_page_leads_with_all_inputs_and_labels_the_normal_ones(results):
    forward = {**results["attention"], "rows": ROWS, "summary": summary(ROWS)}
    text = gpu_tables.page({**results, "attention": forward, "attention-backward": None})
    assert "All inputs: geometric mean 1.152, worst 0.800, of 4." in text
    assert "Standard normal inputs: geometric mean 1.049, worst 1.000, of 2." in text
    assert "## Attention backward" not in text


def test_the_backward_pass_has_its_part_once_it_was_measured(results):
    backward = {**BACKWARD, "machine": results["attention"]["machine"], "summary": summary(BACKWARD["rows"])}
    text = gpu_tables.page({**results, "attention-backward": backward})
    assert "Backward: geometric mean 1.100, worst 1.100, of 1." in text
    assert "Forward and backward: geometric mean 1.200, worst 1.200, of 1." in text
    assert "flash-attn-4: 4.0.0b36." in text


def test_the_readmes_lines_put_all_inputs_first_and_tell_the_worst():
    forward = {"rows": ROWS, "summary": summary(ROWS), "bf16_matmul_tflops": 800.0}
    lines = tables.headline(forward, {**BACKWARD, "summary": summary(BACKWARD["rows"])})
    assert [line.strip("| ").split(" | ")[1] for line in lines] == [
        "1.152 (worst 0.80, 4 comparisons)",
        "0.958 (worst 0.80, 3 comparisons)",  # 1.1, 1.0 and 0.8
        "1.049 (worst 1.00, 2 comparisons)",
        "80 %",
        "400 TFLOPS, 50 % of the GPU's bf16 matrix rate",
        "1.100 (worst 1.10, 1 comparisons)",
        "1.400 (worst 1.40, 1 comparisons)",
        "1.200 (worst 1.20, 1 comparisons)",
        "at most 1.20 times the time",
        "5.0e-04",
    ]


def test_the_readme_says_what_the_results_and_the_reports_say(races):
    lines = tables.headline(recorded("attention"), recorded("attention-backward"))
    lines += gpu_tables.search_lines(races)
    readme = (ROOT / "README.md").read_text().splitlines()
    assert [line for line in lines if line not in readme] == []
