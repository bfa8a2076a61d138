"""cuTile's own tuner, the real one; only the launch is made up, because there is no GPU."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import pytest

import spak
from spak.adapters import cutile
from spak.kg.checks import run_checks

ct = pytest.importorskip("cuda.tile", reason="needs cuda-tile")

SPACE = [{"BX": bx, "BY": by, "UNROLL": 0} for bx in (16, 32, 64, 128) for by in (1, 4)]


@ct.kernel
def block(X, BX: ct.Constant[int], BY: ct.Constant[int], UNROLL: ct.Constant[int]):
    """Never compiled here."""
    ct.store(X, (ct.bid(0),), ct.load(X, (ct.bid(0),), (BX,)))


@pytest.fixture
def tune(monkeypatch, launch_us):
    """`exhaustive_search` over a space, with the order in which it launched."""
    from cuda.tile.tune import _tune

    launched = []

    def benchmark(stream, grid, kernel, args, flush_l2):
        assert isinstance(kernel, type(block))
        launched.append(args)
        return launch_us(*args)

    monkeypatch.setattr(_tune, "_benchmark", benchmark)

    def search(space):
        found = ct.tune.exhaustive_search(
            space, None, lambda _: (1,), block, lambda one: tuple(cutile.parameters_of(one).values()), quiet=True
        )
        return found, list(dict.fromkeys(launched))

    return search


def test_the_tuner_tries_what_laws_leave_best_first(kernel, hard, tune):
    """Narrow blocks are never launched."""
    found = cutile.search_space(kernel, SPACE)
    assert {one.laws for one in found.left_out} == {("avoid-narrow",)}
    outcome, launched = tune(found.kept)
    assert launched == [tuple(one.values()) for one in found.kept]
    assert outcome.best.config == {"BX": 64, "BY": 4, "UNROLL": 0} == found.kept[0]


def test_its_result_becomes_a_run_file_failures_included(kernel, tune, now):
    """With its interval, its timing method, the versions, and a run that every check accepts."""
    outcome, _ = tune(cutile.search_space(kernel, SPACE).kept)
    told = cutile.results(kernel, outcome, now, checked=True, flush_l2=False)
    done = spak.record(kernel.laws.root, told)
    assert (done.trials, done.failures) == (8, 1)
    library = spak.load(kernel.laws.root)
    run = library.laws.run(done.run)
    assert run.source.startswith("tried by cuda.tile.tune 1.")
    assert run.toolchain.keys() == {"cuda-tile", "tileiras"}
    assert "as left by the launch before" in run.noise.timer
    failed = next(trial for trial in run.trials if trial.failure)
    assert failed.invalidity == "runtime"
    assert failed.failure.message == "RuntimeError: too many resources requested for launch"
    time = next(trial.measurements[0] for trial in run.trials if not trial.failure)
    assert time.low <= time.value <= time.high
    assert [problem for problem in run_checks(library.laws) if done.run in problem.path] == []


def test_a_compiler_on_the_path_has_a_version_as_well(monkeypatch):
    """A toolkit's tileiras is no installed package."""
    known = importlib.metadata.version

    def version(package):
        if package != "cuda-tile":
            raise importlib.metadata.PackageNotFoundError(package)
        return known(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = spak.cutile_versions()
    assert found["cuda-tile"] == known("cuda-tile")
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["tileiras"])


def test_most_cuts_the_late_ones(kernel, tune):
    """The tuner tries whatever it is given, so an order saves only what is cut."""
    assert [one["BX"] for one in cutile.search_space(kernel, SPACE, most=1).kept] == [64]
    with pytest.raises(ValueError, match="most: at least 1"):
        cutile.search_space(kernel, SPACE, most=0)
    with pytest.raises(ValueError, match="space: empty"):
        cutile.search_space(kernel, [])


@dataclass
class Blocks:
    """A search space may hold these."""

    BX: int
    BY: int
    UNROLL: int


@pytest.mark.parametrize(
    "make",
    [
        Blocks,
        NamedTuple("Row", [("BX", int), ("BY", int), ("UNROLL", int)]),
        lambda *row: SimpleNamespace(**dict(zip(("BX", "BY", "UNROLL"), row, strict=True))),
    ],
)
def test_members_of_a_space_may_be_anything_with_names(kernel, tune, make, now):
    """As `exhaustive_search` allows; they come back as they were."""
    outcome, _ = tune(cutile.search_space(kernel, [make(16, 1, 0), make(64, 4, 0)]).kept)
    assert outcome.best.config == make(64, 4, 0)
    assert len(cutile.results(kernel, outcome, now).tried) == 2


def test_a_member_without_names_is_refused(kernel):
    """Nobody could say what a bare number sets."""
    with pytest.raises(TypeError, match=r"search_space: .* \(got 3\)"):
        cutile.search_space(kernel, [3])


def test_where_it_failed_is_told_by_the_error(kernel, now):
    """Compiling, a launch that hung, or running; an interval that reaches zero is none."""
    from cuda.tile.tune._tune_utils import TileLaunchTimeoutError

    errors = [ct.TileTypeError, TileLaunchTimeoutError, RuntimeError]
    failures = [({"BX": 16 << place, "BY": 1, "UNROLL": 0}, error, "") for place, error in enumerate(errors)]
    rough = SimpleNamespace(config={"BX": 128, "BY": 1, "UNROLL": 0}, mean_us=1.0, error_margin_us=1.5)
    told = cutile.results(kernel, SimpleNamespace(successes=[rough], failures=failures), now).tried
    assert [one.stage for one in told][1:] == ["compile", "timeout", "runtime"]
    done = spak.record(kernel.laws.root, cutile.results(kernel, SimpleNamespace(successes=[rough], failures=[]), now))
    assert spak.load(kernel.laws.root).laws.run(done.run).trials[0].measurements[0].low is None
