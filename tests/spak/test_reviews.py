"""`spak.review` and `kg review`: what a reviewer is told of a working tree and of a commit, by the code that is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spak
from spak.cli.app import build_app, run_app
from spak.cli.kg import COMMANDS
from spak.kg.diff.statuses import LawStatus, LawStatuses, compare_statuses, read_statuses, status_words
from tests.kg.diff.history import History, law
from tests.review.pulls import make_honest


@pytest.fixture
def history(tmp_path, monkeypatch):
    (tmp_path / "repository").mkdir()
    history = History(tmp_path / "repository")
    make_honest(history)
    history.commit("true laws")
    monkeypatch.chdir(history.folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return history


@pytest.fixture
def kg(capsys):
    def call(*words):
        code = run_app(build_app(registry=COMMANDS, help_text=""), "kg", list(map(str, words)))
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.mark.usefixtures("history")
def test_what_changes_nothing_has_nothing_to_be_read(kg, tmp_path):
    found = spak.review("HEAD", Path("laws"))
    assert (found.verdict, found.is_silent, found.others) == ("clean", True, ())
    comment = tmp_path / "comment.md"
    assert kg("review", "HEAD", "--comment", comment)[0] == 0
    assert comment.read_text() == ""


def test_what_main_gained_since_the_fork_is_not_the_change(history):
    history.git("checkout", "-q", "-b", "change")
    path = history.laws / "sm_90/toy/big-tiles.yaml"
    path.write_text(path.read_text().replace("title: Avoid", "title: Stay away from"))
    (history.folder / "setup.py").write_text("")
    history.commit("another title, and code")
    history.git("checkout", "-q", "main")
    history.write("sm_90/toy/other.yaml", law("other", "latency == 3"))
    history.commit("somebody else's law")
    found = spak.review("main", history.laws, head="change")
    assert [item.change.id for item in found.difference.items] == ["big-tiles"]
    assert found.others == ("setup.py",)
    assert (found.verdict, found.is_silent) == ("clean", False)


def test_findings_are_at_their_places_in_every_format(kg, history, tmp_path):
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4"))
    assert kg("review", "HEAD")[0] == 1
    history.commit("vouches for itself")
    code, out, _ = kg("review", "HEAD~1", "HEAD", "--format", "github", "--comment", tmp_path / "comment.md")
    assert code == 1
    assert "::error file=laws/sm_90/toy/latency-four.yaml,line=" in out
    assert "::error title=kg verify::latency-four: refutes" in out
    comment = (tmp_path / "comment.md").read_text()
    assert "**Laws contradict their evidence.**" in comment
    assert "and 1 more" not in comment
    code, out, _ = kg("review", "HEAD~1", "HEAD")
    assert code == 1
    assert out.startswith("Laws contradict their evidence.\nlaws/sm_90/toy/latency-four.yaml:")
    assert kg("review", "HEAD~1", "HEAD", "--format", "markdown")[1] == comment


def test_what_is_wrong_stands_before_what_an_author_may_make_long(kg, history):
    """A comment is cut at its end."""
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4"))
    out = kg("review", "HEAD", "--format", "markdown")[1]
    assert out.startswith("<!-- kg diff -->\n**Laws contradict their evidence.**\n")
    assert out.index("latency-four: refutes") < out.index("### Laws: 1 law changed")
    assert out.count("<!-- kg diff -->") == 1


def test_laws_that_cannot_be_used_are_said_with_their_place(kg, history):
    history.write("sm_90/toy/latency-four.yaml", "id: latency-four\ntitel: x\n")
    history.commit("broken")
    code, out, _ = kg("review", "HEAD~1", "HEAD", "--format", "github")
    assert code == 2
    assert "::error file=laws/sm_90/toy/latency-four.yaml,line=" in out
    assert "The difference cannot be told" in kg("review", "HEAD~1", "HEAD")[1]
    history.git("revert", "-n", "HEAD")
    history.commit("mended")
    code, out, _ = kg("review", "HEAD~1", "HEAD")
    assert code == 0
    assert "The difference cannot be told: HEAD" not in out
    assert "The difference cannot be told" in out


def test_a_law_whose_check_there_is_not_is_unusable(history):
    path = history.laws / "sm_90/toy/big-tiles.yaml"
    scope = path.read_text().partition("claim:")[0].replace("kind: negative", "kind: invariant")
    claim = "  require: latency < 5\n  otherwise: it breaks\n  check: nobodys\n  effect: {nan_rows: {at_most: 0}}\n"
    path.write_text(f"{scope}claim:\n{claim}status: proposed\norigin: by hand\n")
    found = spak.review("HEAD", history.laws)
    assert found.verdict == "unusable"
    assert ["nobodys" in problem.message for problem in found.problems if problem.severity == "error"] == [True]


def test_a_run_from_the_future_of_its_commit_is_found_in_a_commit(history, monkeypatch):
    """The copy that is judged lies in no repository; git is asked all the same."""
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-05T00:00:00Z")
    path = history.laws / "evidence/later.json"
    path.write_text(path.read_text().replace("2026-01-01T", "2026-02-01T"))
    history.commit("late")
    found = spak.review("HEAD~1", history.laws, head="HEAD")
    [late] = [problem for problem in found.problems if problem.check == "run-date"]
    assert Path(late.path) == path
    assert "was committed on 2026-01-05 00:00 already" in late.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "missing required field"),
        ('{"statuses": [{"id": "../x", "written": "proposed", "computed": "proposed", "replayed": "proposed"}]}', "id"),
        ("[" * 100_000, "not what kg verify --all --format json prints"),
        (None, "No such file"),
        ("a link", "a link"),
    ],
)
def test_what_the_changed_code_wrote_is_a_strangers(kg, history, tmp_path, text, said):
    """A file that is none does not end the review; it is said, where code changed at all."""
    file = tmp_path / "statuses.json"
    if text == "a link":
        file.symlink_to("/etc/hostname")
    elif text is not None:
        file.write_text(text)
    assert kg("review", "HEAD", "--statuses", file)[1].startswith("Laws and evidence agree.\n\nNo law")
    (history.folder / "setup.py").write_text("")
    history.commit("code")
    found = spak.review("HEAD~1", history.laws, head="HEAD", other=file)
    assert said in found.unheard
    assert not found.is_silent
    assert (
        "::warning title=kg review::What the changed code says"
        in kg("review", "HEAD~1", "HEAD", "--statuses", file, "--format", "github")[1]
    )


def test_statuses_of_other_code_are_held_against_those_of_this(kg, history, tmp_path):
    file = tmp_path / "statuses.json"
    code, out, _ = kg("verify", "--all", "--format", "json")
    assert code == 0
    file.write_text(out)
    library = spak.load("laws")
    assert read_statuses(file) == spak.statuses(library, spak.verify(library))
    assert spak.review("HEAD", Path("laws"), other=file).statuses == ()
    told = json.loads(out)
    told["statuses"][0] |= {"computed": "contested", "may_remove": not told["statuses"][0]["may_remove"]}
    file.write_text(json.dumps(told))
    code, out, _ = kg("review", "HEAD", "--statuses", file, "--format", "markdown")
    assert code == 0, "a change of code is for a person to judge"
    assert "**The changed code judges laws differently**" in out
    assert "- big-tiles: confirmed -> contested by its evidence entries; may" in out
    assert "::warning title=status::big-tiles: " in kg("review", "HEAD", "--statuses", file, "--format", "github")[1]


def test_every_difference_between_two_codes_has_its_words():
    one = LawStatus(id="a", written="proposed", computed="proposed", replayed="confirmed", may_remove=True, differing=1)
    other = LawStatus(id="a", written="confirmed", computed="proposed", replayed="contested")
    [change] = compare_statuses(LawStatuses(statuses=(one,)), LawStatuses(statuses=(other,)))
    assert list(status_words(change)) == [
        "confirmed -> contested by all recorded runs",
        "may no longer remove configurations",
        "entries that differ from their runs: 1 -> 0",
    ]
    none = LawStatuses(statuses=())
    for sides, words in (((none, one), "to the changed code alone"), ((one, none), "no law to the changed code")):
        given = [side if side is none else LawStatuses(statuses=(side,)) for side in sides]
        [change] = compare_statuses(*given)
        assert words in " ".join(status_words(change))
    same = LawStatus(id="a", written="refuted", computed="proposed", replayed="contested")
    assert compare_statuses(LawStatuses(statuses=(other,)), LawStatuses(statuses=(same,))) == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("review", "nowhere"), "neither a folder nor a revision"),
        (("review", "--", "--output=x"), "neither a folder nor a revision"),
        (("verify", "big-tiles", "--format", "json"), "--format json is for --all, without --note"),
    ],
)
def test_bad_input_is_one_line_and_2(kg, history, words, said):
    code, out, err = kg(*words)
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert said in err


def test_histories_without_a_common_ancestor_are_one_line(kg, history):
    history.git("checkout", "-q", "--orphan", "elsewhere")
    history.commit("another root")
    assert "no common ancestor" in kg("review", "main")[2]
