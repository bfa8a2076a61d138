"""Hard laws learnt from a near relative: is the optimum lost where they are wrong?

    python -m bench.hard_laws FOLDER --arch A100=sm_80,... [--seeds 20] [--out FILE]

For each record in FOLDER, laws are mined from the record of its nearest relative and stated for the searched GPU's own
architecture as confirmed, so that they may remove configurations: more than the tuner itself would ever let them.
The record is then searched as `tune replay --use-laws` does, with the default share of audits, until its very best is found:
once with all other records known, once with the laws alone. `known` and `laws` are evaluations to 95 %, to 99 % and to the
optimum, means over the seeds; in how many searches the best was found; the most that one search needed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from bench.transfer import ended_at, root_of
from spak.kg.evidence.table import from_runs
from spak.kg.files.loader import Laws, load
from spak.kg.formats.nodes import HardwareName, identifier
from spak.kg.formats.reader import read_recording
from spak.kg.formats.recording import Recording
from spak.kg.law.kinds.avoid import NegativeLaw
from spak.kg.law.status import status
from spak.kg.model.hardware import Hardware, hardware_facts
from spak.kg.model.law import Evidence, Law
from spak.kg.model.run import Run
from spak.tuner.knowledge.gather import kinship
from spak.tuner.knowledge.restriction import Context, restrict
from spak.tuner.learn.mining.candidates import Topic, mine
from spak.tuner.replay import Replay, expected_random, recorded_space, replay

FRACTIONS = (0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Searches:
    """Some searches of one record: evaluations to each of `FRACTIONS`, and how many found the best."""

    means: tuple[float, ...]
    found: int
    most: int
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Case:
    """One record under the laws of its nearest relative.

    Attributes:
        laws: Laws that may remove.
        removed: Share of the space that they remove.
        lost: The best of what they leave, as a fraction of the optimum; 1 where they leave the optimum.
        random: Random search's expectation to each of `FRACTIONS`.
        known, alone: With all other records known, and with the laws alone.
        contested: Searches of `known` and of `alone` in which a law was found out.
    """

    target: str
    relative: str
    laws: int
    removed: float
    lost: float
    random: tuple[float, ...]
    known: Searches
    alone: Searches
    contested: tuple[int, int]


def stated(law: Law) -> Law:
    """`law` as if it had been confirmed on another day, at two more problem sizes."""
    first = msgspec.structs.replace(law.evidence[0], occasion=f"2026-01-01 {law.scope.hw}")
    entry = Evidence(
        run=f"{law.evidence[0].run}-again",
        verdict="supports",
        tier="measured",
        role="independent",
        effect=law.evidence[0].effect,
        interval={name: (low, high + 1e-4) for name, (low, high) in law.evidence[0].interval.items()},
        problems=("size=1", "size=2"),
        occasion=f"2026-01-02 {law.scope.hw}",
    )
    found = msgspec.structs.replace(law, evidence=(first, *law.evidence[1:], entry))
    return msgspec.structs.replace(found, status=status(found))


def hard_laws(run: Run, hw: str) -> dict[str, Law]:
    """What is mined from `run`, stated for `hw`."""
    mined = mine(from_runs([run]), Topic(hw, run.op, run.op, (), run.id))
    return {law.id: stated(law) for law in mined}


def related(laws: Laws) -> Laws:
    """`laws` with a vendor above each architecture, which counts as a compute capability: only there a law may remove."""
    hardware = {vendor: Hardware(id=vendor, title=vendor, kind="vendor") for vendor in ("nvidia", "amd")}
    for name, node in laws.hardware.items():
        vendor = "nvidia" if name.startswith("sm_") else "amd"
        is_arch = node.kind == "architecture"
        hardware[name] = msgspec.structs.replace(node, kind="compute-capability", is_a=(vendor,)) if is_arch else node
    return replace(laws, contents=msgspec.structs.replace(laws.contents, hardware=hardware))


def searched(record: Recording, what: Replay, seeds: int) -> tuple[Searches, int]:
    """Searches until the best is found, and in how many a law was found out."""
    done = [replay(record, replace(what, seed=seed), ended_at(record, 1.0)) for seed in range(seeds)]
    counts = [tuple(search.evaluations_to(f) or len(record.trials) for f in FRACTIONS) for search in done]
    means = tuple(float(mean) for mean in np.mean(counts, axis=0))
    found = sum(search.evaluations_to(1.0) is not None for search in done)
    contested = sum(bool(search.restriction.contested) for search in done)
    return Searches(means, found, max(count[-1] for count in counts), tuple(counts)), contested


def case(name: str, records: dict[str, Recording], arch: dict[str, str], seeds: int) -> Case:
    """One record, the others known."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        known = related(root_of(root, records, arch))
        runs = {known.run(run).hw: run for run in known.run_ids}
        own = name.lower()
        relative = max(sorted(set(runs) - {own}), key=lambda hw: kinship(known, own, hw))
        found = hard_laws(known.run(runs[relative]), identifier(arch[name]))
        (root / "laws" / "evidence").joinpath(f"{runs[own]}.json.gz").unlink()  # its own record is not known
        known = related(load(root / "laws"))
        known = replace(known, contents=msgspec.structs.replace(known.contents, laws=found))
        for run in known.run_ids:
            known.run(run)
    what = Replay(HardwareName(name, arch[name]), "recorded", known)
    record = records[name]
    space = recorded_space(record, known.ops["recorded"], "recorded", hardware_facts(known, own))
    restriction = restrict(space, known, Context(own))
    left = [
        trial.value("time")
        for trial in record.trials
        if trial.value("time") is not None and not restriction.removed[space.index(trial.configuration)]
    ]
    best = min(value for trial in record.trials if (value := trial.value("time")) is not None)
    with_sources, one = searched(record, what, seeds)
    bare = replace(known, contents=msgspec.structs.replace(known.contents, files={**known.contents.files, "run": {}}))
    alone, two = searched(record, replace(what, laws=bare), seeds)
    return Case(
        target=name,
        relative=relative,
        laws=sum(isinstance(law, NegativeLaw) and law.status == "confirmed" for law in found.values()),
        removed=float(restriction.removed.mean()),
        lost=best / min(left),
        random=tuple(expected_random(record, fraction) for fraction in FRACTIONS),
        known=with_sources,
        alone=alone,
        contested=(one, two),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    arch = dict(pair.split("=") for pair in options.arch.split(","))
    files = sorted(options.folder.glob("*_T4.json*"))
    records = {path.name.partition("_T4")[0]: read_recording(path) for path in files}
    cases = []
    print(
        f"{'GPU':8} {'laws of':8} {'laws':>4} {'removed':>7} {'left':>6}   to 95 %, 99 %, the best: random; known; laws"
    )
    for name in records:
        one = case(name, records, arch, options.seeds)
        cases.append(one)
        shown = "; ".join(
            " ".join(f"{value:7.1f}" for value in row) for row in (one.random, one.known.means, one.alone.means)
        )
        print(
            f"{name:8} {one.relative:8} {one.laws:4} {one.removed:7.1%} {one.lost:6.3f}   {shown}; found "
            f"{one.known.found} and {one.alone.found} of {options.seeds}, at most {one.known.most} and {one.alone.most}; "
            f"laws found out {one.contested[0]} and {one.contested[1]}",
            flush=True,
        )
    if options.out:
        options.out.write_bytes(msgspec.json.encode({"seeds": options.seeds, "cases": cases}) + b"\n")
    print(f"({time.perf_counter() - started:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main()
