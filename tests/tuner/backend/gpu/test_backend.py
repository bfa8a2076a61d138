"""The backend on the fake device: trials for every request, interleaved baselines, compile failures as data."""

from concurrent.futures import Future
from functools import partial

import pytest

from spak.kg.model.run import Failure
from spak.kg.space.space import build
from spak.tuner.backend.base import Patience, Request
from spak.tuner.backend.gpu.ahead import CompiledFunctions
from spak.tuner.backend.gpu.backend import GpuBackend, TimingMethod
from spak.tuner.backend.gpu.supervisor import ContestantOutcome, Supervisor, WorkerLimits
from spak.tuner.backend.gpu.timing import Plan
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.strategy import registry
from tests.tuner.backend.gpu.fake_device import FakeProgram
from tests.tuner.searching import FACTS, OP

PLAN = Plan(rounds=8, slow_rounds=6)


class FakeCompiler:
    """Compiles nothing; `refused` configurations fail."""

    toolchain = {"tileiras": "13.4.92"}

    def __init__(self):
        self.asked = []

    def start(self, problem, configuration):
        self.asked.append((dict(problem), dict(configuration)))
        future = Future()
        failure = Failure(type="ValueError", message="no") if configuration.get("kind") == "refused" else None
        future.set_result(
            CompiledFunctions(failure=failure) if failure else CompiledFunctions((f"key-{len(self.asked)}",), None, 3.0)
        )
        return future

    def close(self):
        pass


@pytest.fixture
def make(tmp_path):
    log = tmp_path / "steps"
    log.write_text("")
    backends = []

    def backend(**method):
        supervisor = Supervisor(FakeProgram(log), WorkerLimits())
        method = TimingMethod(**{"plan": PLAN, **method})
        backends.append(GpuBackend(supervisor, FakeCompiler(), lambda code: {"spill_bytes": 8.0}, method))
        return backends[-1], log

    yield backend
    for backend in backends:
        backend.close()


def requests(*configurations, seq=64):
    return [Request(configuration, {"seq": seq}, "sweep") for configuration in configurations]


def test_every_request_gets_one_trial_with_interval_features_and_check(make):
    backend, _ = make()
    asked = requests({"us": 10.0}, {"kind": "refused"}, {"kind": "crash"}, {"kind": "wrong"})
    trials = {str(trial.configuration): trial for _, trial in backend.evaluate(asked)}
    assert [trials[str(dict(request.configuration))].invalidity for request in asked] == [
        "correct",
        "compile",
        "runtime",
        "correctness",
    ]
    good = trials["{'us': 10.0}"]
    assert (good.measurements[0].name, good.measurements[0].value, good.measurements[0].low) == ("time", 10.0, 10.0)
    assert good.value("spill_bytes") == 8.0
    assert good.value("relative_error") == 1e-4
    assert good.times.runtimes == (0.01,) * 8
    assert (good.origin, good.problem, good.times.compilation) == ("sweep", {"seq": 64}, 3.0)
    assert all((trial.failure is None) == (trial.invalidity == "correct") for trial in trials.values())


def test_batches_hold_one_problem_size_and_all_compile_first(make):
    backend, log = make(batch_size=2)
    asked = [*requests({"us": 1.0}, {"us": 2.0}, {"us": 3.0}), *requests({"us": 4.0}, seq=128)]
    assert len(list(backend.evaluate(asked))) == 4
    prepared = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("prepare")]
    assert prepared == ["64", "64", "128"]
    seeds = [line.split()[-1] for line in log.read_text().splitlines() if line.startswith("prepare")]
    assert len(set(seeds)) == 3, "inputs are fresh in each batch"
    assert [problem["seq"] for problem, _ in backend._compiler.asked[:4]] == [64, 64, 64, 128]


def test_the_best_of_a_problem_makes_later_slow_ones_brief(make):
    backend, _ = make(batch_size=1)
    trials = [trial for _, trial in backend.evaluate(requests({"us": 10.0}, {"us": 50.0}))]
    assert [len(trial.times.runtimes) for trial in trials] == [8, 6]


def test_baselines_are_timed_in_the_same_rounds_and_never_become_trials(make):
    backend, log = make(batch_size=1)
    trials = [trial for _, trial in backend.evaluate(requests({"us": 40.0}, {"us": 41.0}))]
    assert len(trials) == 2
    references = backend.references({"seq": 64})
    assert (set(references), references["cudnn"].value, references["cudnn"].unit) == ({"cudnn"}, 50.0, "us")
    assert backend.references({"seq": 65}) == {}
    assert backend.failed_baselines == {"broken": "RuntimeError: no available kernel"}
    checks = [line for line in log.read_text().splitlines() if line.startswith("check 100000")]
    assert checks == ["check 1000000", "check 1000001", "check 1000000"], "what failed is not asked again"


def test_baselines_survive_a_lost_worker_and_can_be_left_out(make):
    backend, _ = make()
    list(backend.evaluate(requests({"us": 40.0}, {"kind": "crash"})))
    assert set(backend.references({"seq": 64})) == {"cudnn"}
    without, _ = make(skip_baselines=("cudnn",))
    list(without.evaluate(requests({"us": 40.0})))
    assert without.references({"seq": 64}) == {}


def test_samples_can_be_left_out(make):
    backend, _ = make(keep_samples=False)
    [(_, trial)] = backend.evaluate(requests({"us": 10.0}))
    assert trial.times.runtimes == ()
    assert trial.measurements[0].low is not None


def test_provenance_states_machine_method_and_toolchain(make):
    backend, _ = make()
    assert backend.provenance().device is None
    list(backend.evaluate(requests({"us": 10.0})))
    known = backend.provenance()
    assert (known.tier, known.objective, known.toolchain) == ("measured", "time", {"tileiras": "13.4.92"})
    assert known.device.name == "Fake GPU"
    assert known.noise.interleaved
    assert "6 rounds where" in known.noise.timer


class SlowCompiler(FakeCompiler):
    """Finishes what `done` names at once, and the rest when told to."""

    def __init__(self, done):
        super().__init__()
        self._done, self.futures = done, {}

    def start(self, problem, configuration):
        us = configuration["us"]
        if us not in self.futures:
            self.futures[us] = super().start(problem, configuration) if us in self._done else Future()
        return self.futures[us]

    def finish(self, us):
        self.futures[us].set_result(CompiledFunctions((f"key-{us}",), None, 3.0))


def test_a_search_goes_on_with_most_of_a_batch():
    """What compiles long is named once three quarters are there; all of them is none."""
    asked = requests(*({"us": us} for us in (1.0, 2.0, 3.0, 4.0)))
    compiler, supervisor = SlowCompiler({1.0, 3.0, 4.0}), StubSupervisor()
    backend = GpuBackend(supervisor, compiler, lambda _: {}, TimingMethod(plan=PLAN, patience_s=0.01))
    assert backend.late(asked, Patience()) == [1]
    assert supervisor.num_begun == 1, "it opens the GPU while the others compile"
    compiler.finish(2.0)
    assert backend.late(asked, Patience()) == []


def test_a_search_waits_until_most_of_a_batch_is_there():
    """Patience that ends with half of them compiled does not make a batch of that half; all of them is what a last batch waits for."""
    asked = requests(*({"us": us} for us in (1.0, 2.0, 3.0, 4.0)))
    compiler, said = SlowCompiler({1.0, 3.0}), []
    method = TimingMethod(plan=PLAN, patience_s=0.01)
    backend = GpuBackend(StubSupervisor(), compiler, lambda _: {}, method)

    def told(what):
        said.append(what)
        if len(said) in {5, 9}:
            compiler.finish({5: 4.0, 9: 2.0}[len(said)])

    assert backend.late(asked, Patience(told=told)) == [1]
    assert said == [*["compiling: 2 of 4 configurations done"] * 5, "reading, checking and timing what compiled"]
    said += [""]
    assert backend.late(asked, Patience(whole=True, told=told)) == []
    assert said[7:] == [*["compiling: 3 of 4 configurations done"] * 2, "reading, checking and timing what compiled"]


class StubSupervisor:
    """Times everything alike, at once."""

    machine = None
    num_begun = 0

    def begin(self):
        self.num_begun += 1

    def run(self, batch):
        return [ContestantOutcome(contestant, (10.0,) * 8, 0.0) for contestant in batch.contestants]

    def close(self):
        pass


class SecondsPass:
    """A clock that each look at it moves on, and compilations that are done by it."""

    def __init__(self, each_s, default_s):
        self.now, self._each_s, self._default_s, self._futures = 0.0, each_s, default_s, []

    toolchain = {}

    def start(self, problem, configuration):
        key = repr(sorted(configuration.items()))
        known = next((future for name, _, future in self._futures if name == key), None)
        if known is None:
            due = self.now + (self._default_s if not self._futures else self._each_s * len(self._futures))
            self._futures.append((key, due, known := Future()))
        return known

    def close(self):
        pass

    def __call__(self):
        self.now += 1.0
        for _, due, future in self._futures:
            if due <= self.now and not future.done():
                future.set_result(CompiledFunctions(("key",), None, 3.0))
        return self.now


def searched(clock, **limits):
    """Trials of the real loop, with what it said and when."""
    method = TimingMethod(plan=PLAN, batch_size=16, patience_s=0.001)
    backend = GpuBackend(StubSupervisor(), clock, lambda _: {}, method, clock)
    said = []
    hooks = loop.Hooks(clock, lambda _: None, lambda *_: None, lambda what, seconds: said.append((seconds, what)))
    seeking = RunningSearch(Restriction(build(OP, {}, FACTS)), partial(registry.make, "random"), Budget(**limits))
    return loop.run_search(seeking, backend, hooks), said


def test_a_search_says_what_compiles_and_ends_with_its_seconds():
    """Sixteen compilations, one every ten seconds, of which a minute sees few: those are timed, and nothing is waited for."""
    clock = SecondsPass(each_s=10.0, default_s=5.0)
    result, said = searched(clock, seconds=60.0)
    assert (said[0][1], said[0][0] < 10) == ("compiling: 0 of 16 configurations done", True)
    assert sorted({what for _, what in said}) == [
        *(f"compiling: {num} of 16 configurations done" for num in range(len(result.trials))),
        "reading, checking and timing what compiled",
    ]
    assert 3 <= len(result.trials) <= 7
    assert result.trials[0].origin == "default"
    assert clock.now < 60 + 10 * 2
    assert len({str(trial.configuration) for trial in result.trials}) == len(result.trials)


def test_a_search_waits_for_the_default_when_its_seconds_are_over():
    """And for nothing else: what it found is told beside the default."""
    clock = SecondsPass(each_s=10.0, default_s=200.0)
    result, _ = searched(clock, seconds=60.0)
    assert "default" in [trial.origin for trial in result.trials]
    assert 200 <= clock.now < 250
    clock = SecondsPass(each_s=10.0, default_s=200.0)
    result, said = searched(clock, trials=16)
    assert len(result.trials) == 16, "no limit of time: all are waited for"
    assert ("compiling: 15 of 16 configurations done") in [what for _, what in said]


def test_features_need_no_device(make):
    backend, log = make()
    assert backend.features(requests({"us": 1.0}, {"kind": "refused"})) == [{"spill_bytes": 8.0}, None]
    assert log.read_text() == ""


def test_a_batch_in_which_nothing_compiles_starts_no_worker(make):
    backend, log = make()
    [(_, trial)] = backend.evaluate(requests({"kind": "refused"}))
    assert trial.failure == Failure(type="ValueError", message="no")
    assert log.read_text() == ""


def test_times_of_a_device_that_has_slowed_down_are_marked_and_rank_nothing(make, tmp_path):
    steady, _ = make(batch_size=1)
    log = tmp_path / "slowing"
    log.write_text("")
    supervisor = Supervisor(FakeProgram(log, slows_after=3), WorkerLimits())
    slowing = GpuBackend(supervisor, FakeCompiler(), lambda code: {}, TimingMethod(plan=PLAN, batch_size=1))
    asked = requests({"us": 40.0}, {"us": 10.0}, {"us": 39.0})
    try:
        trials = [trial for _, trial in slowing.evaluate(asked)]
        assert [trial.value("time") for trial in trials] == [40.0, None, None], "slow after the second batch's rounds"
        assert trials[1].value("unsteady_time") == 10.0
        assert trials[2].value("unsteady_time") == pytest.approx(42.9)
        assert trials[1].value("drift") == pytest.approx(0.1)
        assert [trial.invalidity for trial in trials] == ["correct"] * 3
        assert len(trials[2].times.runtimes) == 8, "a marked time does not make others slow"
        assert slowing.references({"seq": 64})["cudnn"].high == 50.0, "no baseline's time is of a slowed device"
    finally:
        slowing.close()
    assert [trial.value("time") for _, trial in steady.evaluate(asked)] == [40.0, 10.0, 39.0]
