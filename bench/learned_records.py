"""What laws learned from other GPUs' records are worth on a GPU that took no part, beside the records themselves.

    python -m bench.learned_records FOLDER [--seeds 10] [--out FILE]

FOLDER holds `NAME_T4.json.gz`, one for each GPU, of the same kernel. Each GPU in turn is left out; of the others one third,
drawn by seed 0, suggests laws and the rest tests them, as `tune learn` does; all are below one hardware node, so that laws
may speak of all. The GPU left out is then searched by the code of `tune replay`, until it has found what is within 1 % of
the best, with these laws alone, with the records alone, and with both. Random search is its exact expectation.

`explained` is the share of what is slower than the laws' 1.2 there, or failed, that a law names; `wrong` of what they name is faster.
Prints one table; times in evaluations.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from bench.transfer import FRACTIONS, NOW, ended_at, geometric
from spak.kg.evidence.table import from_runs
from spak.kg.files.loader import Laws, load
from spak.kg.formats.importing import Import, import_file
from spak.kg.formats.nodes import HardwareName
from spak.kg.formats.reader import read_recording
from spak.kg.formats.recording import Recording
from spak.kg.law.kinds import meaning
from spak.kg.law.kinds.base import EffectTest
from spak.kg.model.law import Law
from spak.kg.model.run import Run
from spak.tuner.learn.records import LearnedRecords, LearnRequest, learn_records
from spak.tuner.replay import Replay, expected_random, replay

OP, FAMILY = "recorded", "gpu"
SLOW = 1.2
CONDITIONS = ("laws", "records", "both")


@dataclass(frozen=True)
class Row:
    """One GPU left out.

    Attributes:
        outcomes: Of the suggestions: outcome -> how many.
        laws: Expressions of those confirmed.
        explained: Share of the slow or failed configurations that a law names.
        wrong: Share of the named configurations that are neither.
        holds: Of the laws that its own record supports, and how many it refutes.
        random: Random search's expectation to each of `FRACTIONS`.
        counts: Condition -> evaluations of each search to each of `FRACTIONS`.
    """

    gpu: str
    outcomes: dict[str, int]
    laws: list[str]
    explained: float
    wrong: float
    holds: tuple[int, int]
    random: tuple[float, ...]
    counts: dict[str, list[list[int]]]

    def mean(self, condition: str, fraction: int) -> float:
        """Mean evaluations of the searches."""
        return float(np.mean([count[fraction] for count in self.counts[condition]]))


def others_of(folder: Path, held_out: str, scratch: Path) -> Laws:
    for path in sorted(folder.glob("*_T4.json*")):
        name = path.name.partition("_T4")[0]
        if name != held_out:
            import_file(scratch, Import(path, HardwareName(name, vendor=FAMILY), OP), NOW)
    return load(scratch)


def with_laws(laws: Laws, found: tuple[Law, ...], *, runs: bool) -> Laws:
    """The root with these laws, in memory; without its runs if so asked."""
    files = laws.contents.files if runs else {**laws.contents.files, "run": {}}
    contents = msgspec.structs.replace(laws.contents, laws={law.id: law for law in found}, files=files)
    return replace(laws, contents=contents)


def named(laws: tuple[Law, ...], record: Recording) -> tuple[float, float, tuple[int, int]]:
    """Share explained, share wrong, and how many laws the record supports and refutes."""
    run = Run(id="x", tier="measured", created="", hw="x", op=OP, trials=record.trials)
    table = from_runs([run])
    low, _ = table.slowdown_bounds()
    bad = (table.failed | (low >= SLOW))[0]
    regions = [table.holds(test.region, 0, {}) for law in laws if isinstance(test := meaning(law).test, EffectTest)]
    inside = np.logical_or.reduce([np.zeros_like(bad), *regions])
    right = sum(bool(bad[region].all()) for region in regions)
    wrong = float((inside & ~bad).sum() / max(1, inside.sum()))
    return float((inside & bad).sum() / bad.sum()), wrong, (right, len(regions) - right)


def left_out(folder: Path, path: Path, seeds: int) -> Row:
    name = path.name.partition("_T4")[0]
    record = read_recording(path)
    with tempfile.TemporaryDirectory() as scratch:
        laws = others_of(folder, name, Path(scratch) / "laws")
        learned: LearnedRecords = learn_records(laws, LearnRequest(OP))
        known = {
            "laws": with_laws(laws, learned.laws, runs=False),
            "records": with_laws(laws, (), runs=True),
            "both": with_laws(laws, learned.laws, runs=True),
        }
        counts = {condition: searched(record, name, known[condition], seeds) for condition in CONDITIONS}
    explained, wrong, holds = named(learned.laws, record)
    return Row(
        name,
        dict(Counter(candidate.outcome for candidate in learned.candidates)),
        [f"{meaning(law).verb} {meaning(law).text}" for law in learned.laws],
        explained,
        wrong,
        holds,
        tuple(expected_random(record, fraction) for fraction in FRACTIONS),
        counts,
    )


def searched(record: Recording, name: str, laws: Laws, seeds: int) -> list[list[int]]:
    what = Replay(HardwareName(name, vendor=FAMILY), OP, laws)
    done = [replay(record, replace(what, seed=seed), ended_at(record, FRACTIONS[-1])) for seed in range(seeds)]
    return [[one.evaluations_to(fraction) or len(record.trials) for fraction in FRACTIONS] for one in done]


def table(rows: list[Row]) -> list[str]:
    lines = ["| GPU left out | laws | of suggestions | explained | wrong | random, 95 / 99 % | laws | records | both |"]
    lines.append("|---" * 9 + "|")
    for row in rows:
        cells = [f"{row.mean(one, 0):.1f} / {row.mean(one, 1):.1f}" for one in CONDITIONS]
        random = f"{row.random[0]:.1f} / {row.random[1]:.1f}"
        shares = f"{row.explained:.0%} | {row.wrong:.1%}"
        total = sum(row.outcomes.values())
        lines.append(f"| {row.gpu} | {len(row.laws)} | {total} | {shares} | {random} | {' | '.join(cells)} |")
    fewer = [
        " / ".join(f"{geometric([row.random[f] / row.mean(one, f) for row in rows]):.1f}" for f in (0, 1))
        for one in CONDITIONS
    ]
    lines.append(f"| geometric mean, times fewer | | | | | | {' | '.join(fewer)} |")
    return lines


def main() -> int:
    """Measure every GPU and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for path in sorted(options.folder.glob("*_T4.json*")):
        rows.append(left_out(options.folder, path, options.seeds))
        sys.stderr.write(f"{rows[-1].gpu}: {rows[-1].outcomes} {rows[-1].laws}\n")
        if options.out:
            options.out.write_bytes(msgspec.json.format(msgspec.json.encode([asdict(row) for row in rows]), indent=1))
    sys.stdout.write("\n".join(table(rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
