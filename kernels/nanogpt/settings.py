"""A training run as it is asked for: a YAML file of settings, each of which may be set again on the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from spak.kernels.nanogpt.operators import AdamwConstants
from spak.kernels.nanogpt.parameters import GptConfig

_MODEL = ("width", "layers", "heads", "context", "bias", "residual_dtype")
_PLACES = ("device", "dtype", "operators", "deterministic")
_REPORTS = ("every", "evaluate_every", "evaluation_batches", "samples", "sample_length", "temperature")
_CHOICES = {
    "device": ("auto", "cpu", "cuda"),
    "dtype": ("auto", "float32", "bfloat16"),
    "operators": ("auto", "torch"),
}
_FROM_ZERO = (
    "vocab",
    "dropout",
    "least_rate",
    "warmup",
    "decay_steps",
    "beta1",
    "beta2",
    "weight_decay",
    "clip",
    "seed",
)
_MAY_BE_ZERO = (*_FROM_ZERO, "samples", "evaluation_batches")
_BELOW_ONE = ("dropout", "beta1", "beta2")


@dataclass(frozen=True)
class TrainingSettings:
    """All settings; defaults are nanoGPT's where it has them.

    Attributes:
        vocab: Tokens; 0: as many as the text has characters, or GPT-2's 50,304 for token files.
        width: As in `GptConfig`, like all down to `residual_dtype`.
        steps: Of the whole run.
        batch: Sequences of a micro batch.
        accumulation: Micro batches of a step.
        dropout: Probability; by PyTorch, beside the kernels.
        learning_rate: At the end of warm-up.
        least_rate: At `decay_steps`, and after.
        warmup: Steps in which the rate rises linearly.
        decay_steps: Where half a cosine ends; 0: with the run.
        beta1: As in `AdamwConstants`, like all down to `clip`.
        seed: Of weights, batches, dropout and samples.
        device: Or auto: the GPU if there is one.
        dtype: Of activations; auto: bfloat16 on a GPU, else float32.
        operators: auto: kernels where they serve and are known to be fast; torch: PyTorch alone.
        deterministic: Equal runs give equal bits, by PyTorch's deterministic operators.
        every: Steps between reports.
        evaluate_every: Steps between evaluations, and between checkpoints; a multiple of `every`.
        evaluation_batches: Batches of the validation text, the same each time; 0: no evaluation.
        samples: Texts to draw at the end.
        sample_length: Tokens of each.
        temperature: Logits are divided by it.
    """

    vocab: int = 0
    width: int = 384
    layers: int = 6
    heads: int = 6
    context: int = 256
    bias: bool = True
    residual_dtype: str = "float32"
    steps: int = 5000
    batch: int = 64
    accumulation: int = 1
    dropout: float = 0.0
    learning_rate: float = 1e-3
    least_rate: float = 1e-4
    warmup: int = 100
    decay_steps: int = 0
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 1337
    device: str = "auto"
    dtype: str = "auto"
    operators: str = "auto"
    deterministic: bool = False
    every: int = 50
    evaluate_every: int = 250
    evaluation_batches: int = 20
    samples: int = 1
    sample_length: int = 500
    temperature: float = 0.8

    def __post_init__(self) -> None:
        for one in fields(self):
            _refuse_value(one.name, getattr(self, one.name))
        if self.evaluate_every % self.every:
            raise ValueError(f"evaluate_every: must be a multiple of every, {self.every} (got {self.evaluate_every})")
        self.model(self.vocab or 1)

    def model(self, vocab: int) -> GptConfig:
        """The model for data of `vocab` tokens."""
        return GptConfig(vocab=vocab, **{name: getattr(self, name) for name in _MODEL})

    @property
    def constants(self) -> AdamwConstants:
        """AdamW's."""
        return AdamwConstants(self.beta1, self.beta2, weight_decay=self.weight_decay, clip=self.clip)

    @property
    def identity(self) -> dict[str, Any]:
        """What a run is, apart from where it runs and what it reports: a checkpoint goes on with nothing else."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in (*_PLACES, *_REPORTS)}

    def rate(self, step: int) -> float:
        """Learning rate of the step after `step` steps: linear warm-up, then half a cosine. Source: nanoGPT, `get_lr`."""
        end = self.decay_steps or self.steps
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        if step >= end:
            return self.least_rate
        done = (step - self.warmup) / (end - self.warmup)
        return self.least_rate + 0.5 * (1 + math.cos(math.pi * done)) * (self.learning_rate - self.least_rate)

    def factors(self) -> np.ndarray:
        """(steps, 3) float64: what AdamW takes at each step: learning rate, 1 - beta1^t, 1 - beta2^t."""
        t = np.arange(1, self.steps + 1)
        rates = [self.rate(step) for step in range(self.steps)]
        return np.stack((np.array(rates), 1 - self.beta1**t, 1 - self.beta2**t), 1)


def _refuse_value(name: str, value: Any) -> None:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name}: one of {', '.join(_CHOICES[name])} (got {value!r})")
    if isinstance(value, bool | str):
        return
    if not math.isfinite(value) or value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        raise ValueError(f"{name}: must be {'at least' if name in _MAY_BE_ZERO else 'above'} 0 (got {value})")
    if name in _BELOW_ONE and value >= 1:
        raise ValueError(f"{name}: must be below 1 (got {value})")


def read_settings(file: Path, changes: Iterable[str] = ()) -> TrainingSettings:
    """Settings of a YAML file, then each `key=value` of `changes`.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no mapping of settings, or a value is wrong; names the setting.
    """
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"config: {file} is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(given, Mapping):  # a file's content, not an argument: a ValueError
        raise ValueError(f"config: {file} must be a mapping of settings, one a line")  # noqa: TRY004
    return _typed({**given, **dict(_pair(change) for change in changes)})


def _pair(change: str) -> tuple[str, str]:
    key, equals, value = change.partition("=")
    if not equals:
        raise ValueError(f"set: must be key=value (got {change!r})")
    return key.strip(), value.strip()


def _typed(given: Mapping[Any, Any]) -> TrainingSettings:
    types = {one.name: one.type for one in fields(TrainingSettings)}
    for name in given:
        if name not in types:
            raise ValueError(f"{name}: no such setting; there are {', '.join(types)}")
    return replace(TrainingSettings(), **{name: _value(name, str(types[name]), value) for name, value in given.items()})


def _value(name: str, kind: str, value: Any) -> Any:
    """As `kind`, whether it comes from YAML, where 1e-3 is a string, or from a command line, where all are."""
    text = str(value).strip()
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        return {"int": int, "float": float, "str": str}[kind](text)
    except (ValueError, KeyError):
        wanted = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
        raise ValueError(f"{name}: must be {wanted} (got {value!r})") from None
