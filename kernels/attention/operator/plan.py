"""What one shape needs, looked up once: configurations, grids, kernels, and which inputs have to be copied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from spak.kernels.attention.backward.spec import SPEC as BACKWARD
from spak.kernels.attention.fmha.spec import SPEC as FORWARD
from spak.kernels.attention.operator.request import MOST_STRIDE, AttentionRequest
from spak.kernels.cutile import DTYPES, Call, CutileSpec
from spak.kernels.interface import Configuration, Problem
from spak.kernels.launch_device import LaunchDevice

ROBUST = "running_max"
"""What a forward configuration satisfies: as fast on every input; without it, inputs decide whether work is done twice."""

DETERMINISTIC = "dq_form == 'split'"
"""What a backward configuration satisfies where every run has to give the same bits: nothing adds in an order of chance."""

GRID_LIMITS = (2**31 - 1, 65535, 65535)
"""Blocks of a grid in each dimension. Source: CUDA programming guide, compute capabilities."""

ROW_ELEMENTS = 8
"""Elements of two bytes in 16, to which TMA wants rows aligned."""

POINTER_BITS = 15
"""Bits of an address that are 0 at a multiple of 16."""

PLAIN, WITH_LSE, BACKWARDS = "plain", "with-lse", "backward"
"""What a plan may be needed for: a forward pass that no backward pass follows, one that such follows, and that."""

Choose = Callable[[str, Problem, LaunchDevice, str], Configuration | None]
"""Op id, problem size, device and condition -> the configuration to run; None if none fits."""


class UnservedError(Exception):
    """No kernel serves a request after all; says why."""


class PreparedLaunches:
    """The calls of one spec, ready to run."""

    def __init__(
        self, spec: CutileSpec, calls: Sequence[Call], configuration: Configuration, device: LaunchDevice
    ) -> None:
        """Look everything up.

        Raises:
            UnservedError: If a grid is larger than a device takes.
        """
        for call in calls:
            if any(size > most for size, most in zip(call.grid, GRID_LIMITS, strict=True)):
                raise UnservedError(f"no kernel for a grid of {call.grid} blocks")
        self._device = device
        self._calls = [
            (call.grid, spec.kernel(call.function, configuration), tuple(call.arrays), (*call.scalars, *call.constants))
            for call in calls
        ]
        arrays = {name: array for call in calls for name, array in call.arrays.items()}
        self._arrays = [(name, array.shape, getattr(torch, DTYPES[array.dtype])) for name, array in arrays.items()]

    def run(self, arrays: dict[str, Any], where: torch.device) -> None:
        """Launch on the current stream; what `arrays` lacks is allocated `where` they lie, and is in it afterwards."""
        for name, shape, dtype in self._arrays:
            if name not in arrays:
                arrays[name] = torch.empty(shape, dtype=dtype, device=where)
        stream, launch = self._device.stream(), self._device.launch
        for grid, kernel, names, rest in self._calls:
            launch(stream, grid, kernel, (*[arrays[name] for name in names], *rest))


class KernelPlan:
    """Forward and backward pass of one shape on one device, as far as they are needed."""

    def __init__(
        self, request: AttentionRequest, device: LaunchDevice, choose: Choose, needs: Collection[str], where: str = ""
    ) -> None:
        """Choose and look up; `where` is a condition on the backward's configuration.

        Raises:
            UnservedError: If no configuration is feasible, or a grid is larger than a device takes.
        """

        def chosen(op: str, where: str) -> Configuration:
            found = choose(op, request.problem, device, where)
            if found is None:
                raise UnservedError(f"no configuration of {op} is feasible at {request.problem}")
            return found

        if PLAIN in needs or WITH_LSE in needs:
            configuration = chosen(FORWARD.op, ROBUST)
            call = FORWARD.call_with_lse(request.problem, configuration, device.num_sms, request.scale)
            if PLAIN in needs:
                [plain] = FORWARD.calls(request.problem, configuration, device.num_sms)
                call = replace(plain, scalars=call.scalars)
            self._forward = PreparedLaunches(FORWARD, [call], configuration, device)
            one = torch.empty(1, dtype=torch.float32, device=request.device)
            self._lse = one.expand(call.arrays["lse"].shape)
            self._keeps_lse = WITH_LSE in needs
        if BACKWARDS in needs:
            configuration = chosen(BACKWARD.op, where)
            calls = BACKWARD.calls(request.problem, configuration, device.num_sms, request.scale)
            self._backward = PreparedLaunches(BACKWARD, calls, configuration, device)

    def answer(self, q: Any, k: Any, v: Any) -> Any:
        """The output alone."""
        return self.forward(q, k, v)[0]

    def forward(self, q: Any, k: Any, v: Any) -> tuple[Any, Any]:
        """Output and log-sum-exp; the latter is one meaningless number in a plan for `PLAIN`."""
        out = result_like(q)
        lse = torch.empty_like(self._lse) if self._keeps_lse else self._lse  # of a shape known: the fastest way to one
        self._forward.run({"q": fitted(q), "k": fitted(k), "v": fitted(v), "out": out, "lse": lse}, q.device)
        return out, lse

    def backward(self, do: Any, q: Any, k: Any, v: Any, out: Any, lse: Any) -> tuple[Any, Any, Any]:
        """dQ, dK and dV, laid out as Q, K and V."""
        gradients = result_like(q), result_like(k), result_like(v)
        self.backward_into(gradients, do, (q, k, v, out, lse))
        return gradients

    def backward_into(self, gradients: tuple[Any, Any, Any], do: Any, kept: tuple[Any, Any, Any, Any, Any]) -> None:
        """Write dQ, dK and dV, which may be views with channels innermost; `kept`: Q, K, V, output and log-sum-exp."""
        q, k, v, out, lse = kept
        arrays = {"q": fitted(q), "k": fitted(k), "v": fitted(v), "o": fitted(out), "lse": lse, "do": fitted(do)}
        self._backward.run({**arrays, **dict(zip(("dq", "dk", "dv"), gradients, strict=True))}, q.device)


def result_like(tensor: Any) -> Any:
    """An uninitialised tensor laid out as `tensor`, if its channels are innermost; else row-major."""
    found = torch.empty_like(tensor)
    return found if found.stride(-1) == 1 else torch.empty_like(tensor, memory_format=torch.contiguous_format)


def fitted(tensor: Any) -> Any:
    """`tensor`, or a row-major copy where the kernels cannot read it as fast as they read that.

    Copied are channels that are not neighbours, heads or rows that are one (expanded), and rows off 16 bytes where a
    copy's would be on them.
    """
    if not tensor.data_ptr() & POINTER_BITS and is_fitting(tensor.shape, tensor.stride()):
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


@lru_cache(maxsize=4096)
def is_fitting(sizes: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether a tensor that begins at a multiple of 16 bytes can be read as it lies; see `fitted`."""
    *outer, channels = zip(sizes, strides, strict=True)
    rows = 0 if channels[0] % ROW_ELEMENTS else ROW_ELEMENTS - 1
    return channels[1] == 1 and all(
        size == 1 or (0 < stride <= MOST_STRIDE and not stride & rows) for size, stride in outer
    )
