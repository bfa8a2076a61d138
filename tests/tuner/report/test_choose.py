"""Which runs make a report, and which do not belong together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spak.kg.errors import InvalidFilesError, UnknownNameError
from spak.kg.files.loader import Laws
from spak.kg.model.run import Run
from spak.tuner.errors import TunerError
from spak.tuner.report.choose import ReportRequest, choose_runs, line_of
from tests.tuner.report import recorded


@pytest.fixture(scope="module")
def known() -> Laws:
    return recorded.laws()


def test_recorded_runs_are_found_by_op_and_hardware(known):
    """Without names the measured runs of the op are the subject, and the computed ones of its line the proof."""
    found = choose_runs(known, ReportRequest(hw="NVIDIA H200"))
    assert (found.op.id, found.hw) == ("fmha", "h200")
    assert all(run.tier == "measured" and run.op == "fmha" for run in found.runs)
    assert "computed-mask-floor-found" in {run.id for run in found.proofs}


def test_without_an_op_the_one_measured_most_is_the_subject(known):
    """No kernel is named in the code: what is recorded decides."""
    trials: Counter[str] = Counter()
    for name in known.run_ids:
        run = known.run(name)
        trials[run.op] += len(run.trials) * (run.tier == "measured")
    assert choose_runs(known, ReportRequest()).op.id == trials.most_common(1)[0][0]


def test_the_line_of_a_kernel_comes_from_its_systems(known):
    """Naive, fused, FMHA: derived from the systems; a kernel without a system is its own line."""
    assert [stage.op for stage in line_of(known, "fmha")] == ["naive-attention", "fused-attention", "fmha"]
    assert [stage.op for stage in line_of(known, "layernorm")] == ["layernorm"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op": "rmsnorm", "problem": {}}, "runs of several ops: fmha, rmsnorm"),
        ({"hw": "rtx5070"}, "runs of several hardware: h200, rtx5070"),
        ({"tier": "compiled"}, "is a compiled run, nothing in it was measured"),
        ({"tier": "reported"}, "is a reported run"),
        ({"trials": ()}, "holds no trial"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(known, tmp_path: Path, changes, message):
    """One line says what does not fit and what to do."""
    names = [recorded.written(run, tmp_path) for run in (recorded.run(), recorded.run("other", **changes))]
    with pytest.raises(TunerError, match=message):
        choose_runs(known, ReportRequest(names))


def test_computed_runs_of_another_op_are_no_proof(known, tmp_path: Path):
    """A proof about another kernel proves nothing of this one."""
    names = [
        recorded.written(run, tmp_path)
        for run in (recorded.run(), recorded.run("proof", tier="computed", op="rmsnorm", problem={}))
    ]
    with pytest.raises(TunerError, match="runs of several ops: fmha, rmsnorm"):
        choose_runs(known, ReportRequest(names))


def test_a_proof_alone_is_no_report(known):
    """There must be a kernel to report on."""
    with pytest.raises(TunerError, match="only computed runs"):
        choose_runs(known, ReportRequest(["computed-mask-floor-found"]))


def test_names_and_files_that_are_none_are_told(known, tmp_path: Path):
    """Unknown run, unknown op and hardware, a file that is no run."""
    with pytest.raises(UnknownNameError, match="measured-h200-fmha-d64-s1024-causal"):
        choose_runs(known, ReportRequest(["measured-h200-fmha-d64-s1024-casual"]))
    junk = tmp_path / "junk.json"
    junk.write_bytes(b"\x00\xff")
    with pytest.raises(InvalidFilesError, match="not a run file"):
        choose_runs(known, ReportRequest([str(junk)]))
    for changes in ({"op": "nope"}, {"hw": "nope"}):
        stranger: Run = recorded.run("stranger", **changes)
        with pytest.raises(UnknownNameError, match="nope"):
            choose_runs(known, ReportRequest([recorded.written(stranger, tmp_path)]))


def test_nothing_recorded_says_what_to_run(known):
    """An op without runs, and hardware without runs of the op."""
    with pytest.raises(TunerError, match="run: tune rmsnorm"):
        choose_runs(known, ReportRequest(op="rmsnorm"))
    with pytest.raises(TunerError, match="no measured run of fmha on sm_120 is recorded; run: tune fmha --hw sm_120"):
        choose_runs(known, ReportRequest(op="fmha", hw="sm_120"))
    with pytest.raises(TunerError, match="nothing measured is recorded on a100; run: tune --hw a100"):
        choose_runs(known, ReportRequest(hw="a100"))
