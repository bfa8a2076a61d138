"""Recorded runs teach what holds where it was not found, and nothing else: planted truths, planted lies and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import spak
from spak.kg.errors import KgError
from spak.kg.files.loader import Laws, load
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.tried import ToolRun, Tried
from spak.kg.law.kinds import meaning
from spak.kg.law.status import status
from spak.tuner.errors import TunerError
from spak.tuner.learn.records import LearnedRecords, LearnRequest, learn_records, suggesting_runs
from tests.tuner.landscapes import configurations, planted

CARDS = ("one", "two", "three", "four", "five", "six")


def true_everywhere(card: str, configuration: Mapping[str, int], size: int) -> float:
    """Occupancy 1 costs 1.5x and large tiles 3x on every card; each likes the tiles a little differently."""
    return planted(configuration, size) * (1 + 0.02 * CARDS.index(card) * (configuration["tile_n"] == 128))


def recorded(
    root: Path, time=true_everywhere, cards: Sequence[str] = CARDS, sizes: Sequence[int] = (), noise: float = 0.002
) -> Laws:
    """A law root with a run of every card, at one problem size that has no name or at those of `sizes`."""
    for place, card in enumerate(cards):
        rng = np.random.default_rng(place)
        tried = []
        for size in sizes or (1,):
            for configuration in configurations():
                value = time(card, configuration, size)
                samples = value * np.exp(rng.normal(0, noise, 8))
                problem = {"n": size} if sizes else {}
                tried.append(Tried(configuration, samples_us=samples.tolist(), problem=problem))
        hardware = HardwareName(card, arch="arch", vendor="maker")
        spak.record(root, ToolRun("blur", hardware, tried, "a tuner", datetime(2026, 1, 1, tzinfo=UTC), checked=True))
    return load(root)


def learned(laws: Laws, *suggest: str, write: bool = False) -> LearnedRecords:
    return learn_records(laws, LearnRequest("blur", suggest, write=write))


def avoided(found: LearnedRecords) -> set[str]:
    return {meaning(law).text for law in found.laws if meaning(law).verb == "avoid"}


def outcomes(found: LearnedRecords) -> dict[str, str]:
    return {meaning(c.law).text: c.outcome for c in found.candidates if meaning(c.law).verb == "avoid"}


def test_a_law_that_is_true_everywhere_is_confirmed_on_the_devices_it_was_not_found_on(tmp_path):
    found = learned(recorded(tmp_path), "one", "two")
    (law,) = [law for law in found.laws if meaning(law).text == "occupancy == 1"]
    assert (law.scope.hw, law.status, law.scope.when) == ("arch", "confirmed", "")
    roles = {entry.occasion.split()[1]: entry.role for entry in law.evidence}
    assert roles == {card: "suggested" if card in {"one", "two"} else "independent" for card in CARDS}
    assert all(entry.interval["slowdown"][0] >= 1.2 for entry in law.evidence)


def test_a_law_that_is_false_where_it_is_tested_is_none(tmp_path):
    def time(card, configuration, size):
        bent = 0.5 if card not in {"one", "two"} and configuration["occupancy"] == 1 else 1.0
        return true_everywhere(card, configuration, size) * bent

    found = learned(recorded(tmp_path, time), "one", "two")
    assert outcomes(found)["occupancy == 1"] == "refuted"
    assert not any("occupancy == 1" in text for text in avoided(found))


def test_one_device_that_disagrees_is_enough(tmp_path):
    def time(card, configuration, size):
        return true_everywhere(card, configuration, size) * (
            0.5 if card == "six" and configuration["occupancy"] == 1 else 1.0
        )

    found = learned(recorded(tmp_path, time), "one", "two")
    candidate = next(c for c in found.candidates if meaning(c.law).text == "occupancy == 1")
    assert candidate.outcome == "refuted"
    assert candidate.reason.startswith("imported-six-blur-")


@pytest.mark.parametrize("seed", range(6))
def test_random_records_give_no_law(tmp_path, seed):
    rng = np.random.default_rng(100 + seed)
    found = learned(recorded(tmp_path, lambda *_: float(100 * np.exp(rng.normal(0, 0.3)))), "one", "two")
    assert found.laws == ()


def test_one_device_confirms_nothing_and_says_what_is_missing(tmp_path):
    laws = recorded(tmp_path, cards=CARDS[:2])
    with pytest.raises(TunerError, match="1 problem sizes on 2 devices; a law needs 2 more sizes"):
        learned(laws, "one")


def test_of_many_problem_sizes_some_suggest_and_others_test(tmp_path):
    laws = recorded(tmp_path, cards=["one"], sizes=(1, 2, 4, 8, 16, 32))
    found = learned(laws)
    assert (len(found.suggesting), len(found.testing)) == (2, 4)
    assert "occupancy == 1" in avoided(found)
    law = next(law for law in found.laws if meaning(law).text == "occupancy == 1")
    assert (law.scope.hw, law.scope.when) == ("one", "")


def test_what_holds_at_the_small_sizes_alone_is_refuted_by_the_others(tmp_path):
    def time(card, configuration, size):
        return true_everywhere(card, configuration, size) * (0.5 if size > 2 and configuration["occupancy"] == 1 else 1)

    laws = recorded(tmp_path, time, ["one"], (1, 2, 4, 8, 16, 32))
    small = [run for run in laws.run_ids if laws.run(run).problem["n"] <= 2]
    seed = next(s for s in range(200) if set(learn_split(laws, s)) == set(small))
    found = learn_records(laws, LearnRequest("blur", seed=seed))
    assert outcomes(found)["occupancy == 1"] == "refuted"


def learn_split(laws: Laws, seed: int) -> list[str]:
    """The runs that a seed draws to suggest."""
    runs = [laws.witness(run) for run in laws.run_ids]
    return [one.run.id for one in suggesting_runs(laws, runs, LearnRequest("", seed=seed))]


def test_hardware_that_is_alone_at_most_sizes_suggests_at_one_in_three(tmp_path):
    """The other device has no further sizes, so it tests what the named one suggests at some sizes and tests at others."""
    laws = recorded(tmp_path, cards=["one", "two"], sizes=(1, 2, 4, 8, 16, 32))
    found = learned(laws, "one")
    suggesting = {laws.run(run).hw for run in found.suggesting}
    assert (suggesting, len(found.suggesting), len(found.testing)) == ({"one"}, 2, 10)
    assert "occupancy == 1" in avoided(found)


def test_laws_state_the_slowdown_that_is_asked_for(tmp_path):
    laws = recorded(tmp_path)
    found = learn_records(laws, LearnRequest("blur", ("one", "two"), slowdown=1.4))
    stated = {law.claim.effect["slowdown"].at_least for law in found.laws if "slowdown" in law.claim.effect}
    assert stated == {1.4}
    with pytest.raises(TunerError, match=r"slowdown: expected 1.05 to 1000000 times the best \(got 1.01\)"):
        learn_records(laws, LearnRequest("blur", slowdown=1.01))


def test_what_a_law_of_the_root_says_is_no_suggestion(tmp_path):
    """Nor is it noted in the runs: they found again what was there."""
    first = learned(recorded(tmp_path / "laws"), "one", "two", write=True)
    again = learned(load(tmp_path / "laws"), "one", "two")
    assert avoided(first)
    assert not avoided(first) & {meaning(one.law).text for one in again.candidates}


def test_what_is_written_passes_every_check_and_is_found_again(tmp_path):
    laws = recorded(tmp_path / "laws")
    found = learned(laws, "one", "two", write=True)
    library = spak.load(tmp_path / "laws")
    assert library.laws.laws.keys() == {change.law for change in found.changes}
    assert not [problem for problem in library.check() if problem.severity != "note"]
    for law in library.laws.laws.values():
        assert status(law) == law.status == "confirmed"
    again = learned(library.laws, "one", "two", write=True)
    assert again.changes == ()


def test_a_run_that_suggested_a_law_never_tests_it_whoever_asks_again(tmp_path):
    laws = recorded(tmp_path / "laws", cards=CARDS[:3])
    first = learned(laws, "one", write=True)
    assert "occupancy == 1" in avoided(first)
    for path in [change.path for change in first.changes]:
        path.unlink()
    turned = learned(load(tmp_path / "laws"), "two")
    candidate = next(c for c in turned.candidates if meaning(c.law).text == "occupancy == 1")
    assert candidate.outcome == "inconclusive"
    assert "1 of 2 further devices" in candidate.reason


def test_what_nobody_checked_teaches_nothing(tmp_path):
    for card in CARDS:
        tried = [Tried(c, time_us=planted(c, 1) * (1 + 0.01 * CARDS.index(card))) for c in configurations()]
        told = ToolRun("blur", HardwareName(card, "arch"), tried, "t", datetime(2026, 1, 1, tzinfo=UTC), checked=True)
        spak.record(tmp_path, replace(told, checked=False))
    with pytest.raises(TunerError, match="nothing measured is recorded of op 'blur'"):
        learned(load(tmp_path))


def test_what_is_asked_wrongly_is_said(tmp_path):
    laws = recorded(tmp_path)
    with pytest.raises(KgError, match="unknown hardware 'seven'"):
        learned(laws, "seven")
    with pytest.raises(KgError, match="unknown op 'blurr'"):
        learn_records(laws, LearnRequest("blurr"))
    with pytest.raises(KgError, match="read-only"):
        spak.learn(spak.Library(laws, writable=False), LearnRequest("blur", write=True))
