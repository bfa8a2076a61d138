"""Result files that nobody writes by accident: one clear line each, and nothing of them in the law root."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.files.json_keys import check_keys
from spak.kg.files.loader import read_run
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.reader import read_recording

HUGE = 10**400
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def t4(samples, durations=(1.0, 2.0), configurations=({"x": 1}, {"x": 2}), **changes):
    pairs = zip(configurations, durations, strict=True)
    return samples.t4_file([samples.t4_result(c, t, **{"times": {"compilation": 1.0}, **changes}) for c, t in pairs])


NUMBERS = {
    "time": lambda s: json.dumps(t4(s, (12321.0, 1))).replace("12321.0", str(HUGE)),
    "compilation": lambda s: t4(s, times={"compilation": HUGE}),
    "runtimes": lambda s: t4(s, times={"runtimes": [HUGE, 1]}),
    "sum of runtimes": lambda s: t4(s, (1.7e308, 1.7e308), times={"runtimes": [1.7e308, 1.7e308]}),
    "measurement": lambda s: t4(s, measurements=[{"name": "time", "value": 1.0}, {"name": "y", "value": HUGE}]),
    "digits beside NaN": lambda s: json.dumps(t4(s, (12321.0, float("nan")))).replace("12321.0", "9" * 5000),
    "digits": lambda s: json.dumps(t4(s, (12321.0, 1))).replace("12321.0", "9" * 5000),
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_a_number_that_no_double_holds_is_refused_in_one_line(tmp_path, samples, make):
    content = make(samples)
    path = tmp_path / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InvalidFilesError) as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1 << 63, 1 << 64, -(1 << 63) - 1, HUGE])
def test_a_parameter_beyond_64_bits_reaches_no_law_root(tmp_path, samples, value):
    path = samples.save(tmp_path, t4(samples, configurations=({"x": value}, {"x": 1})))
    with pytest.raises(KgError, match="too large"):
        import_file(tmp_path / "laws", Import(path, HardwareName("g"), "o"), NOW)
    assert not (tmp_path / "laws").exists()


def test_half_of_a_surrogate_pair_is_refused_where_it_stands(tmp_path, samples):
    """It could be printed nowhere, and written into no file."""
    path = tmp_path / "file.json"
    for key, value in (("x", "\ud800"), ("\udfff", "a")):
        path.write_text(json.dumps(t4(samples, configurations=({key: value}, {key: "b"}))))
        with pytest.raises(InvalidFilesError, match=r"file\.json:1:\d+: text with half of a surrogate pair"):
            read_recording(path)
    path.write_text(json.dumps(t4(samples, configurations=({"x": "\U0001f600"}, {"x": "b"}))))
    assert read_recording(path).parameters == {"x": ("b", "\U0001f600")}


TWICE = [
    ('{"a": 1, "a": 2}', "1:10: the key 'a'"),
    ('{"b": {"a": 1},\n "c": [{"a": 1,\n  "a": 1}]}', "3:3: the key 'a'"),
    ('{"a": 1, "\\u0061": 2}', "1:10: the key 'a'"),
    ('{"é": {"x\\"{": 0, "x\\"{": 0}}', "1:19: the key 'x\"{'"),
    ('{"x": NaN, "x": 1e999}', "1:12: the key 'x'"),
    ('{"a":{"b":[{"k":1,"k":1}]}}', "1:19: the key 'k'"),
    ('{\n  "a": 1e+16,\n  "a": 1e+16\n}', "3:3: the key 'a'"),
    ('{"n": ' + "9" * 5000 + ', "n": 1}', "1:5009: the key 'n'"),
]


@pytest.mark.parametrize(("text", "expected"), TWICE)
def test_a_key_that_stands_twice_is_refused_at_its_place(tmp_path, text, expected):
    with pytest.raises(InvalidFilesError) as caught:
        check_keys(text.encode(), tmp_path / "f")
    assert f"f:{expected} stands twice" in str(caught.value)


@pytest.mark.parametrize(
    "text", ['{"a": {"a": 1}, "b": {"a": 1}}', '["a", "a"]', '{"a": "b: c", "b": "{\\"a\\": 1"}', "no JSON"]
)
def test_keys_of_different_objects_may_be_equal(tmp_path, text):
    check_keys(text.encode(), tmp_path / "f")


def test_every_reader_of_results_asks(tmp_path, samples):
    twice = '"configuration": {"x": 1, "x": 1}'
    files = {
        "t4": json.dumps(samples.t4_file([samples.t4_result({"x": 1}, 1.0)])),
        "cache": json.dumps(samples.cache_file()).replace('"1,0": {', '"1,0": {"x": 1, '),
        "run": '{"id": "run", "tier": "measured", "created": "2026-01-01", "hw": "h", "op": "o", "trials": [{"configuration": {"x": 1}}]}',
    }
    for name, text in files.items():
        path = tmp_path / f"{name}.json"
        path.write_text(text.replace('"configuration": {"x": 1}', twice))
        with pytest.raises(InvalidFilesError, match="stands twice"):
            read_recording(path)
    with pytest.raises(InvalidFilesError, match="stands twice"):
        read_run(tmp_path / "run.json")
