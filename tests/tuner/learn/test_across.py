"""What a search of many targets learns: found on some sizes of some devices, confirmed on others, or not at all."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from spak.kg.evidence.witness import RunWitness
from spak.kg.law.kinds import meaning
from spak.kg.law.statement import shown_elsewhere
from spak.kg.law.status import occasion_doubt, standing
from spak.kg.model.law import Bound
from spak.tuner.knowledge.source import whereabouts
from spak.tuner.learn.across import AcrossLesson, learn_across, suggesting_targets
from spak.tuner.learn.writeback import changes
from spak.tuner.many import search_targets
from spak.tuner.targeting import TargetsRequest
from tests.tuner.test_many import LAWS, around
from tests.tuner.test_search import H100, Card

SIZES = ("m2048", "m4096", "m8192", "b8-m2048")
REQUEST = TargetsRequest(
    kernel="matmul", problem=",".join(SIZES), trials=200, confirm=0.0, strategy="random", write="run"
)
OP = LAWS.ops["matmul"]


class OtherCard(Card):
    ran_on = H100


def flat(configuration, factor=1.0) -> float:
    """Tiles matter by some percent, and each device by its own."""
    sizes = configuration["tile_m"] * configuration["tile_n"] * configuration["tile_k"]
    return 100.0 * factor * (1 + 0.03 * abs(math.log2(sizes) - 20) + 0.001 * factor * (configuration["tile_m"] % 7))


def planted(configuration, factor=1.0) -> float:
    """What does not load by TMA takes three times as long."""
    return flat(configuration, factor) * (1.0 if configuration["use_tma"] else 3.0)


def on_h100(configuration) -> float:
    return planted(configuration, 1.3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Trials of four sizes on two devices, where everything without TMA is three times slower."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)
        here = search_targets(REQUEST, around(folder, lambda task: Card(time=planted)))
        there = search_targets(REQUEST, around(folder, lambda task: OtherCard(time=on_h100), device=lambda: H100))
        yield [one.result.run for found in (here, there) for one in found.targets]


def lesson(**more) -> AcrossLesson:
    return replace(AcrossLesson(LAWS, OP, budget=120, seed=0), **more)


def learned(runs, time=None, **more):
    backends = {"h200": Card(time=time or planted), "h100": OtherCard(time=time or on_h100)}
    kept: dict = {}
    keeping = {whereabouts(run.hw, run.problem): kept.setdefault(run.id, []).append for run in runs}
    return learn_across(runs, lesson(**more), backends, keeping), backends, kept


def test_a_law_is_confirmed_on_a_device_and_sizes_it_was_not_found_on(runs):
    found, _, _ = learned(runs)
    hardware = {run.id: run.hw for run in runs} | {run.id: run.hw for run in found.tests}
    suggesting = {hardware[name] for name in found.suggesting}
    assert len(suggesting) == 1
    assert len(found.suggesting) == 2, "two of four sizes on one of two devices"
    laws = [law for law in found.kept if "use_tma" in meaning(law).text]
    assert laws
    for law in laws:
        assert (law.status, law.scope.hw) == ("confirmed", "sm_90")
        roles = {entry.run: entry.role for entry in law.evidence}
        assert {run for run, role in roles.items() if role == "suggested"} <= set(found.suggesting)
        unseen = {hardware[run] for run, role in roles.items() if role == "independent"} - suggesting
        assert unseen, "a device that no run which suggested it ran on"
        assert not occasion_doubt(law), "two devices are two occasions, so that it may remove what it names"


def test_no_run_that_suggests_a_law_confirms_it_and_its_file_says_where_it_was_found_and_holds(runs):
    """The other device's runs are held out from finding: what they hold changes no candidate."""
    found, _, _ = learned(runs)
    hardware = {run.id: run.hw for run in (*runs, *found.tests)}
    (finder,) = {hardware[name] for name in found.suggesting}
    (other,) = set(hardware.values()) - {finder}
    law = next(law for law in found.kept if "use_tma" in meaning(law).text)
    assert shown_elsewhere(law.evidence) == ((finder,), (other,))
    alone = [entry for entry in law.evidence if hardware[entry.run] == finder and entry.role == "suggested"]
    assert standing(msgspec.structs.replace(law, evidence=tuple(alone))).status == "proposed"
    again = tuple(msgspec.structs.replace(entry, role="independent") for entry in alone)
    assert standing(msgspec.structs.replace(law, evidence=(*alone, *again))).status == "proposed"
    unlike, _, _ = learned([untrue(run) if run.hw == other else run for run in runs])
    assert unlike.suggesting == found.suggesting
    assert {str(meaning(one.law).text) for one in unlike.candidates if "use_tma" in meaning(one.law).text}
    edits = changes(found.runs[0], LAWS, found.kept, (*found.runs[1:], *found.tests))
    said = next(edit for edit in edits if edit.words.startswith("new, confirmed"))
    assert said.words == f"new, confirmed; found on {finder}, holds on {other}"


def test_what_adds_nothing_stays_a_candidate_as_in_a_search_of_one_target(runs):
    """Where a law of the root explains it and more, the run keeps what was confirmed, with the reason why it has no file."""
    first, _, _ = learned(runs)
    new = next(law for law in first.kept if "use_tma" in meaning(law).text)
    effect = {"slowdown": Bound(at_least=1.05)}
    claim = msgspec.structs.replace(new.claim, avoid=f"({new.claim.avoid}) or tile_k == 32", effect=effect)
    found, _, _ = learned(runs, laws=_Beside(LAWS, msgspec.structs.replace(new, id="says-more", claim=claim)))
    assert meaning(new).text not in [meaning(law).text for law in found.kept]
    idle = [one for one in found.candidates if one.law.id == new.id and one.outcome == "confirmed"]
    assert idle
    assert all("so it stays a candidate" in one.reason for one in idle)
    noted = [one for run in found.runs for one in run.suggested if one.law.id == new.id]
    assert {one.reason for one in noted if one.outcome == "confirmed"} == {one.reason for one in idle}


class _Beside:
    """A law root with one law more."""

    def __init__(self, laws, law):
        self._laws = laws
        self.laws = {**laws.laws, law.id: law}

    def __getattr__(self, name):
        return getattr(self._laws, name)


def test_what_holds_on_one_device_alone_is_no_law_of_both(runs):
    """On the other device TMA does not matter: whoever suggests, the others speak against it."""
    found, _, _ = learned([run for run in runs if run.hw == "h200"] + [untrue(run) for run in runs if run.hw == "h100"])
    assert not [law for law in found.kept if "use_tma" in meaning(law).text and law.scope.hw == "sm_90"]


def untrue(run):
    def trial(one):
        low, factor = one.measurements[0], flat(one.configuration, 1.3) / one.value("time")
        made = msgspec.structs.replace(low, value=low.value * factor, low=low.low * factor, high=low.high * factor)
        return msgspec.structs.replace(one, measurements=(made,))

    return msgspec.structs.replace(run, trials=tuple(map(trial, run.trials)))


def test_tests_keep_the_budget_are_kept_one_by_one_and_are_a_run_of_their_device(runs):
    found, backends, kept = learned(runs, budget=40)
    made = sum(len(backend.asked) for backend in backends.values())
    assert 0 < made <= 40
    assert sum(map(len, kept.values())) == made == sum(len(run.trials) for run in found.tests)
    for run in found.tests:
        assert {trial.origin for trial in run.trials} == {"confirm"}
        assert run.id.endswith("-confirm")
        assert run.suggested == ()
    sizes = {run.id: str(sorted(run.problem.items())) for run in runs}
    mined = {(run.hw, sizes[run.id]) for run in runs if run.id in found.suggesting}
    tested = {(run.hw, str(sorted(trial.problem.items()))) for run in found.tests for trial in run.trials}
    assert not tested & mined, "no test where a candidate was found"


def test_remembered_tests_are_not_made_again(runs):
    first, *_ = learned(runs, budget=40)
    memory = {
        whereabouts(run.hw, problem): [trial for trial in run.trials if trial.problem == problem]
        for run in first.tests
        for problem in ({**trial.problem} for trial in run.trials)
    }
    again, fresh, _ = learned(runs, budget=40, remembered=memory)
    assert sum(len(backend.asked) for backend in fresh.values()) == 0
    assert {run.id: len(run.trials) for run in again.tests} == {run.id: len(run.trials) for run in first.tests}
    assert [law.id for law in again.kept] == [law.id for law in first.kept]


def test_noise_teaches_nothing(runs):
    rng = np.random.default_rng(3)

    def noisy(run):
        def trial(one):
            value = float(100 * np.exp(rng.normal(0, 0.3)))
            made = msgspec.structs.replace(one.measurements[0], value=value, low=value * 0.99, high=value * 1.01)
            return msgspec.structs.replace(one, measurements=(made,))

        return msgspec.structs.replace(run, trials=tuple(map(trial, run.trials)))

    found, _, _ = learned([noisy(run) for run in runs], time=lambda _: float(100 * np.exp(rng.normal(0, 0.3))))
    assert found.kept == ()


def test_with_too_few_sizes_nothing_is_suggested_and_nothing_measured(runs):
    found, backends, _ = learned([run for run in runs if run.problem["m"] == 4096])
    assert (found.suggesting, found.candidates, found.kept, found.tests) == ((), (), (), ())
    assert not any(backend.asked for backend in backends.values())


def test_who_suggests_is_drawn_by_the_seed_alone(runs):
    def drawn(seed):
        return [one.run.id for one in suggesting_targets(LAWS, [RunWitness(run, LAWS) for run in runs], seed)]

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(12)}) > 3
    flipped = [untrue(run) for run in runs]
    assert drawn(1) == [one.run.id for one in suggesting_targets(LAWS, [RunWitness(run, LAWS) for run in flipped], 1)]
