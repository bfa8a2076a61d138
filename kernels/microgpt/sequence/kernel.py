"""A training step of MicroGPT in small launches, in cuTile: every function of the plan `sequence`, by the launch's name.

  1. Rows: a launch for the embedding, four for each layer there, one for logits and loss, four for each layer back. Between
     two launches lies what one CTA needs of others: the heads of a row, the keys of a document, the hidden layer.
  2. Weights: one launch for the gradients of all matrices.
  3. Adam: one launch for all parameters.

Before the first step parameters are laid out in tiles, after the last one they are gathered again. Everything is padded
with zeros to whole tiles, whose gradients are 0, so that Adam leaves them 0 and nothing is masked but what the problem
masks; layout.py says what lies where.
"""

from spak.kernels.microgpt.sequence.backward_kernel import (
    attend_back_kernel,
    contract_back_kernel,
    expand_back_kernel,
    project_back_kernel,
)
from spak.kernels.microgpt.sequence.ends_kernel import begin_kernel, clear_kernel, end_kernel, loss_kernel
from spak.kernels.microgpt.sequence.forward_kernel import (
    attend_kernel,
    contract_kernel,
    embed_kernel,
    expand_kernel,
    head_kernel,
    project_kernel,
)
from spak.kernels.microgpt.sequence.weights_kernel import adam_kernel, weights_kernel

__all__ = [
    "adam_kernel",
    "attend_back_kernel",
    "attend_kernel",
    "begin_kernel",
    "clear_kernel",
    "contract_back_kernel",
    "contract_kernel",
    "embed_kernel",
    "end_kernel",
    "expand_back_kernel",
    "expand_kernel",
    "head_kernel",
    "loss_kernel",
    "project_back_kernel",
    "project_kernel",
    "weights_kernel",
]
