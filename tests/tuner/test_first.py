"""`tune first`: what was recorded on the hardware itself comes before what other hardware suggests."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from spak.kg.formats.nodes import HardwareName
from spak.tuner.errors import TunerError
from spak.tuner.first import first
from tests.shipped import LAWS


@pytest.mark.parametrize(
    ("op", "size"), [("fmha", "d64-s1024-causal"), ("fmha", "d128-s4096-full"), ("matmul", "m2048")]
)
def test_the_recorded_best_of_the_same_hardware_and_size_comes_first(op, size):
    """The packaged H200 sweeps: their own trials are known, so nothing that was not tried can outvote the fastest."""
    problem = LAWS.ops[op].problems[size]
    found = first(LAWS, HardwareName("h200"), op, problem)
    runs = [LAWS.run(name) for name in LAWS.run_ids if name.startswith(f"measured-h200-{op}-")]
    timed = [
        (time, trial.configuration)
        for run in runs
        for trial in run.trials
        if (trial.problem or run.problem) == found.space.setting.problem and (time := trial.value("time")) is not None
    ]
    assert len(timed) > 100
    best = min(time for time, _ in timed)
    leading = found.space.config(int(found.order[0]))
    assert min(time for time, configuration in timed if configuration == leading) == best
    assert any(label.startswith("h200 at") for label in found.knowledge.labels)


def test_what_nothing_is_known_of_has_no_order():
    """Without runs or laws there is nothing to sort by; searching at random is the honest answer."""
    files = {**LAWS.paths, "run": {}}
    bare = replace(LAWS, contents=msgspec.structs.replace(LAWS.contents, laws={}, files=files))
    with pytest.raises(TunerError, match="nothing is known of op 'fmha'"):
        first(bare, HardwareName("h200"), "fmha", {})
