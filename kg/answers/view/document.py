"""What the page knows: laws with status, evidence and neighbours, the lineage they hang on, the runs behind them.

The page's script reads this document as JSON and computes nothing about laws: sentences, statuses and reasons are made here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec

from spak.kg.answers.graph import Graph, along, build_graph, ids, key
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.conflict import Conflict
from spak.kg.law.kinds import KINDS, kind_of, meaning
from spak.kg.law.statement import knobs, sentence
from spak.kg.law.status import bounds, standing
from spak.kg.law.superseding import in_force
from spak.kg.model.base import Model, Reference
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Evidence, Law, Status, Tier, Withdrawn
from spak.kg.model.run import Run
from spak.kg.model.store import Store

_STATUSES: tuple[Status, ...] = ("confirmed", "proposed", "contested", "refuted", "withdrawn")
"""In the order in which a reader trusts them."""


class OpLine(Model, frozen=True, kw_only=True):
    """An op without its space."""

    id: str
    title: str
    is_a: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class SystemLine(Model, frozen=True, kw_only=True):
    """A system that inherits laws."""

    id: str
    title: str
    state: str


class RunLine(Model, frozen=True, kw_only=True):
    """A run file without its trials; its toolchain as `tileiras 13.4.92, ...`."""

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
        layer: What the layer is called that it lies in; empty for the root itself.
        superseded: Laws beneath that have no power because of it, or of one that it supersedes, in words.
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
    evidence: tuple[Evidence, ...] = ()
    links: tuple[Link, ...] = ()
    former: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    withdrawn: Withdrawn | None = None
    references: tuple[Reference, ...] = ()
    acknowledges: tuple[str, ...] = ()
    layer: str = ""
    superseded: tuple[str, ...] = ()


class Page(Model, frozen=True, kw_only=True):
    """Everything on the page; `verbs`: kind -> what a law of it tells a person to do, safety first."""

    verbs: Mapping[str, str]
    statuses: tuple[Status, ...]
    hardware: tuple[Hardware, ...]
    ops: tuple[OpLine, ...]
    systems: tuple[SystemLine, ...]
    laws: tuple[LawLine, ...]
    runs: tuple[RunLine, ...]


def view_document(
    store: Store,
    *,
    paths: Mapping[str, str],
    load_run: Callable[[str], Run | None],
    conflicts: Iterable[Conflict] = (),
) -> Page:
    """The document of the page that shows `store`; `paths` are the files of laws by id, relative to the root."""
    graph, heirs = build_graph(store, conflicts), in_force(store)
    return Page(
        verbs={kind: means.verb for kind, means in sorted(KINDS.items(), key=lambda item: item[1].rank)},
        statuses=_STATUSES,
        hardware=tuple(store.hardware.values()),
        ops=msgspec.convert(tuple(store.ops.values()), tuple[OpLine, ...], from_attributes=True),
        systems=msgspec.convert(tuple(store.systems.values()), tuple[SystemLine, ...], from_attributes=True),
        laws=tuple(_law(law, store, graph, paths.get(law.id, ""), heirs) for law in store.laws.values()),
        runs=tuple(_run(run) for run in map(load_run, ids(graph, "run")) if run is not None),
    )


def view_json(page: Page) -> str:
    """`page` as one line of JSON; keys of empty and default values are left out."""
    return msgspec.json.encode(page).decode()


def _law(law: Law, store: Store, graph: Graph, path: str, heirs: Mapping[str, str]) -> LawLine:
    """One line; `heirs`: superseded law -> the one that has its place."""
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
        evidence=law.evidence,
        links=tuple(_links(graph, law.id)),
        former=tuple(link.id for link in law.related if link.type == "renamed-from"),
        systems=tuple(ids(along(graph, "inherits").predecessors(key("law", law.id)), "system")),
        withdrawn=law.withdrawn,
        references=law.references,
        acknowledges=law.acknowledges,
        layer=store.layer_of(law.id),
        superseded=tuple(one.words for one in store.superseded if heirs[one.law.id] == law.id),
        **msgspec.structs.asdict(law.scope),
    )


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
