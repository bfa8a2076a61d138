"""A search learns only what held on problem sizes it was not found on, in the widest scope that was tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec
import pytest

from spak.kg.law.kinds.avoid import NegativeLaw
from spak.kg.model.op import Op, Parameter, ProblemParameter
from spak.kg.model.run import CONFIRM, Measurement, Trial
from spak.tuner.backend.base import Provenance, Request
from spak.tuner.learn.lesson import Lesson, Notebook, learn, learn_from_runs, select_held_out
from spak.tuner.learn.mining.candidates import Topic
from tests.tuner.landscapes import VALUES, noise_only, planted, spill, sweep

SUBJECT = Topic(
    "sm_90", "fmha", "FMHA", ("causal",), "found", toolchain_seen="tileiras 13.4.92", tiles=("tile_m", "tile_n")
)


def op(*problems: Mapping[str, object]) -> Op:
    return Op(
        id="fmha",
        title="FMHA",
        parameters={n: Parameter(values=v, default=v[0], role="tile", description="d") for n, v in VALUES.items()},
        problem={
            "size": ProblemParameter(type="int", default=1, description="d"),
            "causal": ProblemParameter(type="bool", default=True, description="d", specialises=True),
        },
        problems={f"p{place}": dict(problem) for place, problem in enumerate(problems)},
    )


SIZES = op(*({"size": size, "causal": True} for size in (1, 2, 4, 8)), {"size": 2, "causal": False})


class Fake:
    """Times and compiles the planted landscape, or one that a test bends."""

    name, batch_size, num_compilers = "fake", 16, 0

    def __init__(self, bend=lambda configuration, problem: 1.0, tier: str = "measured") -> None:
        self.bend, self.tier, self.asked = bend, tier, []

    def provenance(self) -> Provenance:
        return Provenance(self.tier, {"tileiras": "13.4.92"}, None, None, "time")

    def features(self, requests: Sequence[Request]):
        return [None for _ in requests]

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        self.asked += requests
        for request in requests:
            time = planted(request.configuration, request.problem["size"]) * self.bend(
                request.configuration, request.problem
            )
            made = Trial(
                configuration=dict(request.configuration),
                problem=dict(request.problem),
                origin=request.origin,
                measurements=(
                    Measurement(name="time", value=time, unit="us", low=time * 0.998, high=time * 1.002),
                    Measurement(name="spill_bytes", value=spill(request.configuration), unit="bytes"),
                ),
            )
            yield request, made

    def close(self) -> None:
        """Nothing to release."""


def found(tier: str = "measured"):
    run = sweep((1,))
    trials = tuple(msgspec.structs.replace(t, problem={"size": 1, "causal": True}) for t in run.trials)
    return msgspec.structs.replace(run, trials=trials, tier=tier, id="found")


def lesson(budget: int = 400, which: Op = SIZES, subject: Topic = SUBJECT) -> Lesson:
    return Lesson(subject, which, {}, budget, seed=0)


def test_held_out_sizes_are_of_the_same_kind_first_and_never_the_one_searched() -> None:
    chosen = select_held_out(SIZES, [{"size": 1, "causal": True}], ("causal",))
    assert {"size": 1, "causal": True} not in chosen
    assert chosen[0] == {"size": 2, "causal": True}
    assert {"size": 2, "causal": False} in chosen


def test_what_holds_elsewhere_becomes_a_law_with_both_runs_as_evidence() -> None:
    learned = learn(found(), lesson(), Fake(), Notebook("confirmed-by"))
    spills = [law for law in learned.laws if isinstance(law, NegativeLaw) and "spill" in law.claim.avoid]
    assert spills
    law = spills[0]
    assert law.status == "confirmed"
    assert [(entry.run, entry.role) for entry in law.evidence] == [
        ("found", "suggested"),
        ("confirmed-by", "independent"),
    ]
    assert "size=1" not in "".join(law.evidence[1].problems)
    assert law.evidence[1].toolchain == "tileiras 13.4.92"
    assert law.scope.when == ""


def test_tests_are_made_only_at_held_out_sizes_and_marked_as_such() -> None:
    backend = Fake()
    learned = learn(found(), lesson(), backend, Notebook("c"))
    assert backend.asked
    assert all(request.problem != {"size": 1, "causal": True} for request in backend.asked)
    assert {trial.origin for trial in learned.trials} == {CONFIRM}
    assert all(trial.problem for trial in learned.trials)


class Slow(Fake):
    """Compiles nothing of the sizes that are `late`, and spends ten seconds on each other one."""

    def __init__(self, late: int) -> None:
        super().__init__()
        self.seconds, self._late = 0.0, late

    def late(self, requests, patience):
        self.waited_s = patience.seconds
        return [place for place, request in enumerate(requests) if request.problem["size"] == self._late]

    def evaluate(self, requests):
        self.seconds += 10.0
        yield from super().evaluate(requests)


def test_tests_end_with_the_time_that_is_left_for_them() -> None:
    """What has not compiled by then is not waited for, sizes not begun are left; no time tests nothing."""
    whole = after_learning(Slow(late=0), 1e9)
    assert {request.problem["size"] for request in whole.asked} == {2, 4, 8}
    assert {request.problem["size"] for request in after_learning(Slow(late=4), 1e9).asked} == {2, 8}
    short = after_learning(Slow(late=0), 15.0)
    assert (short.seconds, short.waited_s) == (20.0, 15.0)
    assert 0 < len(short.asked) < len(whole.asked)
    assert after_learning(Slow(late=0), 0.0).asked == []


def after_learning(backend: Slow, limit_s: float) -> Slow:
    """After learning with so many seconds."""
    limited = replace(lesson(), seconds_left=lambda: limit_s - backend.seconds)
    learned = learn(found(), limited, backend, Notebook("c"))
    assert len(learned.trials) == len(backend.asked)
    assert limit_s > 0 or {candidate.outcome for candidate in learned.candidates} == {"untested"}
    return backend


def test_what_the_laws_say_already_is_tested_with_what_news_leaves_of_the_budget() -> None:
    """A budget for one candidate goes to one that no law says, though a known one is more general."""
    whole = lesson()
    first = learn(found(), whole, Fake(), Notebook("c")).candidates[0].law
    budget = len(learn(found(), whole, Fake(), Notebook("c")).trials) // 3
    plain = learn(found(), replace(whole, budget=budget), Fake(), Notebook("c"))
    assert any(c.law.id == first.id and c.outcome != "untested" for c in plain.candidates)
    known = replace(whole, budget=budget, is_known=lambda law: law.id == first.id)
    outcomes = {c.law.id: c.outcome for c in learn(found(), known, Fake(), Notebook("c")).candidates}
    assert outcomes[first.id] == "untested"
    assert "confirmed" in outcomes.values()


def test_a_law_that_fails_for_one_kind_is_kept_for_the_kind_where_it_holds() -> None:
    def bend(configuration, problem) -> float:
        return 0.01 if spill(configuration) > 0 and not problem["causal"] else 1.0

    learned = learn(found(), lesson(), Fake(bend), Notebook("c"))
    outcomes = [
        (c.law.scope.when, c.outcome)
        for c in learned.candidates
        if isinstance(c.law, NegativeLaw) and "spill" in c.law.claim.avoid
    ]
    assert outcomes == [("", "refuted"), ("causal == True", "confirmed")]
    law = next(law for law in learned.laws if "spill" in getattr(law.claim, "avoid", ""))
    assert law.scope.when == "causal == True"
    assert law.id.endswith("-causal")


def test_what_fails_everywhere_is_recorded_as_refuted_and_is_no_law() -> None:
    def bend(configuration, problem) -> float:
        return 0.01 if spill(configuration) > 0 else 1.0

    learned = learn(found(), lesson(), Fake(bend), Notebook("c"))
    about = [c for c in learned.candidates if isinstance(c.law, NegativeLaw) and "spill" in c.law.claim.avoid]
    assert {c.outcome for c in about} == {"refuted"}
    assert not [
        law
        for law in learned.laws
        if isinstance(law, NegativeLaw) and "spill" in law.claim.avoid and "slowdown" in law.claim.effect
    ]


@pytest.mark.parametrize("budget", [0, 5])
def test_without_budget_candidates_stay_untested(budget: int) -> None:
    backend = Fake()
    learned = learn(found(), lesson(budget), backend, Notebook("c"))
    assert not backend.asked
    assert learned.laws == ()
    assert {c.outcome for c in learned.candidates} == {"untested"}


def test_one_held_out_size_confirms_nothing() -> None:
    which = op({"size": 1, "causal": True}, {"size": 2, "causal": True})
    assert learn(found(), lesson(which=which), Fake(), Notebook("c")).laws == ()


def test_by_the_compiler_alone_only_claims_about_code_are_learned() -> None:
    subject = replace(SUBJECT, tier="compiled")
    learned = learn(found("compiled"), lesson(subject=subject), Fake(tier="compiled"), Notebook("c"))
    assert learned.laws
    assert {name for law in learned.laws for name in law.claim.effect} == {"spill_bytes"}
    assert {law.status for law in learned.laws} == {"confirmed"}


def test_recorded_runs_teach_the_same_way() -> None:
    learned = learn_from_runs([sweep((1, 2), name="a")], [sweep((4, 8), seed=3, name="b")], lesson())
    assert {law.status for law in learned.laws} == {"confirmed"}
    assert all(law.evidence[-1].run == "b" for law in learned.laws)


@pytest.mark.parametrize("seed", range(5))
def test_noise_teaches_nothing(seed: int) -> None:
    learned = learn_from_runs([noise_only(seed)], [noise_only(seed + 500, sizes=(16, 32))], lesson())
    about_time = [
        law for law in learned.laws if "spill_bytes" not in law.claim.effect and not hasattr(law.claim, "over")
    ]
    assert about_time == []


def test_a_law_that_fails_at_another_size_of_code_is_kept_for_the_size_it_was_found_on() -> None:
    """Which problem parameters are sizes that specialise the code is the op's to say, whatever their names."""
    sizes = [{"size": s, "width": w, "causal": c} for s in (2, 4) for w, c in ((64, True), (64, False), (128, True))]
    problem = {
        **SIZES.problem,
        "width": ProblemParameter(type="int", default=64, description="d", specialises=True),
    }
    which = msgspec.structs.replace(op(*sizes), problem=problem)
    run = found()
    trials = tuple(msgspec.structs.replace(t, problem={**t.problem, "width": 64}) for t in run.trials)
    plain = Fake(lambda configuration, problem: 1 / 3 if problem["width"] == 128 and spill(configuration) else 1.0)
    topic = replace(SUBJECT, kinds=("width", "causal"))
    learned = learn(msgspec.structs.replace(run, trials=trials), lesson(2000, which, topic), plain, Notebook("c"))
    kept = {law.scope.when for law in learned.laws if isinstance(law, NegativeLaw) and "slowdown" in law.claim.effect}
    assert "width == 64" in kept
