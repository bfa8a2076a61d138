"""The documents' versions that `bench.attention_versions` timed, as run files that `tune report` tells the four steps from.

    python -m bench.attention_runs --results bench/results/attention-versions-h200.json --commit 27f3dd1 --created 2026-11-21T03:43:49Z

Times nothing: it copies times and intervals, one run file for each kernel and size. All of one size were timed in the
same rounds; the results do not hold the relative errors, so the trials carry none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.run_file import rounded, write_run
from spak.kg.files.loader import Laws, load
from spak.kg.model.run import Device, Measurement, Noise, Run, Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import complete

KERNELS = {"naive": "naive-attention", "fused": "fused-attention"}
"""Version -> op, where the version is a kernel of its own; all others are configurations of FMHA."""

NOTE = (
    "Copied from bench/results by bench.attention_runs. Versions of one size were timed in the same rounds; the bench "
    "checks no numbers of these versions, the tests of the kernels do. The day is that of the results' commit."
)


def runs(results: Mapping[str, Any], laws: Laws, *, commit: str, created: str) -> Iterator[Run]:
    """A run for each kernel and size of the versions in `results`, on the hardware they were timed on."""
    machine, ops = results["machine"], laws.ops
    hw = Taxonomy("hardware", laws.hardware).resolve(machine["device"])
    slow, fast = machine["sm_clock_mhz"]
    device = Device(
        name=machine["device"], sm_clock_mhz_min=slow, sm_clock_mhz_max=fast, throttled=machine["throttled"]
    )
    noise = Noise(
        rounds=machine["final"]["rounds"], repeats=1, interleaved=True, l2=machine["l2"], timer=machine["timer"]
    )
    for size, versions in results["evolution"].items():
        by_op: dict[str, list[Trial]] = {}
        for version, entry in versions.items():
            if version != "refused":
                by_op.setdefault(KERNELS.get(version, "fmha"), []).append(_trial(entry))
        for op, trials in by_op.items():
            named = {name: v for name, v in ops["fmha"].problems[size].items() if name in ops[op].problem}
            yield Run(
                id=f"measured-{hw}-{op}-{size}-versions",
                tier="measured",
                created=created,
                hw=hw,
                op=op,
                toolchain={"torch": machine["torch"]},
                device=device,
                commit=commit,
                problem=complete(ops[op], named),
                flop_rule="useful",
                noise=noise,
                reference_times=_before(op, versions, laws),
                reproduce="python -m bench.attention_versions",
                note=NOTE,
                trials=tuple(trials),
            )


def _before(op: str, versions: Mapping[str, Any], laws: Laws) -> dict[str, Measurement]:
    """Times of the kernels that systems built from `op` were derived from, by system: a law about the step is judged by both."""
    sources = {source for system in laws.systems.values() if op in system.built_from for source in system.derived_from}
    return {
        KERNELS[version]: _trial(entry).measurements[0]
        for version, entry in versions.items()
        if KERNELS.get(version) in sources
    }


def _trial(entry: Mapping[str, Any]) -> Trial:
    time = Measurement(name="time", value=entry["time_us"], unit="us", low=entry["low_us"], high=entry["high_us"])
    return rounded(Trial(configuration=entry["configuration"], measurements=(time,)))


def main() -> int:
    """Write the run files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("bench/results/attention-versions-h200.json"))
    parser.add_argument("--commit", required=True, help="commit whose kernels were timed")
    parser.add_argument("--created", required=True, help="when, ISO 8601, UTC")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text())
    for run in runs(results, load(arguments.laws), commit=arguments.commit, created=arguments.created):
        print(write_run(run, arguments.laws / "evidence"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
