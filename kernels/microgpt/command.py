"""Train MicroGPT on a file of documents, one a line, and draw new ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np

from spak.kernels.command_line import BAD_INPUT, INTERRUPTED, OneLineParser, one_line_of, to_people
from spak.kernels.interface import Scalar
from spak.kernels.microgpt.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from spak.kernels.microgpt.data import SEED, Beginning, begin, lines_of
from spak.kernels.microgpt.download import download
from spak.kernels.microgpt.engines import Engine, TorchEngine
from spak.kernels.microgpt.model import Model, num_parameters
from spak.kernels.microgpt.sampling import TEMPERATURE, samples

PLANS = ("torch", "resident", "sequence", "layered")
MOST_RESIDENT = 512
"""Layers times width squared of the largest model whose weights and moments one CTA holds. Source: laws/ops/microgpt.yaml."""
MOST_RESIDENT_CONTEXT = 32
"""Positions of a document whose activations one CTA holds. Source: laws/ops/microgpt.yaml."""
MOST_RESIDENT_BATCH = 3
"""Documents a step up to which the plan `resident` is the faster one, where it runs.

Source: bench/results/microgpt-scale-h200.json, width 16: 13.4 and 128 us a step with 1 and 8 documents; `sequence` 54 and 45.
"""


def parser() -> argparse.ArgumentParser:
    """The options."""
    program = OneLineParser(prog="python -m spak.kernels.microgpt", description=__doc__)
    commands = program.add_subparsers(dest="command", required=True, metavar="train", parser_class=OneLineParser)
    train = commands.add_parser("train", help="train, then print samples", description=__doc__)
    defaults = Model()
    train.add_argument("--data", type=Path, required=True, help="text, one document a line")
    train.add_argument(
        "--download", action="store_true", help="fetch the list of names to --data first, checksum verified"
    )
    train.add_argument("--steps", type=_positive, default=1000, help="steps of the whole run (default %(default)s)")
    train.add_argument("--batch", type=_positive, default=1, help="documents a step (default %(default)s)")
    for name in ("width", "layers", "heads", "context"):
        default = getattr(defaults, name)
        train.add_argument(f"--{name}", type=_positive, default=default, help=f"of the model (default {default})")
    train.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: the GPU if there is one"
    )
    train.add_argument(
        "--plan",
        choices=PLANS,
        help="resident: one launch for many steps, the choice on a GPU where the model fits one CTA; sequence: launches over "
        "all rows, the choice for larger models; layered: a launch for each operation; torch: float64, on a CPU",
    )
    train.add_argument("--checkpoint", type=Path, help="file to go on from, if it is there, and to write to")
    train.add_argument(
        "--every", type=_positive, default=100, help="steps between reports and checkpoints (default %(default)s)"
    )
    train.add_argument("--seed", type=int, default=SEED, help="of order, weights and samples (default %(default)s)")
    train.add_argument("--samples", type=int, default=20, help="documents to draw at the end (default %(default)s)")
    train.add_argument("--temperature", type=float, default=TEMPERATURE, help="of the samples (default %(default)s)")
    return program


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1 (got {text})")
    return number


_positive.__name__ = "whole number"  # argparse: "invalid whole number value: 'x'"


@dataclass(frozen=True)
class Training:
    """A run as it was asked for, with all that is checked before its first step."""

    start: Beginning
    state: TrainingState
    engine: Engine
    description: dict[str, Scalar]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with one line on stderr where an input is bad."""
    options = parser().parse_args(arguments)
    try:
        training = prepared(options)
    except ModuleNotFoundError as error:
        to_people(f"error: {error.name} is not installed, and training needs it: pip install 'spak[gpu,sim]'")
        return BAD_INPUT
    except (OSError, ValueError) as error:
        to_people(f"error: {one_line_of(error)}")
        return BAD_INPUT
    try:
        state = run(training, options)
    except OSError as error:
        to_people(f"error: {one_line_of(error)}")
        return BAD_INPUT
    except KeyboardInterrupt:
        to_people("interrupted; a checkpoint, if asked for, is of the last report")
        return INTERRUPTED
    start = training.start
    drawn = samples(start.model, state.parameters, start.generator, temperature=options.temperature)
    for tokens in islice(drawn, options.samples):
        sys.stdout.write(start.corpus.text(tokens) + "\n")
    return 0


def prepared(options: argparse.Namespace) -> Training:
    """Read the data, draw the weights or read the checkpoint, and choose what trains.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If an option or a file is wrong; the message names it.
    """
    if not options.temperature > 0:
        raise ValueError(f"temperature: must be above 0 (got {options.temperature})")
    if options.samples < 0:
        raise ValueError(f"samples: must be at least 0 (got {options.samples})")
    if options.download:
        download(options.data)
    try:
        lines = lines_of(options.data)
    except UnicodeDecodeError as error:
        raise ValueError(f"data: {options.data} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    sizes = {name: getattr(options, name) for name in ("width", "layers", "heads", "context")}
    start = begin(lines, seed=options.seed, **sizes)
    device, plan = place_and_plan(options.device, options.plan, start.model, options.batch)
    description: dict[str, Scalar] = {
        **asdict(start.model),
        "steps": options.steps,
        "batch": options.batch,
        "seed": options.seed,
        "plan": plan,
        "data": sha256("\n".join(start.corpus.documents).encode()).hexdigest(),
    }
    state = begun(start, options.checkpoint, description)
    return Training(start, state, engine_of(plan, start, state, options, device), description)


def engine_of(plan: str, start: Beginning, state: TrainingState, options: argparse.Namespace, device: str) -> Engine:
    """What trains by `plan`."""
    given, total = (start.model, start.corpus, state), options.steps
    if plan == "torch":
        return TorchEngine(*given, batch=options.batch, total=total)
    if plan == "resident":
        from spak.kernels.microgpt.resident_engine import ResidentEngine

        return ResidentEngine(*given, batch=options.batch, total=total, every=options.every, device=device)
    if plan == "sequence":
        from spak.kernels.microgpt.sequence_engine import SequenceEngine

        return SequenceEngine(*given, batch=options.batch, total=total, device=device)
    from spak.kernels.microgpt.layered_engine import LayeredEngine

    return LayeredEngine(*given, batch=options.batch, total=total, device=device)


def is_resident(model: Model) -> bool:
    """Whether one CTA holds the model as `ResidentEngine` trains it: the op's conditions on the plan, with its heads batched."""
    held = model.layers * model.width**2 <= MOST_RESIDENT and model.context <= MOST_RESIDENT_CONTEXT
    return held and all(size & (size - 1) == 0 for size in (model.width, model.heads))


def place_and_plan(device: str, plan: str | None, model: Model, batch: int = 1) -> tuple[str, str]:
    """(device, plan) for `batch` documents a step, where each of both may be left open.

    Raises:
        ValueError: If there is no GPU and one is asked for, or the plan does not run there or with this model.
    """
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ValueError("device: torch sees no GPU (got cuda); leave it out to train on the CPU")
    if device == "cuda" and plan == "torch":
        raise ValueError("plan: torch trains on the CPU (got device cuda)")
    place = "cuda" if there and device != "cpu" and plan != "torch" else "cpu"
    if plan == "resident" and not is_resident(model):
        raise ValueError(
            f"plan: resident holds at most {MOST_RESIDENT} as layers * width^2 and {MOST_RESIDENT_CONTEXT} of context, with powers "
            f"of two as width and heads (got {model.layers} * {model.width}^2, {model.context}, {model.heads} heads); take sequence"
        )
    on_gpu = "resident" if is_resident(model) and batch <= MOST_RESIDENT_BATCH else "sequence"
    return place, plan or ("torch" if place == "cpu" else on_gpu)


def begun(start: Beginning, checkpoint: Path | None, description: dict[str, Scalar]) -> TrainingState:
    """The checkpoint's state, or that before the first step.

    Raises:
        OSError: If the checkpoint cannot be read, or its folder is not there.
        ValueError: If it is of another run.
    """
    if checkpoint is not None and checkpoint.exists():
        return load_checkpoint(checkpoint, description)
    if checkpoint is not None and not checkpoint.parent.is_dir():
        raise ValueError(f"checkpoint: no folder {checkpoint.parent}")
    return TrainingState(0, start.parameters, np.zeros((2, len(start.parameters))), np.zeros(0))


def run(training: Training, options: argparse.Namespace) -> TrainingState:
    """Train what is left; every so many steps a line on stderr and a checkpoint."""
    model, engine, state = training.start.model, training.engine, training.state
    documents = len(training.start.corpus.documents)
    to_people(f"{num_parameters(model):,} parameters, {documents:,} documents: {engine.what}")
    if state.steps:
        to_people(f"going on after step {state.steps} of {options.checkpoint}")
    while state.steps < options.steps:
        before = state.steps
        engine.advance(min(options.every, options.steps - before))
        state = engine.state()
        report_losses(state, before, options.steps)
        if options.checkpoint is not None:
            save_checkpoint(options.checkpoint, state, training.description)
    return state


def report_losses(state: TrainingState, before: int, total: int) -> None:
    """One line: the mean loss of the steps since the last one, and the last loss."""
    mean, last = float(np.mean(state.losses[before:])), float(state.losses[-1])
    span = f"mean of {state.steps - before} steps"
    to_people(f"step {state.steps:>{len(str(total))}} / {total}  loss {mean:.4f} ({span}), {last:.4f} (last)")
