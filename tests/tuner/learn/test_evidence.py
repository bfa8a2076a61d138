"""What a run says of a law is recomputed from its trials; write-back adds it once, merges, refuses, and loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from spak.kg.errors import KgError
from spak.kg.evidence.entries import mismatches
from spak.kg.evidence.witness import RunWitness
from spak.kg.files import grow
from spak.kg.files.edit import ChangedError, LawFile
from spak.kg.files.loader import load
from spak.kg.law.kinds import AnyLaw
from spak.kg.model.law import Evidence, Law
from spak.kg.model.run import Run
from spak.tuner.learn import writeback
from spak.tuner.learn.confirm.cover import covers, implies
from tests.tuner.searching import OP, avoid, law, store
from tests.tuner.spilling import SIZES, SPILLS, flat, measured

TREE = {
    "hardware/vendor.yaml": "id: vendor\ntitle: v\nkind: vendor\n",
    "hardware/arch.yaml": "id: arch\ntitle: a\nkind: architecture\nis_a: [vendor]\n",
    "hardware/sm_1.yaml": (
        "id: sm_1\ntitle: c\nkind: compute-capability\nis_a: [arch]\nfacts:\n  most: {value: 8192, source: test}\n"
    ),
    "hardware/card.yaml": "id: card\ntitle: d\nkind: device\nis_a: [sm_1]\n",
    "hardware/sm_2.yaml": "id: sm_2\ntitle: c\nkind: compute-capability\nis_a: [arch]\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A law root on disk with the toy op, its hardware and no law."""
    folder = tmp_path / "laws"
    for name, text in TREE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "ops").mkdir()
    (folder / "evidence").mkdir()
    (folder / "ops" / "toy.yaml").write_bytes(msgspec.yaml.encode(OP))
    return folder


def put(root: Path, *laws: Law) -> None:
    for one in laws:
        path = root / one.scope.hw / one.scope.op / f"{one.id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(writeback.law_text(one))


def keep(root: Path, *runs: Run) -> None:
    for run in runs:
        (root / "evidence" / f"{run.id}.json").write_bytes(msgspec.json.encode(run))


def write(root: Path, run: Run, new=(), others=()) -> tuple[writeback.LawEdit, ...]:
    """What a search does when it ends: the run files, then the laws."""
    made = writeback.changes(run, load(root), new, others)
    keep(root, run, *others)
    writeback.apply(made)
    return made


# ------------------------------------------------------------------------------------------------------- write-back


def test_runs_confirm_a_law_over_problem_sizes_and_the_same_run_adds_nothing_twice(root):
    put(root, SPILLS)
    write(root, measured("one", SIZES[:1]))
    assert load(root).laws["spills-slow"].status == "proposed"
    (change,) = write(root, measured("two", SIZES[1:], created="2026-01-02T00:00:00Z"))
    assert change.words == "evidence supports; proposed -> confirmed"
    assert [entry.role for entry in load(root).laws["spills-slow"].evidence] == ["suggested", "independent"]
    before = LawFile.read(change.path).before
    assert write(root, measured("two", SIZES[1:])) == ()
    assert LawFile.read(change.path).before == before


def test_a_contradiction_makes_the_law_contested_in_its_file(root):
    put(root, SPILLS)
    write(root, measured("one", SIZES[:2]))
    (change,) = write(root, measured("two", SIZES[2:], time=flat))
    assert change.words == "evidence refutes; proposed -> contested"
    assert load(root).laws["spills-slow"].status == "contested"


def test_a_compiled_run_speaks_of_compiled_code_only(root):
    fact = avoid("spills", "m * n > 4096", "spill_bytes", 1, evidence=[], status="proposed")
    fails = avoid("fails", "spill_bytes > 0", "failure_rate", 1, evidence=[], status="proposed")
    put(root, SPILLS, fact, fails)
    (change,) = write(root, measured("one", tier="compiled"))
    assert (change.law, change.entries[0].tier) == ("spills", "compiled")


def test_a_second_identical_search_adds_evidence_and_no_laws(root):
    found = msgspec.structs.replace(SPILLS, id="found-anew")
    first = write(root, measured("one"), [found])
    assert [change.words for change in first] == ["new, proposed"]
    second = write(root, measured("two"), [msgspec.structs.replace(found, id="found-again")])
    assert [(change.law, change.words) for change in second] == [("found-anew", "evidence supports; proposed")]
    assert list(load(root).laws) == ["found-anew"]


def test_the_confirming_run_is_evidence_on_the_law_there_is(root):
    put(root, SPILLS)
    narrower = msgspec.structs.replace(
        SPILLS, id="narrower", claim=msgspec.structs.replace(SPILLS.claim, avoid="spill_bytes > 50")
    )
    (change,) = write(root, measured("one"), [narrower], [measured("two", SIZES[1:])])
    assert [entry.run for entry in change.entries] == ["one", "two"]
    assert list(load(root).laws) == ["spills-slow"]


def test_a_more_general_law_names_what_it_supersedes(root):
    put(
        root,
        msgspec.structs.replace(SPILLS, id="narrow", scope=msgspec.structs.replace(SPILLS.scope, when="size > 900")),
    )
    made = write(root, measured("one", SIZES[1:2]), [SPILLS])
    assert [change.law for change in made] == ["narrow", "spills-slow"]
    assert [(link.type, link.id) for link in load(root).laws["spills-slow"].related] == [("supersedes", "narrow")]


def test_a_new_law_says_of_its_run_what_the_trials_say(root):
    """Mining states the bound it found; the file has what was seen."""
    bound = Evidence(
        run="one", verdict="supports", tier="measured", role="suggested", effect={"slowdown": 1.5},
        interval={"slowdown": (1.5, 1.5)}, problems=("dim=64,size=512",), toolchain="tileiras 13.4.92",
    )  # fmt: skip
    reported = msgspec.structs.replace(bound, run="old", role="independent", tier="reported")
    keep(root, measured("old", tier="reported"))
    write(root, measured("one"), [msgspec.structs.replace(SPILLS, evidence=(bound, reported))])
    first, second = load(root).laws["spills-slow"].evidence
    assert list(mismatches(load(root).laws["spills-slow"], load(root).witness)) == []
    assert (first.role, first.effect["slowdown"] > 1.5, second) == ("suggested", True, reported)


def found_in(root: Path, run: Run) -> Law:
    return msgspec.structs.replace(SPILLS, evidence=(RunWitness(run, load(root)).entry(SPILLS),))


def test_a_new_law_cites_what_was_recorded_before_it(root):
    """The runs that found it do not vouch for it alone."""
    keep(root, measured("before", SIZES[1:2]))
    one = measured("one", SIZES[:1], created="2026-01-02T00:00:00Z")
    (change,) = write(root, one, [found_in(root, one)])
    assert [entry.run for entry in change.entries] == ["one", "before"]
    assert load(root).laws["spills-slow"].evidence == change.entries


def test_no_law_is_written_that_a_recorded_run_speaks_against(root):
    keep(root, measured("against", SIZES[1:2], time=flat))
    one = measured("one", SIZES[:1], created="2026-01-02T00:00:00Z")
    (change,) = write(root, one, [found_in(root, one)])
    assert (change.law, change.refused) == ("spills-slow", True)
    assert change.words.startswith("not written, contested: ")
    assert "against against" in change.words
    assert not load(root).laws


# ------------------------------------------------------------------------------------------- other people's edits


def git(folder: Path, *arguments: str) -> None:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


def committed(root: Path) -> None:
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "laws")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("at_least: 1.5", "at_least: 1.6", "claim"),
        ("op: toy", "op: toy\n  when: size > 1", "scope"),
        ("run: earlier", "run: other", "evidence"),
    ],
)
def test_a_file_with_an_uncommitted_edit_is_refused_and_the_others_are_written(root, old, new, what):
    entry = Evidence(run="earlier", verdict="supports", tier="reported", role="suggested")
    mine = msgspec.structs.replace(SPILLS, evidence=(entry,))
    put(root, mine, msgspec.structs.replace(SPILLS, id="other-law"))
    keep(root, measured("earlier", tier="reported"), measured("other", tier="reported"))
    committed(root)
    path = root / "sm_1" / "toy" / "spills-slow.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    edited = path.read_bytes()
    made = {change.law: change for change in write(root, measured("one"))}
    assert made["spills-slow"].refused
    assert f"{what} differs from what is committed" in made["spills-slow"].words
    assert writeback.diff([made["spills-slow"]]) == ""
    assert path.read_bytes() == edited
    assert "one" in [entry.run for entry in load(root).laws["other-law"].evidence]
    assert (root / "evidence" / "one.json").exists()


def test_uncommitted_evidence_comments_and_new_files_are_no_conflict(root):
    put(root, SPILLS)
    committed(root)
    write(root, measured("one"))
    path = root / "sm_1" / "toy" / "spills-slow.yaml"
    path.write_text(f"# a person's note\n{path.read_text()}")
    put(root, msgspec.structs.replace(SPILLS, id="untracked"))
    made = write(root, measured("two"))
    assert not [change for change in made if change.refused]
    assert [entry.run for entry in load(root).laws["spills-slow"].evidence] == ["one", "two"]
    assert path.read_text().startswith("# a person's note")


def test_a_file_that_was_committed_broken_has_no_claim_to_conflict_with(root):
    put(root, SPILLS)
    path = root / "sm_1" / "toy" / "spills-slow.yaml"
    text = path.read_text()
    path.write_text("not a law")
    committed(root)
    path.write_text(text)
    assert grow.conflict(path) == ""


def test_another_kind_of_law_is_an_edit_too(root):
    put(root, law("same", "positive", {"prefer": {"m": 64}}, evidence=[], status="proposed"))
    committed(root)
    put(root, avoid("same", "m > 64", evidence=[], status="proposed"))
    assert "kind differs" in grow.conflict(root / "sm_1" / "toy" / "same.yaml")


def test_without_git_there_is_nothing_to_conflict_with(root, monkeypatch):
    put(root, SPILLS)
    monkeypatch.setenv("PATH", "")
    assert grow.conflict(root / "sm_1" / "toy" / "spills-slow.yaml") == ""


def test_an_edit_between_reading_and_writing_is_refused_after_the_rest_is_written(root):
    put(root, SPILLS, msgspec.structs.replace(SPILLS, id="z-other"))
    committed(root)
    run = measured("one")
    made = writeback.changes(run, load(root))
    keep(root, run)
    path = root / "sm_1" / "toy" / "spills-slow.yaml"
    path.write_text(path.read_text().replace("at_least: 1.5", "at_least: 1.6"))
    with pytest.raises(KgError, match="claim differs from what is committed"):
        writeback.apply(made)
    assert "one" in [entry.run for entry in load(root).laws["z-other"].evidence]


def test_a_law_that_another_search_wrote_meanwhile_gets_this_ones_evidence(root):
    entries = [RunWitness(measured(name), load(root)).entry(SPILLS) for name in ("one", "two")]
    laws = [msgspec.structs.replace(SPILLS, evidence=(entry,)) for entry in entries]
    keep(root, measured("one"), measured("two"))
    made = [writeback.changes(measured(entry.run), load(root), [one]) for entry, one in zip(entries, laws, strict=True)]
    for change in made:
        writeback.apply(change)
    assert [entry.run for entry in load(root).laws["spills-slow"].evidence] == ["one", "two"]


def test_a_file_that_is_saved_again_and_again_is_given_up(root, monkeypatch):
    put(root, SPILLS)
    path = root / "sm_1" / "toy" / "spills-slow.yaml"
    whole, saves = LawFile.save, []

    def raced(self):
        saves.append(1)
        if len(saves) <= patience:
            path.write_text(path.read_text() + "#\n")
        return whole(self)

    monkeypatch.setattr(LawFile, "save", raced)
    entry = Evidence(run="r", verdict="supports", tier="measured", role="independent")
    patience = 2
    assert grow.append(root, path, [entry])
    assert len(saves) == 3
    patience = 1000
    with pytest.raises(ChangedError):
        grow.append(root, path, [msgspec.structs.replace(entry, run="s")])


WRITER = """
import sys
from pathlib import Path
from spak.kg.model.law import Evidence
from spak.kg.files.grow import append
root, path, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
for i in range(0, 50, 5):
    runs = [f"{name}{i + j}" for j in range(5)]
    append(root, path, [Evidence(run=r, verdict="supports", tier="measured", role="independent") for r in runs])
"""


@pytest.mark.slow
def test_two_processes_that_write_at_once_lose_nothing(root):
    put(root, SPILLS)
    path = root / "sm_1" / "toy" / "spills-slow.yaml"
    command = [sys.executable, "-c", WRITER, str(root), str(path)]
    both = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[3]) for name in ("a", "b")]
    assert [one.wait() for one in both] == [0, 0]
    runs = [entry.run for entry in LawFile.read(path).law.evidence]
    assert sorted(runs) == sorted(f"{name}{i}" for name in "ab" for i in range(50))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


# -------------------------------------------------------------------------------------------------- same or less


def positive(name: str, **claim: object) -> Law:
    return law(name, "positive", {"effect": {"cost": {"at_most": 0.01}}, **claim})


def tie(name: str, values: list[int], within: str = "1%") -> Law:
    return law(name, "indifferent", {"over": "lat", "values": values, "within": within})


@pytest.mark.parametrize(
    ("general", "special", "expected"),
    [
        (avoid("a", "m >= 64"), avoid("b", "m > 32"), (True, True)),
        (avoid("a", "m * n > 4096"), avoid("b", "m == 128 and n == 64"), (True, False)),
        (avoid("a", "spill_bytes > 0"), avoid("b", "spill_bytes >= 264"), (True, False)),
        (avoid("a", "m > 64", at_least=3.0), avoid("b", "m > 64", at_least=2.0), (True, False)),
        (avoid("a", "m > 64"), avoid("b", "m > 64", scope={"when": "size > 600"}), (True, False)),
        (avoid("a", "m > 64", scope={"when": "size > 600"}), avoid("b", "m > 64", scope={"when": "size < 600"}), (False, False)),
        (avoid("a", "m > 64", scope={"hw": "arch"}), avoid("b", "m > 64"), (True, False)),
        (avoid("a", "m > 64"), avoid("b", "m > 64", scope={"dtype": ["fp16"]}), (True, False)),
        (avoid("a", "m > 64"), avoid("b", "m > 64", scope={"toolchain": "tileiras >=13"}), (True, False)),
        (avoid("a", "m > 64"), avoid("b", "m > 64", "spill_bytes", 1), (False, False)),
        (avoid("a", "m * n > hw.most"), avoid("b", "m * n > 8192"), (True, True)),
        (positive("a", prefer={"m": 64}), positive("b", prefer={"m": 64}), (True, True)),
        (positive("a", prefer={"m": 64}), positive("b", prefer={"m": 32}), (False, False)),
        (tie("a", [1, 2, 4]), tie("b", [1, 2]), (True, False)),
        (tie("a", [1, 2]), tie("b", [1, 2], "2%"), (True, False)),
        (tie("a", [1, 2]), avoid("b", "m > 64"), (False, False)),
        (law("a", "invariant", {"require": "m > 0", "otherwise": "x"}), law("b", "invariant", {"require": "m > 0", "otherwise": "x"}), (False, False)),
    ],
)  # fmt: skip
def test_which_of_two_laws_says_more(general, special, expected):
    laws = store(general, special)
    assert (implies(general, special, laws), implies(special, general, laws)) == expected


def test_a_part_of_a_contested_law_is_news_and_the_same_again_is_not():
    old = avoid("old", "m > 32", status="contested")
    part, same = avoid("part", "m > 64"), avoid("same", "m >= 64")
    laws = store(old)
    assert not covers(old, part, laws)
    assert covers(old, same, laws)
    gone = msgspec.convert(
        {**msgspec.to_builtins(old), "status": "withdrawn", "withdrawn": {"date": "2026-01-01", "reason": "r"}},
        type=AnyLaw,
    )
    assert not covers(gone, same, laws)


def test_what_a_killed_search_wrote_is_still_news_to_it_when_it_goes_on():
    """Or its tests would be made in another order, and what it wrote before would not be what its run then says."""
    old, same = avoid("old", "m > 64", at_least=1.5), avoid("same", "m > 64", at_least=1.5)
    seen = Evidence(run="r", verdict="supports", tier="measured", role="suggested")
    own = msgspec.structs.replace(old, evidence=(seen,))
    assert writeback.known_before("r", store(old))(same)
    assert not writeback.known_before("r", store(own))(same)
    assert writeback.known_before("another", store(own))(same)


def test_regions_too_large_to_compare_are_the_same_only_if_their_text_is(monkeypatch):
    monkeypatch.setattr("spak.tuner.learn.confirm.cover.MAX_ROWS", 2)
    assert implies(avoid("a", "m > 64"), avoid("b", "m > 64"), store())
    assert not implies(avoid("a", "m > 64"), avoid("b", "m > 100"), store())
