"""Kills a search at random moments and looks at what is left: laws whole, finished trials kept, resume completes.

    python -m bench.crash [--kills 100] [--seed 0] [--json FILE]

A child process searches a recorded H200 sweep of matmul, tests what it suggests on the sweeps of other sizes and writes
back, through the real loop, confirmation, journal, run files and write-back, on a copy of the law root in which some
law files are missing, so that it writes new ones too. The parent kills it (SIGKILL) in turn while it searches, while it
tests and while it writes, then lets another child resume.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from spak.kg.evidence.entries import mismatches
from spak.kg.evidence.table import problem_text
from spak.kg.evidence.witness import RunWitness
from spak.kg.files.listing import EVIDENCE
from spak.kg.files.loader import Laws, load
from spak.kg.model.base import ProblemSize
from spak.kg.model.run import CONFIRM, Measurement, Run, Trial
from spak.kg.space.completion import complete
from spak.tuner.backend.base import Patience, Provenance, Request
from spak.tuner.backend.replay import ReplayBackend
from spak.tuner.engine import journal, loop, record
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.engine.session import SearchTask
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.learn import lesson as learn
from spak.tuner.learn import writeback
from spak.tuner.replay import Recording, recorded_space
from spak.tuner.strategy import registry

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "laws"
SEARCHED = "m2048"
SIZES = (SEARCHED, "m4096", "m8192", "b8-m2048")
TRIALS, TESTS = 200, 150
TAKEN = "slow"
"""Laws of matmul with this in their id are taken out of the copy: the search finds such laws and writes them anew."""

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = "20260101t000000"
"""How the ids of the search's runs say when it began."""

READY, TESTING, WRITING, DONE = "ready", "testing", "writing", "done"
AFTER_BEAT = 0.003
"""Seconds within which a kill follows a beat: about what one more law file takes."""

BEAT = "beat"
"""Said after each trial that is on disk, and each law file."""

PHASES = {"search": READY, "test": TESTING, "write": WRITING}
"""Phase -> what the child says when it begins."""


@dataclass(frozen=True)
class Place:
    """Where one search and its resumption work."""

    folder: Path

    @property
    def laws(self) -> Path:
        """The copy of the law root."""
        return self.folder / "laws"

    @property
    def journal(self) -> Path:
        """The search's journal."""
        return self.folder / "search.jsonl"


@dataclass(frozen=True)
class Kill:
    """What one kill left.

    Attributes:
        phase: `search`, `test`, `write` or `after`: where the child said it was when it died.
        acknowledged: Trials the child had said were recorded.
        kept: Trials the journal then held.
        torn: Law files that could not be read.
        written: Law files that had the run's evidence already.
        resumed: Whether the resumed search ended well.
        problem: What was wrong after resuming; empty if nothing.
    """

    phase: str
    acknowledged: int
    kept: int
    torn: int
    written: int
    resumed: bool
    problem: str

    @property
    def is_good(self) -> bool:
        """Whether nothing was torn or lost and the search could be completed."""
        return not self.torn and self.kept >= self.acknowledged and self.resumed and not self.problem


def prepare(folder: Path) -> Place:
    """A law root with what a matmul search needs, without the laws of matmul about time."""
    place = Place(folder)
    shipped = load(SHIPPED)
    shutil.copytree(SHIPPED, place.laws, ignore=shutil.ignore_patterns("measured-h200-fmha-*", "systems"))
    for name, law in shipped.laws.items():
        if law.scope.op != "matmul" or law.scope.hw != "sm_90" or TAKEN in name:
            (place.laws / shipped.paths["law"][name]).unlink()
    return place


# ------------------------------------------------------------------------------------------------------------- child


class Recorded:
    """The sweeps of some problem sizes as one backend."""

    name, batch_size, num_compilers = "replay", 8, 0

    def __init__(self, runs: Sequence[Run]) -> None:
        """Answer from `runs`, which share a toolchain."""
        one = runs[0]
        self._provenance = Provenance("measured", one.toolchain, one.device, one.noise, "time")
        self._by_size = {problem_text(run.problem): ReplayBackend(recording(run)) for run in runs}

    def provenance(self) -> Provenance:
        """Of the first run."""
        return self._provenance

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """As recorded."""
        return [self._of(request).features([request])[0] for request in requests]

    def late(self, requests: Sequence[Request], patience: Patience) -> Collection[int]:
        """None: a record is there."""
        del requests, patience
        return ()

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """As recorded."""
        for request in requests:
            yield from self._of(request).evaluate([request])

    def references(self, problem: ProblemSize) -> dict[str, Measurement]:
        """None."""
        del problem
        return {}

    def close(self) -> None:
        """Nothing to release."""

    def _of(self, request: Request) -> ReplayBackend:
        return self._by_size[problem_text(request.problem)]


def recording(run: Run) -> Recording:
    """What a sweep recorded."""
    return Recording("run", dict(_parameters(run)), declared=False, trials=run.trials, problem=run.problem)


def child(place: Place) -> None:
    """Search, test and write back, or go on with the journal there is; tells the parent how far it is."""
    shipped, laws = load(SHIPPED), load(place.laws)
    runs = [shipped.run(f"measured-h200-matmul-{size}") for size in SIZES]
    op = msgspec.structs.replace(
        laws.ops["matmul"], problems={size: laws.ops["matmul"].problems[size] for size in SIZES}
    )
    space = recorded_space(recording(runs[0]), op, "matmul", {})
    backend = Recorded(runs)
    task = SearchTask("h200", op, complete(op, space.setting.problem), SEARCHED, {})
    frame = msgspec.structs.replace(
        record.frame(task, "0" * 64, backend.provenance(), CREATED),
        strategy="random",
        seed=0,
        reproduce="python -m bench.crash",
    )
    print(READY, flush=True)
    diary, done = _diary(place, frame)

    def keep(trial: Trial) -> None:
        diary.add(trial)
        print(BEAT, flush=True)

    def keep_test(trial: Trial) -> None:
        print(TESTING, flush=True)
        keep(trial)

    searched = tuple(trial for trial in done if trial.origin != CONFIRM)
    search = RunningSearch(Restriction(space), lambda: registry.make("random"), Budget(TRIALS, None, 0.1))
    result = loop.run_search(search, backend, loop.Hooks(time.monotonic, keep, lambda *_: None), searched)
    run = record.searched(frame, laws.hardware, result)
    lesson = learn.Lesson(learn.subject_of(run, laws), op, {}, TESTS, 0, is_known=writeback.known_before(run.id, laws))
    learned = learn.learn(run, lesson, backend, learn.Notebook(f"{run.id}-confirm", keep_test, done[len(searched) :]))
    run = msgspec.structs.replace(run, suggested=learned.candidates)
    tests = learn.confirmation_run(run, learned)
    diary.close()
    made = writeback.changes(run, laws, learned.laws, (tests,))
    print(WRITING, flush=True)
    record.write_run(run, place.laws / EVIDENCE)
    record.write_run(tests, place.laws / EVIDENCE)
    for change in made:
        writeback.apply([change])
        print(BEAT, flush=True)
    print(DONE, flush=True)


def _parameters(run: Run) -> dict[str, tuple[object, ...]]:
    return {
        name: tuple(dict.fromkeys(t.configuration[name] for t in run.trials)) for name in run.trials[0].configuration
    }


def _diary(place: Place, frame: Run) -> tuple[journal.Journal, tuple[Trial, ...]]:
    if place.journal.exists() and b"\n" in place.journal.read_bytes():
        return journal.Journal.reopen(place.journal), journal.read_journal(place.journal).trials
    place.journal.unlink(missing_ok=True)
    header = journal.Header(
        format=journal.FORMAT,
        run=frame.id,
        created=CREATED.isoformat(),
        arguments={},
        source_sha256="0" * 64,
        toolchain=frame.toolchain,
    )
    return journal.Journal.create(place.journal, header), ()


# ------------------------------------------------------------------------------------------------------------ parent


@dataclass
class Child:
    """A running child and how far it said it is."""

    process: subprocess.Popen[str]
    said: Counter[str]

    @classmethod
    def start(cls, place: Place) -> Child:
        """Start one."""
        command = [sys.executable, "-m", "bench.crash", "--child", str(place.folder)]
        return cls(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True), Counter())

    def until(self, word: str) -> None:
        """Read on until it says `word`, or ends."""
        for line in self.process.stdout or ():
            self.said[line.strip()] += 1
            if line.strip() == word:
                return

    def end(self) -> int:
        """Read the rest; its exit code."""
        self.until("")
        return self.process.wait()


@dataclass(frozen=True)
class Undisturbed:
    """What a search that nobody kills comes to.

    Attributes:
        seconds: Phase -> how long it takes.
        beats: Phase -> trials it makes, or law files it writes.
        laws: Law files it writes anew.
        tests: Tests it makes.
    """

    seconds: dict[str, float]
    beats: dict[str, int]
    laws: frozenset[str]
    tests: int


def undisturbed(folder: Path) -> Undisturbed:
    """Run one to its end."""
    place = prepare(folder)
    before = load(place.laws).laws.keys()
    one = Child.start(place)
    seconds: dict[str, float] = {}
    beats: dict[str, int] = {}
    one.until(READY)
    for phase, word in zip(PHASES, (*list(PHASES.values())[1:], DONE), strict=True):
        started, before_phase = time.monotonic(), one.said[BEAT]
        one.until(word)
        seconds[phase], beats[phase] = time.monotonic() - started, one.said[BEAT] - before_phase
    if one.end():
        raise RuntimeError("the undisturbed search failed")
    laws = load(place.laws)
    _, tests = runs_of(laws)
    return Undisturbed(seconds, beats, frozenset(laws.laws.keys() - before), len(tests.trials))


@dataclass(frozen=True)
class Moment:
    """When to kill: so many beats into a phase, and then so many seconds later."""

    phase: str
    beats: int
    seconds: float

    @classmethod
    def drawn(cls, phase: str, usual: Undisturbed, rng: random.Random) -> Moment:
        """Anywhere in the time that a phase takes, or, as often, right after any of its trials or law files.

        Most of the time goes into choosing and judging; what could be lost or torn is written in a small part of it.
        """
        if rng.random() < 0.5:
            return cls(phase, 0, rng.uniform(0, usual.seconds[phase]))
        return cls(phase, rng.randint(1, usual.beats[phase]), rng.uniform(0, AFTER_BEAT))


def kill(folder: Path, moment: Moment, usual: Undisturbed) -> Kill:
    """One search killed at `moment`, looked at, and resumed."""
    place = prepare(folder)
    one = Child.start(place)
    one.until(PHASES[moment.phase])
    for _ in range(moment.beats):
        one.until(BEAT)
    time.sleep(moment.seconds)
    one.process.send_signal(signal.SIGKILL)
    one.end()
    torn, written = left(place, usual)
    kept = len(journal.read_journal(place.journal).trials) if _has_header(place) else 0
    again = Child.start(place)
    resumed = again.end() == 0 and again.said[DONE] == 1
    problem = wrong(place, usual) if resumed else "did not end"
    return Kill(landed(one.said), acknowledged(one.said), kept, torn, written, resumed, problem)


def acknowledged(said: Counter[str]) -> int:
    """Trials that a child had said were on disk; law files have beats of their own."""
    return said[BEAT] if not said[WRITING] else TRIALS + said[TESTING]


def landed(said: Counter[str]) -> str:
    """The phase in which a child died, by what it had said."""
    begun = {READY: "search", TESTING: "test", WRITING: "write", DONE: "after"}
    return [phase for word, phase in begun.items() if said[word]][-1]


def _has_header(place: Place) -> bool:
    return place.journal.exists() and b"\n" in place.journal.read_bytes()


def left(place: Place, usual: Undisturbed) -> tuple[int, int]:
    """Law files that cannot be read, and those that have evidence of the search already."""
    from spak.kg.errors import KgError
    from spak.kg.files.edit import LawFile

    torn = written = 0
    for path in place.laws.glob("sm_90/matmul/*.yaml"):
        try:
            law = LawFile.read(path).law
        except KgError:
            torn += 1
            continue
        written += any(STAMP in entry.run for entry in law.evidence) or law.id in usual.laws
    return torn, written


def runs_of(laws: Laws) -> tuple[Run, Run]:
    """The search's run and that of its tests."""
    first, second = sorted(run for run in laws.run_ids if STAMP in run)
    return laws.run(first), laws.run(second)


def wrong(place: Place, usual: Undisturbed) -> str:
    """What is wrong with a completed search: lost or repeated trials, missing or repeated evidence, evidence untrue."""
    laws = load(place.laws)
    run, tests = runs_of(laws)
    diary = journal.read_journal(place.journal)
    if (len(run.trials), len(tests.trials)) != (TRIALS, usual.tests):
        return f"{len(run.trials)} of {TRIALS} trials, {len(tests.trials)} of {usual.tests} tests"
    if len(diary.trials) != TRIALS + usual.tests:
        return f"{len(diary.trials)} lines of journal for {TRIALS + usual.tests} trials"
    if missing := [law for law in usual.laws if law not in laws.laws]:
        return f"new law missing: {missing[0]}"
    return next((line for one in (run, tests) for line in _untrue(laws, RunWitness(one, laws), usual)), "")


def _untrue(laws: Laws, witness: RunWitness, usual: Undisturbed) -> Iterator[str]:
    for law in laws.laws.values():
        own = [entry for entry in law.evidence if entry.run == witness.run.id]
        if len(own) != int(law.id in usual.laws or witness.entry(law) is not None):
            yield f"{law.id}: {len(own)} entries of {witness.run.id}"
        known = {witness.run.id: witness}
        yield from (f"{law.id}: {found.message}" for found in mismatches(law, known.get))


def kills(count: int, seed: int, folder: Path) -> list[Kill]:
    """`count` kills, each phase in turn."""
    rng = random.Random(seed)
    usual = undisturbed(folder / "undisturbed")
    found = []
    for place in range(count):
        phase = list(PHASES)[place % len(PHASES)]
        found.append(kill(folder / str(place), Moment.drawn(phase, usual, rng), usual))
        shutil.rmtree(folder / str(place))
    return found


def table(found: Sequence[Kill]) -> str:
    """The kills by phase, a line each."""
    lines = ["phase    kills  after some law files  torn  trials lost  resumed"]
    for phase in (*PHASES, "after"):
        own = [one for one in found if one.phase == phase]
        lost = sum(max(0, one.acknowledged - one.kept) for one in own)
        partly = sum(one.written > 0 for one in own)
        torn, good = sum(one.torn for one in own), sum(one.is_good for one in own)
        lines.append(f"{phase:8} {len(own):5}  {partly:20}  {torn:4}  {lost:11}  {good:3} of {len(own)}")
    return "\n".join([*lines, *(f"{one.phase}: {one.problem}" for one in found if one.problem)])


def main() -> int:
    """Kill, look, resume; 1 if anything was torn, lost or not completed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(Place(arguments.child))
        return 0
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        found = kills(arguments.kills, arguments.seed, Path(folder))
    print(table(found))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return 0 if all(one.is_good for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
