"""Finds the hot loop of a kernel in its disassembly and counts what the loop executes, by kind of instruction."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import networkx as nx

from spak.tuner.knowledge.predict import WARP_THREADS

_KINDS = {
    "tensor": "HMMA HGMMA IMMA IGMMA QMMA QGMMA OMMA DMMA BMMA BGMMA UTCHMMA UTCQMMA UTCIMMA UTCOMMA",
    "mufu": "MUFU",
    "fp32": "FFMA FADD FMUL FMNMX FSEL FSETP FFMA2 FADD2 FMUL2 FMNMX3 FADD3",
    "local_loads": "LDL",
    "local_stores": "STL",
    "shared_loads": "LDS LDSM",
    "shared_stores": "STS STSM",
    "barriers": "BAR SYNCS DEPBAR LDGDEPBAR WARPSYNC WARPGROUP BSYNC",
}
"""Kind -> opcodes. Source: CUDA Binary Utilities, Instruction Set Reference, tables for Ampere to Blackwell."""

_KIND_OF = {opcode: kind for kind, opcodes in _KINDS.items() for opcode in opcodes.split()}
_LINE = re.compile(
    r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:(@!?U?P[0-9T]+)\s+)?([A-Z][A-Z0-9_]*)((?:\.[A-Za-z0-9_]+)*)\s*(.*?)\s*;"
)
_LABEL = re.compile(r"^(\.L\S+):")
_TARGET = re.compile(r"`\((\.L[^)\s]+)\)")
_FUNCTION = re.compile(r"^\.text\.(\S+):")
_ENDS = frozenset({"EXIT", "RET", "BRX", "JMX", "BRXU", "JMXU", "KILL"})
_GROUP_SHAPE = re.compile(r"\.(\d+)x(\d+)x(\d+)")
_WARP_SHAPE = re.compile(r"\.(16|8)(8)(128|256|64|32|16|8|4)(?:\.|$)")
_WORD_BYTES = 4
_MATRIX_BYTES = 128
_WARPS_OF_A_GROUP = 4


@dataclass(frozen=True)
class Instruction:
    """One line of disassembly.

    Attributes:
        modifiers: As written, each with its leading dot.
        target: Label it may jump to; empty if it does not jump.
        conditional: False if it always jumps or ends.
    """

    opcode: str
    modifiers: str
    target: str
    conditional: bool


def parse_sass(text: str, symbol: str) -> tuple[list[Instruction], dict[str, int]]:
    """The instructions of the function `symbol` in `nvdisasm -c` output, and label -> index of what follows it."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    inside = False
    for line in text.splitlines():
        if found := _FUNCTION.match(line):
            inside = found[1] == symbol
        elif not inside:
            continue
        elif found := _LABEL.match(line):
            labels[found[1]] = len(instructions)
        elif found := _LINE.match(line):
            instructions.append(_instruction(found))
    return instructions, labels


def _instruction(found: re.Match[str]) -> Instruction:
    _, predicate, opcode, modifiers, operands = found.groups()
    target = _TARGET.search(operands) if opcode in {"BRA", "JMP"} else None
    condition = operands.split("`", 1)[0].strip(" ,") if target else ""
    return Instruction(opcode, modifiers, target[1] if target else "", bool(predicate or condition))


def of_disassembly(text: str, symbol: str) -> dict[str, float]:
    """What one warp executes in one pass of the hot loop of `symbol` in the output of `nvdisasm -c`.

    The hot loop is the innermost loop with the most tensor-core instructions, or without any the most arithmetic; of
    equals the shortest. `loop_found` is 0 where nothing loops and the counts are the whole function's.
    `loop_instructions` are all of them, `loop_<kind>` those of a kind (`_KINDS`).
    `loop_spill_bytes` is what one thread moves to and from local memory, `loop_shared_bytes` what the warp moves to and
    from shared memory, its share of what wgmma reads there included.
    `loop_tensor_flops` are multiply and add of the warp's share of the products, counted as two; 0 where their shape is
    not in the code (tcgen05 takes it from a descriptor).
    """
    instructions, labels = parse_sass(text, symbol)
    hot = _hottest(list(_loops(instructions, labels)) if instructions else [], instructions)
    executed = [instructions[i] for i in sorted(hot)] if hot else instructions
    counts = Counter(kind for one in executed if (kind := _KIND_OF.get(one.opcode)))
    return {
        "loop_found": float(bool(hot)),
        "loop_instructions": float(len(executed)),
        **{f"loop_{kind}": float(counts[kind]) for kind in _KINDS},
        "loop_spill_bytes": float(sum(_width(one.modifiers) for one in executed if one.opcode in {"LDL", "STL"})),
        "loop_shared_bytes": float(sum(map(_shared_bytes, executed))),
        "loop_tensor_flops": float(sum(map(_tensor_flops, executed))),
    }


def _width(modifiers: str) -> int:
    """Bytes a thread moves: `.64` and `.128` say so in bits, a plain access is one 32-bit word."""
    return next((bits // 8 for bits in (128, 64, 16, 8) if f".{bits}" in modifiers), _WORD_BYTES)


def _shared_bytes(one: Instruction) -> int:
    """Bytes of a warp. LDSM and STSM move 8 x 8 matrices of 16 bits, as many as their last modifier says."""
    if one.opcode in {"LDS", "STS"}:
        return _width(one.modifiers) * WARP_THREADS
    if one.opcode in {"LDSM", "STSM"}:
        last = one.modifiers.rpartition(".")[2]
        return _MATRIX_BYTES * (int(last) if last in {"2", "4"} else 1)
    if found := _GROUP_SHAPE.search(one.modifiers):  # wgmma reads its second operand from shared memory, 16 bits each
        return 2 * int(found[2]) * int(found[3]) // _WARPS_OF_A_GROUP
    return 0


def _tensor_flops(one: Instruction) -> int:
    """FLOPs of a warp's share: `.16816` is 16 x 8 x 16 for the warp, `.64x128x16` for its group of four warps."""
    if found := _GROUP_SHAPE.search(one.modifiers):
        m, n, k = (int(size) for size in found.groups())
        return 2 * m * n * k // _WARPS_OF_A_GROUP
    if one.opcode.endswith("MMA") and (found := _WARP_SHAPE.search(one.modifiers)):
        m, n, k = (int(size) for size in found.groups())
        return 2 * m * n * k
    return 0


def _hottest(loops: Iterable[frozenset[int]], instructions: Sequence[Instruction]) -> frozenset[int]:
    """The loop that counts, empty if none does arithmetic.

    A causal kernel loops twice, without the mask and with it; both do the same products, and the shorter one, without
    the mask, runs for all tiles but those on the diagonal.
    """
    busy = [(_work(loop, instructions), loop) for loop in loops]
    tensor = any(work[0] for work, _ in busy)
    busy = [(work, loop) for work, loop in busy if (work[0] if tensor else work[1])]
    innermost = [(work, loop) for work, loop in busy if not any(other < loop for _, other in busy)]

    def rank(item: tuple[tuple[int, int], frozenset[int]]) -> tuple[int, int, int]:
        (products, arithmetic), loop = item
        return products, -len(loop) if tensor else arithmetic, -min(loop)

    return max(innermost, key=rank, default=((0, 0), frozenset[int]()))[1]


def _work(loop: frozenset[int], instructions: Sequence[Instruction]) -> tuple[int, int]:
    """Tensor-core instructions of `loop`, and other arithmetic."""
    kinds = Counter(_KIND_OF.get(instructions[i].opcode) for i in loop)
    return kinds["tensor"], kinds["fp32"] + kinds["mufu"]


def _loops(instructions: Sequence[Instruction], labels: dict[str, int]) -> Iterator[frozenset[int]]:
    """Natural loops as sets of instruction indices.

    A jump backwards is not enough: a wait that spins out of line jumps back into the code it came from. A loop is an
    edge to a block that every path to the edge goes through.
    """
    starts = _leaders(instructions, labels)
    graph = _flow(instructions, labels, starts)
    reachable = nx.descendants(graph, 0) | {0}
    graph = graph.subgraph(reachable)
    dominator = {**nx.immediate_dominators(graph, 0), 0: None}
    bodies: dict[int, set[int]] = {}
    for tail, head in graph.edges:
        if _dominates(head, tail, dominator):
            bodies.setdefault(head, {head}).update(_body(graph, tail, head))
    ends = dict(zip(starts, [*starts[1:], len(instructions)], strict=True))
    for body in bodies.values():
        yield frozenset(i for start in body for i in range(start, ends[start]))


def _dominates(head: int, block: int | None, dominator: dict[int, int | None]) -> bool:
    while block is not None:
        if block == head:
            return True
        block = dominator[block]
    return False


def _body(graph: nx.DiGraph[int], tail: int, head: int) -> set[int]:
    """Blocks from which `tail` is reached without passing `head`, and `head` itself."""
    if tail == head:
        return {head}
    return {head, tail, *nx.ancestors(nx.restricted_view(graph, [head], []), tail)}


def _leaders(instructions: Sequence[Instruction], labels: dict[str, int]) -> list[int]:
    after = (i + 1 for i, one in enumerate(instructions) if one.target or one.opcode in _ENDS)
    return sorted({0, *labels.values(), *after} & set(range(len(instructions))))


def _flow(instructions: Sequence[Instruction], labels: dict[str, int], starts: Sequence[int]) -> nx.DiGraph[int]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(starts)
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        last = instructions[(len(instructions) if following is None else following) - 1]
        if last.target in labels and labels[last.target] < len(instructions):
            graph.add_edge(start, labels[last.target])
        falls = last.conditional or not (last.target or last.opcode in _ENDS)
        if falls and following is not None:
            graph.add_edge(start, following)
    return graph
