"""What is expected to compile longest, from what others of the same values took."""

import itertools

import pytest

from spak.kg.model.run import Times, Trial
from spak.tuner.backend.base import Request
from spak.tuner.engine.longest import CompileSeconds

WORTH = {"m": {64: 1.0, 128: 3.0}, "stages": {1: 1.0, 2: 2.0, 3: 2.5}, "order": {"a": 1.0, "b": 1.0}}
ALL = [dict(zip(WORTH, values, strict=True)) for values in itertools.product(*WORTH.values())]


def seconds(configuration):
    product = 1.0
    for name, value in configuration.items():
        product *= WORTH[name][value]
    return product


def known(configurations):
    return CompileSeconds(
        Trial(configuration=one, times=Times(compilation=1e3 * seconds(one))) for one in configurations
    )


def test_what_was_never_tried_is_put_in_order_by_what_its_values_took():
    found = known(ALL[::2] + ALL[1:6:2])
    rest = ALL[7::2]
    ordered = sorted(rest, key=lambda one: -found.expected_log(Request(one, {}, "")))
    assert [seconds(one) for one in ordered] == sorted(map(seconds, rest), reverse=True)


def test_so_many_keep_so_many_compilers_busy_for_their_mean():
    found = known([ALL[0], ALL[-1]])
    assert found.longest_s == 7.5
    assert found.keeps_busy_s(8, 4) == pytest.approx(2 * (1.0 + 7.5) / 2)


def test_a_trial_whose_code_was_there_says_nothing():
    found = CompileSeconds([Trial(configuration=ALL[0])])
    assert found.longest_s == found.keeps_busy_s(5, 1) == found.expected_log(Request(ALL[0], {}, "")) == 0.0
