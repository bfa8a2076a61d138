"""Sweeps of the small operators of a NanoGPT step, each with PyTorch's operator in the same rounds: one call for all.

    python -m bench.nanogpt_sweeps --out laws/evidence --budget-s 540

A step takes PyTorch's operator wherever a run here says that it is faster, so every size has it as a baseline. Those that take
the most time come first; what does not fit the budget is named and left out. `bench.sweep` does each; needs a GPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LEAST_S = 30.0
"""Seconds below which no sweep is begun."""


@dataclass(frozen=True)
class Swept:
    """What is swept of an op: sizes by a regular expression over their names, and values instead of its core's."""

    op: str
    only: str
    label: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """As bench.sweep takes them."""
        chosen = [word for name, value in self.values.items() for word in ("--set", f"{name}={value}")]
        return ["measure", self.op, "--only", self.only, *chosen, *(["--label", self.label] if self.label else [])]


NANOGPT = "nanogpt-(124m|char)(-backward)?"
NORMS = {"num_worker_warps": "4,8", "use_tma": "false"}
ATTENTION_GRADIENTS = {
    "dq_form": "split",
    "tile_m": "64",
    "tile_n": "64",
    "num_worker_warps": "4",
    "q_loads": "2",
    "occupancy": "2",
    "accumulator_init": "zeros,delta",
    "heads_fastest": "false,true",
}
"""What a search found at this size, and what was chosen there before and the search did not try; in a step that was faster."""
SWEEPS = (
    Swept("fmha-backward", "nanogpt-(124m|char)", "order", ATTENTION_GRADIENTS),
    Swept("add-norm", NANOGPT, "warps", NORMS),
    Swept("adam", "nanogpt-(124m|char)"),
    Swept("column-sum", "nanogpt-.*"),
    Swept("linear-gelu", "nanogpt-(124m|char)-backward", "sums", {"epilogue_subtiles": "1", "tma_stores": "true"}),
    Swept("embedding", NANOGPT, "sorted", {"row_sums": "sorted"}),
)
"""Those first of which nothing is recorded. Backward, linear-gelu's recorded baseline computes the forward pass again."""

UNSEEN = (Swept("add-norm", "nanogpt-124m-bf16(-backward)?", "warps", NORMS),)
"""Sizes at which no law was found: what the sweeps above suggest is tested there. They come last."""


def sweep_all(
    budget_s: float, rest: Sequence[str], run: Callable[[Sequence[str]], int], clock: Callable[[], float]
) -> int:
    """Run every sweep while there is time, each until the budget's end at most; the number of those that failed.

    Args:
        budget_s: Seconds of all.
        rest: Further words for bench.sweep.
        run: Runs it with these words; gives its exit status.
        clock: Seconds.
    """
    started, failed = clock(), 0
    for sweep in (*SWEEPS, *UNSEEN):
        left = budget_s - (clock() - started)
        if left < LEAST_S:
            print(f"{sweep.op} {sweep.only}: left out, {left:.0f} s left", flush=True)
            continue
        failed += run([*sweep.words(), *rest, "--budget-s", f"{left:.0f}"]) != 0
    return failed


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and sweep; 1 if a sweep failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("laws/evidence"), help="folder for run files")
    parser.add_argument("--budget-s", type=float, default=540.0, help="seconds of all sweeps together")
    parser.add_argument("--commit", default="", help="commit of this repository")
    options = parser.parse_args(argv)
    rest = ["--out", str(options.out), *(["--commit", options.commit] if options.commit else [])]

    def run(words: Sequence[str]) -> int:
        return subprocess.run([sys.executable, "-m", "bench.sweep", *words], check=False).returncode

    return int(sweep_all(options.budget_s, rest, run, time.monotonic) > 0)


if __name__ == "__main__":
    sys.exit(main())
