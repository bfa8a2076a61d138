"""What an agent may ask: the arguments of each tool, with their bounds and what they mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from spak import KgError
from spak.kg.model.base import Scalar

MAX_CONFIGURATIONS = 1024
"""Configurations of one question."""

_Value = bool | Annotated[int, Meta(ge=-(2**62), le=2**62)] | float | Annotated[str, Meta(max_length=200)]
_Name = Annotated[str, Meta(min_length=1, max_length=100)]
_Settings = Annotated[dict[_Name, _Value], Meta(max_length=64)]

Hardware = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="GPU: an id (`h200`, `sm_90`), an alias, or what a driver calls it (`NVIDIA H200`). `names` lists them.",
    ),
]
OpName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="Operation: an id or an alias (`fmha`, `matmul`, `attention`). `names` lists them.",
    ),
]
ProblemSize = Annotated[
    _Settings | Annotated[str, Meta(max_length=1000)],
    Meta(
        description="Problem size: an object of problem parameters, in part or whole ({'head_dim': 128, 'causal': true}), "
        "or the name of a size (`d128-s4096-causal`). `names` with the op lists both."
    ),
]
Arch = Annotated[
    str,
    Meta(
        max_length=100,
        description="Only for a GPU that is not listed: the compute capability it has (`sm_90`), so that laws of that hold.",
    ),
]
Where = Annotated[
    str,
    Meta(
        max_length=1000,
        description="Condition that the recommended configuration meets, over parameters and problem parameters: "
        "`tile_m <= 128 and use_tma == true`.",
    ),
]
Limit = Annotated[int, Meta(ge=1, le=50, description="Most entries in the answer; it says how many more there are.")]
Skip = Annotated[int, Meta(ge=0, le=100_000, description="Entries to leave out at the start: how to see `more`.")]


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of a tool; a name that is not one of them is an error."""


class NamesQuestion(Question, frozen=True):
    """What there is to ask about."""

    op: Annotated[str, Meta(max_length=200, description="An op, for its parameters, their values and its sizes.")] = ""
    find: Annotated[str, Meta(max_length=100, description="Only names that contain this text.")] = ""


class LawsQuestion(Question, frozen=True):
    """What is known of an op on a GPU."""

    hw: Hardware
    op: OpName
    problem: ProblemSize = {}
    kinds: Annotated[
        tuple[Literal["positive", "negative", "indifferent", "invariant", "transformation"], ...],
        Meta(description="Only these: use, avoid, makes no difference, must hold, rewrite. Empty: all.", max_length=5),
    ] = ()
    params: Annotated[tuple[_Name, ...], Meta(description="Only laws about one of these names.", max_length=64)] = ()
    limit: Limit = 8
    skip: Skip = 0


class ConfigurationQuestion(Question, frozen=True):
    """What laws say of one configuration."""

    hw: Hardware
    op: OpName
    config: Annotated[
        _Settings, Meta(description="The configuration: parameter -> value. What is missing is unknown, not a default.")
    ]
    problem: ProblemSize = {}
    limit: Limit = 6


class LawQuestion(Question, frozen=True):
    """One law."""

    law: Annotated[str, Meta(min_length=1, max_length=200, description="Id of a law, as other answers have it.")]


class CandidatesQuestion(Question, frozen=True):
    """Configurations to be judged."""

    hw: Hardware
    op: OpName
    configurations: Annotated[
        tuple[_Settings, ...],
        Meta(
            max_length=MAX_CONFIGURATIONS,
            description="Configurations, each in part or whole: the rest has the op's defaults. Or give `grid`.",
        ),
    ] = ()
    grid: Annotated[
        dict[_Name, Annotated[tuple[_Value, ...], Meta(min_length=1, max_length=64)]],
        Meta(
            max_length=64,
            description="Instead of `configurations`: parameter -> values; every combination is meant "
            f"({MAX_CONFIGURATIONS} at most).",
        ),
    ] = {}
    problem: ProblemSize = {}
    arch: Arch = ""
    limit: Limit = 12


class FirstQuestion(Question, frozen=True):
    """What to run first."""

    hw: Hardware
    op: OpName
    problem: ProblemSize = {}
    where: Where = ""
    arch: Arch = ""
    limit: Limit = 5


class DraftQuestion(Question, frozen=True):
    """A law to be proposed by a person."""

    kind: Annotated[
        Literal["positive", "negative", "indifferent", "invariant", "transformation"],
        Meta(description="What it says: use, avoid, makes no difference, must hold, rewrite."),
    ]
    title: Annotated[str, Meta(min_length=1, max_length=200, description="One line with the scope in it.")]
    hw: Hardware
    op: OpName
    claim: Annotated[
        dict[_Name, Any],
        Meta(
            max_length=16,
            description="By kind: positive {prefer: {tile_m: 64}, over: [{...}]}; negative {avoid: 'tile_m >= 128', "
            "effect: {slowdown: {at_least: 1.2}}}; indifferent {over: v_latency, values: [4, 5], within: 1%}; invariant "
            "{require: '...', otherwise: '...'}; transformation {from, to, rewrite}. Any: because (mechanism).",
        ),
    ]
    when: Annotated[str, Meta(max_length=1000, description="Problem sizes it holds for: `head_dim == 128`.")] = ""
    dtype: Annotated[tuple[_Name, ...], Meta(max_length=8, description="Input types it covers; empty: all.")] = ()
    origin: Annotated[str, Meta(min_length=1, max_length=300, description="Who found it, in which runs.")] = "an agent"


def asked_configurations(question: CandidatesQuestion) -> list[dict[str, Scalar]]:
    """Every configuration that a question means.

    Raises:
        KgError: If it names none, both kinds, or too many.
    """
    if bool(question.configurations) == bool(question.grid):
        raise KgError("give either `configurations` or `grid`")
    if question.configurations:
        return [dict(one) for one in question.configurations]
    found: list[dict[str, Scalar]] = [{}]
    for parameter, values in question.grid.items():
        if len(found) * len(values) > MAX_CONFIGURATIONS:
            raise KgError(f"grid: more than {MAX_CONFIGURATIONS} combinations; name fewer values")
        found = [{**one, parameter: value} for one in found for value in values]
    return found
