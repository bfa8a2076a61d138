"""How a law about safety is doubted: by its check, by an explicit probe, and never by a search or unasked."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spak.kg.errors import InvalidFilesError
from spak.kg.files.loader import load
from spak.kg.files.root import LawRoot
from spak.kg.model.run import Device, Failure
from spak.library import load as open_library
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.errors import TunerError
from spak.tuner.verify import VerifyRequest, repeat
from spak.verbs import verify
from tests.tuner.searching import Formula

ROOT = Path(__file__).parents[2] / "laws"
H200 = "NVIDIA H200"
SHARP = "attention-one-finite-floor-suffices"
HANGS = """\
id: hangs
title: Two CTAs with no TMA hang
kind: invariant
scope: {hw: sm_90, op: matmul}
claim:
  require: not (num_ctas == 2 and use_tma == False)
  otherwise: the launch never ends
  effect: {failure_rate: {at_least: 1}}
status: proposed
"""


@pytest.fixture
def root(tmp_path) -> Path:
    shutil.copytree(ROOT, tmp_path / "laws")
    (tmp_path / "laws/sm_90/matmul/hangs.yaml").write_text(HANGS)
    return tmp_path / "laws"


class Card(Formula):
    """A GPU on which what breaks the law ends as `fate` says; it notes what it was asked."""

    fate = "timeout"

    def provenance(self):
        return replace(super().provenance(), device=Device(name=H200))

    def _trial(self, request):
        if breaks(request.configuration) and self.fate != "correct":
            return request.trial(invalidity=self.fate, failure=Failure(type="TimeLimit", message="60 s"))
        return super()._trial(request)


def breaks(configuration) -> bool:
    return configuration["num_ctas"] == 2 and not configuration["use_tma"]


def around(root: Path, backend: Card) -> Surroundings:
    ticks = itertools.count()
    return Surroundings(
        laws=load(root),
        root=LawRoot(root, writable=True),
        now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        clock=lambda: float(next(ticks)),
        cache=root.parent / "cache",
        local=root.parent,
        device=lambda: H200,
        open=lambda entry, task: backend,
    )


@pytest.fixture
def card(monkeypatch) -> Card:
    monkeypatch.setattr("tests.tuner.searching.spill", lambda configuration: 0.0)
    return Card(time=lambda configuration: 10.0)


def test_nothing_that_breaks_a_law_about_safety_runs_unasked(root, card):
    with pytest.raises(TunerError, match="nothing tries it unasked; --probe does"):
        repeat(VerifyRequest("hangs", "gpu", "h200"), around(root, card))
    assert card.asked == []


@pytest.mark.parametrize(
    ("fate", "verdict", "status"), [("timeout", "supports", "confirmed"), ("correct", "refutes", "refuted")]
)
def test_a_probe_breaks_it_on_purpose_and_writes_what_came_of_it(root, card, fate, verdict, status):
    card.fate = fate
    found = repeat(VerifyRequest("hangs", "gpu", "h200", 2, probe=True, write=True), around(root, card))
    tried = [trial for trial in found.run.trials if breaks(trial.configuration)]
    assert 3 <= len(tried) < len(found.run.trials)
    assert {trial.invalidity for trial in tried} == {fate}
    assert found.found.verdict == verdict
    assert found.run.reproduce.startswith("kg verify hangs --backend gpu --hw h200 --probe")
    written = load(root)
    [entry] = written.laws["hangs"].evidence
    assert (entry.run, entry.verdict) == (found.run.id, verdict)
    assert written.run(entry.run).trials == found.run.trials
    assert found.found.after in {status, "proposed"}


@pytest.mark.parametrize(
    ("law", "backend", "probe", "message"),
    [
        ("sm90-matmul-no-tma-slow", "gpu", True, "every search tries what it names; leave out --probe"),
        (SHARP, "gpu", True, "on a CPU; leave out --backend"),
        ("hangs", "replay", True, "it names no check, and replay makes no trials; use --backend gpu"),
    ],
)
def test_a_probe_that_does_not_fit_is_refused(root, card, law, backend, probe, message):
    with pytest.raises(TunerError, match=message):
        repeat(VerifyRequest(law, backend, "h200", probe=probe), around(root, card))
    assert card.asked == []


def test_the_probe_of_a_check_is_evidence_for_every_law_of_that_check(root, card):
    found = repeat(VerifyRequest(SHARP, "replay", probe=True, write=True, seed=5), around(root, card))
    assert card.asked == []
    assert (found.found.verdict, found.run.tier, found.run.check) == ("supports", "computed", "attention-mask-floor")
    written = load(root)
    for law in (SHARP, "attention-finite-mask-floor"):
        entry = written.laws[law].evidence[-1]
        assert (entry.run, entry.verdict) == (found.run.id, "supports")
        assert written.laws[law].status == "confirmed"
    assert written.run(found.run.id).reproduce == f"kg verify {SHARP} --probe --seed 5"


def edited(root: Path, old: str, new: str) -> Path:
    path = root / "nvidia/attention" / f"{SHARP}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


def test_a_false_law_is_found_by_executing_its_check_whatever_its_runs_say(root):
    """Somebody invents a consistent run: the trials of fp16 are edited to be free of NaN."""
    edited(root, 'require: score_dtype == "fp32" and not', "require: not")
    for run in ("found", "other-sizes"):
        path = root / f"evidence/computed-mask-floor-{run}.json"
        lines = [
            line if '"fp16"' not in line or '"-inf","initial_max":"-inf"' in line else forged(line)
            for line in path.read_text().splitlines(keepends=True)
        ]
        path.write_text("".join(lines))
    (found,) = verify(open_library(root), [SHARP])
    assert {line.said.verdict for line in found.lines if line.run.startswith("computed-")} == {"supports"}
    assert found.verdict == "refutes"
    assert not found.holds
    assert [run for run, _ in found.differing] == ["attention-mask-floor, executed now"]
    assert "refutes: nan_rows " in found.differing[-1][1]


def forged(line: str) -> str:
    head, _, tail = line.partition('"invalidity":"correctness",')
    if not tail:
        return line
    before, _, after = tail.partition('"value":')
    return head + before + '"value":0' + after[after.index("}") :].partition(',"failure"')[0] + "},\n"


def test_a_check_that_there_is_not_is_an_error_with_its_place(root):
    path = edited(root, "check: attention-mask-floor", "check: attention-mask-flor")
    with pytest.raises(InvalidFilesError, match=r"claim.check: no check 'attention-mask-flor'; there are ") as caught:
        verify(open_library(root), [SHARP])
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == (str(path), 11)


def test_a_check_of_another_op_says_nothing(root):
    edited(root, "op: attention", "op: fused-attention")
    edited(root, "  when: masked_tiles >= 1\n", "")
    path = root / "nvidia/attention" / f"{SHARP}.yaml"
    text = path.read_text()
    require = text[text.index("  require:") : text.index("  otherwise:")]
    examples = text[text.index("examples:") : text.index("evidence:")]
    path.write_text(text.replace(require, "  require: tile_n <= 64\n").replace(examples, ""))
    (found,) = verify(open_library(root), [SHARP])
    assert "it is about op attention, the law about fused-attention" in found.differing[-1][1]
    assert not found.holds
