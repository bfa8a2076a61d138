"""Matrix product against cuBLAS, and a naive configuration beside the tuned one.

    python -m bench.matmul --out bench/results/matmul-h200.json

Needs a GPU; see bench/gpu_comparison.py for how configurations are chosen and timed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from bench import attention_candidates
from bench.gpu_comparison import FINAL, Comparison, Row
from spak.kernels.matmul.spec import SPEC, sizes

OP = Path(__file__).parents[1] / "laws" / "ops" / "matmul.yaml"
SIZES = ("m2048", "m4096", "m8192", "b8-m2048")
NAIVE_SIZE = "m4096"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    arguments = parser.parse_args()
    problems = yaml.safe_load(OP.read_text())["problems"]
    candidates = attention_candidates.matmul()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(arguments.arch, Path(folder), workers=len(os.sched_getaffinity(0)), seed=arguments.seed)
        naive = attention_candidates.NAIVE_MATMUL
        wanted = [(problems[size], c) for size in SIZES for c in [naive, *candidates]]
        comparison.compile_ahead("spak.kernels.matmul.spec", wanted)
        for size in SIZES:
            flops = 2.0 * math.prod(sizes(problems[size]))
            rows.append(comparison.compare(size, SPEC, problems[size], candidates, flops=flops))
            print(rows[-1].line(), flush=True)
        row = next(row for row in rows if row.name == NAIVE_SIZE)
        problem = problems[NAIVE_SIZE]
        inputs, outputs = SPEC.make_inputs(problem, seed=1, device="cuda"), SPEC.make_outputs(problem, device="cuda")
        launches = {"naive": naive, "tuned": row.ours.configuration}
        ready, _ = comparison.prepared(
            {key: (lambda c=c: SPEC.launch(inputs, outputs, problem, c)) for key, c in launches.items()}
        )
        evolution = {
            key: {
                "time_us": t.median,
                "low_us": t.low,
                "high_us": t.high,
                "tflops": row.flops / t.median / 1e6,
                "configuration": dict(launches[key] or {}),
            }
            for key, t in comparison.times(ready, FINAL).items()
        }
        ratios = [row.ratio for row in rows]
        result: dict[str, Any] = {
            "machine": comparison.machine(),
            "seed": arguments.seed,
            "geometric_mean": math.exp(sum(map(math.log, ratios)) / len(ratios)),
            "worst": min(ratios),
            "rows": [asdict(row) for row in rows],
            "evolution": {NAIVE_SIZE: evolution},
        }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"geometric mean {result['geometric_mean']:.3f}, worst {result['worst']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
