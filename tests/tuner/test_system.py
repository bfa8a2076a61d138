"""A system's operators are searched one after the other, the longest first; what it is made of is its file's to say."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from spak.kernels.checks import CheckResult
from spak.kg.errors import UnknownNameError
from spak.kg.files.loader import load
from spak.kg.files.root import LawRoot
from spak.kg.model.run import Failure
from spak.kg.model.system import System, TuningSpace
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.errors import TunerError
from spak.tuner.search import SearchRequest
from spak.tuner.system import SystemRequest, names_system, search_system
from tests.shipped import LAWS, ROOT
from tests.tuner.test_search import H200, Card, time_us

SHORT = TuningSpace(op="matmul", problem="m2048", time_us=100.0)
LONG = TuningSpace(op="naive-attention", problem="", time_us=300.0)
UNKNOWN = TuningSpace(op="matmul", problem="m4096")
GROUP = TuningSpace(op="gpt", time_us=5000.0)
EACH = SearchRequest(trials=4, confirm=0.0, seed=3)


@pytest.fixture(autouse=True)
def compiled_nowhere(monkeypatch):
    """Features that no formula here has are not asked for."""
    monkeypatch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)


def system(*parts: TuningSpace, **more) -> System:
    return System(id="duo", title="Duo", level="molecule", state="built", tuning_space=parts, **more)


def around(tmp_path, one: System, backend=None, **changes) -> Surroundings:
    ticks = itertools.count()
    made = backend or Card(time=time_us)
    laws = replace(LAWS, contents=msgspec.structs.replace(LAWS.contents, systems={**LAWS.systems, one.id: one}))
    found = Surroundings(
        laws=laws,
        root=LawRoot(ROOT, writable=False),
        now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        clock=lambda: float(next(ticks)),
        cache=tmp_path / "cache",
        local=tmp_path,
        device=lambda: H200,
        open=lambda entry, task: made,
    )
    return replace(found, **changes)


def test_what_takes_longest_is_searched_first_and_what_no_kernel_has_is_left_out(tmp_path):
    """An operator without a time comes after those with one."""
    said: list[str] = []
    one = system(GROUP, UNKNOWN, SHORT, LONG)
    found = search_system(SystemRequest("Duo", EACH), around(tmp_path, one, say=said.append))
    assert [each.part for each in found.operators] == [LONG, SHORT, UNKNOWN, GROUP]
    assert [each.share for each in found.operators] == [300 / 5400, 100 / 5400, None, 5000 / 5400]
    assert [each.left_out for each in found.operators] == ["", "", "", "no kernel of this op is searched"]
    assert [each.result.run.problem.get("m") for each in found.operators[1:3]] == [2048, 4096]
    assert said[0] == "1 of 4: naive-attention, 6% of the time of all"
    assert "2 of 4: matmul m2048, 2% of the time of all" in said
    assert "3 of 4: matmul m4096" in said


def test_the_gain_of_a_system_is_that_of_its_operators_by_their_time(tmp_path):
    """Of 300 us half is saved and of 100 us nothing; what has no gain stays as it is."""
    one = system(LONG, SHORT, TuningSpace(op="gpt", time_us=100.0))
    found = search_system(SystemRequest("duo", replace(EACH, trials=40)), around(tmp_path, one))
    gains = [each.gain for each in found.operators]
    assert gains[2] is None
    assert all(gain >= 1 for gain in gains[:2])
    assert found.gain == pytest.approx(500 / (300 / gains[0] + 100 / gains[1] + 100))
    nothing = search_system(SystemRequest("duo", EACH), around(tmp_path, system(UNKNOWN)))
    assert nothing.gain is None


def test_seconds_are_those_of_all_operators_shared_by_their_time(tmp_path):
    """The clock goes on by one whenever it is asked."""
    limits: list[float | None] = []

    def watch(trials, seconds):
        limits.append(seconds)
        return lambda *_: None

    each = replace(EACH, trials=1, seconds=400.0)
    search_system(SystemRequest("duo", each), around(tmp_path, system(SHORT, LONG), watch=watch))
    assert limits[0] == pytest.approx((400 - 1) * 0.75)
    assert 300 < limits[1] < 400
    limits.clear()
    tested = replace(each, write="nothing", trials=4, confirm=0.5)
    search_system(SystemRequest("duo", tested), around(tmp_path, system(SHORT, LONG), watch=watch))
    assert limits[0] == pytest.approx((400 - 1) * 0.75 * 0.5), "the rest is for tests of what it suggests"
    limits.clear()
    search_system(SystemRequest("duo", each), around(tmp_path, system(UNKNOWN, LONG), watch=watch))
    assert limits[0] == pytest.approx((400 - 1) / 2)


def test_only_the_parameters_that_a_system_leaves_open_are_searched(tmp_path):
    part = replace_part(SHORT, parameters=("tile_m",))
    one = system(part, configurations={"matmul": {"tile_n": 64}})
    [found] = search_system(SystemRequest("duo", replace(EACH, trials=50)), around(tmp_path, one)).operators
    tried = [trial.configuration for trial in found.result.run.trials]
    assert len({configuration["tile_m"] for configuration in tried}) > 1
    assert {name for name in tried[0] if len({configuration[name] for configuration in tried}) > 1} == {"tile_m"}
    assert tried[0]["tile_n"] == 64


def replace_part(part: TuningSpace, **changes) -> TuningSpace:
    return msgspec.structs.replace(part, **changes)


def right(connection, name, seed):
    """A check whose every result is right."""
    while True:
        connection.recv()
        connection.send(CheckResult())


def wrong(connection, name, seed):
    """A check whose every result is wrong."""
    connection.recv()
    connection.send(("correctness", Failure(type="Different", message="3 numbers differ")))
    connection.recv()


def planted(connection, name, seed):
    """A step with a wrong gradient, checked as the kernels' own is."""
    from tests.kernels.test_gpt_gradients import SIZE, Planted

    connection.recv()
    connection.send(Planted().result(SIZE, {}, seed))
    connection.recv()


def test_a_wrong_gradient_keeps_nanogpt_from_being_searched(tmp_path):
    """The shipped system's gate, executed: it names the parameter."""
    pytest.importorskip("torch", reason="needs torch, on the CPU")
    pytest.importorskip("cuda.tile", reason="needs cuda-tile, whose kernels are simulated")
    backend = Card(time=time_us)
    with pytest.raises(TunerError, match=r"'nanogpt' does not pass gpt-gradients.*the gradient of h\.0\.(ln_2|mlp)"):
        search_system(SystemRequest("nanogpt", EACH), around(tmp_path, LAWS.systems["nanogpt"], backend), serve=planted)
    assert backend.asked == []


def test_nothing_is_searched_where_a_check_of_the_gate_does_not_hold(tmp_path):
    backend = Card(time=time_us)
    place = around(tmp_path, system(SHORT, gate=("steps-per-launch",)), backend)
    with pytest.raises(
        TunerError, match="'duo' does not pass steps-per-launch, so nothing is searched: Different: 3 num"
    ):
        search_system(SystemRequest("duo", EACH), place, serve=wrong)
    assert backend.asked == []
    assert search_system(SystemRequest("duo", EACH), place, serve=right).gate == ("steps-per-launch",)
    assert backend.asked


def test_each_operator_sees_what_the_ones_before_it_wrote(tmp_path):
    """The second search of one op begins with what the first one recorded at another size."""
    root = tmp_path / "laws"
    for folder in ("ops", "hardware"):
        shutil.copytree(ROOT / folder, root / folder)
    (root / "evidence").mkdir()
    one = system(SHORT, replace_part(UNKNOWN, time_us=50.0))
    file = root / "systems" / "duo.yaml"
    file.parent.mkdir()
    file.write_text(
        "id: duo\ntitle: Duo\nlevel: molecule\nstate: built\ntuning_space:\n"
        "  - {op: matmul, problem: m2048, time_us: 100}\n  - {op: matmul, problem: m4096, time_us: 50}\n"
    )
    place = around(tmp_path, one, laws=load(root), root=LawRoot(root, writable=True))
    each = replace(EACH, use_laws=True, trials=12, write="laws", audit=0.0)
    first, second = search_system(SystemRequest("duo", each), place).operators
    assert first.result.run_file.parent == second.result.run_file.parent == root / "evidence"
    assert {trial.origin for trial in first.result.run.trials} == {"default", "strategy"}
    best = first.result.report.ranked[0].configuration
    early = [trial.configuration for trial in second.result.run.trials[:3]]
    assert best in early


def test_an_interrupted_search_ends_there_and_says_so(tmp_path):
    found = search_system(
        SystemRequest("duo", EACH), around(tmp_path, system(SHORT, LONG), Card(time=time_us, stop_after=2))
    )
    assert found.interrupted
    assert [each.result is not None for each in found.operators] == [True, False]


@pytest.mark.parametrize(
    ("name", "each", "error", "words"),
    [
        ("trio", EACH, UnknownNameError, "duo"),
        ("sdpa", EACH, TunerError, "'sdpa' has no tuning_space"),
        ("duo", replace(EACH, resume="some-run"), TunerError, "resume: goes on with the search of one operator"),
    ],
)
def test_what_cannot_be_searched_says_why(tmp_path, name, each, error, words):
    with pytest.raises(error, match=words):
        search_system(SystemRequest(name, each), around(tmp_path, system(SHORT)))


def test_a_name_that_a_kernel_has_too_is_the_kernels():
    assert names_system(LAWS, "nanogpt")
    assert names_system(LAWS, "Nano GPT")
    assert not names_system(LAWS, "microgpt")
    assert not names_system(LAWS, "")
    assert not names_system(LAWS, "nobody's")
