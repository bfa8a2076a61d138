"""The replay backend answers from the record and from nothing else."""

from __future__ import annotations

from dataclasses import replace

from spak.kg.formats.recording import Recording
from spak.kg.model.run import Failure, Measurement, Times, Trial
from spak.tuner.backend.base import Request
from spak.tuner.backend.replay import MISS, RecordedSizes, ReplayBackend


def _recording():
    time = Measurement(name="time", value=5.0, unit="us")
    spill = Measurement(name="spill_bytes", value=64.0, unit="bytes")
    rate = Measurement(name="GFLOP/s", value=3.0)
    return Recording(
        format="t4",
        parameters={"x": (1, 2), "y": (0, 1)},
        declared=False,
        trials=(
            Trial(configuration={"x": 1, "y": 0}, measurements=(time, spill, rate), times=Times(compilation=9.0)),
            Trial(configuration={"x": 2, "y": 0}, invalidity="runtime", failure=Failure(type="Boom", message="b")),
        ),
    )


def _request(**configuration):
    return Request(configuration=configuration, problem={"n": 4}, origin="strategy")


def test_a_recorded_configuration_gives_its_trial_with_its_costs_whatever_the_order_of_names():
    ((_, trial),) = ReplayBackend(_recording()).evaluate([_request(y=0, x=1)])
    assert (trial.value("time"), trial.times.compilation, trial.origin, trial.problem) == (
        5.0,
        9.0,
        "strategy",
        {"n": 4},
    )


def test_a_recorded_failure_is_a_failure():
    ((_, trial),) = ReplayBackend(_recording()).evaluate([_request(x=2, y=0)])
    assert (trial.invalidity, trial.failure.type) == ("runtime", "Boom")


def test_a_miss_is_a_miss_and_never_a_neighbour():
    for configuration in ({"x": 1, "y": 1}, {"x": 1}, {"x": 1, "y": 0, "z": 0}):
        ((_, trial),) = ReplayBackend(_recording()).evaluate([_request(**configuration)])
        assert (trial.value("time"), trial.failure.type, trial.configuration) == (None, MISS, configuration)


def test_features_are_the_compiled_ones_and_nothing_known_only_after_timing():
    backend = ReplayBackend(_recording())
    assert backend.features([_request(x=1, y=0), _request(x=2, y=0), _request(x=9, y=9), _request(x=1)]) == [
        {"spill_bytes": 64.0},
        None,
        None,
        None,
    ]


def test_it_says_what_tier_it_replays_and_closes_twice():
    backend = ReplayBackend(_recording())
    assert backend.provenance().tier == "measured"
    backend.close()
    backend.close()


def test_each_problem_size_is_answered_from_its_own_record():
    other = replace(_recording(), problem={"n": 8}, trials=_recording().trials[1:])
    device = RecordedSizes([replace(_recording(), problem={"n": 4}), other])
    one, two = _request(x=1, y=0), replace(_request(x=1, y=0), problem={"n": 8})
    assert [trial.value("time") for _, trial in device.evaluate([one, two, one])] == [5.0, None, 5.0]
    assert device.features([two, one]) == [None, {"spill_bytes": 64.0}]
    assert device.provenance().objective == "time"
