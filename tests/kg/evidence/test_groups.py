"""Laws by the runs they rest on: nothing is left out, and a run is in one group."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spak.kg.evidence.groups import MAX_BUNDLES, bundles, grouped
from spak.kg.model.law import Evidence
from tests.kg import small

RUNS = [f"run-{number}" for number in range(8)]


def _laws(cited):
    entries = (
        [Evidence(run=run, verdict="supports", tier="compiled", role="independent") for run in runs] for runs in cited
    )
    return [small.negative(f"law-{place}", evidence=tuple(own)) for place, own in enumerate(entries)]


@given(st.lists(st.lists(st.sampled_from(RUNS), max_size=3), max_size=12), st.integers(1, 4))
def test_every_law_and_run_is_dealt_once_and_laws_of_one_run_stay_together(cited, count):
    laws = _laws(cited)
    groups = grouped(laws, RUNS)
    for group in groups:
        elsewhere = {
            entry.run for other in groups if other is not group for law in other.laws for entry in law.evidence
        }
        assert not elsewhere & {entry.run for law in group.laws for entry in law.evidence}
        assert not elsewhere & set(group.runs)
    for pieces in (groups, [group for bundle in bundles(groups, count) for group in bundle]):
        assert sorted(law.id for group in pieces for law in group.laws) == sorted(law.id for law in laws)
        assert sorted(run for group in pieces for run in group.runs) == RUNS
    assert len(bundles(groups, count)) <= MAX_BUNDLES


def test_what_all_laws_rest_on_is_cut_so_that_all_have_work():
    laws = _laws([["run-0", run] for run in RUNS] * 20)
    work = [sum(group.work for group in bundle) for bundle in bundles(grouped(laws, RUNS), 2)]
    assert len(work) > 2
    assert max(work) <= 1 + sum(work) / 4


def test_many_groups_are_taken_together_the_largest_first():
    laws = _laws([[f"run-{number}"] for number in range(2 * MAX_BUNDLES)] + [["run-5"]] * 9)
    found = bundles(grouped(laws, []), 2)
    assert len(found) == MAX_BUNDLES
    assert max(found, key=lambda bundle: sum(group.work for group in bundle)) is found[0]
