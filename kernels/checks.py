"""Named checks: what a law about numbers rests on, executed on a CPU. A law names one; adding one adds a line here."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spak.kernels.interface import Configuration, Problem

CHECKS = {
    "attention-mask-floor": "spak.kernels.attention.mask_floor:MaskFloor",
    "attention-gradients": "spak.kernels.microgpt.equivalence:AttentionGradients",
    "folded-rmsnorm": "spak.kernels.microgpt.equivalence:FoldedRmsNorm",
    "gpt-gradients": "spak.kernels.nanogpt.equivalence:GptGradients",
    "linear-gradients": "spak.kernels.microgpt.equivalence:LinearGradients",
    "online-softmax": "spak.kernels.attention.equivalence:OnlineSoftmax",
    "rmsnorm-gradient": "spak.kernels.microgpt.equivalence:RmsNormGradient",
    "steps-per-launch": "spak.kernels.microgpt.launches:StepsPerLaunch",
    "vectorised-linear": "spak.kernels.microgpt.equivalence:VectorisedLinear",
}
"""Name, as in `claim.check` of a law -> `module:class` of it."""


@dataclass(frozen=True)
class CheckResult:
    """What one configuration did at one problem size.

    Attributes:
        measurements: Name -> value, the worst over every kind of input.
        failure: Kind and message, if the result is wrong; None if it is right.
    """

    measurements: Mapping[str, float] = field(default_factory=dict)
    failure: tuple[str, str] | None = None


class NamedCheck(Protocol):
    """Executes the arithmetic that laws speak of, right configurations and wrong ones alike. laws/ops/<op>.yaml owns the space."""

    op: str
    """Op id."""

    @property
    def source_files(self) -> Sequence[str]:
        """Files whose text identifies the check, for the hash in a run file."""
        ...

    def sizes(self, seed: int) -> Sequence[Problem]:
        """Problem sizes drawn anew, awkward ones among them."""
        ...

    def result(self, problem: Problem, configuration: Configuration, seed: int) -> CheckResult:
        """Execute it on random and on hostile inputs; the same seed gives the same ones.

        Raises:
            ValueError: If it cannot be executed with these values; the message says why.
        """
        ...


def named_check(name: str) -> NamedCheck:
    """The check called `name`.

    Raises:
        KeyError: If there is none.
    """
    found: NamedCheck = pkgutil.resolve_name(CHECKS[name])()
    return found
