"""The documents' versions of attention, from naive to tuned, timed in the same rounds.

    python -m bench.attention_versions --out bench/results/attention-versions-h200.json --tuned bench/results/attention-h200.json

Needs a GPU. The tuned version is what `bench.attention_sitting` chose; versions that lack a mask are left out where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import attention_candidates
from bench.attention import forward_configurations, problems, useful_flops
from bench.gpu_comparison import FINAL, Comparison, Entry
from spak.kernels.attention.fmha.spec import SPEC as FMHA
from spak.kernels.attention.fused.spec import SPEC as FUSED
from spak.kernels.attention.naive.spec import SPEC as NAIVE
from spak.kernels.attention.problem import Shape
from spak.kernels.interface import Configuration, Problem

EVOLUTION = ("d64-s1024-full", "d64-s1024-causal")


def evolution(comparison: Comparison, problem: Problem, tuned: Configuration) -> dict[str, Any]:
    """From naive to fused, v1, v2-3, v4 and tuned on one size, interleaved; what a version lacks is left out."""
    inputs = FMHA.make_inputs(problem, seed=1, device="cuda")
    outputs = FMHA.make_outputs(problem, device="cuda")
    versions: dict[str, tuple[Any, Configuration]] = {"naive": (NAIVE, attention_candidates.NAIVE)}
    if not problem["causal"]:
        versions |= {"fused": (FUSED, attention_candidates.FUSED), "v1": (FMHA, attention_candidates.VERSIONS["v1"])}
    versions |= {key: (FMHA, attention_candidates.VERSIONS[key]) for key in ("v2-3", "v4")}
    versions["tuned"] = (FMHA, tuned)
    ready, refused = comparison.prepared(
        {key: (lambda s=s, c=c: s.launch(inputs, outputs, problem, c)) for key, (s, c) in versions.items()}
    )
    flops = useful_flops(Shape.of(problem))
    table: dict[str, Any] = {"refused": refused} if refused else {}
    for key, t in comparison.times(ready, FINAL).items():
        entry = Entry(t.median, t.low, t.high, dict(versions[key][1]))
        table[key] = {**asdict(entry), "tflops": flops / t.median / 1e6}
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tuned", type=Path, required=True, help="attention.json of bench.attention_sitting")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    arguments = parser.parse_args()
    tuned = forward_configurations(arguments.tuned)
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(arguments.arch, Path(folder), workers=1, seed=arguments.seed)
        found = {size: evolution(comparison, problems()[size], tuned[size]) for size in EVOLUTION}
        result = {"machine": comparison.machine(), "seed": arguments.seed, "evolution": found}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
