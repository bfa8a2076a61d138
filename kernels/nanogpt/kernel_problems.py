"""The problem sizes of a training step's operators, in their ops' terms; activations are bf16."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spak.kernels.interface import Problem, Scalar
from spak.kernels.nanogpt.parameters import MLP_EXPANSION, GptConfig, ParameterLayout

if TYPE_CHECKING:
    from spak.kernels.nanogpt.training_step import StepSettings

Scalars = dict[str, Scalar]

OP_NAMES = {"float32": "fp32", "bfloat16": "bf16"}
"""Torch's name of a type -> the ops'."""


def kernel_problems(config: GptConfig, step: StepSettings) -> dict[str, Problem]:
    """Operator -> problem size of the kernel that may compute it."""
    rows, width, hidden = step.batch * step.length, config.width, MLP_EXPANSION * config.width
    residual = OP_NAMES[config.residual_dtype]
    words: Scalars = {
        "tokens": rows,
        "vocab": config.padded_vocab,
        "context": step.length,
        "width": width,
        "dtype": residual,
    }
    norm: Scalars = {
        "num_rows": rows,
        "width": width,
        "norm": "layer",
        "bias": config.bias,
        "branch": True,
        "from_above": True,
    }
    norm |= {"branch_bias": config.bias and not step.dropout, "dtype": "bf16", "residual_dtype": residual}
    mlp: Scalars = {"num_rows": rows, "in_features": width, "out_features": hidden, "dtype": "bf16"}
    forward: Scalars = {"direction": "forward"}
    backward: Scalars = {"direction": "backward"}
    return {
        "embedding": words | {"gradient_dtype": residual} | forward,
        "embedding_backward": words | {"gradient_dtype": "bf16"} | backward,
        "add_norm": norm | {"gradient_dtype": "bf16"} | forward,
        "add_norm_backward": norm | {"gradient_dtype": "bf16"} | backward,
        "linear_weight_gradient": {"num_rows": rows, "width": 3 * width, "dtype": "bf16", "out_dtype": "bf16"},
        "linear_gelu": mlp | forward,
        "linear_gelu_backward": mlp | backward,
        "attention": _attention(config, step),
        "attention_backward": _attention(config, step),
        "cross_entropy": {"num_rows": rows, "vocab": config.vocab, "dtype": "bf16", "weighted": False},
        "gradient_norm": _adamw(config, step),
        "adamw": _adamw(config, step),
    }


def _attention(config: GptConfig, step: StepSettings) -> Problem:
    sizes = {"batch": step.batch, "heads": config.heads, "kv_heads": config.heads, "head_dim": config.head_dim}
    return {**sizes, "seq_q": step.length, "seq_kv": step.length, "q_offset": 0, "causal": True, "dtype": "bf16"}


def _adamw(config: GptConfig, step: StepSettings) -> Problem:
    layout, constants = ParameterLayout.of(config), step.constants
    sizes = {"num_elements": layout.size, "decayed": layout.decayed, "update_form": "adamw"}
    rates = {name: getattr(constants, name) for name in ("weight_decay", "beta1", "beta2", "epsilon")}
    return {**sizes, "gradient": "fp32" if step.accumulation > 1 else "bf16", "max_norm": constants.clip, **rates}
