"""Attention forward against PyTorch's SDPA and FlexAttention, and the documents' versions from naive to tuned.

    python -m bench.attention --out bench/results/attention-h200.json

Needs a GPU. Every size of `SIZES` in one run: candidates are chosen in one set of rounds and timed in another.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from bench import attention_candidates
from bench.gpu_comparison import FINAL, Comparison, Entry, Row, matmul_rate_tflops
from spak.kernels.attention.fmha.spec import SPEC as FMHA
from spak.kernels.attention.problem import Inputs, Shape
from spak.kernels.interface import Configuration, Problem

OP = Path(__file__).parents[1] / "laws" / "ops" / "fmha.yaml"
SIZES = [
    *(f"d{d}-s{s}-{mask}" for d in (64, 128) for s in (1024, 4096, 16384) for mask in ("causal", "full")),
    *(f"gqa32x8-d128-s2048-{mask}" for mask in ("causal", "full")),
]
RISE = 30.0
"""Keys after the first tile are this much longer: scores of standard normal inputs then rise by over 16 powers of two."""
EVOLUTION = ("d64-s1024-full", "d64-s1024-causal")


def useful_flops(shape: Shape) -> float:
    """Two products over the unmasked pairs of query and key, multiply and add counted as two."""
    rows = range(shape.seq_q)
    pairs = sum(min(shape.seq_kv, row + shape.q_offset + 1) for row in rows) if shape.causal else 0
    return 4.0 * shape.batch * shape.heads * shape.head_dim * (pairs if shape.causal else shape.seq_q * shape.seq_kv)


def flex_attention(inputs: Inputs, problem: Problem) -> Mapping[str, Callable[[], object]]:
    """FlexAttention, compiled for this size; compiles at its first call."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    shape = Shape.of(problem)
    torch._dynamo.reset()  # noqa: SLF001  # one size must not count as a recompilation of another
    mask = None
    if shape.causal:
        mask = create_block_mask(lambda _b, _h, q, k: q >= k, None, None, shape.seq_q, shape.seq_kv, device="cuda")
    compiled = torch.compile(flex_attention, dynamic=False)
    return {
        "flex": lambda: compiled(inputs.q, inputs.k, inputs.v, block_mask=mask, enable_gqa=shape.group > 1),
    }


def evolution(comparison: Comparison, problem: Problem, tuned: Configuration) -> dict[str, Any]:
    """From naive to fused, v1, v2-3, v4 and tuned on one size, interleaved; what a version lacks is left out."""
    from spak.kernels.attention.fused.spec import SPEC as FUSED
    from spak.kernels.attention.naive.spec import SPEC as NAIVE

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


def first_maximum(comparison: Comparison, problem: Problem, chosen: Configuration) -> dict[str, Any]:
    """What it costs and saves to take the first key tile's maximum for a row's.

    Interleaved: the chosen configuration, the same with a running maximum, and the chosen one on keys that make every
    query tile that sees more than one key tile compute twice.

    Raises:
        RuntimeError: If the result on such keys is not within the tolerance of float64.
    """
    import torch

    inputs = FMHA.make_inputs(problem, seed=2, device="cuda")
    outputs = FMHA.make_outputs(problem, device="cuda")
    rising = inputs.k.clone()
    rising[:, :, int(chosen["tile_n"]) :] *= RISE
    again = Inputs(inputs.q, rising, inputs.v)
    FMHA.launch(again, outputs.fill_(float("nan")), problem, chosen)
    want = FMHA.reference(again, problem)
    error = float(torch.linalg.vector_norm(outputs.double() - want) / torch.linalg.vector_norm(want))
    if not error <= FMHA.tolerance(problem):
        raise RuntimeError(f"relative error {error:.3g} on rising scores, above {FMHA.tolerance(problem):g}: {chosen}")
    del want
    torch.cuda.empty_cache()
    ready, _ = comparison.prepared(
        {
            "first": lambda: FMHA.launch(inputs, outputs, problem, chosen),
            "running": lambda: FMHA.launch(inputs, outputs, problem, {**chosen, "running_max": True}),
            "again": lambda: FMHA.launch(again, outputs, problem, chosen),
        }
    )
    times = comparison.times(ready, FINAL)
    return {key: asdict(Entry(t.median, t.low, t.high)) for key, t in times.items()} | {"again_error": error}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--only", default="", help="sizes whose name contains this")
    parser.add_argument(
        "--flex-until-s", type=float, default=1e9, help="leave FlexAttention out after this many seconds"
    )
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    arguments = parser.parse_args()
    started = time.monotonic()
    problems = yaml.safe_load(OP.read_text())["problems"]
    sizes = [size for size in SIZES if arguments.only in size]
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(arguments.arch, Path(folder), workers=len(os.sched_getaffinity(0)), seed=arguments.seed)
        wanted = [(problems[size], c) for size in sizes for c in attention_candidates.fmha(problems[size])]
        comparison.compile_ahead("spak.kernels.attention.fmha.spec", wanted)
        print(f"compiled at {time.monotonic() - started:.0f} s", file=sys.stderr)
        rate = matmul_rate_tflops(comparison)
        rows: list[Row] = []
        result: dict[str, Any] = {}

        def save() -> None:
            ratios = [row.ratio for row in rows]
            result.update(
                machine=comparison.machine(),
                seed=arguments.seed,
                bf16_matmul_tflops=rate,
                geometric_mean=math.exp(sum(map(math.log, ratios)) / len(ratios)),
                worst=min(ratios),
                rows=[asdict(row) for row in rows],
            )
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")

        for size in sizes:
            problem = problems[size]
            more = flex_attention if time.monotonic() - started < arguments.flex_until_s else None
            row = comparison.compare(
                size,
                FMHA,
                problem,
                attention_candidates.fmha(problem),
                flops=useful_flops(Shape.of(problem)),
                more=more,
            )
            rows.append(row)
            print(
                f"{row.line()}  {row.tflops / rate:4.0%} of matmul  at {time.monotonic() - started:.0f} s", flush=True
            )
            save()
        if not arguments.only:
            tuned = {row.name: row.ours.configuration or {} for row in rows}
            first = {size: c for size, c in tuned.items() if not c["running_max"]}
            result["first_maximum"] = {size: first_maximum(comparison, problems[size], c) for size, c in first.items()}
            save()
            result["evolution"] = {size: evolution(comparison, problems[size], tuned[size]) for size in EVOLUTION}
            save()
    print(f"geometric mean {result['geometric_mean']:.3f}, worst {result['worst']:.3f}, bf16 matmul {rate:.0f} TFLOPS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
