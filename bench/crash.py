"""Kills a search at random moments and looks at what is left: laws whole, finished trials kept, resume completes.

    python -m bench.crash [--kills 100] [--seed 0] [--json FILE]

A child process searches a recorded H200 sweep of matmul through the real loop, journal, run file and write-back, on a
copy of the law root in which some law files are missing, so that it writes new ones too. The parent kills it (SIGKILL),
half of the time while it searches and half of the time while it writes, then lets another child resume.
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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from kg.loader import EVIDENCE, Laws, load
from kg.model.run import Run
from tuner import journal, loop, record, writeback
from tuner.backend.base import Provenance
from tuner.backend.replay import ReplayBackend
from tuner.budget import Budget
from tuner.confirm.evidence import Witness, differences
from tuner.replaying import Recording, recorded_space
from tuner.restriction import Context, restrict
from tuner.strategy import registry

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "laws"
RECORDED = "measured-h200-matmul-m2048"
TRIALS = 200
NEW = 2
"""Law files taken out of the copy and written anew by the search."""

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
READY, WRITING, DONE = "ready", "writing", "done"


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
        phase: `search` or `write`: which the kill was aimed at.
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


def removed() -> list[str]:
    """Laws that the copy lacks."""
    return sorted(name for name, law in load(SHIPPED).laws.items() if _is_subject(law))[:NEW]


def _is_subject(law: object) -> bool:
    scope = law.scope  # type: ignore[attr-defined]
    return bool(scope.op == "matmul" and scope.hw == "sm_90")


def prepare(folder: Path) -> Place:
    """A law root with what a matmul search needs, without the first laws it could confirm."""
    place = Place(folder)
    shipped = load(SHIPPED)
    shutil.copytree(SHIPPED, place.laws, ignore=shutil.ignore_patterns("measured-h200-fmha-*", "systems"))
    for name, law in shipped.laws.items():
        if not _is_subject(law) or name in removed():
            (place.laws / shipped.paths["law"][name]).unlink()
    return place


# ------------------------------------------------------------------------------------------------------------- child


def child(place: Place) -> None:
    """Search, or go on with the journal there is, and write back; tells the parent how far it is."""
    shipped, laws = load(SHIPPED), load(place.laws)
    recorded = shipped.run(RECORDED)
    recording = Recording(
        "run", dict(_parameters(recorded)), declared=False, trials=recorded.trials, problem=recorded.problem
    )
    space = recorded_space(recording, laws.ops["matmul"], "matmul", {})
    provenance = Provenance("measured", recorded.toolchain, recorded.device, recorded.noise, "time")
    subject = record.Subject("h200", "matmul", space.setting.problem, "m2048", "0" * 64)
    frame = record.Frame(subject, record.Method("random", 0, "python -m bench.crash"), provenance, CREATED)
    print(READY, flush=True)
    diary, done = _diary(place, frame)

    def keep(trial: object) -> None:
        diary.add(trial)  # type: ignore[arg-type]
        print("trial", flush=True)

    search = loop.Search(
        restrict(space, laws, Context("h200")), lambda: registry.make("random"), Budget(TRIALS, None, 0.1)
    )
    hooks = loop.Hooks(time.monotonic, keep, lambda *_: None)
    run = record.build(frame, loop.run(search, ReplayBackend(recording, provenance), hooks, done))
    diary.close()
    made = writeback.changes(run, laws, [shipped.laws[name] for name in removed()])
    print(WRITING, flush=True)
    record.write(run, place.laws / EVIDENCE)
    writeback.apply(made)
    print(DONE, flush=True)


def _parameters(run: Run) -> dict[str, tuple[object, ...]]:
    return {
        name: tuple(dict.fromkeys(t.configuration[name] for t in run.trials)) for name in run.trials[0].configuration
    }


def _diary(place: Place, frame: record.Frame) -> tuple[journal.Journal, tuple[object, ...]]:
    if place.journal.exists() and b"\n" in place.journal.read_bytes():
        return journal.Journal.reopen(place.journal), journal.read(place.journal).trials
    place.journal.unlink(missing_ok=True)
    header = journal.Header(
        format=journal.FORMAT,
        run=frame.run_id,
        created=CREATED.isoformat(),
        arguments={},
        source_sha256="0" * 64,
        toolchain=frame.provenance.toolchain,
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


def timing(folder: Path) -> tuple[float, float]:
    """Seconds that an undisturbed child searches and writes."""
    one = Child.start(prepare(folder))
    one.until(READY)
    started = time.monotonic()
    one.until(WRITING)
    searched = time.monotonic()
    one.until(DONE)
    written = time.monotonic()
    if one.end():
        raise RuntimeError("the undisturbed search failed")
    return searched - started, written - searched


def kill(folder: Path, phase: str, after: float) -> Kill:
    """One search killed `after` seconds into `phase`, looked at, and resumed."""
    place = prepare(folder)
    one = Child.start(place)
    one.until(READY if phase == "search" else WRITING)
    time.sleep(after)
    one.process.send_signal(signal.SIGKILL)
    one.end()
    torn, written = left(place)
    kept = len(journal.read(place.journal).trials) if _has_header(place) else 0
    again = Child.start(place)
    resumed = again.end() == 0 and again.said[DONE] == 1
    return Kill(phase, one.said["trial"], kept, torn, written, resumed, wrong(place) if resumed else "did not end")


def _has_header(place: Place) -> bool:
    return place.journal.exists() and b"\n" in place.journal.read_bytes()


def left(place: Place) -> tuple[int, int]:
    """Law files that cannot be read, and those that have evidence of the search already."""
    from kg.errors import KgError
    from kg.writeback.edit import LawFile

    torn = written = 0
    for path in place.laws.glob("sm_90/matmul/*.yaml"):
        try:
            law = LawFile.read(path).law
        except KgError:
            torn += 1
            continue
        written += any("20260101t000000" in entry.run for entry in law.evidence) or law.id in removed()
    return torn, written


def wrong(place: Place) -> str:
    """What is wrong with a completed search: lost trials, missing or repeated evidence, evidence untrue to the run."""
    laws = load(place.laws)
    (name,) = [run for run in laws.run_ids if run.endswith("20260101t000000")]
    run = laws.run(name)
    diary = journal.read(place.journal)
    if len(run.trials) != TRIALS or len(diary.trials) != TRIALS:
        return f"{len(run.trials)} of {TRIALS} trials"
    if missing := [law for law in removed() if law not in laws.laws]:
        return f"new law missing: {missing[0]}"
    return next(_untrue(laws, Witness(run, laws)), "")


def _untrue(laws: Laws, witness: Witness):
    for law in laws.laws.values():
        own = [entry for entry in law.evidence if entry.run == witness.run.id]
        expected = {witness.entry(law) is not None}
        if law.id in removed():  # new: whoever resumes after it was written finds a law to add evidence to
            expected = {False, True}
        if len(own) not in expected:
            yield f"{law.id}: {len(own)} entries of the run"
        yield from (line for entry in own for line in differences(law, entry, witness))


def kills(count: int, seed: int, folder: Path) -> list[Kill]:
    """`count` kills, half in each phase."""
    rng = random.Random(seed)
    durations = timing(folder / "undisturbed")
    found = []
    for place in range(count):
        phase, duration = (("search", durations[0]), ("write", durations[1]))[place % 2]
        found.append(kill(folder / str(place), phase, rng.uniform(0, duration)))
        shutil.rmtree(folder / str(place))
    return found


def table(found: Sequence[Kill]) -> str:
    """The kills by phase, a line each."""
    lines = ["phase    kills  after some law files  torn  trials lost  resumed"]
    for phase in ("search", "write"):
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
