"""NanoGPT's training step on several GPUs of one host: what averaging gradients costs, and that losses are those of one GPU.

    torchrun --nproc-per-node 2 -m bench.nanogpt_two --out bench/results/nanogpt-two-h200.json

Every process times its step alone and with the others, in interleaved blocks. Then the first one trains on the whole
batch, and its losses are held against the mean of theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.nanogpt_cases import CASES, OURS, Batches, Run, agreeing, zipf_tokens
from bench.nanogpt_timing import Blocks, block_ms, in_blocks, run_step
from spak.kernels.nanogpt.parallel import TrainingWorker, average_over_workers, joined_workers, worker_of
from spak.tuner.backend.gpu.statistics import summarise

CASE = "124m"
ALONE, TOGETHER = "alone", "together"
STEPS = 20
"""Whose losses are compared."""
BLOCKS = Blocks(warmups=STEPS)


class Share:
    """One worker's part of each batch."""

    def __init__(self, batches: Batches, worker: TrainingWorker, batch: int) -> None:
        """`batch`: sequences of all workers together."""
        self._batches, self._rows = batches, worker.share(batch)

    def __getitem__(self, step: int) -> Any:
        return self._batches[step][:, self._rows]


def measured(worker: TrainingWorker, operators: str, seed: int) -> dict[str, Any]:  # pragma: no cover  # needs GPUs
    """Times of both kinds of step and losses, of this worker."""
    import torch

    from bench.nanogpt_ours import OurTrainer, operators_by_name
    from spak.kernels.nanogpt.parameters import initial_gpt_parameters

    case = CASES[CASE]
    whole = replace(case, batch=case.batch * worker.count)
    data = zipf_tokens(8 * whole.tokens, case.config.vocab, seed)
    batches = Batches(data, whole, STEPS, seed, "cuda")
    share = Share(batches, worker, whole.batch)
    flat, run = initial_gpt_parameters(case.config, seed), Run(case.warming_rates(BLOCKS.most_steps))
    computing = operators_by_name(operators)
    trainers = {
        TOGETHER: OurTrainer(case, computing, flat, replace(run, reduce=partial(average_over_workers, worker))),
        ALONE: OurTrainer(case, computing, flat, run),
    }
    for trainer in trainers.values():
        for step in range(STEPS):
            run_step(trainer, share, step)
    losses = trainers[TOGETHER].step.history()[:STEPS, 0].cuda()
    average_over_workers(worker, losses)
    samples = in_blocks(
        list(trainers), lambda name, first: block_ms(trainers[name], share, BLOCKS, first), BLOCKS, seed
    )
    found = {name: asdict(summarise(times)) for name, times in samples.items()}
    parameters = trainers[TOGETHER].step.state.parameters
    mean = parameters.clone()
    average_over_workers(worker, mean)
    same = bool(torch.equal(mean, parameters))
    result = {"ms": found, "losses": losses.tolist(), "parameters_agree": same, "tokens": case.tokens}
    if worker.rank == 0:
        del trainers, trainer
        torch.cuda.empty_cache()
        alone = OurTrainer(whole, computing, flat, run)
        for step in range(STEPS):
            run_step(alone, batches, step)
        result["losses_of_one"] = alone.step.history()[:STEPS, 0].tolist()
    return result


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--operators", default=OURS, help="contestant whose operators compute")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    worker = worker_of(os.environ)
    with joined_workers(worker, "cuda"):
        import torch

        result = measured(worker, options.operators, options.seed)
        result |= {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "processes": worker.count}
    if worker.rank == 0:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({**result, "operators": options.operators}, indent=1) + "\n")
        print(told_scaling(result))
    return 0


def told_scaling(result: dict[str, Any]) -> str:
    """For people: efficiency is the time alone over the time together, each process with its own whole batch."""
    alone, joined = (result["ms"][name]["median"] for name in (ALONE, TOGETHER))
    difference = agreeing(result["losses"], result["losses_of_one"])
    return (
        f"{result['processes']} x {result['device']}: {joined:.3f} ms a step, alone {alone:.3f}, efficiency {alone / joined:.3f}; "
        f"losses off by {difference:.4f}; parameters agree: {result['parameters_agree']}"
    )


if __name__ == "__main__":
    sys.exit(main())
