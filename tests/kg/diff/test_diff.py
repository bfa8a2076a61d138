"""A reviewer reads from the difference what the machine will now do, on what evidence, and where to look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spak.cli.render import diff as render_diff
from spak.cli.render.screenful import LINES
from spak.cli.render.short_diff import short_diff
from spak.cli.render.text import Pen
from spak.kg.diff import words
from spak.kg.diff.compare import compare_laws
from spak.kg.diff.sources import open_source
from spak.kg.errors import InvalidFilesError, KgError
from spak.kg.law.kinds import AnyLaw
from tests.kg.diff.history import AGAINST, FOUND, HELD, TOOLCHAIN, History, diff, law, only, said


def test_a_root_against_itself_differs_in_nothing(history: History) -> None:
    found = diff(history)
    assert not found
    assert words.headline(found) == "No law, run, hardware, op or system changed in meaning."


def test_formatting_comments_and_key_order_are_no_change(history: History) -> None:
    path = history.laws / "sm_90/toy/big-tiles.yaml"
    lines = path.read_text().replace("# why", "# another comment, and more of it").splitlines()
    moved = [line for line in lines if not line.startswith("status:")]
    path.write_text("\n".join(["status:   confirmed", *moved]) + "\n\n")
    assert not diff(history)


def test_an_added_law_says_what_it_removes_and_on_which_evidence(history: History) -> None:
    history.write("sm_90/toy/new.yaml", law("new", "tile_m == 128 and latency == 3"))
    item = only(diff(history))
    assert words.aspects(item) == "added (confirmed)"
    assert "removes 3 of 36 configurations" in said(item)
    assert "held supports (measured, independent)" in said(item)


def test_a_proposed_law_only_moves_back(history: History) -> None:
    history.write("sm_90/toy/new.yaml", law("new", "latency == 3", status="proposed", evidence=FOUND))
    assert "moves back 9 of 36" in said(only(diff(history)))


def test_a_removed_law_says_what_is_free_again(history: History) -> None:
    (history.laws / "sm_90/toy/latency-four.yaml").unlink()
    found = diff(history)
    assert words.aspects(only(found)) == "removed"
    assert [(space.problems, space.total, space.before, space.after) for space in found.spaces] == [
        (("small", "large"), 36, 21, 28),
    ]


def test_a_renamed_law_is_one_change_with_nothing_else(history: History) -> None:
    (history.laws / "sm_90/toy/latency-four.yaml").unlink()
    history.write("sm_90/toy/latency-4.yaml", law("latency-4", "latency == 4"))
    item = only(diff(history))
    assert item.change.aspects == ("renamed",)
    assert words.aspects(item) == "renamed from latency-four"
    assert "as before" in said(item)


def test_a_wider_region_is_stronger_and_a_narrower_one_weaker(history: History) -> None:
    history.write("sm_90/toy/big-tiles.yaml", law("big-tiles", "tile_m >= 128"))
    assert "strengthened: covers more" in words.aspects(only(diff(history)))
    history.write("sm_90/toy/big-tiles.yaml", law("big-tiles", "tile_m >= 128 and tile_n >= 128 and latency == 1"))
    assert "weakened: covers less" in words.aspects(only(diff(history)))


@pytest.mark.parametrize(("least", "aspect"), [(2.5, "strengthened"), (1.5, "weakened")])
def test_a_bound_says_how_much_a_law_claims(history: History, least: float, aspect: str) -> None:
    history.write("sm_90/toy/big-tiles.yaml", law("big-tiles", "tile_m >= 128 and tile_n >= 128", least=least))
    assert words.aspects(only(diff(history))) == aspect


def test_a_narrower_scope_is_told_as_such(history: History) -> None:
    text = law("latency-four", "latency == 4").replace("  op: toy\n", "  op: toy\n  when: size >= 8\n")
    history.write("sm_90/toy/latency-four.yaml", text)
    item = only(diff(history))
    assert "re-scoped" in item.change.aspects
    assert "when size >= 8" in said(item)


def test_evidence_against_a_law_explains_its_new_verdict(history: History) -> None:
    text = law("latency-four", "latency == 4", status="contested", evidence=FOUND + HELD + "\n" + AGAINST)
    history.write("sm_90/toy/latency-four.yaml", text)
    item = only(diff(history))
    assert words.aspects(item) == "confirmed -> contested, evidence"
    assert "later refutes it (measured, independent)" in said(item)
    assert "moves back 9 of 36 configurations; before: removes 9" in said(item)


def test_a_status_without_evidence_is_called_by_hand(history: History) -> None:
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4", status="proposed"))
    assert "by hand: no evidence came or went" in said(only(diff(history)))


def test_excluding_a_recorded_best_is_a_red_flag(history: History) -> None:
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]"))
    found = diff(history)
    item = only(found)
    assert item.red_flag
    assert (
        "ALERT: speaks against a recorded best: 10 us at size=1 (tile_m=64, tile_n=64, latency=2; run found)"
        in said(item)
    )
    assert "1 law would exclude a recorded best" in words.headline(found)


TIME = "slowdown: {at_least: 2}"
HIDING = {
    "negative": law("new", "tile_m == 128 and latency == 3"),
    "invariant about time": law("new", "x")
    .replace("kind: negative", "kind: invariant")
    .replace("  avoid: x\n", "  require: tile_m != 128 or latency != 3\n  otherwise: it is slow\n"),
    "indifferent": law("new", "x")
    .replace("kind: negative", "kind: indifferent")
    .replace("  avoid: x\n", "  over: latency\n  values: [3, 4]\n  within: 1%\n")
    .replace(TIME, "change: {at_most: 0.01}")
    .replace("{slowdown: 3}", "{change: 0.001}")
    .replace("{slowdown: [2.9, 3.1]}", "{change: [0, 0.002]}")
    .replace("{slowdown: [2.8, 3.1]}", "{change: [0, 0.003]}"),
}
"""A law of each kind that may remove or collapse; none speaks against a recorded best."""


@pytest.mark.parametrize("kind", HIDING)
def test_a_law_of_any_kind_that_may_hide_something_is_a_red_flag(history: History, kind: str) -> None:
    """Searches will not find out what they no longer try, so a person looks, with or without a toolchain named."""
    history.write("sm_90/toy/new.yaml", HIDING[kind])
    for toolchain in (TOOLCHAIN, ""):
        found = diff(history, toolchain=toolchain)
        assert only(found).red_flag
        assert "ALERT: a search may now leave out what it names" in said(only(found))
        assert "1 law may hide configurations" in words.headline(found)


def test_an_indifferent_law_that_collapses_the_recorded_best_says_so(history: History) -> None:
    """No value of the axis is avoided by name; the best goes all the same, where another is the default."""
    op = (history.laws / "ops/toy.yaml").read_text()
    history.write("ops/toy.yaml", op.replace("default: 2, role: hint", "default: 1, role: hint"))
    history.commit("another default")
    history.write("sm_90/toy/new.yaml", HIDING["indifferent"].replace("[3, 4]", "[1, 2]"))
    found = diff(history)
    assert "ALERT: speaks against a recorded best: 10 us at size=1" in said(only(found))
    assert "would exclude a recorded best" in words.headline(found)


def test_what_reaches_no_further_is_no_alarm(history: History) -> None:
    """Better words, another bound, more evidence: the same configurations are left out as before."""
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4", least=1.5))
    assert not only(diff(history)).red_flag
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4").replace("Avoid", "Do avoid"))
    assert not only(diff(history)).red_flag


def test_a_law_that_moves_nothing_raises_no_alarm(history: History) -> None:
    """A refuted law is no rule of a search: it was said to move 18 configurations back, the recorded best among them."""
    text = law("latency-four", "latency in [2, 4]", status="refuted", evidence=AGAINST)
    history.write("sm_90/toy/latency-four.yaml", text)
    item = only(diff(history))
    assert "moves nothing, but speaks of 18 of 36 configurations; before: removes 9" in said(item)
    assert not item.red_flag
    assert "ALERT" not in said(item)


def test_a_law_that_only_orders_postpones_a_recorded_best(history: History) -> None:
    """Nothing is excluded by a law that may not remove."""
    text = law("latency-four", "latency in [2, 4]", status="proposed", evidence=FOUND)
    history.write("sm_90/toy/latency-four.yaml", text)
    found = diff(history)
    assert only(found).red_flag
    assert "1 law would postpone a recorded best" in words.headline(found)
    assert "exclude" not in words.headline(found)


def test_no_longer_excluding_one_is_good_news(history: History) -> None:
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]"))
    history.commit("wrong")
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency == 4"))
    assert "good: no longer speaks against the recorded best of size=1" in said(only(diff(history)))


def test_a_new_conflict_names_the_other_law(history: History) -> None:
    text = (
        law("prefer-four", "x")
        .replace("kind: negative", "kind: positive")
        .replace("  avoid: x\n", "  prefer: {latency: 4}\n")
    )
    history.write("sm_90/toy/prefer-four.yaml", text.replace("slowdown: {at_least: 2}", "cost: {at_most: 0.01}"))
    found = diff(history)
    flagged = next(item for item in found.items if item.change.id == "prefer-four")
    assert flagged.red_flag
    assert "conflicts with latency-four" in said(flagged)
    assert found.new_conflicts


def test_other_files_are_listed(history: History) -> None:
    history.write("ops/toy.yaml", (history.laws / "ops/toy.yaml").read_text().replace("Toy op", "Toy"))
    assert diff(history).nodes == {"ops/toy": "changed: title"}


def test_a_value_that_an_op_has_no_more_is_named(history: History) -> None:
    """No search tries it any more, and no law said so."""
    text = (history.laws / "ops/toy.yaml").read_text()
    history.write("ops/toy.yaml", text.replace("tile_n: {values: [32, 64, 128]", "tile_n: {values: [32, 64]"))
    history.write("ops/more.yaml", text.replace("id: toy", "id: more"))
    assert diff(history).nodes == {"ops/more": "added", "ops/toy": "changed: parameters.tile_n"}


def test_two_revisions_two_folders_and_the_working_tree_give_one_answer(history: History, tmp_path: Path) -> None:
    history.write("sm_90/toy/new.yaml", law("new", "latency == 3"))
    tree = words.headline(diff(history))
    history.commit("new")
    assert words.headline(diff(history, "HEAD~1", "HEAD")) == tree
    assert words.headline(diff(history, "HEAD~1", str(history.laws))) == tree


def test_a_revision_without_laws_makes_all_of_them_new(history: History) -> None:
    history.git("checkout", "-q", "--orphan", "empty")
    history.git("rm", "-rfq", "--cached", ".")
    history.git("commit", "-q", "--allow-empty", "-m", "none")
    history.git("add", "-A")
    history.git("commit", "-q", "-m", "all")
    assert len(diff(history, "HEAD~1").items) == 3


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "HEAD~99", ""])
def test_what_is_no_revision_is_one_clear_line(history: History, revision: str) -> None:
    if not revision:
        return
    with pytest.raises(KgError, match="neither a folder nor a revision") as caught, open_source(revision, history.laws):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside"])
def test_a_revision_with_a_link_that_leads_out_is_one_clear_line(history: History, target: str) -> None:
    (history.laws / "link.yaml").symlink_to(target)
    history.commit("link")
    with pytest.raises(KgError, match="nothing in it may lead out of it"), open_source("HEAD", history.laws):
        pass


def test_no_attribute_hides_or_changes_a_file_of_a_revision(history: History) -> None:
    """`git archive` would leave out the one and write into the other."""
    history.write(".gitattributes", "hidden.yaml export-ignore\nexpanded.yaml export-subst\n")
    history.write("sm_90/toy/hidden.yaml", law("hidden", "latency == 3"))
    expanded = law("expanded", "latency == 1").replace("Avoid latency", "$Format:%an$ latency")
    history.write("sm_90/toy/expanded.yaml", expanded)
    history.commit("attributes")
    found = diff(history, "HEAD~1", "HEAD")
    assert [item.change.id for item in found.items] == ["expanded", "hidden"]
    assert found.items[0].change.after.title == "$Format:%an$ latency == 1"


@pytest.mark.parametrize("folder", ["..", "/", "../../laws"])
def test_a_revision_that_lies_over_a_folder_of_this_machine_is_refused(history: History, folder: str) -> None:
    history.write("root.yaml", f"over: {folder}\n")
    history.commit("layer")
    with pytest.raises(KgError, match=r"root\.yaml"), open_source("HEAD", history.laws):
        pass


def test_outside_a_repository_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(KgError, match="not in a git repository"), open_source("HEAD", tmp_path):
        pass


def test_a_revision_whose_laws_are_invalid_is_named_with_the_place(history: History) -> None:
    history.write("sm_90/toy/latency-four.yaml", "id: latency-four\ntitel: x\n\x00")
    history.commit("broken")
    with (
        pytest.raises(InvalidFilesError, match=r"HEAD:laws/sm_90/toy/latency-four\.yaml"),
        open_source("HEAD", history.laws),
    ):
        pass


def test_markdown_shows_flagged_laws_first_and_open(history: History) -> None:
    history.write("sm_90/toy/a-new.yaml", law("a-new", "latency == 3 and tile_m == 32"))
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]"))
    text = render_diff.diff_markdown(diff(history))
    assert text.startswith(render_diff.MARKER)
    assert text.index("`latency-four`") < text.index("`a-new`")
    assert "<details open><summary><code>latency-four" in text
    assert "🔴" in text


def test_law_text_cannot_mention_or_mark_up(history: History) -> None:
    text = (
        law("new", "latency == 3")
        .replace("Avoid latency == 3", "x")
        .replace("because: register-spill", "because: '@everyone | <b>'")
    )
    history.write("sm_90/toy/new.yaml", text)
    shown = render_diff.diff_markdown(diff(history))
    assert "@everyone" not in shown
    assert "<b>" not in shown


def test_three_hundred_changed_laws_stay_readable(history: History) -> None:
    for number in range(300):
        history.write(
            f"sm_90/toy/law-{number:03}.yaml", law(f"law-{number:03}", f"latency == 3 and tile_m * tile_n > {number}")
        )
    found = diff(history)
    text = render_diff.diff_markdown(found)
    assert len(found.items) == 300
    assert len(text) < 65_000
    assert text.count("\n| ") >= 300
    assert "more laws: `kg diff --all` prints them" in text
    lines = short_diff(found, Pen(colour=False)).splitlines()
    assert len(lines) <= LINES
    told = sum(line.startswith(("! law-", "  law-")) for line in lines)
    assert lines[-1] == f"{300 - told} more laws: --all has claims, evidence and effects whole"
    assert told > 1


def test_the_short_difference_shows_what_to_look_at_first_and_whole(history: History) -> None:
    """A harmless change before it in the alphabet waits."""
    history.write("sm_90/toy/a-harmless.yaml", law("a-harmless", "latency == 3", status="proposed", evidence=FOUND))
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]"))
    text = short_diff(diff(history), Pen(colour=False))
    assert text.index("! latency-four") < text.index("  a-harmless")
    assert "speaks against a recorded best" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert (
        short_diff(diff(history, after="HEAD"), Pen(colour=False))
        == "No law, run, hardware, op or system changed in meaning.\n"
    )


def test_what_lies_beneath_the_root_is_a_change(history: History, tmp_path: Path) -> None:
    (tmp_path / "beneath").mkdir()
    history.write("root.yaml", "over: ../beneath\n")
    assert diff(history).nodes == {"root.yaml": "added"}
    (history.laws / "root.yaml").unlink()
    assert diff(history).nodes == {}


def test_json_has_stable_keys(history: History) -> None:
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]"))
    document = json.loads(render_diff.json(diff(history)))
    assert set(document) == {"headline", "changes", "spaces", "nodes", "runs", "bests", "conflicts"}
    change = document["changes"][0]
    assert change["red_flag"] is True
    assert change["before"]["claim"]["avoid"] == "latency == 4"
    assert change["effects"][0]["lost_bests"][0]["run"] == "found"


def test_annotations_point_at_the_file_and_escape_what_workflows_read(history: History) -> None:
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]"))
    text = render_diff.github(diff(history), {"latency-four": "laws/a,b.yaml"})
    assert text.startswith("::warning file=laws/a%2Cb.yaml,title=law latency-four::")
    assert text.count("\n") == 1


def test_text_fits_a_terminal(history: History) -> None:
    history.write("sm_90/toy/latency-four.yaml", law("latency-four", "latency in [2, 4]"))
    assert max(map(len, render_diff.diff_text(diff(history), Pen(colour=False)).splitlines())) <= 80


EXPRESSIONS = st.sampled_from(["tile_m >= 128", "tile_n <= 32", "latency == 3", "tile_m * tile_n > 4096"])


@given(EXPRESSIONS, EXPRESSIONS, st.floats(1.1, 5).map(lambda v: round(v, 2)), st.sampled_from([FOUND, FOUND + HELD]))
@settings(max_examples=40, deadline=None)
def test_swapping_the_sides_swaps_the_direction(first: str, second: str, least: float, evidence: str) -> None:
    import msgspec

    from spak.kg.files import yaml_reader
    from spak.kg.model.law import Law

    def make(avoid: str, bound: float) -> Law:
        return msgspec.convert(
            yaml_reader.read(law("l", avoid, least=bound, evidence=evidence).encode(), "l").value, AnyLaw
        )

    a, b = make(first, 2), make(second, least)
    opposite = {"strengthened": "weakened", "weakened": "strengthened", "added": "removed", "removed": "added"}
    there, back = compare_laws({"l": a}, {"l": b}), compare_laws({"l": b}, {"l": a})
    assert [tuple(opposite.get(x, x) for x in change.aspects) for change in there] == [
        change.aspects for change in back
    ]
    assert compare_laws({"l": a}, {"l": a}) == ()
    assert [c.aspects for c in compare_laws({}, {"l": a})] == [("added",)]
