"""Reading T1 search spaces and the small Python lists in them."""

from __future__ import annotations

import json

import pytest

from spak.kg.errors import InvalidFilesError
from spak.kg.formats.t1 import read_t1
from spak.kg.formats.value_list import ValueListError, value_list


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[1, 2, 4]", [1, 2, 4]),
        ("(0.5, 1.0)", [0.5, 1.0]),
        ('["a", "b"]', ["a", "b"]),
        ("[True, False]", [True, False]),
        ("[-1]", [-1]),
        ("[1, 2] + list(range(32, 128+1, 32))", [1, 2, 32, 64, 96, 128]),
        ("[2**i for i in range(0, 6)]", [1, 2, 4, 8, 16, 32]),
        ("[i*2 + 1 for i in range(1, 4)]", [3, 5, 7]),
        ("range(3)", [0, 1, 2]),
        ("[7 // 2, 7 / 2, 7 % 2, 7 - 2]", [3, 3.5, 1, 5]),
    ],
)
def test_lists_as_the_hub_writes_them_are_computed(text, values):
    assert value_list(text) == values


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "[x for x in ().__class__.__bases__]",
        "[i for i in range(3) if i]",
        "[open]",
        "[None]",
        "[[1, 2]]",
        "5",
        "[1, ",
        "[1 / 0]",
        "['a' * 1000000000]",
        "[10 ** 10 ** 10]",
        "[2 ** -1]",
        "[2 ** 62 * 4]",
        "list(range(10 ** 9))",
        "[1] * 10",
        "[1 | 2]",
        "[range]",
        "(" * 5000,
        "[" + "1," * 20000 + "]",
        "[i for i in 5]",
    ],
)
def test_anything_else_is_refused_without_running_it(text):
    with pytest.raises(ValueListError):
        value_list(text)


def _t1(parameters, conditions=()):
    return json.dumps(
        {
            "ConfigurationSpace": {
                "TuningParameters": parameters,
                "Conditions": [{"Expression": text, "Parameters": []} for text in conditions],
            }
        }
    )


def test_a_space_has_values_defaults_and_conditions(tmp_path):
    path = tmp_path / "T1.json"
    path.write_text(
        _t1(
            [
                {"Name": "x", "Type": "int", "Values": "[4, 2, 1]", "Default": 2},
                {"Name": "k", "Type": "int", "Values": "[0]", "Default": [0]},
                {"Name": "odd", "Type": "int", "Values": "[1, 3]", "Default": 2},
                {"Name": "none", "Type": "int", "Values": [5]},
            ],
            ["x * k <= 4"],
        )
    )
    space = read_t1(path)
    assert space.parameters == {"x": (1, 2, 4), "k": (0,), "odd": (1, 3), "none": (5,)}
    assert space.defaults == {"x": 2, "k": 0}
    assert space.conditions == ("x * k <= 4",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_t1([]), "no parameters"),
        (_t1([{"Name": "x", "Values": "[1]"}] * 2), "declared twice"),
        (_t1([{"Name": "x", "Values": "[]"}]), "no values"),
        (_t1([{"Name": "x", "Values": "exit()"}]), "TuningParameters.x.Values: cannot compute"),
        (_t1([{"Name": "x"}]), "missing required field `Values`"),
        ("{}", "missing required field `ConfigurationSpace`"),
    ],
)
def test_a_spoilt_space_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "T1.json"
    path.write_text(content)
    with pytest.raises(InvalidFilesError) as caught:
        read_t1(path)
    assert reason in str(caught.value)


def test_the_public_space_is_read(hub):
    space = read_t1(hub / "T1.json")
    assert len(space.parameters) == 10
    assert len(space.conditions) == 4
    assert space.defaults["block_size_x"] == 16
