"""The tools: what each is asked and answers, and the words that tell a model when to use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

import spak
from spak.agents import answers, candidates, catalogue, questions
from spak.agents.quoting import quoted

_MAX_PROBLEMS = 5
"""Findings about a broken law root that an error holds."""


class QuestionError(Exception):
    """A question that cannot be answered; the text is for the model that asked."""


@dataclass(frozen=True)
class AgentTool:
    """One tool.

    Attributes:
        name: As clients list it.
        title: For people.
        description: For a model that chooses among tools.
        question: Type of its arguments.
        answer: Type of what it gives.
        ask: Answers.
    """

    name: str
    title: str
    description: str
    question: type[questions.Question]
    answer: type[msgspec.Struct]
    ask: Callable[[spak.Library, Any], answers.AgentAnswer]

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of its arguments."""
        return _schema(self.question)

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of its structured answer."""
        return _schema(self.answer)

    def parsed(self, arguments: Mapping[str, Any]) -> questions.Question:
        """The question that `arguments` are; an object that a client wrote as text is read.

        Raises:
            QuestionError: If an argument is missing, unknown, of another type or too large.
        """
        try:
            return msgspec.convert({key: _unpacked(value) for key, value in arguments.items()}, self.question)
        except (msgspec.ValidationError, RecursionError) as error:
            known = ", ".join(self.question.__struct_fields__)
            raise QuestionError(f"{self.name}: {quoted(str(error))}; its arguments are: {known}") from None


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema with the record itself at the root, which clients ask for; a model reads it, so it is short."""
    (root,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    own = _short(parts.pop(root["$ref"].rpartition("/")[2]))
    return {**own, "$defs": {part: _short(body) for part, body in parts.items()}} if parts else own


def _short(node: Any) -> Any:
    """A schema without what tells a model nothing: names of classes, lengths of keys, four ways to say one scalar."""
    if isinstance(node, list):
        return [_short(one) for one in node]
    if not isinstance(node, dict):
        return node
    kinds = {one.get("type") for one in node.get("anyOf", [])}
    if kinds == {"boolean", "integer", "number", "string"}:
        return {"type": ["boolean", "number", "string"]}
    found = {key: _short(value) for key, value in node.items() if key not in {"title", "propertyNames", "properties"}}
    if "properties" in node:
        found["properties"] = {key: _short(value) for key, value in node["properties"].items()}
    return found


def _unpacked(value: object) -> object:
    """Some clients send objects and lists as JSON text."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value


TOOLS: Mapping[str, AgentTool] = {
    tool.name: tool
    for tool in (
        AgentTool(
            "first",
            "What to run first",
            "Which configuration (tile sizes, occupancy, ...) of a GPU kernel to run on a GPU at a problem size: the "
            "recommended one with its origin, what to try next, and what confirmed laws say to avoid. Start here when "
            "you write, configure or tune a kernel. The first call for an op may take seconds.",
            questions.FirstQuestion,
            candidates.FirstAnswer,
            candidates.ask_first,
        ),
        AgentTool(
            "query",
            "What is known",
            "Laws about an op on a GPU, most certain first: what to use, to avoid, to ignore, what must hold, and which "
            "claims were refuted; each with its id, status, evidence and a sentence to cite.",
            questions.LawsQuestion,
            answers.LawsAnswer,
            answers.ask_laws,
        ),
        AgentTool(
            "why",
            "What laws say of one configuration",
            "Which laws speak against or for one configuration on a GPU, whether they may remove it from a search, and "
            "which values would decide those that cannot tell. Use it before you settle on a configuration of your own.",
            questions.ConfigurationQuestion,
            answers.JudgementAnswer,
            answers.ask_configuration,
        ),
        AgentTool(
            "filter",
            "Which of many are worth trying",
            "Configurations (a list, or a grid of values) without those that are infeasible or that confirmed laws "
            "remove, each with laws and reasons. Use it to cut an autotuner's list. At least one is always kept.",
            questions.CandidatesQuestion,
            candidates.FilterAnswer,
            candidates.ask_filter,
        ),
        AgentTool(
            "rank",
            "In which order to try",
            "Configurations (a list, or a grid of values) in the order in which to try them, by laws and recorded "
            "runs, and what that order comes from. The first call for an op may take seconds.",
            questions.CandidatesQuestion,
            candidates.RankAnswer,
            candidates.ask_rank,
        ),
        AgentTool(
            "explain",
            "One law whole",
            "One law by its id: its claim, every run for and against it, how to repeat it, and how to cite it in a "
            "review. Use it before you contradict a law or quote one.",
            questions.LawQuestion,
            answers.LawAnswer,
            answers.ask_law,
        ),
        AgentTool(
            "names",
            "What can be asked about",
            "Names of hardware and ops; with `op`, its tunable parameters, their values, its problem parameters and "
            "named sizes. Use it when a name or a value is not known.",
            questions.NamesQuestion,
            catalogue.NamesAnswer,
            catalogue.ask_names,
        ),
        AgentTool(
            "draft_law",
            "Draft a law for review",
            "The YAML text of a new law for a person to review, checked against the law root. Nothing is written.",
            questions.DraftQuestion,
            catalogue.DraftAnswer,
            catalogue.ask_draft,
        ),
    )
}
"""Name -> tool, in the order in which a model should think of them."""


def answer(tool: str, arguments: Mapping[str, Any], library: Callable[[], spak.Library]) -> answers.AgentAnswer:
    """What `tool` answers; the library is asked for once the question is one.

    Raises:
        QuestionError: If there is no such tool, the question is none, or it has no answer.
    """
    if tool not in TOOLS:
        raise QuestionError(f"there is no tool {quoted(tool, 100)}; there are: {', '.join(TOOLS)}")
    question = TOOLS[tool].parsed(arguments)
    with_laws = opened(library)
    try:
        return TOOLS[tool].ask(with_laws, question)
    except (spak.KgError, spak.TunerError, OSError) as error:
        raise QuestionError(_told(error, hasattr(question, "arch"))) from None


def opened(library: Callable[[], spak.Library]) -> spak.Library:
    """The laws.

    Raises:
        QuestionError: If they cannot be used.
    """
    try:
        return library()
    except (spak.KgError, OSError) as error:
        raise QuestionError(f"the law root cannot be used; a person has to repair it: {_told(error)}") from None


def _told(error: Exception, takes_arch: bool = False) -> str:
    """An error in words, what it quotes marked."""
    if isinstance(error, spak.UnknownNameError):
        near = ", ".join(quoted(one, 100) for one in error.nearest)
        hint = "; if it is new, say what it is with `arch`" if error.kind == "hardware" and takes_arch else ""
        return f"unknown {error.kind} {quoted(error.name, 100)}{'; nearest: ' + near if near else ''}{hint}"
    if isinstance(error, spak.InvalidFilesError):
        found = [quoted(str(problem), 300) for problem in error.problems[:_MAX_PROBLEMS]]
        more = len(error.problems) - len(found)
        return "\n".join([f"{len(error.problems)} problems", *found, *([f"and {more} more"] if more else [])])
    return quoted(str(error))
