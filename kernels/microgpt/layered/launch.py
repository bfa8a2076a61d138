"""The plan `layered`: a training step as one launch for each operation, forward and backward, captured in a CUDA graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, CutileSpec
from spak.kernels.interface import Problem, Scalar
from spak.kernels.microgpt.engines import issue
from spak.kernels.microgpt.model import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EXPANSION,
    Model,
    names_and_shapes,
    num_parameters,
)
from spak.kernels.microgpt.reference import Trained, views
from spak.kernels.operation import operation, power_of_two

VARIANTS: Mapping[str, Scalar] = {
    "row_form": "held",
    "tile_v": 0,
    "backwards": False,
    "use_tma": True,
    "row_sums": "product",
}
"""Of cross-entropy, whole rows; and of the embedding."""

TILES: Mapping[str, Scalar] = {"tile_m": 16, "tile_n": 16, "tile_k": 16, "tile_c": 16, "tile_size": 1024, **VARIANTS}
"""Of every operation; the model's matrices have sides of 16 to 64."""

LOSS_TILE = 256
"""Losses of positions that the last launch adds at once."""


@dataclass(frozen=True)
class Operation:
    """An operation of the step: its kernel, its size, and the name of the array that serves as each of its operands."""

    op: str
    problem: Problem
    names: Mapping[str, str]

    @property
    def shapes(self) -> Mapping[str, Array]:
        """Name of each array that it touches -> what it must be."""
        arrays = operation(self.op).arrays(self.problem)
        return {self.names[operand]: array for operand, array in arrays.items()}


@dataclass
class Tape:
    """Operations in the order of the way forward; the way back is made of them.

    Attributes:
        backward: Name of an array -> the array that holds its gradient, of those whose gradient is known.
    """

    forward: list[Operation] = field(default_factory=list)
    way_back: list[Operation] = field(default_factory=list)
    backward: dict[str, str] = field(default_factory=dict)

    def add(self, op: str, sizes: Problem, **names: str) -> str:
        """Note an operation; the name of its result."""
        out = f"{op}.{len(self.forward)}"
        self.forward.append(Operation(op, {**sizes, "direction": "forward"}, {**names, OUTPUT: out}))
        return out

    def differentiate(self, result: str, gradient: str) -> Sequence[Operation]:
        """The operations of the way back from `result`, whose gradient is in `gradient`."""
        self.backward[result] = gradient
        for one in reversed(self.forward):
            self._back(one)
        return self.way_back

    def _back(self, one: Operation) -> None:
        given = {operand: name for operand, name in one.names.items() if operand != OUTPUT}
        incoming = self.backward[one.names[OUTPUT]]
        if one.op == "residual":  # the gradient of each term is that of the sum
            for name in given.values():
                self._receive(name, incoming, one.problem)
            return
        wanted = {operand: f"d.{name}.{one.names[OUTPUT]}" for operand, name in given.items() if operand != "ids"}
        gradients = {f"d{operand}": name for operand, name in wanted.items()}
        problem = {**one.problem, "direction": "backward"}
        self.way_back.append(Operation(one.op, problem, {**given, f"d{OUTPUT}": incoming, **gradients}))
        for operand, name in wanted.items():
            count = prod(operation(one.op).arrays(problem)[operand].shape)
            self._receive(given[operand], name, {"num_elements": count})

    def _receive(self, name: str, gradient: str, size: Problem) -> None:
        """`gradient` is a part of that of `name`; parts are added up in the order in which they come."""
        before = self.backward.get(name)
        self.backward[name] = gradient if before is None else f"{before}+"
        if before is not None:
            self.way_back.append(Operation("residual", size, {"x": before, "y": gradient, OUTPUT: self.backward[name]}))


def operations(model: Model, batch: int) -> tuple[Sequence[Operation], Mapping[str, str]]:
    """A step between `fetch_kernel` and Adam, and the name of the gradient of each matrix."""
    tape, tokens = Tape(), batch * model.context
    rows: Problem = {"num_rows": tokens, "width": model.width}
    every: Problem = {"num_elements": tokens * model.width}
    heads: Problem = {"batch": batch, "seq": model.context, "heads": model.heads, "head_dim": model.head_dim}

    def linear(x: str, w: str) -> str:
        fan_out, fan_in = names_and_shapes(model)[w]
        return tape.add(
            "linear", {"tokens": tokens, "in_features": fan_in, "out_features": fan_out, "normalised": False}, x=x, w=w
        )

    sizes = {"tokens": tokens, "vocab": model.vocab, "context": model.context, "width": model.width}
    x = tape.add("rmsnorm", rows, x=tape.add("embedding", sizes, ids="ids", wte="wte", wpe="wpe"))
    for layer in range(model.layers):
        own = f"layer{layer}."
        normal = tape.add("rmsnorm", rows, x=x)
        q, k, v = (linear(normal, f"{own}attn_{name}") for name in ("wq", "wk", "wv"))
        mixed = tape.add("short-attention", heads, q=q, k=k, v=v)
        x = tape.add("residual", every, x=linear(mixed, f"{own}attn_wo"), y=x)
        hidden = linear(tape.add("rmsnorm", rows, x=x), f"{own}mlp_fc1")
        positive = tape.add("activation", {"num_elements": tokens * EXPANSION * model.width}, x=hidden)
        x = tape.add("residual", every, x=linear(positive, f"{own}mlp_fc2"), y=x)
    logits = linear(x, "lm_head")
    names = {"logits": logits, "targets": "targets", "weights": "weights", "loss": "loss", "dlogits": "dlogits"}
    entropy = Operation("cross-entropy", {"num_rows": tokens, "vocab": model.vocab}, names)
    way_back = tape.differentiate(logits, "dlogits")
    return (*tape.forward, entropy, *way_back), {name: tape.backward[name] for name in names_and_shapes(model)}


class StepFrame(CutileSpec):
    """The two launches of a step that are no operation."""

    def first(self, model: Model, arrays: Mapping[str, Any], batch: int) -> Sequence[Call]:
        """Fetch the step's documents and rates."""
        names = ("step", "tokens", "lengths", "schedule", "ids", "targets", "weights", "rates")
        shapes = {name: _like(arrays[name]) for name in names}
        square = (batch, model.context)
        shapes |= {"ids": Array("int32", square), "targets": Array("int32", square), "weights": Array("fp32", square)}
        return (Call("fetch_kernel", (batch, 1, 1), shapes, (), (power_of_two(model.context),)),)

    def last(self, arrays: Mapping[str, Any]) -> Sequence[Call]:
        """Note the loss, count the step."""
        shapes = {name: _like(arrays[name]) for name in ("step", "loss", "losses")}
        return (Call("finish_kernel", (1, 1, 1), shapes, (), (LOSS_TILE,)),)


FRAME = StepFrame()


class LayeredTraining:
    """A run, whose arrays stay where they are from step to step.

    Attributes:
        arrays: By name; `parameters`, `gradients`, `m` and `v` are flat, `losses` has an element for each step.
        num_launches: Of a step.
    """

    def __init__(self, model: Model, arrays: Mapping[str, Any], batch: int) -> None:
        """Begin with `parameters` (P,) fp32, `tokens` and `lengths` (int32), and `schedule` (steps, 2) of Adam's factors."""
        import torch

        self.model, self.batch = model, batch
        self._operations, gradients = operations(model, batch)
        flat = arrays["parameters"]
        self.arrays = dict(arrays)
        self.arrays |= {name: torch.zeros_like(flat) for name in ("gradients", "m", "v")}
        self.arrays["losses"] = torch.full((len(arrays["schedule"]),), float("nan"), device=flat.device)
        self.arrays["step"] = torch.zeros(1, dtype=torch.int32, device=flat.device)
        self.arrays["rates"] = torch.empty(2, device=flat.device)
        self.arrays |= views(model, flat)
        into = views(model, self.arrays["gradients"])
        self.arrays |= {gradients[name]: view for name, view in into.items()}
        for one in self._operations:
            for name, array in one.shapes.items():
                if name not in self.arrays:
                    dtype = torch.int32 if array.dtype == "int32" else torch.float32
                    self.arrays[name] = torch.full(
                        array.shape, -1 if array.dtype == "int32" else float("nan"), dtype=dtype, device=flat.device
                    )

    @property
    def num_launches(self) -> int:
        """Of a step."""
        return 3 + sum(len(operation(one.op).calls(one.problem, TILES)) for one in self._operations)

    def step(self) -> None:
        """Every launch of a step on the current stream; asynchronous."""
        issue(FRAME, FRAME.first(self.model, self.arrays, self.batch), self.arrays, TILES)
        for one in self._operations:
            _issue(one.op, one.problem, {operand: self.arrays[name] for operand, name in one.names.items()})
        decay: Problem = {
            "update_form": "adam",
            "gradient": "fp32",
            "beta1": BETA1,
            "beta2": BETA2,
            "epsilon": ADAM_EPSILON,
        }
        flat = {"p": "parameters", "g": "gradients", "m": "m", "v": "v", "rates": "rates"}
        flat |= {"new_p": "parameters", "new_m": "m", "new_v": "v"}
        size = num_parameters(self.model)
        _issue("adam", {"num_elements": size, **decay}, {operand: self.arrays[name] for operand, name in flat.items()})
        issue(FRAME, FRAME.last(self.arrays), self.arrays, TILES)

    def run(self) -> Trained:
        """Every step: the first as it is, which compiles what it launches, on a GPU the others as a graph that is replayed."""
        self.step()
        first = self.arrays["gradients"].clone()
        rest, step = len(self.arrays["losses"]) - 1, self.step
        if rest and self.arrays["losses"].is_cuda:  # pragma: no cover  # needs a GPU: tests/gpu
            step = self.captured().replay
        for _ in range(rest):
            step()
        return Trained(self.arrays["losses"], self.arrays["parameters"], first)

    def captured(self) -> Any:  # pragma: no cover  # needs a GPU: tests/gpu
        """A step as a `torch.cuda.CUDAGraph`, of kernels that were launched before."""
        import torch

        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            self.step()
        return graph


def train_layered(model: Model, parameters: Any, tokens: Any, lengths: Any, *, batch: int, steps: int) -> Trained:
    """Train as `spak.kernels.microgpt.reference.train` does, in fp32, on the device of `tokens`; `parameters` stay as they are."""
    import torch

    from spak.kernels.microgpt.spec import adam_factors

    tokens, lengths = (torch.as_tensor(array, dtype=torch.int32) for array in (tokens, lengths))
    arrays = {
        "parameters": torch.tensor(parameters, dtype=torch.float32, device=tokens.device),
        "tokens": tokens,
        "lengths": lengths.to(tokens.device),
        "schedule": torch.tensor(adam_factors(steps), dtype=torch.float32, device=tokens.device),
    }
    return LayeredTraining(model, arrays, batch).run()


def _issue(op: str, problem: Problem, arrays: Mapping[str, Any]) -> None:
    kernel = operation(op)
    issue(kernel, kernel.calls(problem, TILES), arrays, TILES)


def _like(tensor: Any) -> Array:
    return Array("int32" if not tensor.is_floating_point() else "fp32", tuple(tensor.shape))
