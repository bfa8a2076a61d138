"""`kg query`: the laws that speak about an op on a piece of hardware, each with how it came to be an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from spak.kg.expression.assignment import check_names
from spak.kg.law.conflict import Dispute, Hit, answering
from spak.kg.law.kinds import kind_of, meaning
from spak.kg.law.scope import Question, op_relations
from spak.kg.law.statement import claim_document
from spak.kg.law.superseding import silenced
from spak.kg.model.base import Scalar
from spak.kg.model.law import Law, Status
from spak.kg.model.op import Op
from spak.kg.model.recorded import RecordedSize
from spak.kg.model.store import Store, SupersededLaw
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import check_problem


@dataclass(frozen=True)
class Ask:
    """A question as typed, names not yet resolved.

    Attributes:
        hw: Hardware: an id, an alias, or what a driver calls the device.
        op: Op: an id or an alias.
        kinds: Only laws of these kinds; empty means all.
        statuses: Only laws of these statuses; empty means all but withdrawn ones.
        params: Only laws whose claim is about one of these names; empty means all.
        toolchain: `name version` the answer is for; empty if nobody knows.
    """

    hw: str
    op: str
    kinds: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    problem: Mapping[str, Scalar] = field(default_factory=dict)
    toolchain: str = ""


@dataclass(frozen=True)
class Answer:
    """What is known, nearest laws first.

    Attributes:
        conflicts: Between laws that matched, if at least one of the two is among `hits`.
        num_withdrawn: Laws left out because they were withdrawn.
        toolchain: What staleness was judged against; empty if nobody knows.
        superseded: Laws beneath that would be among `hits` if none above superseded them.
        recorded: What was timed there, by problem size, the one asked about first (`nearest_first`); `Library.query` reads
            it from the run files.
    """

    hw: str
    op: str
    hits: tuple[Hit, ...]
    conflicts: tuple[Dispute, ...]
    num_withdrawn: int
    toolchain: str
    superseded: tuple[SupersededLaw, ...] = ()
    recorded: tuple[RecordedSize, ...] = ()

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many of the laws have each status."""
        return Counter(hit.law.status for hit in self.hits)


def query(store: Store, ask: Ask) -> Answer:
    """What is known about `ask.op` on `ask.hw`.

    Raises:
        UnknownNameError: If the hardware, the op, a problem parameter or a filtered name is unknown.
    """
    question = resolved_question(store, ask)
    found, disputes = answering(store, question)
    if ask.params:
        check_names(
            sorted(ask.params), governed_names(store, question.op, [hit.law for hit in found]), kind="parameter"
        )
    withdrawn = sum(hit.law.status == "withdrawn" for hit in found)
    wanted = (hit for hit in found if is_wanted(hit.law.status, kind_of(hit.law), ask) and names_one(hit.law, ask))
    hits = tuple(sorted(wanted, key=lambda hit: (hit.match.distance, meaning(hit.law).rank, hit.law.id)))
    shown = {hit.law.id for hit in hits}
    return Answer(
        hw=question.hw,
        op=question.op,
        hits=hits,
        conflicts=tuple(c for c in disputes if shown.intersection(c.laws)),
        num_withdrawn=0 if "withdrawn" in ask.statuses else withdrawn,
        toolchain=ask.toolchain,
        superseded=silenced(store, question),
    )


def resolved_question(store: Store, ask: Ask) -> Question:
    """The question in canonical ids, its problem's names and values checked against those of the ops it is about.

    Raises:
        UnknownNameError: If a name is unknown.
        KgError: If a problem parameter has no such value.
    """
    hw = Taxonomy("hardware", store.hardware).resolve(ask.hw)
    op = Taxonomy("op", store.ops).resolve(ask.op)
    ops = related(store, op)
    problem = {name for node in ops for name in node.problem}
    check_names(ask.problem, problem | {"dtype"}, kind="problem parameter")
    check_problem(ops, ask.problem)
    return Question(hw=hw, op=op, problem=ask.problem, toolchain=ask.toolchain)


def related(store: Store, op: str) -> list[Op]:
    """The ops that laws about `op` may be stated for: itself, what it is, its kinds, its parts."""
    return [store.ops[name] for name in op_relations(store, op) if name in store.ops]


def governed_names(store: Store, op: str, laws: Iterable[Law]) -> set[str]:
    """Every name a law about `op` may speak of: the parameters of it and its relatives, and what the claims of `laws` name."""
    parameters = {name for node in related(store, op) for name in node.parameters}
    return parameters.union(*(meaning(law).names for law in laws))


def nearest_first(
    recorded: Sequence[RecordedSize], op: str, problem: Mapping[str, Scalar], ops: Mapping[str, Op]
) -> tuple[RecordedSize, ...]:
    """What was timed, in the order of what it says of a question about `op` at `problem`.

    First what agrees with the problem, as far as it is given; then the op itself before its kinds, what is nearest to the
    op's default problem size, and what has most trials.
    """

    def remoteness(size: RecordedSize) -> tuple[int, bool, int, int]:
        usual = {name: parameter.default for name, parameter in ops[size.op].problem.items()} if size.op in ops else {}
        known = {**usual, **size.problem}
        off = sum(known.get(name) != value for name, value in problem.items())
        return off, size.op != op, sum(known[name] != value for name, value in usual.items()), -size.trials

    return tuple(sorted(recorded, key=remoteness))


def answer_document(answer: Answer) -> dict[str, object]:
    """The answer in the form that `--format json` prints. Stable: keys are added, never renamed."""
    laws = [_entry(hit) for hit in answer.hits]
    found = {"hw": answer.hw, "op": answer.op, "laws": laws, "conflicts": answer.conflicts}
    gone = [{"id": one.law.id, "layer": one.layer, "status": one.law.status, "by": one.by} for one in answer.superseded]
    return {**found, "superseded": gone, "recorded": answer.recorded}


def answer_json(answer: Answer) -> str:
    """`document(answer)` as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(answer_document(answer)), indent=2).decode() + "\n"


def _entry(hit: Hit) -> dict[str, object]:
    law = hit.law
    shown = ("run", "tier", "role", "verdict", "effect")
    return {
        "id": law.id,
        "kind": kind_of(law),
        "status": law.status,
        "layer": hit.layer,
        "title": law.title,
        "claim": claim_document(law),
        "match": hit.match,
        "evidence": [{name: getattr(entry, name) for name in shown} for entry in law.evidence],
    }


def is_wanted(status: Status, kind: str, ask: Ask) -> bool:
    """Whether laws of that status and kind are asked for."""
    statuses = status in ask.statuses if ask.statuses else status != "withdrawn"
    return statuses and (not ask.kinds or kind in ask.kinds)


def names_one(law: Law, ask: Ask) -> bool:
    """Whether the claim is about a name that is asked for."""
    return not ask.params or not ask.params.isdisjoint(meaning(law).names)
