"""The way of a call: to a plan at once where nothing watches, else through PyTorch's dispatcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.autograd import forward_ad

from spak.kernels.advice import tell_once
from spak.kernels.attention.operator.fallback import INSTEAD, EmptyPlan, TorchPlan, attend_by_torch
from spak.kernels.attention.operator.plan import (
    BACKWARDS,
    DETERMINISTIC,
    PLAIN,
    WITH_LSE,
    Choose,
    KernelPlan,
    UnservedError,
)
from spak.kernels.attention.operator.request import AttentionRequest, checked, unserved
from spak.kernels.launch_device import DeviceOf, LaunchDevice, launch_device
from spak.kernels.torch_operator import autocast

MOST_PLANS = 4096
"""Plans kept; a process that meets more shapes begins anew."""

LEARNING, ANSWERING = (WITH_LSE, BACKWARDS), (PLAIN,)
"""What a call needs of a plan, if a gradient is to be taken and if not."""

ORDINARY = (torch.Tensor, torch.nn.Parameter)
"""Classes of tensors that do nothing of their own when an operator is called."""


_num_modes = torch._C._len_torch_dispatch_stack  # noqa: SLF001  # PyTorch says it nowhere else
_innermost_transform = torch._C._functorch.peek_interpreter_stack  # noqa: SLF001
_is_traced = torch._C._is_tracing  # noqa: SLF001  # twice as fast as torch.jit.is_tracing


class AttentionPlan(Protocol):
    """What computes one shape."""

    def answer(self, q: Any, k: Any, v: Any) -> Any:
        """The output alone."""
        ...

    def forward(self, q: Any, k: Any, v: Any) -> tuple[Any, Any]:
        """Output (B, H, Sq, D) and log-sum-exp (B, H, Sq) fp32."""
        ...

    def backward(self, do: Any, q: Any, k: Any, v: Any, out: Any, lse: Any) -> tuple[Any, Any, Any]:
        """DQ, dK, dV."""
        ...


class _Attend(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """A plan's two passes."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any, plan: AttentionPlan) -> Any:
        out, lse = plan.forward(q, k, v)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.plan = plan
        return out

    @staticmethod
    def backward(ctx: Any, do: Any) -> tuple[Any, Any, Any, None]:
        return (*differentiated_once(ctx.plan.backward, do, *ctx.saved_tensors), None)


_attend = super(torch.autograd.Function, _Attend).apply
"""Without a look for transforms, which `is_watched` has taken: a fifth of a call's time."""


class _Once(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """Something without a derivative, which without this would pass for a constant."""

    @staticmethod
    def forward(ctx: Any, compute: Callable[..., Any], *tensors: Any) -> Any:
        del ctx
        return compute(*tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        del ctx, gradients
        raise RuntimeError("spak.attention can be differentiated once, not twice")


def differentiated_once(compute: Callable[..., Any], *tensors: Any) -> Any:
    """What `compute` makes of `tensors`; to differentiate that raises."""
    return _Once.apply(compute, *tensors) if torch.is_grad_enabled() else compute(*tensors)


class AttentionOperator:
    """Attention with the configurations that one body of knowledge chooses.

    Attributes:
        name: By which the dispatcher's operators find it; see `operator_named`.
    """

    def __init__(self, name: str, choose: Choose, device_of: DeviceOf = launch_device) -> None:
        """Make it known by its name."""
        self.name = name
        self._choose, self._device_of = choose, device_of
        self._plans: dict[tuple[Any, ...], AttentionPlan] = {}
        _OPERATORS[name] = self

    def __call__(
        self, q: Any, k: Any, v: Any, causal: bool, scale: float | None, q_offset: int, deterministic: bool | None
    ) -> Any:
        """(B, H, Sq, D); arguments and errors as for `checked`."""
        if is_watched(q, k, v):
            return self.dispatched(q, k, v, causal, scale, q_offset, deterministic)
        if torch.is_autocast_enabled(q.device.type):
            q, k, v = autocast(q, k, v)
        learns = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
        settings = (causal, scale, q_offset, is_deterministic(deterministic))
        plan = self.plan(q, k, v, settings, LEARNING if learns else ANSWERING)
        if learns and not isinstance(plan, TorchPlan):
            return _attend(q, k, v, plan)
        return plan.answer(q, k, v)

    def dispatched(
        self, q: Any, k: Any, v: Any, causal: bool, scale: float | None, q_offset: int, deterministic: bool | None
    ) -> Any:
        """The same through the dispatcher, for whoever traces, transforms or watches what is called there."""
        q, k, v = autocast(q, k, v)
        request = checked(q, k, v, causal=causal, scale=scale, q_offset=q_offset)
        exactly = is_deterministic(deterministic)
        reason = self.unserved(request)
        if reason and not request.is_empty and request.device.type != "meta":
            tell_once("attention", reason, INSTEAD)
            return attend_by_torch(q, k, v, request, deterministic=exactly)
        refuse_tangents(q, k, v)
        rest = (causal, request.scale, q_offset, exactly, self.name)
        return torch.ops.spak.attention_forward.default(q, k, v, *rest)[0]

    def plan(
        self, q: Any, k: Any, v: Any, settings: tuple[bool, float | None, int, bool], needs: tuple[str, ...]
    ) -> AttentionPlan:
        """The plan for these tensors; settings: causal, scale, q_offset and deterministic."""
        key = (
            *(q.shape, k.shape, v.shape, q.dtype, k.dtype, v.dtype, q.device, k.device, v.device),
            *(q.layout, k.layout, v.layout, settings, *map(type, settings), needs),  # 1 is not True, though equal
        )
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            found = self._plans[key] = self._new_plan(q, k, v, settings, needs)
        return found

    def _new_plan(
        self, q: Any, k: Any, v: Any, settings: tuple[bool, float | None, int, bool], needs: tuple[str, ...]
    ) -> AttentionPlan:
        causal, scale, q_offset, deterministic = settings
        request = checked(q, k, v, causal=causal, scale=scale, q_offset=q_offset)
        if request.is_empty:
            return EmptyPlan()
        reason = self.unserved(request)
        device = self._device_of(request.device)
        if not reason and isinstance(device, LaunchDevice):
            try:
                return KernelPlan(request, device, self._choose, needs, DETERMINISTIC if deterministic else "")
            except UnservedError as error:
                reason = str(error)
        tell_once("attention", reason, INSTEAD)
        return TorchPlan(request, deterministic=deterministic)

    def unserved(self, request: AttentionRequest) -> str:
        """Why no kernel serves `request`, as far as nothing need be chosen; empty if one does."""
        device = self._device_of(request.device)
        return device if isinstance(device, str) else unserved(request)


_OPERATORS: dict[str, AttentionOperator] = {}


def operator_named(name: str) -> AttentionOperator:
    """The operator of that name.

    Raises:
        KeyError: If there is none in this process.
    """
    return _OPERATORS[name]


def is_watched(q: Any, k: Any, v: Any) -> bool:
    """Whether anything but autograd has to see a call: a tracer, a transform, a mode, a tensor of another class."""
    return bool(
        not (type(q) in ORDINARY and type(k) in ORDINARY and type(v) in ORDINARY)
        or q.is_meta
        or _is_traced()
        or _num_modes()
        or _innermost_transform() is not None
        or forward_ad._current_level >= 0  # noqa: SLF001
    )


def refuse_tangents(*tensors: Any) -> None:
    """Raise if a tensor carries a forward-mode derivative: it would be lost, and nobody would see.

    Raises:
        NotImplementedError: Then.
    """
    if forward_ad._current_level >= 0 and any(  # noqa: SLF001
        forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors
    ):
        raise NotImplementedError("spak.attention has no forward-mode derivative")


def is_deterministic(asked: bool | None) -> bool:
    """What the caller says, else what PyTorch has been told.

    Raises:
        TypeError: If the caller says something else.
    """
    if asked is None:
        return bool(torch.are_deterministic_algorithms_enabled())
    if not isinstance(asked, bool):
        raise TypeError(f"deterministic: true or false, or None (got {asked!r})")
    return asked
