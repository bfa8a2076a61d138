"""Train a GPT on a text or on files of tokens, and draw new text."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from spak.kernels.command_line import BAD_INPUT, INTERRUPTED, OneLineParser, one_line_of, to_people
from spak.kernels.microgpt.download import download
from spak.kernels.nanogpt.data import SHAKESPEARE_SHA256, SHAKESPEARE_URL, read_data
from spak.kernels.nanogpt.loss_plot import loss_plot
from spak.kernels.nanogpt.parallel import joined_workers
from spak.kernels.nanogpt.parameters import num_gpt_parameters
from spak.kernels.nanogpt.settings import TrainingSettings, read_settings

if TYPE_CHECKING:
    from spak.kernels.nanogpt.surroundings import TrainingSurroundings
    from spak.kernels.nanogpt.training import TrainingReport, TrainingRun

CONFIGS = files("spak.kernels.nanogpt") / "configs"
"""Configurations that come with the package."""
NOT_FINITE = 1
"""Exit code where a loss or a gradient was not finite."""


def shipped_configs() -> list[str]:
    """Their names."""
    return sorted(file.name.removesuffix(".yaml") for file in CONFIGS.iterdir())


def train_parser(program: str) -> argparse.ArgumentParser:
    """The options."""
    parser = OneLineParser(prog=program, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="train", parser_class=OneLineParser)
    train = commands.add_parser("train", help="train, then print samples", description=__doc__)
    names = ", ".join(shipped_configs())
    train.add_argument("--config", required=True, help=f"YAML file of settings, or one that is shipped: {names}")
    train.add_argument(
        "--data", type=Path, required=True, help="a text, or a folder with train.bin and val.bin (uint16)"
    )
    train.add_argument("--download", action="store_true", help="fetch Shakespeare to --data first, checksum verified")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; repeatable")
    train.add_argument(
        "--checkpoint", type=Path, help="file to go on from, if it is there, and to write to at evaluations"
    )
    train.add_argument("--plot", type=Path, help="SVG of the losses, written with each report")
    return parser


def run_command(arguments: Sequence[str] | None, program: str, surroundings: TrainingSurroundings) -> int:
    """Run the command; 0, 1 where a number was not finite, or 2 with one line on stderr where an input is bad."""
    options, worker = train_parser(program).parse_args(arguments), surroundings.worker
    tell = to_people if worker.rank == 0 else _to_nobody
    try:
        settings = read_settings(config_file(options.config), options.set)
        with joined_workers(worker, settings.device):
            run = prepared_run(options, settings, surroundings)
            for line in run_opening(run):
                tell(line)
            for report in run:
                tell(report_line(report, run.settings))
                draw_losses(options.plot if worker.rank == 0 else None, run)
    except ModuleNotFoundError as error:
        to_people(f"error: {error.name} is not installed, and training needs it: pip install 'spak[gpu]'")
        return BAD_INPUT
    except (OSError, ValueError) as error:
        to_people(f"error: {one_line_of(error)}")
        return BAD_INPUT
    except ArithmeticError as error:
        to_people(f"stopped: {error}")
        return NOT_FINITE
    except KeyboardInterrupt:
        to_people("interrupted; a checkpoint, if asked for, is of the last evaluation")
        return INTERRUPTED
    for text in texts(run) if worker.rank == 0 else ():
        sys.stdout.write(text + "\n")
    return 0


def _to_nobody(line: str) -> None:
    """What the first process tells already."""


def prepared_run(
    options: argparse.Namespace, settings: TrainingSettings, surroundings: TrainingSurroundings
) -> TrainingRun:
    """Read data, and the checkpoint if there is one.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If an option, a setting or a file is wrong; the message names it.
    """
    from spak.kernels.nanogpt.training import TrainingRun

    if options.plot is not None and not options.plot.parent.is_dir():
        raise ValueError(f"plot: no folder {options.plot.parent}")
    if options.download and not options.data.exists():
        download(options.data, url=SHAKESPEARE_URL, checksum=SHAKESPEARE_SHA256)
    data = read_data(options.data, settings.context, settings.vocab)
    return TrainingRun(settings, data, surroundings, options.checkpoint)


def config_file(name: str) -> Path:
    """A file of this name, or the shipped configuration."""
    return Path(str(CONFIGS / f"{name}.yaml")) if name in shipped_configs() else Path(name)


def run_opening(run: TrainingRun) -> Iterator[str]:
    """What is trained on what, and a table of what computes each operator and why."""
    data, settings = run.data, run.settings
    kind = f"{data.vocab} characters" if data.characters else f"a vocabulary of {data.vocab:,}"
    yield (
        f"{num_gpt_parameters(run.config):,} parameters on {run.device} in {str(run.step.settings.dtype).split('.')[1]}; "
        f"{len(data.train):,} tokens of {kind}, {len(data.validation):,} for validation"
    )
    rows = reasons_in_short(run.operators.reasons)
    width = max(map(len, rows), default=0)
    yield from (f"  {name:{width}}  {reason}" for name, reason in rows.items())
    if settings.dropout:
        yield f"  dropout {settings.dropout:g} is PyTorch's, beside the kernels"
    if run.done:
        yield f"going on after step {run.done}"


def reasons_in_short(reasons: Mapping[str, str]) -> dict[str, str]:
    """Operator -> reason; one that more than half of them share is said once, at the end."""
    shared, count = Counter(reasons.values()).most_common(1)[0] if reasons else ("", 0)
    if 2 * count <= len(reasons):
        return dict(reasons)
    others = {name: reason for name, reason in reasons.items() if reason != shared}
    return {**others, "all others" if others else "every operator": shared}


def report_line(report: TrainingReport, settings: TrainingSettings) -> str:
    """One line for people."""
    parts = [f"step {report.steps:>{len(str(settings.steps))}} / {settings.steps}", f"loss {report.mean_loss:.4f}"]
    if report.validation_loss is not None:
        parts.append(f"validation {report.validation_loss:.4f}")
    parts.append(f"gradient norm {report.norm:.2f}")
    if report.tokens_per_second is not None:
        parts.append(f"{report.tokens_per_second:,.0f} tokens/s")
    if report.mfu is not None:
        parts.append(f"MFU {report.mfu:.1%}")
    return "  ".join(parts)


def draw_losses(plot: Path | None, run: TrainingRun) -> None:
    """Write the losses so far."""
    if plot is not None:
        drawn = loss_plot(run.losses, run.evaluations, f"Loss over {run.done} of {run.settings.steps} steps")
        plot.write_text(drawn, encoding="utf-8")


def texts(run: TrainingRun) -> Iterator[str]:
    """Samples from the trained model, each begun with a line's end or the first character; none if tokens are no characters."""
    from spak.kernels.nanogpt.sampling import sampled_tokens

    characters, settings = run.data.characters, run.settings
    if characters is None:
        return
    start = max(characters.find("\n"), 0)
    for number in range(settings.samples):
        seed = settings.seed + number
        tokens = sampled_tokens(
            run.step.network, start, settings.sample_length, temperature=settings.temperature, seed=seed
        )
        yield run.data.text(tokens)
