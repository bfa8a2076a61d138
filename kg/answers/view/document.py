"""What the page knows: laws with status, evidence and neighbours, the lineage they hang on, the runs behind them.

The page's script reads this document as JSON and computes nothing about laws: sentences, statuses and reasons are made here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import count

import msgspec

from spak.kg.answers.graph import Graph, along, build, ids, key
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.conflict import Conflict
from spak.kg.law.kinds import KINDS, kind_of, meaning
from spak.kg.law.statement import knobs, sentence
from spak.kg.law.status import bounds, standing
from spak.kg.model.base import Model, Reference, Scalar
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Evidence, Law, Status, Tier, Withdrawn
from spak.kg.model.run import Run
from spak.kg.model.store import Store

STATUSES: tuple[Status, ...] = ("confirmed", "proposed", "contested", "refuted", "withdrawn")
"""In the order in which a reader trusts them."""


class FactLine(Model, frozen=True, kw_only=True):
    """One fact of a hardware node.

    Attributes:
        source: Index into `Page.sources`; many facts share one document.
    """

    name: str
    value: Scalar
    source: int
    confirmed: bool = True


class NodeLine(Model, frozen=True, kw_only=True):
    """A hardware node or an op.

    Attributes:
        level: `device`, `architecture`, ...; empty for an op.
    """

    id: str
    title: str
    level: str = ""
    is_a: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    facts: tuple[FactLine, ...] = ()


class SystemLine(Model, frozen=True, kw_only=True):
    """A system that inherits laws."""

    id: str
    title: str
    state: str


class RunLine(Model, frozen=True, kw_only=True):
    """A run file without its trials.

    Attributes:
        toolchain: `tileiras 13.4.92, ...`.
    """

    id: str
    tier: Tier
    created: str
    hw: str
    op: str
    device: str = ""
    toolchain: str = ""
    commit: str = ""
    reproduce: str = ""
    source: str = ""
    note: str = ""
    outcomes: Mapping[str, int] = {}


class EvidenceLine(Model, frozen=True, kw_only=True):
    """One verdict; `problems` are indices into `Page.problems`."""

    run: str
    verdict: str
    tier: Tier
    role: str
    effect: Mapping[str, float] = {}
    interval: Mapping[str, tuple[float, float]] = {}
    problems: tuple[int, ...] = ()
    toolchain: str = ""
    note: str = ""


class Link(Model, frozen=True, kw_only=True):
    """An edge between two laws, as the verb reads from this law; `note` says why where the verb does not."""

    verb: str
    law: str
    note: str = ""


class LawLine(Model, frozen=True, kw_only=True):
    """A law as the page shows it.

    Attributes:
        claim: The claim after its verb.
        reason: Why it has its status, or what is missing for more.
        bounds: Effect -> (least, most) that the claim states; None where it is open.
        former: Ids it had before.
        path: File, relative to the law root.
    """

    id: str
    title: str
    kind: str
    status: Status
    reason: str
    hw: str
    op: str
    claim: str
    sentence: str
    path: str
    dtype: tuple[str, ...] = ()
    when: str = ""
    toolchain: str = ""
    because: str = ""
    bounds: Mapping[str, tuple[float | None, float | None]] = {}
    knobs: tuple[str, ...] = ()
    avoided: tuple[str, ...] = ()
    admitted: tuple[str, ...] = ()
    evidence: tuple[EvidenceLine, ...] = ()
    links: tuple[Link, ...] = ()
    former: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    withdrawn: Withdrawn | None = None
    references: tuple[Reference, ...] = ()
    acknowledges: tuple[str, ...] = ()


class Page(Model, frozen=True, kw_only=True):
    """Everything on the page.

    Attributes:
        verbs: Kind -> what a law of it tells a person to do, safety first.
    """

    verbs: Mapping[str, str]
    statuses: tuple[Status, ...]
    hardware: tuple[NodeLine, ...]
    ops: tuple[NodeLine, ...]
    systems: tuple[SystemLine, ...]
    laws: tuple[LawLine, ...]
    runs: tuple[RunLine, ...]
    problems: tuple[str, ...]
    sources: tuple[str, ...]


_Numbers = defaultdict[str, int]
"""Text -> number, in the order first asked for: what many laws repeat is stored once."""


def document(
    store: Store,
    *,
    paths: Mapping[str, str],
    load_run: Callable[[str], Run | None],
    conflicts: Iterable[Conflict] = (),
) -> Page:
    """The document of the page that shows `store`; `paths` are the files of laws by id, relative to the root."""
    problems, sources = _Numbers(count().__next__), _Numbers(count().__next__)
    graph = build(store, conflicts)
    laws = tuple(_law(law, store, graph, problems, paths.get(law.id, "")) for law in store.laws.values())
    return Page(
        verbs={kind: means.verb for kind, means in sorted(KINDS.items(), key=lambda item: item[1].rank)},
        statuses=STATUSES,
        hardware=tuple(_hardware(node, sources) for node in store.hardware.values()),
        ops=tuple(msgspec.convert(op, NodeLine, from_attributes=True) for op in store.ops.values()),
        systems=tuple(msgspec.convert(system, SystemLine, from_attributes=True) for system in store.systems.values()),
        laws=laws,
        runs=tuple(_run(run) for run in map(load_run, ids(graph, "run")) if run is not None),
        problems=tuple(problems),
        sources=tuple(sources),
    )


def to_json(page: Page) -> str:
    """`page` as one line of JSON; keys of empty and default values are left out."""
    return msgspec.json.encode(page).decode()


def _law(law: Law, store: Store, graph: Graph, problems: _Numbers, path: str) -> LawLine:
    hardware, op = store.hardware.get(law.scope.hw), store.ops.get(law.scope.op)
    return LawLine(
        id=law.id,
        title=law.title,
        kind=kind_of(law),
        status=law.status,
        reason=standing(law).reason,
        claim=meaning(law).text,
        sentence=sentence(law, hw=hardware.title if hardware else law.scope.hw, op=op.title if op else law.scope.op),
        path=path,
        because=law.claim.because,
        bounds={name: (bound.at_least, bound.at_most) for name, bound in bounds(law).items() if name},
        knobs=knobs(law, op.parameters if op else ()),
        avoided=tuple(map(show_assignments, law.examples.avoided)),
        admitted=tuple(map(show_assignments, law.examples.admitted)),
        evidence=tuple(_evidence(entry, problems) for entry in law.evidence),
        links=tuple(_links(graph, law.id)),
        former=tuple(link.id for link in law.related if link.type == "renamed-from"),
        systems=tuple(ids(along(graph, "inherits").predecessors(key("law", law.id)), "system")),
        withdrawn=law.withdrawn,
        references=law.references,
        acknowledges=law.acknowledges,
        **msgspec.structs.asdict(law.scope),
    )


def _evidence(entry: Evidence, problems: _Numbers) -> EvidenceLine:
    numbered = tuple(problems[text] for text in entry.problems)
    return EvidenceLine(**msgspec.structs.asdict(entry) | {"problems": numbered})


_BACKWARD = {"derived_from": "leads to", "refines": "refined by", "supersedes": "superseded by"}
"""How an edge between laws reads from the law that it names; a conflict has an edge each way."""


def _links(graph: Graph, law: str) -> list[Link]:
    """Its edges to laws that have a file (only those have a status), both ways."""
    node = key("law", law)
    backward = [
        Link(verb=_BACKWARD[data["verb"]], law=start.removeprefix("law:"))
        for start, _, data in graph.in_edges(node, data=True)
        if data["verb"] in _BACKWARD and "status" in graph.nodes[start]
    ]
    return backward + [
        Link(verb=data["verb"].replace("_", " "), law=end.removeprefix("law:"), note=data.get("note", ""))
        for _, end, data in graph.out_edges(node, data=True)
        if "status" in graph.nodes[end]
    ]


def _hardware(node: Hardware, sources: _Numbers) -> NodeLine:
    return NodeLine(
        id=node.id,
        title=node.title,
        level=node.kind,
        is_a=node.is_a,
        aliases=node.aliases,
        facts=tuple(
            FactLine(name=name, value=fact.value, source=sources[fact.source], confirmed=fact.confirmed)
            for name, fact in node.facts.items()
        ),
    )


def _run(run: Run) -> RunLine:
    return RunLine(
        id=run.id,
        tier=run.tier,
        created=run.created,
        hw=run.hw,
        op=run.op,
        device=run.device.name if run.device else "",
        toolchain=", ".join(f"{name} {version}" for name, version in run.toolchain.items()),
        commit=run.commit,
        reproduce=run.reproduce,
        source=run.source,
        note=run.note,
        outcomes=Counter(trial.invalidity for trial in run.trials),
    )
