"""Each configuration that was asked for is recorded once, whatever becomes of the workers that had it."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from concurrent.futures import Future

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.kg.model.run import Failure, Measurement, Times
from spak.kg.space.space import build
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.flow import CompiledPiece, Flow, FlowPatience, UnusableDevice
from spak.tuner.engine.searcher import RunningSearch, Searcher
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, Executor, FleetMember, Piece, PieceOutcome
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.strategy import registry
from tests.tuner.searching import FACTS, OP, TOOLCHAIN, avoid, spill, store, time_us

PROBLEM = {"size": 1024, "dim": 64}
SPACE = build(OP, PROBLEM, FACTS)
UNLIMITED = Budget(audit=0.0)
DEVICES = ("gpu-0", "gpu-1", "gpu-2")
SOON = FlowPatience(0.0, 0.001)


class ToyRoute:
    """A configuration travels as JSON; m=128 does not compile."""

    def compiling(self, request):
        return Piece(work="compile", data=msgspec.json.encode(request.configuration))

    def compiled(self, request, answer):
        if answer == b"no":
            return request.trial(invalidity="compile", failure=Failure(type="Nope", message="no"))
        return CompiledPiece(answer, {"spill_bytes": spill(request.configuration)})

    def measuring(self, request, compiled, device):
        return Piece(work="measure", data=compiled.data, wants=device)

    def measured(self, request, answer):
        if answer.startswith(b"unusable"):
            return UnusableDevice(answer.decode())
        if answer.startswith(b"failed"):
            return request.trial(invalidity="runtime", failure=Failure(type="Illegal", message=answer.decode()))
        name = "unsteady_time" if answer == b"unsteady" else "time"
        return request.trial(measurements=(Measurement(name=name, value=time_us(request.configuration), unit="us"),))


class ScriptedFleet(Executor):
    """Does each piece at once, as `deed(piece, configuration, number of the piece)` says; remembers who was given what."""

    def __init__(self, deed=lambda piece, configuration, number: piece.data, devices=DEVICES):
        self.deed, self.given, self.resources = deed, [], [CPU, *devices]

    def members(self):
        return [FleetMember(name=f"on-{one}", host="here", resources=(one,)) for one in self.resources]

    def submit(self, piece):
        if piece.wants not in self.resources:
            raise TunerError("nobody")
        configuration = msgspec.json.decode(piece.data)
        said = self.deed(piece, configuration, len(self.given))
        self.given.append((piece.work, piece.wants, tuple(sorted(configuration.items()))))
        outcome = said if isinstance(said, PieceOutcome) else PieceOutcome(data=said, member=f"on-{piece.wants}")
        future = Future()
        future.set_result(outcome)
        return future

    def close(self):
        """Nothing to release."""


def lost(piece, how="killed by SIGKILL"):
    return PieceOutcome(member=f"on-{piece.wants}", lost=how)


class TimedRoute(ToyRoute):
    """The same, where a configuration compiles as long as its tiles are large."""

    def measured(self, request, answer):
        times = Times(compilation=1e3 * request.configuration["m"])
        return msgspec.structs.replace(super().measured(request, answer), times=times)


def flow(fleet, *, budget=UNLIMITED, done=(), restriction=None, route=ToyRoute, patience=SOON):
    searching = RunningSearch(restriction or Restriction(SPACE), lambda: registry.make("random"), Budget(audit=0.0))
    searcher, journal, ticks = Searcher(searching, "time"), list(done), itertools.count()
    searcher.restore(journal)
    asker = loop.Alone(searcher, budget, journal.append)
    watch = loop.SearchWatch(lambda: float(next(ticks)), lambda *_: None)
    return Flow(asker, route(), fleet, watch, patience), journal


def key(configuration):
    return tuple(sorted(configuration.items()))


def each_once(journal):
    counts = Counter(key(trial.configuration) for trial in journal)
    return len(counts) == len(SPACE) and set(counts.values()) == {1}


def test_every_configuration_is_compiled_then_measured_and_recorded_once():
    fleet = ScriptedFleet()
    flowing, journal = flow(fleet)
    assert flowing.run() is False
    assert each_once(journal)
    assert {trial.value("time") for trial in journal} == {time_us(trial.configuration) for trial in journal}
    assert {wants for work, wants, _ in fleet.given if work == "measure"} == set(DEVICES)
    assert Counter(work for work, *_ in fleet.given) == {"compile": len(SPACE), "measure": len(SPACE)}


def test_a_budget_of_trials_counts_what_is_under_way():
    flowing, journal = flow(ScriptedFleet(), budget=Budget(trials=10, audit=0.0))
    flowing.run()
    assert len(journal) == 10


def compiled_in_order(budget, end):
    fleet = ScriptedFleet()
    flowing, journal = flow(fleet, budget=budget, route=TimedRoute, patience=FlowPatience(0.0, 0.001, end))
    flowing.run()
    return [dict(given)["m"] for work, _, given in fleet.given if work == "compile"], journal


@pytest.mark.parametrize("budget", [Budget(audit=0.0), Budget(trials=len(SPACE), audit=0.0)])
def test_at_the_end_of_a_whole_space_what_compiles_longest_comes_first(budget):
    """Before, and with an `end` of 0, all comes as it is asked for."""
    as_asked, _ = compiled_in_order(budget, 0.0)
    ordered, journal = compiled_in_order(budget, 10.0)
    assert each_once(journal)
    same = next(place for place, pair in enumerate(zip(as_asked, ordered, strict=True)) if pair[0] != pair[1])
    assert same > len(SPACE) / 2
    rest = ordered[same:]
    assert rest == sorted(rest, reverse=True)


@pytest.mark.parametrize("budget", [Budget(trials=len(SPACE) - 1, audit=0.0), Budget(seconds=1e9, audit=0.0)])
def test_where_not_everything_will_be_tried_nothing_is_put_off(budget):
    assert compiled_in_order(budget, 10.0)[0] == compiled_in_order(budget, 0.0)[0]


def test_what_does_not_compile_is_not_measured():
    fleet = ScriptedFleet(lambda piece, c, _: b"no" if c["m"] == 128 and piece.work == "compile" else piece.data)
    flowing, journal = flow(fleet)
    flowing.run()
    refused = [trial for trial in journal if trial.invalidity == "compile"]
    assert each_once(journal)
    assert {trial.configuration["m"] for trial in refused} == {128}
    assert not [one for one in fleet.given if one[0] == "measure" and dict(one[2])["m"] == 128]


@pytest.mark.parametrize("stage", ["compile", "measure"])
def test_a_configuration_that_kills_its_worker_is_charged_once_and_nobody_else_has_it(stage):
    pill = SPACE.config(7)
    fleet = ScriptedFleet(lambda piece, c, _: lost(piece) if (piece.work, c) == (stage, pill) else piece.data)
    flowing, journal = flow(fleet)
    flowing.run()
    assert each_once(journal)
    failed = [trial for trial in journal if trial.failure is not None]
    assert [(trial.configuration, trial.invalidity, trial.failure.type) for trial in failed] == [
        (pill, "runtime", "WorkerLost")
    ]
    assert "killed by SIGKILL" in failed[0].failure.message
    assert Counter(work for work, _, given in fleet.given if given == key(pill))[stage] == 1
    assert flowing.health.out == {}


def test_what_nobody_had_begun_goes_to_somebody_else_and_is_charged_to_nobody():
    nobody = PieceOutcome(lost="the fleet was closed before anybody had it")
    fleet = ScriptedFleet(lambda piece, _, number: nobody if number % 3 == 1 else piece.data)
    flowing, journal = flow(fleet)
    flowing.run()
    assert each_once(journal)
    assert all(trial.invalidity == "correct" for trial in journal)


def test_a_poisoned_device_is_out_after_one_failure_and_twice_what_ran_well_before():
    def deed(piece, configuration, number):
        return b"failed" if piece.wants == "gpu-1" and number > 20 else piece.data

    fleet = ScriptedFleet(deed)
    flowing, journal = flow(fleet)
    flowing.run()
    assert each_once(journal)
    assert sum(trial.failure is not None for trial in journal) == 1
    assert set(flowing.health.out) == {"gpu-1"}
    assert "ran well before" in flowing.health.out["gpu-1"]
    assert len([one for one in fleet.given[21:] if one[:2] == ("measure", "gpu-1")]) == 3


def test_a_device_whose_worker_is_killed_with_what_ran_well_stays_if_the_next_one_runs_it():
    kills = iter([False] * 3 + [True, True] + [False] * len(SPACE) * 2)  # a configuration, then the probe after it

    def deed(piece, configuration, number):
        return lost(piece) if piece.wants == "gpu-0" and next(kills) else piece.data

    flowing, journal = flow(ScriptedFleet(deed, devices=("gpu-0",)))
    flowing.run()
    assert each_once(journal)
    assert sum(trial.failure is not None for trial in journal) == 1
    assert flowing.health.out == {}


def test_a_failure_of_the_configuration_alone_costs_a_probe_and_no_device():
    bad = {key(SPACE.config(index)) for index in range(0, len(SPACE), 5)}
    fleet = ScriptedFleet(lambda piece, c, _: b"failed" if piece.work == "measure" and key(c) in bad else piece.data)
    flowing, journal = flow(fleet)
    flowing.run()
    assert each_once(journal)
    assert {key(trial.configuration) for trial in journal if trial.failure is not None} == bad
    assert flowing.health.out == {}


def test_a_device_that_fails_from_the_start_is_out_after_three():
    fleet = ScriptedFleet(lambda piece, *_: b"failed" if piece.wants == "gpu-0" else piece.data, devices=("gpu-0",))
    flowing, journal = flow(fleet)
    with pytest.raises(TunerError, match=r"can go on; gpu-0 was taken out: 3 failures in a row, the last: Illegal"):
        flowing.run()
    assert len(journal) == 3


def test_a_device_that_its_worker_calls_unusable_is_out_at_once_and_nothing_is_charged():
    fleet = ScriptedFleet(lambda piece, *_: b"unusable: ECC" if piece.wants == "gpu-2" else piece.data)
    flowing, journal = flow(fleet)
    flowing.run()
    assert each_once(journal)
    assert all(trial.invalidity == "correct" for trial in journal)
    assert flowing.health.out == {"gpu-2": "unusable: ECC"}


def test_a_device_that_stays_slower_than_at_first_is_out_after_three_marked_times():
    fleet = ScriptedFleet(lambda piece, *_: b"unsteady" if piece.wants == "gpu-2" else piece.data)
    flowing, journal = flow(fleet)
    flowing.run()
    assert each_once(journal)
    assert [trial.value("time") for trial in journal].count(None) == 3
    assert set(flowing.health.out) == {"gpu-2"}


def test_members_that_leave_and_come_back_lose_nothing():
    class Leaving(ScriptedFleet):
        looks = 0

        def members(self):
            self.looks += 1
            away = self.looks % 20
            self.resources = [] if away < 3 else [CPU] if away < 6 else [CPU, *DEVICES]
            return super().members()

    fleet = Leaving()
    flowing, journal = flow(fleet, patience=FlowPatience(1000.0, 0.001))
    flowing.run()
    assert each_once(journal)
    assert fleet.looks > 20


def test_a_fleet_that_nobody_is_left_of_ends_the_search_with_what_there_is():
    fleet = ScriptedFleet()

    def deed(piece, configuration, number):
        if number == 30:
            fleet.resources = []
        return piece.data

    fleet.deed = deed
    flowing, journal = flow(fleet)
    with pytest.raises(TunerError, match="no member of the fleet can go on"):
        flowing.run()
    kept = len(journal)
    assert 0 < kept < len(SPACE)
    again, journal = flow(ScriptedFleet(), done=journal)
    again.run()
    assert each_once(journal)


def test_what_a_law_hides_once_compiled_is_set_aside_and_not_measured():
    law = avoid("spills-are-slow", "spill_bytes > 0", at_least=2.0)
    context = Context("card", TOOLCHAIN)
    restriction = restrict(SPACE, store(law), context)
    fleet = ScriptedFleet()
    flowing, journal = flow(fleet, restriction=restriction, budget=Budget(trials=20, audit=0.0))
    flowing.run()
    aside = [trial for trial in journal if trial.invalidity == "constraints"]
    assert aside
    assert not {key(t.configuration) for t in aside} & {given for work, _, given in fleet.given if work == "measure"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.3))
def test_whatever_is_lost_and_however_often_each_is_recorded_once(seed, rate):
    rng = random.Random(seed)

    def deed(piece, configuration, number):
        if rng.random() < rate:
            return lost(piece) if rng.random() < 0.5 else PieceOutcome(lost="nobody had it")
        return piece.data

    fleet = ScriptedFleet(deed)
    journal, tries = [], 0
    while len({key(trial.configuration) for trial in journal}) < len(SPACE) and tries < 50:
        tries += 1
        flowing, journal = flow(fleet, done=journal)
        try:
            flowing.run()
        except TunerError:
            continue  # all devices were taken out; the next search begins with the journal
    assert each_once(journal)
    charged = {key(trial.configuration) for trial in journal if trial.failure is not None}
    assert len(charged) == sum(trial.failure is not None for trial in journal)
