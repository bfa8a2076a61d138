"""What is known of one GPU alone: nothing that was measured on another is readable, nor what laws owe it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from bench.cold_gpu import ARMS, Course, bare, device, improvements, known_from, searched, sweeps
from spak.kg.law.status import status
from spak.kg.model.run import Measurement, Trial
from tests.shipped import library

LIBRARY = library()
ALL = LIBRARY.laws
H200 = known_from(ALL, "h200")
SWEEP = next(sweeps(LIBRARY, "h100", "fmha-d64-s1024-causal"))


def test_no_run_of_another_device_is_readable():
    """Of what was measured or reported only the source's is left; what was compiled or computed took no device."""
    left = [H200.run(name) for name in H200.run_ids]
    assert {run.hw for run in left if run.tier in {"measured", "reported"}} == {"h200"}
    assert {"measured", "compiled", "computed"} <= {run.tier for run in left}
    assert any(name.startswith("measured-h100") for name in ALL.run_ids)


def test_every_law_stands_on_readable_runs_and_has_the_status_that_they_give():
    """Also where the removed evidence alone had made it confirmed, or contested."""
    for law in H200.laws.values():
        assert law.evidence
        assert {entry.run for entry in law.evidence} <= set(H200.run_ids)
        assert law.status == status(law)
    assert set(H200.laws) < set(ALL.laws)


def test_a_law_found_on_another_device_is_not_known():
    """Even if the source supports it: nobody would have looked."""
    name = "sm90-matmul-no-tma-slow"
    law = ALL.laws[name]
    (foreign, *_) = (entry for entry in law.evidence if entry.run.startswith("measured-h100"))
    entries = tuple(msgspec.structs.replace(e, role="suggested") if e is foreign else e for e in law.evidence)
    laws = {**ALL.laws, name: msgspec.structs.replace(law, evidence=entries)}
    changed = replace(ALL, contents=msgspec.structs.replace(ALL.contents, laws=laws))
    assert name in H200.laws
    assert name not in known_from(changed, "h200").laws


@pytest.mark.parametrize("arm", ["both", "sizes", "runs", "laws", "nothing"])
def test_each_way_to_search_reads_what_its_name_says(arm):
    """No more and no less."""
    found = bare(H200, ARMS[arm], SWEEP.run.problem)
    assert bool(found.laws) == ARMS[arm].laws
    assert bool(found.run_ids) == ARMS[arm].runs
    seen = {name for name in found.run_ids if found.run(name).problem == SWEEP.run.problem}
    assert bool(seen) == (arm in {"both", "runs"})


def test_a_course_is_the_best_so_far_over_the_sweeps_best_and_the_same_again_for_the_same_seed():
    """Infinite until something ran; the default is tried first, knowing nothing."""
    first, _ = searched(SWEEP, bare(H200, ARMS["nothing"]), "nothing", 3)
    again, _ = searched(SWEEP, bare(H200, ARMS["nothing"]), "nothing", 3)
    assert first == again
    assert first.best_after(1) == pytest.approx(1.178, abs=1e-3)
    assert 1.0 <= first.best_after(80) <= first.best_after(10)
    assert Course(sweep="s", arm="nothing", seed=0, steps=((3, 1.5),)).best_after(2) == float("inf")


def test_failures_and_slower_trials_are_no_improvement():
    times = (None, 4.0, 5.0, 2.0)
    trials = [
        Trial(configuration={}, measurements=(Measurement(name="time", value=t, unit="us"),) if t else ())
        for t in times
    ]
    assert list(improvements(trials, 2.0)) == [(2, 2.0), (4, 1.0)]


def test_hardware_that_nobody_knows_is_named_with_its_option(capsys):
    """Searches that know nothing of a misspelt source would look like knowledge that is worth nothing."""
    assert device(ALL, "--source", "NVIDIA H200") == "h200"
    with pytest.raises(SystemExit, match="2"):
        device(ALL, "--source", "h201")
    assert capsys.readouterr().err.startswith("--source: unknown hardware 'h201'")
