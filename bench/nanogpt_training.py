"""The character model trained on Shakespeare: validation losses over three seeds of each contestant.

    python -m bench.nanogpt_training --data tinyshakespeare.txt --out bench/results/nanogpt-training-h200.json

nanoGPT's character configuration with dropout 0.2, its cosine shortened to `--steps`. The trainings of a seed begin
with the same weights and see the same batches in the same order. All run at once, each in a process of its own: nothing here is timed. Losses are of the whole validation text, by one
evaluator for all, which also keeps Q, K and V of every layer at `KEEP_STEPS`, as bench.attention_model does, with
what their scores do to an online softmax.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.nanogpt_cases import CASES, EAGER, OURS, TORCH, Batches, Case, Recipe, Run, characters

KEEP_STEPS = (0, 200, 2000)
HELD_OUT = 0.1
"""Share of the text, its end, that is for validation. Source: nanoGPT."""
CONTESTANTS = (OURS, TORCH)
DEVICE = "cuda"


@dataclass(frozen=True)
class Schedule:
    """How one model is trained; nanoGPT's character configuration, which has 5,000 steps, where it has the setting."""

    steps: int = 2000
    warmup: int = 100
    rate: float = 1e-3
    least_rate: float = 1e-4
    dropout: float = 0.2
    evaluate_every: int = 250

    def rate_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to `least_rate`."""
        if step < self.warmup:
            return self.rate * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.least_rate + (self.rate - self.least_rate) * 0.5 * (1.0 + math.cos(math.pi * done))


class Evaluator:
    """Losses of given weights on the whole validation text, and what its attention sees; the same for every trainer."""

    def __init__(self, case: Case, text: Any, device: str) -> None:
        """`text` (N,) int64 on the CPU."""
        from bench.nanogpt_torch import TorchGpt

        context = case.config.context
        count = (len(text) - 1) // context
        self._x, self._y = (text[start : start + count * context].view(count, context).to(device) for start in (0, 1))
        self._case, self._device = case, device
        self._model = TorchGpt(case.config).to(device).eval()

    def loss(self, weights: Mapping[str, Any]) -> float:
        """Mean over all positions, nats, under autocast."""
        import torch

        self._model.load(weights)
        total = 0.0
        with torch.no_grad(), torch.autocast(self._device, dtype=torch.bfloat16):
            for x, y in zip(self._x.split(self._case.batch), self._y.split(self._case.batch), strict=True):
                total += float(self._model(x, y)) * len(x)
        return total / len(self._x)

    def seen_by_attention(self, weights: Mapping[str, Any]) -> list[tuple[Any, Any, Any]]:
        """Q, K and V (B, H, T, D) bf16 of each layer for the first batch."""
        import torch

        self._model.load(weights)
        found = []
        with torch.no_grad(), torch.autocast(self._device, dtype=torch.bfloat16):
            h = self._model.embedded(self._x[: self._case.batch])
            for layer in self._model.h:
                found.append(tuple(each.contiguous() for each in layer.attn.projected(layer.ln_1(h))))
                h = layer(h)
        return found


@dataclass(frozen=True)
class Trained:
    """One training: validation losses by step, the loss of every 50th batch, seconds, and Q, K, V by step and layer."""

    validation: Mapping[int, float]
    batches: Mapping[int, float]
    seconds: float
    kept: Mapping[int, Sequence[tuple[Any, Any, Any]]]


def trained(trainer: Any, evaluator: Evaluator, batches: Batches, schedule: Schedule, keep: Sequence[int]) -> Trained:
    """Train to the end; `keep` are the steps whose attention is kept."""
    validation: dict[int, float] = {}
    kept: dict[int, Any] = {}
    seen: dict[int, float] = {}
    started = time.monotonic()
    for step in range(schedule.steps + 1):
        if step % schedule.evaluate_every == 0 or step == schedule.steps:
            validation[step] = evaluator.loss(trainer.weights())
        if step in keep:
            kept[step] = evaluator.seen_by_attention(trainer.weights())
        if step == schedule.steps:
            break
        trainer.feed(batches[step])
        trainer.advance()
        if step % 50 == 0:
            seen[step] = round(trainer.last_loss(), 5)
    return Trained(validation, seen, time.monotonic() - started, kept)


def trainer_of(who: str, case: Case, flat: Any, schedule: Schedule, device: str) -> Any:
    """The contestant of that name, which begins with the flat buffer `flat`."""
    from bench.nanogpt_ours import OurTrainer, operators_by_name
    from bench.nanogpt_torch import VARIANTS, TorchTrainer
    from spak.kernels.nanogpt.parameters import ParameterLayout

    run = Run([schedule.rate_at(step) for step in range(schedule.steps)], schedule.dropout, device)
    if who != TORCH:
        return OurTrainer(case, operators_by_name(who), flat, run)
    variant = replace(VARIANTS[EAGER], captured=device == "cuda")
    views = ParameterLayout.of(case.config).views(flat)
    return TorchTrainer(case, variant, views, run)


def one(options: argparse.Namespace) -> dict[str, Any]:
    """One training of one seed, for a file of results; tensors go to `--tensors`."""
    import torch

    from bench.nanogpt_torch import settle
    from spak.kernels.nanogpt.parameters import initial_gpt_parameters

    settle()
    schedule = Schedule(steps=options.steps)
    case = replace(CASES["char"], recipe=Recipe(schedule.rate, (0.9, 0.99)))
    text, _ = characters(options.data)
    first = int(len(text) * (1 - HELD_OUT))
    batches = Batches(text[:first], case, schedule.steps, 1000 + options.seed, options.device)
    torch.manual_seed(options.seed)
    flat = initial_gpt_parameters(case.config, options.seed)
    trainer = trainer_of(options.who, case, flat, schedule, options.device)
    evaluator = Evaluator(case, text[first:], options.device)
    result = trained(trainer, evaluator, batches, schedule, KEEP_STEPS if options.tensors else ())
    if options.tensors:
        torch.save({step: dict(enumerate(layers)) for step, layers in result.kept.items()}, options.tensors)
    from bench.attention_model import layer_statistics

    return {
        "who": options.who,
        "seed": options.seed,
        "validation": result.validation,
        "batches": result.batches,
        "seconds": result.seconds,
        "schedule": asdict(schedule),
        "layers": layer_statistics(result.kept),
    }


def everyone(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All trainings at once; the first of ours keeps what its attention sees."""
    runs = []
    for who in options.contestant:
        for seed in range(1, options.seeds + 1):
            out = options.out.with_name(f"{options.out.stem}-{who}-{seed}.json")
            command = [sys.executable, "-m", "bench.nanogpt_training", "--data", str(options.data), "--out", str(out)]
            command += ["--who", who, "--seed", str(seed), "--steps", str(options.steps), "--device", options.device]
            if options.tensors and (who, seed) == (options.contestant[0], 1):
                command += ["--tensors", str(options.tensors)]
            runs.append((out, subprocess.Popen(command)))
    codes = [process.wait() for _, process in runs]
    print(f"exit statuses {codes}", flush=True)
    return [json.loads(out.read_text()) for out, process in runs if process.returncode == 0]


def main(argv: Sequence[str] | None = None) -> int:
    options = options_of(argv)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.who:
        options.out.write_text(json.dumps(one(options)) + "\n")
        return 0
    runs = everyone(options)
    options.out.write_text(json.dumps({"device": options.device, "runs": runs}, indent=1) + "\n")
    for run in runs:
        print(run["who"], run["seed"], {step: round(loss, 4) for step, loss in run["validation"].items()})
    return 0


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="tinyshakespeare.txt")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--contestant", action="append", choices=CONTESTANTS, help="repeatable; both unless given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument("--device", default=DEVICE)
    parser.add_argument("--tensors", type=Path, help="Q, K and V of one of our trainings, by step and layer")
    parser.add_argument("--who", choices=CONTESTANTS, help="run only this training, of --seed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    options.contestant = options.contestant or list(CONTESTANTS)
    return options


if __name__ == "__main__":
    sys.exit(main())
