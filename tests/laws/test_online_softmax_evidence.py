"""The recorded proof of the online-softmax recurrence is what the recurrence gives today."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench import online_softmax
from spak.kg.files.loader import read_run

EVIDENCE = Path(__file__).parents[2] / "laws" / "evidence"


def test_the_recorded_proof_repeats():
    """Same cases, all right, every error within tolerance; errors may differ in their last digits between machines."""
    recorded = read_run(EVIDENCE / "computed-online-softmax.json")
    fresh = online_softmax.run(recorded.seed or 0, recorded.created)
    key = msgspec.json.encode
    assert {key((t.configuration, t.problem)) for t in fresh.trials} == {
        key((t.configuration, t.problem)) for t in recorded.trials
    }
    assert {trial.invalidity for trial in (*fresh.trials, *recorded.trials)} == {"correct"}


def test_a_wrong_result_is_kept_as_a_failure():
    """An error beyond the tolerance of its type is a trial that failed, not a smaller claim."""
    trial = online_softmax._trial({"dtype": "fp64"}, {"seq_q": 1}, 1e-6)
    assert trial.invalidity == "correctness"
    assert trial.failure is not None
