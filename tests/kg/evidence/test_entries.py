"""An evidence entry is what the trials of its run give, in every field; what says otherwise is found."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from spak.kg.evidence.entries import mended, mismatches, unnoted, with_roles
from spak.kg.evidence.witness import RunWitness
from spak.kg.model.law import Evidence, Law, Related
from spak.kg.model.run import Candidate, LawVerdict, Run
from tests.tuner.searching import avoid, store, time_us
from tests.tuner.spilling import SIZES, SPILLS, few, flat, measured

LATER = "2026-01-02T00:00:00Z"


def asked(*runs: Run):
    """The runs, to be asked by id."""
    return {run.id: RunWitness(run, store()) for run in runs}.get


def cited(*runs: Run, law: Law = SPILLS, roles: Sequence[str] = ()) -> Law:
    """`law` with what these runs say of it; all but the first independent."""
    entries = [RunWitness(run, store()).entry(law) for run in runs]
    roles = roles or ("suggested", *["independent"] * len(runs))
    given = [msgspec.structs.replace(entry, role=role) for entry, role in zip(entries, roles, strict=False)]
    return msgspec.structs.replace(law, evidence=tuple(given))


def changed(law: Law, index: int, **fields: object) -> Law:
    """`law` with other words in one of its entries."""
    evidence = list(law.evidence)
    evidence[index] = msgspec.structs.replace(evidence[index], **fields)
    return msgspec.structs.replace(law, evidence=tuple(evidence))


def found(law: Law, *runs: Run) -> list[tuple[int, str]]:
    """Where entries differ."""
    return [(one.entry, one.field) for one in mismatches(law, asked(*runs))]


ONE, TWO = measured("one"), measured("two", SIZES[1:], created=LATER)
TRUE = cited(ONE, TWO)


def test_what_the_trials_give_differs_in_nothing():
    assert found(TRUE, ONE, TWO) == []
    assert mended(TRUE, asked(ONE, TWO)) == TRUE.evidence


@pytest.mark.parametrize(
    ("lie", "field"),
    [
        ({"verdict": "refutes"}, "verdict"),
        ({"effect": {"slowdown": 9.0}}, "effect.slowdown"),
        ({"effect": {}}, "effect"),
        ({"effect": {**TRUE.evidence[1].effect, "speedup": 2.0}}, "effect.speedup"),
        ({"interval": {"slowdown": (2.99, 3.01)}}, "interval.slowdown"),
        ({"interval": {}}, "interval"),
        ({"problems": ()}, "problems"),
        ({"problems": ("dim=64", "size=1024")}, "problems"),
        ({"problems": ("dim=64,size=1024", "dim=64,size=4096", "dim=64,size=8192")}, "problems"),
        ({"toolchain": "tileiras 13.5.0"}, "toolchain"),
        ({"occasion": "2026-01-03 card"}, "occasion"),
    ],
)
def test_a_lie_in_any_field_is_found_and_mended(lie, field):
    """The field is named, and the entry is made what it should have been."""
    lying = changed(TRUE, 1, **lie)
    assert found(lying, ONE, TWO) == [(1, field)]
    assert mended(lying, asked(ONE, TWO)) == TRUE.evidence


def test_one_problem_size_of_two_may_be_left_out_where_it_speaks_for_the_law():
    """Less evidence is weaker, unless it hides what refutes the law or where it was found."""
    part = changed(TRUE, 1, problems=("dim=64,size=1024",))
    assert found(part, ONE, TWO) == []
    assert found(cited(TWO), TWO) == []
    assert found(changed(cited(TWO), 0, problems=("dim=64,size=1024",)), TWO) == [(0, "problems")]


def test_a_problem_size_that_refutes_cannot_be_left_out():
    def mixed(problem):
        return lambda configuration: (
            flat(configuration) if problem["size"] == SIZES[2]["size"] else time_us(configuration)
        )

    trials = [trial for problem in SIZES[1:] for trial in measured("two", [problem], time=mixed(problem)).trials]
    two = msgspec.structs.replace(TWO, trials=tuple(trials))
    assert RunWitness(two, store()).entry(SPILLS).verdict == "refutes"
    said = RunWitness(two, store()).says(SPILLS, ("dim=64,size=1024",))
    good = msgspec.structs.replace(
        TRUE.evidence[1], effect=said.effect, interval=said.interval, problems=("dim=64,size=1024",)
    )
    law = msgspec.structs.replace(SPILLS, evidence=(TRUE.evidence[0], good))
    assert found(law, ONE, two) == [(1, "problems")]


def test_an_entry_may_be_as_cautious_as_a_judgement_of_its_run_alone():
    """One problem size may be taken for too few; two may not."""
    three = measured("three", SIZES[1:2], created=LATER)
    assert found(changed(cited(ONE, three), 1, verdict="inconclusive"), ONE, three) == []
    assert found(changed(TRUE, 1, verdict="inconclusive"), ONE, TWO) == [(1, "verdict")]


@pytest.mark.parametrize(
    "change", [{"hw": "sm_2"}, {"op": "other"}, {"toolchain": {"tileiras": "15.0"}}, {"trials": ()}]
)
def test_a_run_that_says_nothing_of_the_law_is_no_evidence(change):
    limited = cited(
        ONE, TWO, law=avoid("limited", "spill_bytes > 0", at_least=1.5, scope={"toolchain": "tileiras <14"})
    )
    other = msgspec.structs.replace(TWO, **change)
    assert found(limited, ONE, TWO) == []
    assert found(limited, ONE, other)[0] == (1, "run")
    assert [entry.run for entry in mended(limited, asked(ONE, other))] == ["one"]


def test_a_claim_of_which_the_trials_say_nothing_is_not_shown_by_them():
    """What no judge works out from trials confirms nothing: an effect of another name, a region that nobody tried."""
    for law in (avoid("registers", "m > 64", "registers", 1), avoid("nowhere", "m > 9000", at_least=1.5)):
        entry = msgspec.structs.replace(TRUE.evidence[1], effect={"registers": 9.0}, interval={})
        told = msgspec.structs.replace(law, evidence=(TRUE.evidence[0], entry))
        assert (1, "problems") in found(told, ONE, TWO)


def test_a_refutation_that_is_not_fair_is_none():
    slow = few(measured("few", time=flat), 4, 7)
    said = RunWitness(slow, store()).says(SPILLS)
    entry = Evidence(
        run="few", verdict="refutes", tier="measured", role="suggested", effect=said.effect, interval=said.interval,
        problems=said.problems, toolchain="tileiras 13.4.92", occasion=slow.occasion,
    )  # fmt: skip
    law = msgspec.structs.replace(SPILLS, evidence=(entry,))
    assert found(law, slow) == [(0, "verdict")]
    assert found(changed(law, 0, verdict="inconclusive"), slow) == []


def test_a_run_counts_once_for_a_problem_size():
    """Two entries of one run are two problem sizes, never the same one twice."""
    part = [{"problems": (f"dim=64,size={size}",)} for size in (1024, 4096)]
    both = msgspec.structs.replace(TRUE, evidence=(*TRUE.evidence, TRUE.evidence[1]))
    apart = changed(changed(both, 1, **part[0]), 2, **part[1])
    assert found(apart, ONE, TWO) == []
    assert found(both, ONE, TWO) == [(2, "run")]
    reordered = changed(both, 2, problems=("size=1024,dim=64",))
    assert (2, "run") in found(reordered, ONE, TWO)


def test_reported_entries_and_runs_that_cannot_be_read_differ_in_nothing_here():
    entry = Evidence(run="said", verdict="supports", tier="reported", role="suggested", effect={"slowdown": 99.0})
    law = msgspec.structs.replace(SPILLS, evidence=(entry, TRUE.evidence[1]))
    assert found(law, measured("said", tier="reported"), TWO) == []
    assert found(law, TWO) == []
    assert found(law) == []


# ------------------------------------------------------------------------------------------------------------ roles


def candidate(law: Law = SPILLS, **change: object) -> tuple[Candidate, ...]:
    return (Candidate(law=msgspec.structs.replace(law, **change), outcome="untested"),)


REWRITTEN = avoid("other-name", "not spill_bytes <= 0", at_least=2.0, scope={"when": "size > 1"})


@pytest.mark.parametrize(
    "suggested",
    [
        candidate(),
        candidate(id="under-another-name"),
        candidate(REWRITTEN),
        candidate(avoid("old-name", "m > 64")),
    ],
)
def test_the_run_that_lists_a_law_never_confirms_it(suggested):
    """Neither under its name, nor under another, nor with the claim in other words, nor since the law was renamed."""
    law = msgspec.structs.replace(TRUE, related=(Related(type="renamed-from", id="old-name"),))
    two = msgspec.structs.replace(TWO, suggested=suggested)
    assert found(law, ONE, two) == [(1, "role")]
    assert mended(law, asked(ONE, two))[1].role == "suggested"
    assert found(changed(law, 1, role="suggested"), ONE, two) == []


def test_a_law_about_something_else_is_not_what_the_run_suggested():
    for other in (avoid("near", "m > 64"), avoid("fact", "spill_bytes > 0", "spill_bytes", 1)):
        assert found(TRUE, ONE, msgspec.structs.replace(TWO, suggested=candidate(other))) == []


def test_who_lists_it_later_finds_it_again():
    """The law was there: its second discovery is independent of the first."""
    one, two = (msgspec.structs.replace(run, suggested=candidate()) for run in (ONE, TWO))
    assert found(TRUE, one, two) == []
    earlier = msgspec.structs.replace(two, created="2025-12-31T00:00:00Z")
    assert (1, "role") in found(cited(one, earlier), one, earlier)


def test_a_law_that_no_run_suggests_was_found_in_the_earliest_that_supports_it():
    """It may be called suggested anywhere; called so nowhere, the earliest run is where a person found it."""
    nowhere = cited(ONE, TWO, roles=("independent", "independent"))
    assert found(nowhere, ONE, TWO) == [(0, "role")]
    assert found(cited(ONE, TWO, roles=("independent", "suggested")), ONE, TWO) == []
    silent = changed(changed(TRUE, 0, verdict="inconclusive"), 1, role="independent")
    assert found(silent, ONE, TWO) == [(1, "role")]


def test_a_run_made_to_test_a_law_did_not_find_it():
    """A law written from a thought is tested by a run that says so."""
    tested = (LawVerdict(law=SPILLS.id, verdict="supports"),)
    one, two = (msgspec.structs.replace(run, tested=tested) for run in (ONE, TWO))
    assert found(cited(one, two, roles=("independent", "independent")), one, two) == []


def test_new_entries_get_the_role_that_they_have_among_all():
    empty = msgspec.structs.replace(SPILLS, evidence=())
    new = unnoted(empty, [RunWitness(run, store()) for run in (TWO, ONE)])
    assert [(entry.run, entry.role) for entry in new] == [("two", "independent"), ("one", "independent")]
    roles = with_roles(empty, new, asked(ONE, TWO))
    assert [(entry.run, entry.role) for entry in roles] == [("two", "independent"), ("one", "suggested")]
    assert unnoted(TRUE, [RunWitness(ONE, store())]) == ()
