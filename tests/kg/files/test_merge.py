"""Merging two branches' versions of one law: evidence adds up, what a person must decide is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from spak.kg.errors import InvalidFilesError
from spak.kg.files import yaml_reader
from spak.kg.files.merge import MergeRefusedError, merge_files
from spak.kg.law.kinds import AnyLaw
from spak.kg.model.law import Law
from tests.kg.diff.history import AGAINST, FOUND, HELD, History, law

OTHER = HELD.replace("run: held", "run: other").replace("size=2, size=4", "size=16, size=32")


def text(evidence: str, *, status: str = "proposed", avoid: str = "latency == 4", title: str = "") -> str:
    written = law("latency-four", avoid, status=status, evidence=evidence)
    return written.replace("title: Avoid latency == 4", f"title: {title}") if title else written


def merged(base: str, ours: str, theirs: str) -> tuple[Law, str]:
    result = merge_files(base.encode(), ours.encode(), theirs.encode(), "law.yaml")
    return msgspec.convert(yaml_reader.read(result.encode(), "law.yaml").value, AnyLaw), result


def test_evidence_of_both_branches_adds_up_and_gives_the_status() -> None:
    ours = text(FOUND + HELD, status="confirmed")
    theirs = text(FOUND + AGAINST, status="contested")
    found, _ = merged(text(FOUND), ours, theirs)
    assert [entry.run for entry in found.evidence] == ["found", "held", "later"]
    assert found.status == "contested"


def test_two_halves_of_a_confirmation_confirm_together() -> None:
    half = HELD.replace("problems: [size=2, size=4]", "problems: [size=2]")
    other = OTHER.replace("problems: [size=16, size=32]", "problems: [size=16]")
    found, _ = merged(text(FOUND), text(FOUND + half), text(FOUND + other))
    assert found.status == "confirmed"


def test_comments_of_both_sides_survive() -> None:
    ours = text(FOUND + HELD, status="confirmed").replace("status:", "# our note\nstatus:")
    theirs = text(FOUND + OTHER, status="confirmed")
    _, result = merged(text(FOUND), ours, theirs)
    assert "# our note" in result
    assert result.startswith("# why")


def test_a_change_of_one_side_only_is_taken() -> None:
    found, _ = merged(text(FOUND), text(FOUND + HELD, status="confirmed"), text(FOUND, title="Better words"))
    assert found.title == "Better words"
    assert found.status == "confirmed"
    found, _ = merged(text(FOUND), text(FOUND, title="Better words"), text(FOUND + HELD, status="confirmed"))
    assert (found.title, found.status) == ("Better words", "confirmed")


def test_removed_evidence_goes_and_the_status_with_it() -> None:
    found, _ = merged(
        text(FOUND + HELD, status="confirmed"), text(FOUND + HELD, status="confirmed", title="T"), text(FOUND)
    )
    assert [entry.run for entry in found.evidence] == ["found"]
    assert found.status == "proposed"


def test_a_key_that_one_side_removed_or_added_follows() -> None:
    extra = text(FOUND) + "references:\n  - {title: A paper}\n"
    assert merged(text(FOUND), text(FOUND), extra)[0].references[0].title == "A paper"
    assert merged(extra, extra.replace("Avoid latency == 4", "T"), text(FOUND))[0].references == ()


@pytest.mark.parametrize(
    ("ours", "theirs", "part"),
    [
        (text(FOUND, avoid="latency == 3"), text(FOUND, avoid="latency == 2"), "claim"),
        (text(FOUND, title="One"), text(FOUND, title="Two"), "title"),
        (text(FOUND + HELD), text(FOUND + HELD.replace("slowdown: 3}", "slowdown: 4}")), "run held"),
        (text(FOUND.replace("slowdown: 3}", "slowdown: 4}")), text(HELD), "run found"),
        (text(HELD), text(FOUND.replace("slowdown: 3}", "slowdown: 4}")), "run found"),
    ],
)
def test_what_both_changed_differently_is_for_a_person(ours: str, theirs: str, part: str) -> None:
    with pytest.raises(MergeRefusedError, match=part) as caught:
        merged(text(FOUND), ours, theirs)
    assert all("decide by hand" in line for line in str(caught.value).splitlines())


def test_one_side_may_correct_an_entry() -> None:
    corrected = FOUND.replace("slowdown: 3}", "slowdown: 4}")
    assert merged(text(FOUND), text(FOUND, title="T"), text(corrected))[0].evidence[0].effect == {"slowdown": 4}


def test_both_branches_may_add_the_same_law() -> None:
    found, _ = merged("", text(FOUND + HELD, status="confirmed"), text(FOUND + OTHER, status="confirmed"))
    assert [entry.run for entry in found.evidence] == ["found", "held", "other"]


def test_what_is_not_a_law_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidFilesError, match=r"law\.yaml"):
        merged(text(FOUND), "id: x\n", text(FOUND))


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path)
    root = Path(__file__).parents[3]
    driver = f"PYTHONPATH={root}/src {sys.executable} -m spak.cli.kg merge-file %O %A %B %P"
    history.git("config", "merge.law.driver", driver)
    (tmp_path / ".gitattributes").write_text("laws/**/*.yaml merge=law\n")
    history.commit("driver")
    return history


def branches(history: History, ours: str, theirs: str) -> None:
    history.write("sm_90/toy/latency-four.yaml", text(FOUND))
    history.commit("base")
    history.git("checkout", "-q", "-b", "theirs")
    history.write("sm_90/toy/latency-four.yaml", theirs)
    history.commit("theirs")
    history.git("checkout", "-q", "main")
    history.write("sm_90/toy/latency-four.yaml", ours)
    history.commit("ours")


def test_git_merges_evidence_through_the_driver(history: History) -> None:
    branches(history, text(FOUND + HELD, status="confirmed"), text(FOUND + AGAINST, status="refuted"))
    done = history.git("merge", "-q", "theirs", check=False)
    assert done.returncode == 0, done.stderr
    result = (history.laws / "sm_90/toy/latency-four.yaml").read_text()
    assert "status: contested" in result


def test_git_stops_with_markers_and_a_line_for_each_open_question(history: History) -> None:
    branches(history, text(FOUND, avoid="latency == 3"), text(FOUND, avoid="latency == 2"))
    done = history.git("merge", "theirs", check=False)
    assert done.returncode == 1
    assert "laws/sm_90/toy/latency-four.yaml: claim: both branches changed it" in done.stderr
    assert "<<<<<<<" in (history.laws / "sm_90/toy/latency-four.yaml").read_text()
