"""Runs the source of a cuTile kernel on the CPU, unchanged: `launch(stream, grid, kernel, args)`, as `cuda.tile.launch`."""

from __future__ import annotations

from spak.kernels.sim.errors import SimulatorError, SimulatorWarning, UnsupportedOperationError
from spak.kernels.sim.launch import empty, launch

__all__ = ["SimulatorError", "SimulatorWarning", "UnsupportedOperationError", "empty", "launch"]
