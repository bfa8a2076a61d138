"""Reading result files: T4, Kernel Tuner caches, our own runs."""

from __future__ import annotations

import copy
import gzip
import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spak.kg.errors import InvalidFilesError
from spak.kg.formats.reader import read_recording
from spak.kg.formats.t4_writer import write_t4
from spak.kg.model.run import Failure, Measurement, Run, Times, Trial


def refusal(path: Path) -> str:
    with pytest.raises(InvalidFilesError) as caught:
        read_recording(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_t4_times_become_microseconds_and_failures_stay(tmp_path, samples):
    found = read_recording(samples.save(tmp_path, samples.t4_file(samples.grid())))
    assert [trial.value("time") for trial in found.trials] == [6000.0, 5000.0, 4000.0, 3000.0, 2000.0, None]
    assert found.trials[5].failure == Failure(type="RuntimeFailedConfig", message="")
    assert found.trials[5].invalidity == "runtime"
    assert found.parameters == {"x": (1, 2, 4), "y": (0, 1)}
    assert found.notes == ()
    assert not found.declared


def test_the_interval_is_the_normal_one_of_the_mean(tmp_path, samples):
    measurement = read_recording(samples.save(tmp_path, samples.t4_file(samples.grid()))).trials[0].measurements[0]
    half = 1.96 * math.sqrt((0.6**2 + 0.6**2) / 1) / math.sqrt(2) * 1000
    assert measurement.low == pytest.approx(6000 - half)
    assert measurement.high == pytest.approx(6000 + half)


def test_time_spent_in_the_samples_counts_as_benchmark_time(tmp_path, samples):
    assert read_recording(samples.save(tmp_path, samples.t4_file(samples.grid()))).trials[0].times == Times(
        compilation=100.0, framework=1.0, benchmark=pytest.approx(12.0)
    )


@pytest.mark.parametrize(("unit", "factor"), [("ns", 1e-3), ("microseconds", 1.0), ("ms", 1e3), ("Seconds", 1e6)])
def test_every_unit_is_converted(tmp_path, samples, unit, factor):
    found = read_recording(samples.save(tmp_path, samples.t4_file(samples.grid(), unit)))
    assert found.trials[0].value("time") == pytest.approx(6 * factor)


def test_a_cache_says_the_same_as_the_t4_file_of_the_same_search(tmp_path, samples):
    cache = read_recording(samples.save(tmp_path, samples.cache_file()))
    t4 = read_recording(samples.save(tmp_path, samples.t4_file(samples.grid())))
    assert [(t.configuration, t.value("time"), t.invalidity) for t in cache.trials] == [
        (t.configuration, t.value("time"), t.invalidity) for t in t4.trials
    ]
    assert cache.declared
    assert (cache.device, cache.kernel, cache.problem) == ("Some GPU", "some_kernel", {"problem_size": "64x32"})
    assert cache.trials[0].value("GFLOP/s") == 12.0
    assert cache.trials[0].times.benchmark == 7.5


@pytest.mark.parametrize("ending", ["", ","], ids=["no comma", "comma"])
def test_an_unclosed_cache_is_closed_as_kernel_tuner_closes_it(tmp_path, samples, ending):
    text = json.dumps(samples.cache_file())
    path = tmp_path / "open.json"
    path.write_text(text[:-2] + ending)
    assert len(read_recording(path).trials) == 6


def test_gzip_is_told_by_content_not_by_name(tmp_path, samples):
    path = tmp_path / "plainly.json"
    path.write_bytes(gzip.compress(json.dumps(samples.t4_file(samples.grid())).encode()))
    assert len(read_recording(path).trials) == 6


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused_with_the_place(tmp_path, samples, keep):
    for content in (samples.t4_file(samples.grid()), samples.cache_file()):
        text = json.dumps(content)
        path = tmp_path / "cut.json"
        path.write_text(text[: int(len(text) * keep)])
        message = refusal(path)
        assert "truncated" in message or "not JSON" in message
        assert message.startswith(f"{path}:1:")


def test_a_truncated_gzip_is_refused(tmp_path, samples):
    path = tmp_path / "cut.json.gz"
    packed = gzip.compress(json.dumps(samples.t4_file(samples.grid())).encode())
    path.write_bytes(packed[: len(packed) // 2])
    assert "truncated or corrupt gzip" in refusal(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "not text"),
        (b'{"x": ' + b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", "Expected `object`"),
        (b'{"results": []}', "no results"),
        (b'{"ConfigurationSpace": {}}', "T1 search space"),
        (b'{"cache": {}, "tune_params_keys": ["x"]}', "no entries"),
        (b'{"cache": {"1": {"x": 1}}, "tune_params_keys": []}', "no parameters"),
    ],
)
def test_what_is_no_result_file_is_refused(tmp_path, content, reason):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    assert reason in refusal(path)


def test_a_folder_is_refused(tmp_path, samples):
    assert "folder" in refusal(tmp_path)


def _spoilt(samples, change):
    file = samples.t4_file(samples.grid())
    change(file)
    return file


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f["metadata"].update(timeunit="fortnights"), "unknown time unit 'fortnights'"),
        (lambda f: f["metadata"].update(timeunit=""), "no time unit stated"),
        (lambda f: f["results"][1]["measurements"][0].update(unit="s"), "mixed units"),
        (lambda f: f["results"][1]["measurements"][0].update(value=5000.0), "far outside its own samples"),
        (lambda f: f["results"][1]["configuration"].pop("y"), "results[1].configuration: parameters differ"),
        (lambda f: f["results"][1]["configuration"].update(z=1), "results[1].configuration: parameters differ"),
        (lambda f: f["results"][0].update(configuration={}), "an empty configuration"),
        (lambda f: f["results"][1]["measurements"][0].update(value=-1.0), "expected a positive number"),
        (lambda f: f["results"][1]["measurements"][0].update(value=[1.0]), "a list where one number"),
        (lambda f: f["results"][1]["measurements"][0].update(value="Whatever"), "a text where a number"),
        (lambda f: f["results"][1].update(invalidity="odd"), "Invalid enum value 'odd'"),
        (lambda f: f["results"][1].pop("invalidity"), "missing required field `invalidity`"),
        (lambda f: (f["results"][1]["times"].pop("runtimes"), f["results"][1].update(measurements=[])), "correct, but"),
    ],
)
def test_a_spoilt_t4_file_is_refused_with_the_reason(tmp_path, samples, change, reason):
    assert reason in refusal(samples.save(tmp_path, _spoilt(samples, change)))


def test_nan_times_are_read_and_refused(tmp_path, samples):
    file = samples.t4_file(samples.grid())
    file["results"][0]["measurements"][0]["value"] = math.nan
    assert "nan" in refusal(samples.save(tmp_path, file))


def test_infinity_elsewhere_is_no_obstacle_but_a_wrong_form_is(tmp_path, samples):
    file = samples.t4_file(samples.grid())
    file["metadata"]["best"] = math.inf
    assert len(read_recording(samples.save(tmp_path, file)).trials) == 6
    file["results"][2]["times"] = 3
    assert "results[2].times" in refusal(samples.save(tmp_path, file))


def test_a_time_only_given_as_samples_is_their_mean(tmp_path, samples):
    file = samples.t4_file(samples.grid())
    file["results"][0]["measurements"] = [{"name": "power", "value": 3.0, "unit": "W"}]
    found = read_recording(samples.save(tmp_path, file))
    assert found.trials[0].value("time") == pytest.approx(6000.0)
    assert found.trials[0].measurements[1] == Measurement(name="power", value=3.0, unit="W")
    assert found.notes == ("1 times are the mean of their samples, because none is stated",)


def test_markers_and_wrong_results_overrule_correct(tmp_path, samples):
    file = samples.t4_file(samples.grid())
    file["results"][0]["measurements"][0]["value"] = "CompilationFailedConfig"
    file["results"][1]["correctness"] = 0
    found = read_recording(samples.save(tmp_path, file))
    assert [trial.invalidity for trial in found.trials[:3]] == ["compile", "correctness", "correct"]


def test_of_duplicates_the_median_of_the_correct_ones_stands(tmp_path, samples):
    x1 = {"x": 1, "y": 0}
    extra = [samples.t4_result(x1, time) for time in (7.0, 5.0, "ErrorConfig", 8.0)]
    found = read_recording(samples.save(tmp_path, samples.t4_file([*samples.grid(), *extra])))
    assert found.trials[0].value("time") == 6000.0
    assert len(found.trials) == 6
    assert found.notes == ("1 configurations occur more than once: the median of the correct attempts stands",)


def test_a_duplicate_of_a_failure_stays_a_failure(tmp_path, samples):
    again = samples.t4_result({"x": 4, "y": 1}, "ErrorConfig")
    found = read_recording(samples.save(tmp_path, samples.t4_file([*samples.grid(), again])))
    assert found.trials[5].failure.type == "RuntimeFailedConfig"


def test_duplicates_that_no_noise_explains_are_refused(tmp_path, samples):
    again = samples.t4_result({"x": 1, "y": 0}, 6000.0)
    message = refusal(samples.save(tmp_path, samples.t4_file([*samples.grid(), again])))
    assert "x=1, y=0 is recorded at 6000 us and at 6e+06 us" in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["cache"]["1,0"].update(x=3), "x=3 is not among the file's own tune_params"),
        (lambda c: c["cache"]["1,0"].pop("y"), "parameter y is missing"),
        (lambda c: c["cache"]["1,0"].update(time="Broken"), "a text where a number is expected"),
        (lambda c: c["cache"]["1,0"].update(time=[1.0]), "time is no number"),
        (lambda c: c["cache"]["1,0"].update(time=6000.0), "mixed units"),
    ],
)
def test_a_spoilt_cache_is_refused_with_the_entry(tmp_path, samples, change, reason):
    content = copy.deepcopy(samples.cache_file())
    change(content)
    message = refusal(samples.save(tmp_path, content))
    assert "cache.1,0" in message
    assert reason in message


def test_old_caches_write_failures_as_1e20_and_new_ones_as_an_error_field(tmp_path, samples):
    content = samples.cache_file()
    content["cache"]["1,0"].update(time=1e20, times=[])
    content["cache"]["1,1"].update(__error__="InvalidConfig")
    content["problem_size"] = "callable"
    found = read_recording(samples.save(tmp_path, content))
    assert [trial.invalidity for trial in found.trials[:3]] == ["runtime", "constraints", "correct"]
    assert found.problem == {}


def test_a_cache_without_declared_values_has_those_seen(tmp_path, samples):
    content = samples.cache_file()
    del content["tune_params"]
    content["problem_size"] = 64
    found = read_recording(samples.save(tmp_path, content))
    assert not found.declared
    assert found.parameters["x"] == (1, 2, 4)
    assert found.problem == {"problem_size": "64"}


def _run(trials, **changes):
    return Run(
        **{"id": "r", "tier": "measured", "created": "2024", "hw": "h", "op": "o", "trials": tuple(trials), **changes}
    )


values = st.one_of(st.integers(-(2**31), 2**31), st.booleans(), st.text(max_size=5), st.floats(-1e6, 1e6))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.dictionaries(st.integers(0, 50), st.one_of(st.none(), st.floats(1e-3, 1e9)), min_size=1, max_size=8),
    st.lists(values, min_size=1, max_size=3),
)
def test_what_is_written_as_t4_reads_back_the_same(tmp_path, times, others):
    trials = [
        Trial(
            configuration={"k": k, **{f"p{i}": other for i, other in enumerate(others)}},
            invalidity="correct" if time else "compile",
            measurements=(Measurement(name="time", value=time, unit="us"),) if time else (),
            failure=None if time else Failure(type="CompilationFailedConfig", message=""),
        )
        for k, time in times.items()
    ]
    path = tmp_path / "written.json"
    path.write_bytes(write_t4(_run(trials)))
    found = read_recording(path)
    assert [(t.configuration, t.invalidity, t.failure) for t in found.trials] == [
        (t.configuration, t.invalidity, t.failure) for t in trials
    ]
    for ours, read in zip(trials, found.trials, strict=True):
        assert (read.value("time") or 0) == pytest.approx(ours.value("time") or 0, rel=1e-12)


def test_a_run_of_several_problem_sizes_writes_them_into_the_configurations():
    trials = [Trial(configuration={"x": 1}, problem={"n": n}) for n in (1, 2)]
    results = json.loads(write_t4(_run(trials)))["results"]
    assert [result["configuration"] for result in results] == [{"n": 1, "x": 1}, {"n": 2, "x": 1}]


def test_our_own_runs_are_read_unless_they_hold_several_problem_sizes(tmp_path):
    path = tmp_path / "run.json"
    trial = Trial(configuration={"x": 1}, measurements=(Measurement(name="time", value=3.0, unit="us"),))
    path.write_bytes(msgspec.json.encode(_run([trial], problem={"n": 1})))
    found = read_recording(path)
    assert (found.format, found.trials, found.problem) == ("run", (trial,), {"n": 1})
    path.write_bytes(msgspec.json.encode(_run([trial, msgspec.structs.replace(trial, problem={"n": 2})])))
    assert "2 problem sizes in one run" in refusal(path)
    path.write_bytes(b'{"trials": [], "id": "r", "tier": "measured", "created": "", "hw": "h", "op": "o"}')
    assert "no trials" in refusal(path)


def test_the_public_records_are_read_whole(hub):
    counts = {path.name: len(read_recording(path).trials) for path in sorted(hub.glob("*.gz"))}
    assert set(counts.values()) == {4362}
    assert len(counts) == 7


def test_the_public_cache_equals_the_public_t4_file_of_the_same_gpu(hub):
    cache = {
        tuple(t.configuration.values()): (t.value("time"), t.invalidity)
        for t in read_recording(hub / "A4000_kernel_tuner_cache.json.gz").trials
    }
    t4 = {
        tuple(t.configuration.values()): (t.value("time"), t.invalidity)
        for t in read_recording(hub / "A4000_T4.json.gz").trials
    }
    assert cache == t4
