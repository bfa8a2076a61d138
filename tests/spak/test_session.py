"""A search that the caller drives is the search that `tune` makes."""

from __future__ import annotations

import pytest

import spak

THREE = spak.HardwareName("three", "family")


def answers(record):
    """Configuration -> what to tell of it."""
    said = {}
    for trial in record.trials:
        time = trial.value("time")
        said[tuple(trial.configuration.items())] = {"time_us": time} if time else {"failure": "it did not run"}
    return said


def driven(session, record) -> tuple[spak.Trial, ...]:
    """The whole session, answered from a record."""
    said = answers(record)
    while (configuration := session.ask()) is not None:
        session.tell(configuration, **said[tuple(configuration.items())])
    return session.result().trials


def outcome(trials):
    return [(trial.configuration, trial.origin, trial.value("time")) for trial in trials]


def replayed(record, laws, **changes):
    return spak.replay(record, spak.Replay(THREE, "conv", laws, own_runs="other-problems", **changes))


@pytest.mark.parametrize("strategy", ["", "random", "genetic", "forest", "exhaustive"])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_and_answers_give_the_trials_of_a_replay(strategy, seed, conv, record):
    """With laws and recorded runs, under every strategy."""
    session = conv.session("conv", hw=THREE, strategy=strategy, seed=seed)
    done = replayed(record, conv.laws, strategy=strategy, seed=seed)
    assert outcome(driven(session, record)) == outcome(done.trials)
    assert len(done.trials) == len(record.trials)
    assert session.strategy == done.strategy
    assert session.best.configuration == done.best.configuration


def test_with_laws_that_remove_audits_come_first_and_the_removed_last(hard, conv, record):
    """The same restriction, the same audits, the same laws that fall."""
    session = conv.session("conv", hw=THREE, budget=spak.Budget(audit=0.2), seed=1)
    done = replayed(record, conv.laws, audit=0.2, seed=1)
    trials = driven(session, record)
    assert outcome(trials) == outcome(done.trials)
    assert "audit" in {trial.origin for trial in trials}
    assert session.result().contested == tuple(sorted(done.restriction.contested))


def test_without_knowledge_it_is_a_search_as_if_nothing_were_known(conv, record):
    """An ablation differs in one input."""
    session = conv.without_knowledge().session("conv", hw=THREE, seed=5)
    done = replayed(record, None, seed=5)
    assert outcome(driven(session, record)) == outcome(done.trials)
    assert session.strategy == "random"


def test_the_budget_counts_what_is_asked_and_not_told(conv):
    """Several may be out at once."""
    session = conv.session("conv", hw=THREE, budget=3)
    out = [session.ask() for _ in range(4)]
    assert out[3] is None
    assert len({tuple(configuration.items()) for configuration in out[:3]}) == 3
    session.tell(out[1], time_us=4.0)
    session.tell(out[0], failure="out of memory", features={"spill_bytes": 8.0})
    assert session.ask() is None
    assert session.best.configuration == out[1]
    failed = session.result().trials[1]
    assert (failed.invalidity, failed.failure.message, failed.value("spill_bytes")) == ("runtime", "out of memory", 8.0)


def test_what_was_not_asked_may_be_told(conv):
    """It counts, and is never asked for."""
    session = conv.session("conv", hw=THREE, strategy="exhaustive")
    own = {"bx": 64, "by": 4, "unroll": 0}
    assert session.tell(own, time_us=1.0).origin == "told"
    asked = []
    while (configuration := session.ask()) is not None:
        asked.append(configuration)
        session.tell(configuration, time_us=2.0)
    assert own not in asked
    assert session.best.configuration == own


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"time_us": 1.0, "failure": "both"}, "either"),
        ({}, "either"),
        ({"time_us": 0.0}, "positive"),
        ({"time_us": float("nan")}, "positive"),
    ],
)
def test_an_answer_is_a_time_or_a_failure(told, says, conv):
    """And nothing is noted of another."""
    session = conv.session("conv", hw=THREE)
    configuration = session.ask()
    with pytest.raises(spak.TunerError, match=says):
        session.tell(configuration, **told)
    assert session.result().trials == ()


def test_what_is_no_configuration_or_was_told_is_refused(conv):
    """Twice the same would count twice."""
    session = conv.session("conv", hw=THREE)
    with pytest.raises(spak.TunerError, match="not a configuration"):
        session.tell({"bx": 65, "by": 4, "unroll": 0}, time_us=1.0)
    configuration = session.ask()
    session.tell(configuration, time_us=1.0)
    with pytest.raises(spak.TunerError, match="told already"):
        session.tell(configuration, time_us=1.0)
    with pytest.raises(spak.TunerError, match="unknown strategy"):
        conv.session("conv", hw=THREE, strategy="luck")


def test_a_kernel_that_no_law_root_knows_is_searched_under_the_laws_it_inherits(hard, conv):
    """Values and restrictions are the caller's; the default comes first."""
    own = spak.op("mine", {"bx": [32, 64, 96, 128], "by": [1, 2, 3, 4]}, restrictions=["bx * by <= 256"], is_a=["conv"])
    session = conv.session(own, hw="one", budget=spak.Budget(trials=3, audit=0.0))
    asked = [session.ask() for _ in range(3)]
    assert asked[0] == {"bx": 32, "by": 1}
    assert all(one["bx"] > 32 and one["bx"] * one["by"] <= 256 for one in asked[1:])


def test_of_candidates_the_feasible_ones_are_searched(conv):
    """The rest, and what was not named, is never asked for; where none is feasible, the condition is named."""
    own = spak.op("mine", {"bx": [32, 64, 96, 128], "by": [1, 2, 3, 4]}, restrictions=["bx * by <= 256"])
    named = [{"bx": 128, "by": 4}, {"bx": 96, "by": 2}, {"bx": 64}, {"bx": 64, "by": 1}]
    session = conv.session(spak.Candidates(own, named), hw="one", budget=spak.Budget(audit=0.0))
    assert len(session.space) == 2
    assert sorted(tuple(one.values()) for one in iter(session.ask, None)) == [(64, 1), (96, 2)]
    with pytest.raises(spak.KgError, match="none of the 1 configurations satisfies bx \\* by <= 256"):
        conv.session(spak.Candidates(own, named[:1]), hw="one")
    with pytest.raises(spak.KgError, match="bx=65"):
        conv.session(spak.Candidates(own, [{"bx": 65}]), hw="one")


def test_a_large_space_is_searched_in_part(conv):
    """As `tune search` does with a strategy that has an opinion on each configuration."""
    own = spak.op("wide", {f"p{place}": list(range(8)) for place in range(6)})
    assert 1 << 15 < len(conv.session(own, hw="one").space) <= 1 << 16
    assert len(conv.without_knowledge().session(own, hw="one").space) == 8**6
