"""What ends a search on a GPU; a configuration's own failure never does."""

from __future__ import annotations

from spak.kg.model.run import Failure
from spak.tuner.errors import TunerError


class DeviceUnusableError(TunerError):
    """The worker fails outside any configuration: no device, no driver, no memory for the inputs."""

    def __init__(self, stage: str, failure: Failure) -> None:
        """Say in which stage it failed, how, and what to try."""
        super().__init__(
            f"the GPU cannot be used: {stage} failed ({failure.type}: {failure.message}); check nvidia-smi"
        )
