"""What a run says of a law is recomputed from its trials; write-back adds it once, merges, refuses, and loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kg.errors import KgError
from kg.loader import load
from kg.model.law import Evidence, Law
from kg.model.run import Candidate, Failure, Measurement, Run, Trial
from kg.writeback import grow
from kg.writeback.edit import ChangedError, LawFile
from tests.tuner.searching import OP, avoid, law, spill, store, time_us
from tuner import writeback
from tuner.confirm.cover import covers, implies
from tuner.confirm.evidence import Witness, differences
from tuner.errors import TunerError
from tuner.space import build
from tuner.verify import MAX_PROBLEMS, Experiment, check_tier, replay, trials, verified, witnesses

TREE = {
    "hardware/vendor.yaml": "id: vendor\ntitle: v\nkind: vendor\n",
    "hardware/arch.yaml": "id: arch\ntitle: a\nkind: architecture\nis_a: [vendor]\n",
    "hardware/sm_1.yaml": (
        "id: sm_1\ntitle: c\nkind: compute-capability\nis_a: [arch]\nfacts:\n  most: {value: 8192, source: test}\n"
    ),
    "hardware/card.yaml": "id: card\ntitle: d\nkind: device\nis_a: [sm_1]\n",
    "hardware/sm_2.yaml": "id: sm_2\ntitle: c\nkind: compute-capability\nis_a: [arch]\n",
}
SIZES = ({"size": 512, "dim": 64}, {"size": 1024, "dim": 64}, {"size": 4096, "dim": 64})
SPILLS = avoid("spills-slow", "spill_bytes > 0", at_least=1.5, evidence=[], status="proposed")


def measured(name: str = "run1", sizes=SIZES[:1], *, time=time_us, tier: str = "measured", **more: object) -> Run:
    """An exhaustive run of the toy op: what spills is three times slower."""
    space = build(OP, SIZES[0], {"most": 8192})
    made = []
    for problem in sizes:
        for index in range(len(space)):
            configuration = space.config(index)
            value = time(configuration)
            seen = Measurement(name="time", value=value, unit="us", low=value * 0.99, high=value * 1.01)
            features = (Measurement(name="spill_bytes", value=spill(configuration)),)
            measurements = (seen, *features) if tier == "measured" else features
            made.append(Trial(configuration=configuration, problem=problem, measurements=measurements))
    fields = {
        "id": name, "tier": tier, "created": "2026-01-01T00:00:00Z", "hw": "card", "op": "toy",
        "toolchain": {"tileiras": "13.4.92"}, "trials": tuple(made),
    }  # fmt: skip
    return Run(**{**fields, **more})


def flat(configuration) -> float:
    """Nothing matters: the planted law is false."""
    return time_us(configuration) / (3 if spill(configuration) else 1)


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


def write(root: Path, run: Run, new=(), others=()) -> tuple[writeback.Change, ...]:
    """What a search does when it ends: the run files, then the laws."""
    made = writeback.changes(run, load(root), new, others)
    keep(root, run, *others)
    writeback.apply(made)
    return made


# ------------------------------------------------------------------------------------------------- what a run says


def test_a_measured_run_supports_a_law_it_covers_with_effect_and_interval():
    entry = Witness(measured(), store()).entry(SPILLS)
    assert (entry.verdict, entry.tier, entry.role) == ("supports", "measured", "independent")
    assert entry.toolchain == "tileiras 13.4.92"
    assert entry.problems == ("dim=64,size=512",)
    low, high = entry.interval["slowdown"]
    assert 1.5 < low <= entry.effect["slowdown"] <= high


def test_a_run_in_which_nothing_spills_slowly_refutes_it():
    assert Witness(measured(time=flat), store()).entry(SPILLS).verdict == "refutes"


@pytest.mark.parametrize(
    "scope",
    [{"hw": "sm_2"}, {"toolchain": "tileiras >=14,<15"}, {"when": "size > 9000"}, {"when": "nobody_knows > 1"}],
)
def test_a_run_outside_the_scope_says_nothing(scope):
    outside = avoid("outside", "spill_bytes > 0", scope=scope)
    assert Witness(measured(), store()).entry(outside) is None


def test_a_law_of_the_architecture_is_covered_and_a_law_of_a_device_beside_it_is_not():
    run = measured(hw="sm_1")
    assert Witness(run, store()).covers(avoid("wide", "m > 64", scope={"hw": "arch"}))
    assert not Witness(run, store()).covers(avoid("narrow", "m > 64", scope={"hw": "card"}))


@pytest.mark.parametrize("change", [{"hw": "strange"}, {"op": "strange"}, {"tier": "reported"}, {"trials": ()}])
def test_a_run_that_is_not_about_known_things_or_has_no_trials_says_nothing(change):
    run = msgspec.structs.replace(measured(), **change)
    assert Witness(run, store()).entry(SPILLS) is None
    assert not Witness(run, store()).covers(law("rule", "invariant", {"require": "m > 0", "otherwise": "x"}))


def test_a_law_with_a_toolchain_needs_a_run_that_says_its_own():
    needs = avoid("needs", "spill_bytes > 0", at_least=1.5, scope={"toolchain": "tileiras >=13,<14"})
    assert Witness(measured(), store()).entry(needs)
    assert not Witness(measured(toolchain={}), store()).entry(needs)


def few(run: Run, inside: int, outside: int, origin: str = "strategy") -> Run:
    """The first trials that spill and that do not."""
    spilling = [t for t in run.trials if t.value("spill_bytes")][:inside]
    plain = [t for t in run.trials if not t.value("spill_bytes")][:outside]
    made = tuple(msgspec.structs.replace(trial, origin=origin) for trial in [*spilling, *plain])
    return msgspec.structs.replace(run, trials=made)


def test_a_refutation_beside_few_others_does_not_count_unless_the_trials_were_chosen_for_it():
    """The best of few is not the best there is; a confirmation has the best known ones beside it by design."""
    slow = measured(time=flat)
    assert Witness(few(slow, 4, 7), store()).entry(SPILLS) is None
    assert Witness(few(slow, 4, 8), store()).entry(SPILLS).verdict == "refutes"
    assert Witness(few(slow, 4, 3, "confirm"), store()).entry(SPILLS).verdict == "refutes"


def test_a_preference_is_refuted_only_if_enough_with_it_were_tried():
    prefer = law("prefer-slow", "positive", {"prefer": {"lat": 1}, "effect": {"cost": {"at_most": 0.01}}})
    run = measured()
    assert Witness(run, store()).entry(prefer).verdict == "refutes"
    with_it = [t for t in run.trials if t.configuration["lat"] == 1][:4]
    others = [t for t in run.trials if t.configuration["lat"] == 4]
    assert Witness(msgspec.structs.replace(run, trials=(*with_it, *others)), store()).entry(prefer) is None


def test_compiled_claims_refute_on_one_configuration_and_failures_need_no_neighbours():
    none = avoid("never", "m >= 64", "spill_bytes", 1)
    assert Witness(few(measured(), 0, 40), store()).entry(none).verdict == "refutes"
    fails = avoid("fails", "spill_bytes > 0", "failure_rate", 1)
    assert Witness(measured(), store()).entry(fails).verdict == "refutes"


def test_the_run_that_first_suggests_a_law_does_not_confirm_it():
    run = measured(suggested=(Candidate(law=SPILLS, outcome="untested"),))
    assert Witness(run, store()).entry(SPILLS).role == "suggested"
    found = Evidence(run="earlier", verdict="supports", tier="measured", role="suggested")
    assert Witness(run, store()).entry(msgspec.structs.replace(SPILLS, evidence=(found,))).role == "independent"


# ------------------------------------------------------------------------------------------------- true to the run


def test_an_entry_differs_from_its_run_in_verdict_effect_or_interval():
    witness = Witness(measured(), store())
    entry = witness.entry(SPILLS)
    assert differences(SPILLS, entry, witness) == ()
    worse = {"verdict": "refutes", "effect": {"slowdown": 9.0}, "interval": {"slowdown": (8.0, 10.0)}}
    for name, value in worse.items():
        (line,) = differences(SPILLS, msgspec.structs.replace(entry, **{name: value}), witness)
        assert str(value if name == "verdict" else next(iter(value.values()))) in line
    cautious = msgspec.structs.replace(entry, verdict="inconclusive")
    assert differences(SPILLS, cautious, witness) == ()


def test_what_cannot_be_judged_again_differs_in_nothing():
    witness = Witness(measured(), store())
    entry = witness.entry(SPILLS)
    assert differences(SPILLS, msgspec.structs.replace(entry, tier="reported"), witness) == ()
    ratio = avoid("ratio", "m > 64", "occupancy_ratio", 2)
    assert differences(ratio, entry, witness) == ()


def test_an_entry_without_problem_sizes_is_held_against_all_of_them():
    witness = Witness(measured(sizes=SIZES), store())
    entry = msgspec.structs.replace(witness.entry(SPILLS), problems=())
    assert differences(SPILLS, entry, witness) == ()


# ------------------------------------------------------------------------------------------------------- write-back


def test_runs_confirm_a_law_over_problem_sizes_and_the_same_run_adds_nothing_twice(root):
    put(root, SPILLS)
    write(root, measured("one", SIZES[:1]))
    assert load(root).laws["spills-slow"].status == "proposed"
    (change,) = write(root, measured("two", SIZES[1:2]))
    assert change.words == "evidence supports; proposed -> confirmed"
    before = LawFile.read(change.path).before
    assert write(root, measured("two", SIZES[1:2])) == ()
    assert LawFile.read(change.path).before == before


def test_a_contradiction_makes_the_law_contested_in_its_file(root):
    put(root, SPILLS)
    write(root, measured("one", SIZES[:2]))
    (change,) = write(root, measured("two", SIZES[2:], time=flat))
    assert change.words == "evidence refutes; confirmed -> contested"
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
    assert differences(SPILLS, first, Witness(measured("one"), load(root))) == ()
    assert (first.role, second) == ("suggested", reported)


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
    assert writeback.diff([made["spills-slow"]], root) == ""
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
    entries = [Witness(measured(name), load(root)).entry(SPILLS) for name in ("one", "two")]
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
from kg.model.law import Evidence
from kg.writeback.grow import append
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
    both = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[2]) for name in ("a", "b")]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
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
        type=Law,
    )
    assert not covers(gone, same, laws)


def test_regions_too_large_to_compare_are_the_same_only_if_their_text_is(monkeypatch):
    monkeypatch.setattr("tuner.confirm.cover.MAX_COMBINATIONS", 2)
    assert implies(avoid("a", "m > 64"), avoid("b", "m > 64"), store())
    assert not implies(avoid("a", "m > 64"), avoid("b", "m > 100"), store())


# ---------------------------------------------------------------------------------------------------------- verify


class Root:
    """A store in memory that has runs."""

    def __init__(self, *runs: Run) -> None:
        held = store()
        self.laws, self.hardware, self.ops, self.systems = held.laws, held.hardware, held.ops, held.systems
        self.run_ids, self._runs = [run.id for run in runs], {run.id: run for run in runs}

    def run(self, name: str) -> Run:
        return self._runs[name]


def test_replay_judges_every_run_and_each_problem_size():
    root = Root(measured("one", SIZES[:2]), measured("two", SIZES[2:], hw="sm_2"), measured("three", tier="reported"))
    found = replay(SPILLS, witnesses(root))
    assert [(line.run, line.problem, line.is_noted) for line in found.lines] == [
        ("one", "dim=64,size=1024", False),
        ("one", "dim=64,size=512", False),
    ]
    assert (found.verdict, found.before, found.after, found.holds) == ("supports", "proposed", "confirmed", True)


def test_replay_finds_an_entry_that_is_not_what_its_run_says():
    honest = Witness(measured("one"), store()).entry(SPILLS)
    false = msgspec.structs.replace(
        honest, verdict="supports", effect={"slowdown": 7.0}, interval={"slowdown": (6.9, 7.1)}
    )
    other = Evidence(run="gone", verdict="supports", tier="reported", role="suggested")
    found = replay(msgspec.structs.replace(SPILLS, evidence=(other, false)), witnesses(Root(measured("one"))))
    assert {run for run, _ in found.differing} == {"one"}
    assert found.verdict == "supports"
    assert not found.holds


def test_replay_of_a_refuted_law_refutes_and_of_an_unfair_one_cannot_tell():
    run = measured("one", time=flat)
    assert replay(SPILLS, witnesses(Root(run))).verdict == "refutes"
    found = replay(SPILLS, witnesses(Root(few(run, 4, 5))))
    assert [line.said.reason for line in found.lines] == ["too few trials beside it"]
    assert found.verdict == "inconclusive"
    assert not found.holds
    assert replay(SPILLS, []).lines == ()


class Formula:
    """Answers what it is asked, and says how."""

    batch_size, name = 4, "fake"

    def evaluate(self, requests):
        for request in requests:
            value = time_us(request.configuration)
            yield Trial(
                configuration=dict(request.configuration),
                invalidity="correct" if value else "compile",
                failure=None if value else Failure(type="x", message="x"),
                measurements=(
                    Measurement(name="time", value=value, low=value * 0.99, high=value * 1.01),
                    Measurement(name="spill_bytes", value=spill(request.configuration)),
                ),
            )


def test_new_trials_are_of_the_region_and_outside_it_at_the_laws_problem_sizes():
    entry = Evidence(run="r", verdict="supports", tier="reported", role="suggested", problems=("size=2048",))
    big = avoid("big", "m * n > 4096", at_least=1.5, evidence=[msgspec.to_builtins(entry)], status="proposed")
    test = Experiment(big, OP, {"most": 8192})
    assert [size["size"] for size in test.problems] == [2048, 512, 1024]
    made = trials(test, Root(), Formula())
    assert {trial.origin for trial in made} == {"confirm"}
    for size in test.problems:
        inside = [t for t in made if t.problem == size and spill(t.configuration)]
        outside = [t for t in made if t.problem == size and not spill(t.configuration)]
        assert len(inside) >= 3
        assert len(outside) >= 8
    run = measured("new", trials=made)
    found = verified(big, run, Root(run))
    assert (found.verdict, found.after) == ("supports", "confirmed")


def test_a_law_about_compiled_code_is_tried_where_recorded_runs_say_that_it_applies():
    made = trials(Experiment(SPILLS, OP, {"most": 8192}, num_problems=1), Root(measured("one")), Formula())
    assert any(spill(trial.configuration) for trial in made)
    assert {trial.problem["size"] for trial in made} == {512}


def test_what_cannot_be_tried_is_said():
    nowhere = avoid("nowhere", "m > 64", scope={"when": "size > 9000"})
    with pytest.raises(TunerError, match="no problem size"):
        trials(Experiment(nowhere, OP, {"most": 8192}), Root(), Formula())
    with pytest.raises(TunerError, match="no configuration that it names"):
        trials(Experiment(SPILLS, OP, {"most": 8192}), Root(), Formula())


def test_the_compiler_cannot_tell_the_time():
    check_tier(avoid("fact", "m > 64", "spill_bytes", 1), "compiled")
    check_tier(SPILLS, "measured")
    with pytest.raises(TunerError, match="--backend gpu"):
        check_tier(SPILLS, "compiled")
    assert MAX_PROBLEMS > 1
