"""Journal, run file and report: what is kept of a search, and what it tells."""

from __future__ import annotations

import itertools
import resource
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spak.kg.files.loader import read_run
from spak.kg.files.seal import sealed
from spak.kg.model.run import Device, Failure, Measurement, Run, Trial, attributed
from spak.kg.space.space import build
from spak.tuner.backend.base import ApartDevice
from spak.tuner.engine import journal, loop, record
from spak.tuner.engine import summary as report
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.engine.session import SearchTask
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.restriction import Context, restrict
from spak.tuner.strategy import registry
from tests.tuner.searching import FACTS, OP, TOOLCHAIN, Formula, avoid, law, store

SPACE = build(OP, {}, FACTS)
HEADER = journal.Header(
    format=journal.FORMAT,
    run="compiled-card-toy-x",
    created="2026-01-01T00:00:00+00:00",
    arguments={"kernel": "toy", "trials": None, "use_laws": True, "audit": 0.05},
    source_sha256="0" * 64,
    toolchain={"tileiras": "13.4.92"},
)
TRIALS = [
    Trial(configuration={"m": 32}, origin="default", measurements=(Measurement(name="time", value=1.5, unit="us"),)),
    Trial(configuration={"m": 64}, invalidity="timeout", failure=Failure(type="TimeLimit", message="a\nb \u2028 \x00")),
]


def on(*machines):
    """Trials that ran on these GPUs; one without a GPU did not compile."""
    return tuple(
        Trial(configuration={"m": place}, machine=machine)
        if machine
        else Trial(configuration={"m": place}, invalidity="compile", failure=Failure(type="E", message="m"))
        for place, machine in enumerate(machines)
    )


@pytest.mark.parametrize(
    ("trials", "machine", "named"),
    [
        (on("a" * 12, "", "a" * 12), "a" * 12, ["", "", ""]),
        (on("a" * 12, "", "b" * 12), "", ["a" * 12, "", "b" * 12]),
        ((*on("a" * 12), Trial(configuration={"m": 9})), "", ["a" * 12, ""]),
        (on("", ""), "c" * 12, ["", ""]),
    ],
)
def test_what_trials_ran_on_is_said_once(trials, machine, named):
    """By the device if it is one GPU, else by each; of a trial that nobody knows it of, the device does not say it either."""
    device = Device(name="card", machine="c" * 12)
    run = Run(
        id="r", tier="measured", created="2026-01-01T00:00:00Z", hw="card", op="toy", device=device, trials=trials
    )
    found = attributed(run)
    assert (found.device.machine, [trial.machine for trial in found.trials]) == (machine, named)
    assert attributed(found) == found


def test_what_a_gpu_measured_that_was_taken_out_is_kept_where_it_is_no_evidence(tmp_path):
    """With its own name and the reason; the search's run says nothing of those trials."""
    known = Formula().provenance()
    run = record.frame(TASK, "ab" * 32, known, NOW)
    seen = replace(known, device=Device(name="card", machine="b" * 12))
    out = ApartDevice("b" * 12, "it fails", seen, on("b" * 12, "b" * 12))
    said = []
    record.write_apart(run, replace(known, apart=(out,)), tmp_path, said.append)
    [path] = tmp_path.iterdir()
    kept = read_run(path)
    assert (kept.device.machine, len(kept.trials), kept.tested) == ("b" * 12, 2, ())
    assert kept.note == f"measured beside {run.id} on {'b' * 12}, which was taken out: it fails"
    assert kept.id == path.stem == f"{run.id}-apart-{'b' * 12}"
    assert said == [f"{'b' * 12}, which was taken out: it fails; what it measured is in {path}"]


def test_a_journal_gives_back_every_trial(tmp_path):
    """What was added is read again, failures and odd characters included."""
    path = tmp_path / "deep" / "run.jsonl"
    diary = journal.Journal.create(path, HEADER)
    for trial in TRIALS:
        diary.add(trial)
        assert journal.read_journal(path).trials[-1] == trial  # on disk before anything else happens
    diary.close()
    assert journal.read_journal(path) == journal.JournalContents(HEADER, tuple(TRIALS), torn=False)


@given(cut=st.integers(1, 60))
def test_a_torn_last_line_costs_that_line_only(tmp_path_factory, cut):
    """Wherever a crash cuts the last line, the trials before it are kept, and the journal goes on after them."""
    path = tmp_path_factory.mktemp("j") / "run.jsonl"
    diary = journal.Journal.create(path, HEADER)
    for trial in TRIALS:
        diary.add(trial)
    diary.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert journal.read_journal(path).trials == (TRIALS[0],)
    assert journal.read_journal(path).torn
    again = journal.Journal.reopen(path)
    again.add(TRIALS[1])
    again.close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no complete first line"),
        (b"not json\n", ":1: not a journal line"),
        (msgspec.json.encode(msgspec.structs.replace(HEADER, format=99)) + b"\n", "journal format 99"),
        (msgspec.json.encode(HEADER) + b"\nbroken\n{}", ":2: not a journal line"),
    ],
)
def test_a_damaged_journal_is_refused_in_one_line(tmp_path, content, words):
    """Damage anywhere but in the last line is not passed over: the message says which line."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(TunerError) as error:
        journal.read_journal(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_journal_is_never_overwritten(tmp_path):
    """Two searches of one name do not mix."""
    path = tmp_path / "run.jsonl"
    journal.Journal.create(path, HEADER).close()
    with pytest.raises(FileExistsError):
        journal.Journal.create(path, HEADER)


def test_two_searches_do_not_write_to_one_journal(tmp_path):
    """A search resumed twice at once would mix its trials."""
    path = tmp_path / "run.jsonl"
    diary = journal.Journal.create(path, HEADER)
    with pytest.raises(TunerError, match="another search writes to this journal"):
        journal.Journal.reopen(path)
    diary.close()
    journal.Journal.reopen(path).close()


def test_a_full_disk_costs_the_trial_it_cannot_hold_and_no_other(tmp_path):
    """The error names the journal, which keeps the trials before it whole."""
    path = tmp_path / "run.jsonl"
    diary = journal.Journal.create(path, HEADER)
    diary.add(TRIALS[0])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as error:
            diary.add(TRIALS[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    diary.close()
    assert error.value.filename == str(path)
    assert path.read_bytes() == before


def finished(*laws, backend=None, trials=30, audit=0.2, problem=None):
    backend = backend or Formula()
    restriction = restrict(build(OP, problem or {}, FACTS), store(*laws), Context("card", TOOLCHAIN))
    search = RunningSearch(restriction, lambda: registry.make("random"), Budget(trials, None, audit))
    ticks = itertools.count()
    return loop.run_search(
        search, backend, loop.Hooks(lambda: float(next(ticks)), lambda _: None, lambda *_: None)
    ), backend


TASK = SearchTask("card", OP, {"size": 1024, "dim": 64}, "usual", FACTS)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def searched(result, backend):
    frame = record.frame(TASK, "ab" * 32, backend.provenance(), NOW)
    return record.searched(frame, store().hardware, result)


def test_a_run_file_holds_the_whole_search(tmp_path):
    """Written once, it reads back as the same run: every trial, the audit, and a verdict on each law tried."""
    result, backend = finished(
        avoid("slow", "m * n > 4096"), avoid("wrong", "m == 32"), avoid("spills", "m > 32", "spill_bytes", 1)
    )
    run = searched(result, backend)
    path = record.write_run(run, tmp_path)
    assert read_run(path) == sealed(run)
    assert path.name == "measured-card-toy-usual-20260102t030405000.json"
    assert len(run.trials) == 30
    assert all(not trial.problem for trial in run.trials)  # the run's own problem is not repeated in each
    assert run.problem == {"size": 1024, "dim": 64}
    assert run.audit.trials == result.audited
    assert run.audit.contradicted == ("spills", "wrong")
    verdicts = {item.law: item.verdict for item in run.tested}
    assert verdicts == {"slow": "supports", "wrong": "refutes", "spills": "refutes"}
    assert {text for item in run.tested for text in item.problems} == {"dim=64,size=1024"}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_a_run_cannot_tell_is_inconclusive():
    """A law about time is neither supported nor refuted by predictions."""
    result, backend = finished(avoid("slow", "m * n > 4096"), backend=Formula(objective="predicted_time"))
    run = searched(result, backend)
    assert [(item.law, item.verdict) for item in run.tested] == [("slow", "inconclusive")]
    assert run.tier == "compiled"


@pytest.mark.parametrize("name", ["A Name / with: everything!", "x" * 300, ""])
def test_a_run_id_is_always_an_id(name):
    """Whatever a problem size is called, the run's id fits the format, with `-confirm` a line, and ends in its time."""
    made = record.name_run("compiled", replace(TASK, problem_name=name), NOW)
    assert len(made) <= 80 - len("-confirm")
    assert made.endswith("-20260102t030405000")
    assert all(sign in "abcdefghijklmnopqrstuvwxyz0123456789_.-" for sign in made)


def test_a_report_ranks_by_time_with_ties_inside_the_margin():
    """Equal within the error margin is a tie; the rank of what follows counts all that came before."""
    result, backend = finished(trials=None, audit=0.0)
    told = report.search_report(TASK, backend, len(SPACE), result)
    values = [row.value for row in told.ranked]
    assert values == sorted(values)
    assert told.ranked[0].rank == 1
    for row, after in itertools.pairwise(told.ranked):
        assert after.rank == row.rank or after.low > min(r.high for r in told.ranked if r.rank == row.rank)
    assert told.ranked[0].configuration == {"m": 32, "n": 64, "lat": 4, "fast": True}


def test_a_report_says_what_each_law_did_and_on_whose_evidence():
    """Every law that speaks is listed with its power, its reason and its evidence; a fallen one says so."""
    result, backend = finished(
        avoid("slow", "m * n > 4096"), avoid("wrong", "m == 32"), avoid("spilling", "spill_bytes > 0")
    )
    told = report.search_report(TASK, backend, len(SPACE), result)
    lines = {line.id: line for line in told.laws}
    assert lines["slow"].power == "removes"
    assert lines["slow"].evidence == "2 measured for (4 problem sizes, 1 device, 2 days, 2 occasions, 1 toolchain)"
    assert lines["wrong"].power == "no effect"
    assert "contested" in lines["wrong"].reason
    assert lines["spilling"].named is None
    assert lines["spilling"].compiled > 0
    assert told.contradicted == ("wrong",)
    text = " ".join(told.answer)
    assert "Use m=32" in text
    assert "faster than the default" in text


def test_a_predicted_answer_says_that_nothing_was_timed():
    """A predicted time is labelled so wherever it is spoken of."""
    result, backend = finished(backend=Formula(objective="predicted_time"))
    told = report.search_report(TASK, backend, len(SPACE), result)
    text = " ".join(told.answer)
    assert "predicted time" in text
    assert "measured time" not in text
    assert "Nothing was timed" in text


def test_an_answer_says_what_of_the_whole_space_was_not_tried_and_that_only_a_part_was_searched():
    """What is outside the part is not called out of budget, and what laws did is said of the part alone."""
    result, backend = finished(trials=10)
    told = report.search_report(TASK, backend, 1000, result)
    assert (told.counts.feasible, told.counts.searched) == (1000, len(SPACE))
    outside = 1000 - len(SPACE)
    assert told.answer[-1] == (
        f"Not tried: 990 of 1000 configurations; {outside} of them outside the part that was searched; "
        "of that part 0 removed by laws, 0 postponed, the rest out of budget."
    )
    whole = report.search_report(TASK, backend, len(SPACE), result).answer[-1]
    assert whole.startswith(f"Not tried: {len(SPACE) - 10} of {len(SPACE)} configurations; 0 removed")


def test_an_answer_sets_the_best_beside_library_baselines_and_says_what_was_kept_for_tests():
    """The fastest library first; the ratio's interval is that of the two times."""
    result, backend = finished()
    backend.libraries = {
        "slow-lib": Measurement(name="time", value=900.0, unit="us", low=800.0, high=1000.0),
        "lib": Measurement(name="time", value=20.0, unit="us"),
    }
    told = report.search_report(TASK, backend, len(SPACE), result, kept=7)
    assert [row.name for row in told.baselines] == ["lib", "slow-lib"]
    assert told.counts.kept == 7
    best = told.ranked[0]
    fast, slow = (line for line in told.answer if "times as long" in line)
    assert fast == f"lib: 20.0 us, {20 / best.value:.2f} times as long."
    assert slow.endswith(f"times as long ({800 / best.high:.2f} to {1000 / best.low:.2f}).")


def test_an_answer_without_any_success_says_so():
    """Where nothing worked there is no recommendation."""
    result, backend = finished(backend=Formula(fails=lambda _: True))
    told = report.search_report(TASK, backend, len(SPACE), result)
    assert told.ranked == ()
    assert told.default is None
    assert told.answer == ("No configuration of toy worked on card; every failure is in the run file.",)
    assert told.counts.failed == told.counts.tried == 30


def test_the_default_may_be_the_answer():
    """Where the default is the best, the answer says that instead of a speed-up."""
    default = {"m": 64, "n": 64, "lat": 2, "fast": True}
    result, backend = finished(
        law("p", "positive", {"prefer": {"m": 64}}), backend=Formula(time=lambda c: 1.0 + (c != default))
    )
    assert "it is the default" in " ".join(report.search_report(TASK, backend, len(SPACE), result).answer)


def test_searches_that_begin_a_millisecond_apart_do_not_share_a_name():
    first, second = (record.name_run("measured", TASK, NOW.replace(microsecond=us)) for us in (1_000, 2_000))
    assert first != second
    assert sorted([second, first]) == [first, second]
