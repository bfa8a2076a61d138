"""Attention forward against cuDNN, FlashAttention-4 and FlexAttention, on every kind of inputs that attention is judged on.

A size's configuration is chosen on inputs of another seed, in rounds of its own; that one configuration is then judged
on all kinds of inputs, in the same rounds as the libraries. `bench.attention_sitting` runs it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench import attention_candidates, flash_attention, flex
from bench.attention_judging import NORMAL, ON_NORMAL, OURS, Case, Contestant, Judged, fastest_of, judge
from bench.attention_scores import Tiles, score_statistics
from bench.gpu_comparison import CHOICE, FINAL, Comparison
from spak.kernels.attention.fmha.spec import SPEC as FMHA
from spak.kernels.attention.inputs import DISTRIBUTIONS, draw
from spak.kernels.attention.problem import Inputs, Shape
from spak.kernels.cutile import DTYPES
from spak.kernels.interface import Configuration, Problem
from spak.tuner.backend.gpu.timing import Plan

OP = Path(__file__).parents[1] / "laws" / "ops" / "fmha.yaml"
SIZES = [
    *(f"d{d}-s{s}-{mask}" for d in (64, 128) for s in (1024, 4096, 16384) for mask in ("causal", "full")),
    *(f"gqa32x8-d128-s2048-{mask}" for mask in ("causal", "full")),
]
MODEL = "nanogpt-124m"
"""The size that the trained model's layers have; judged on their Q, K and V in bf16, as it is trained, and in fp16."""
MODEL_FP16 = f"{MODEL}-fp16"
CHAR = "nanogpt-char"
"""The size of the layers of the character model that bench.nanogpt_training trains; judged as `MODEL` is."""
CHAR_FP16 = f"{CHAR}-fp16"
Kept = Mapping[int, Mapping[int, Any]]
"""Step -> layer -> what a model in training gave its attention there: Q, K and V."""
SCORED_HEADS = 2
"""Heads whose scores are looked at; more of them, 16,384 keys long, take longer than everything that is timed."""
KEPT = 0.85
"""Share of its speed on standard normal inputs that a policy keeps on every kind that is drawn, to be judged at all."""
LONG = Plan(rounds=21, slow_rounds=21, warmups=2)
"""How often a contestant is timed at 16,384 keys: milliseconds a launch, and intervals below 1 %."""
LONG_KEYS = 16384


def useful_flops(shape: Shape) -> float:
    """Two products over the unmasked pairs of query and key, multiply and add counted as two."""
    rows = range(shape.seq_q)
    pairs = sum(min(shape.seq_kv, row + shape.q_offset + 1) for row in rows) if shape.causal else 0
    return 4.0 * shape.batch * shape.heads * shape.head_dim * (pairs if shape.causal else shape.seq_q * shape.seq_kv)


def problems() -> dict[str, Problem]:
    """Every size judged, by name."""
    known = yaml.safe_load(OP.read_text())["problems"]
    halves = {name: {**known[model], "dtype": "fp16"} for name, model in ((MODEL_FP16, MODEL), (CHAR_FP16, CHAR))}
    return {**{size: known[size] for size in (*SIZES, MODEL, CHAR)}, **halves}


def model_of(size: str) -> str:
    """The trained model on whose inputs a size is judged; empty: on drawn ones."""
    return next((model for model in (MODEL, CHAR) if size.startswith(model)), "")


def plan_of(problem: Problem) -> Plan:
    """How often each contestant is timed at a size."""
    return LONG if int(problem["seq_kv"]) >= LONG_KEYS else FINAL


def ranked(by_kind: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Policies, best first, by their times on each kind of inputs: the least geometric mean among those that keep their speed.

    One keeps it that is on no kind slower than `KEPT` of its own speed on standard normal inputs; the others come last.
    """

    def order(policy: str) -> tuple[bool, float]:
        times = by_kind[policy]
        return times[NORMAL] < KEPT * max(times.values()), math.prod(times.values()) ** (1 / len(times))

    return sorted(by_kind, key=order)


def launched(inputs: Inputs, outputs: Any, problem: Problem, configuration: Configuration) -> Contestant:
    """One of ours; returns its output."""

    def launch() -> Any:
        FMHA.launch(inputs, outputs, problem, configuration)
        return outputs

    return Contestant(launch, configuration)


def libraries(inputs: Inputs, problem: Problem, *, every: bool, with_flex: bool) -> dict[str, Contestant]:
    """Those of NVIDIA (cuDNN) and FlashAttention-4; with `every` the others too, which were never the fastest."""
    found: dict[str, Any] = dict(FMHA.baselines(inputs, problem))
    if not every:
        found = {name: launch for name, launch in found.items() if name == "sdpa-cudnn"}
    found["fa4"] = later(flash_attention.forward, inputs, problem)
    if every and with_flex:
        found["flex"] = later(flex.forward, inputs, problem)
    return {name: Contestant(launch) for name, launch in found.items()}


def later(make: Any, inputs: Any, problem: Problem) -> Any:
    """The call that `make` gives, made at its first call: what cannot be made is refused there, with its reason."""
    made: list[Any] = []

    def launch() -> Any:
        if not made:
            made.append(make(inputs, problem))
        return made[0]()

    return launch


def model_kinds(model: Kept, problem: Problem) -> Iterator[tuple[str, Inputs]]:
    """What a trained model's layers gave their attention, in the problem's type."""
    import torch

    dtype = getattr(torch, DTYPES[str(problem["dtype"])])
    for step, layers in model.items():
        for layer, tensors in layers.items():
            yield f"model-{step}-layer-{layer}", Inputs(*(x.to("cuda").to(dtype) for x in tensors))


class Forward:
    """The sizes of one run, each with the configurations chosen for it."""

    def __init__(self, comparison: Comparison, models: Mapping[str, Kept], seed: int, *, with_flex: bool) -> None:
        """`models` by the names that `model_of` gives."""
        self.comparison, self.models, self.seed, self.with_flex = comparison, models, seed, with_flex

    def choose(self, problem: Problem) -> dict[str, Configuration]:
        """By policy, its fastest configuration on standard normal inputs; the first is the one judged.

        Its policy is the first of `ranked` on all kinds of drawn inputs. They have another seed than those that it is
        judged on, and no trained model's are among them.
        """
        outputs = FMHA.make_outputs(problem, device="cuda")
        by_policy: dict[str, list[Configuration]] = {}
        for configuration in attention_candidates.fmha(problem):
            by_policy.setdefault(attention_candidates.policy(configuration), []).append(configuration)
        normal = draw(NORMAL, problem, seed=self.seed, device="cuda")
        best: dict[str, Configuration] = {}
        for policy, those in by_policy.items():
            fastest, _ = fastest_of(self.comparison, [launched(normal, outputs, problem, c) for c in those])
            best[policy] = fastest.configuration or {}
        by_kind: dict[str, dict[str, float]] = {policy: {} for policy in best}
        for name in DISTRIBUTIONS:
            inputs = draw(name, problem, seed=self.seed, device="cuda")
            launches = {policy: launched(inputs, outputs, problem, c).launch for policy, c in best.items()}
            ready, _ = self.comparison.prepared(launches)
            for policy, time_us in self.comparison.times(ready, CHOICE).items():
                by_kind[policy][name] = time_us.median
        return {policy: best[policy] for policy in ranked(by_kind)}

    def kinds(self, size: str, problem: Problem) -> Iterator[tuple[str, Inputs]]:
        """Kinds of inputs by name, drawn when asked for."""
        if model := model_of(size):
            yield from model_kinds(self.models.get(model, {}), problem)
        else:
            for name in DISTRIBUTIONS:
                yield name, draw(name, problem, seed=self.seed + 1, device="cuda")

    def judged(self, size: str, problem: Problem) -> Iterator[Judged]:
        """Rows of one size."""
        by_policy = self.choose(problem)
        policy, *others = by_policy
        chosen = {OURS: by_policy[policy], **{f"{OURS}-{other}": by_policy[other] for other in others}}
        outputs = FMHA.make_outputs(problem, device="cuda")
        normal = draw(NORMAL, problem, seed=self.seed + 1, device="cuda")
        apart = {ON_NORMAL: launched(normal, outputs, problem, chosen[OURS])}
        for kind, inputs in self.kinds(size, problem):
            reference = partial(FMHA.reference, inputs, problem)
            flops = useful_flops(Shape.of(problem))
            case = Case(size, kind, problem, flops, outputs, reference, FMHA.tolerance(problem), plan_of(problem))
            contestants = {name: launched(inputs, outputs, problem, c) for name, c in chosen.items()}
            contestants |= libraries(inputs, problem, every=kind == NORMAL, with_flex=self.with_flex)
            row = judge(self.comparison, case, contestants, apart={} if kind == NORMAL else apart)
            yield replace(row, policy=policy, scores=scores(inputs, problem, chosen))


def scores(inputs: Inputs, problem: Problem, chosen: Mapping[str, Configuration]) -> dict[str, Any]:
    """What some heads of the first sequence make the policy judged do with its tiles."""
    shape, c = Shape.of(problem), chosen[OURS]
    keys = max(1, SCORED_HEADS // shape.group)
    q, k = inputs.q[:1, : keys * shape.group], inputs.k[:1, :keys]
    tiles = Tiles(int(c["tile_m"]), int(c["tile_n"]), max(1, int(c["sum_lanes"])))
    statistics = score_statistics(q, k, causal=shape.causal, tiles=tiles, fits=attention_candidates.FITS)
    return {OURS: asdict(statistics)}


def forward_configurations(path: Path | None) -> dict[str, Configuration]:
    """By size, those judged in the forward pass's results; none without them."""
    if path is None or not path.exists():
        return {}
    rows = json.loads(path.read_text())["rows"]
    return {row["size"]: row["contestants"][OURS]["configuration"] for row in rows}
