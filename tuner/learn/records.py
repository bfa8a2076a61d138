"""Laws from what is recorded already: some runs suggest them, the others test them, nothing is measured.

Mining, judgement and status are those of searches. Which runs suggest is drawn before anything is looked at, or named by
who asks; every other run of the op is a test, so none that speaks against a law is left out. What was suggested is noted
in the runs that suggested it, whatever became of it: asked again with other runs in front, they still do not test it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from spak.kg.evidence.table import TrialTable, from_runs
from spak.kg.evidence.witness import RunWitness
from spak.kg.files import atomic
from spak.kg.files.loader import Laws, load, read_run
from spak.kg.files.lock import locked
from spak.kg.files.seal import run_content
from spak.kg.law.effects import EFFECTS
from spak.kg.law.independence import grade
from spak.kg.law.status import standing
from spak.kg.law.unseen import MIN_UNSEEN, Target, size, unseen
from spak.kg.model.hardware import compute_capability
from spak.kg.model.law import Evidence, Law
from spak.kg.model.run import CONFIRM, Candidate
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.chance import Purpose, stream
from spak.tuner.errors import TunerError
from spak.tuner.learn import worth, writeback
from spak.tuner.learn.confirm.cover import covers, implies
from spak.tuner.learn.lesson import law_families, subject_of
from spak.tuner.learn.mining.candidates import Topic
from spak.tuner.learn.mining.negative import MIN_SLOWDOWN

SUGGESTING_SHARE = 3
"""One in so many problem sizes, or devices of a family, suggests where nobody names who does; the others test."""

MIN_SPLIT_SIZES = 3
"""Problem sizes from which on sizes are held out, and devices below."""


@dataclass(frozen=True)
class LearnRequest:
    """What is to be learned from.

    Attributes:
        op: An id or an alias.
        suggest: Hardware whose runs suggest, ids or what it is a kind of; empty: drawn. Only one in three of its problem
            sizes where the others are at too few further ones.
        slowdown: At least how much slower than the best what laws avoid is, 1.05 or more.
        seed: Draws what suggests.
        write: Whether laws are written, and what was suggested into the runs that suggested it.
    """

    op: str
    suggest: tuple[str, ...] = ()
    seed: int = 0
    write: bool = False
    slowdown: float = MIN_SLOWDOWN


@dataclass(frozen=True)
class LearnedRecords:
    """What came of it.

    Attributes:
        suggesting: Ids of the runs that the laws were looked for in; `testing` are the others.
        candidates: Everything that was suggested, with what the others said.
        laws: What is confirmed, with all its evidence.
        changes: Law files written, or that would be.
    """

    op: str
    suggesting: tuple[str, ...]
    testing: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    laws: tuple[Law, ...]
    changes: tuple[writeback.LawEdit, ...]

    @property
    def diff(self) -> str:
        """The law files as a unified diff."""
        return writeback.diff(self.changes)


_Witnesses = Sequence[RunWitness]
_Drawn = TypeVar("_Drawn")


def learn_records(laws: Laws, request: LearnRequest) -> LearnedRecords:
    """Mine recorded runs of one op and test what they suggest on the others.

    Raises:
        UnknownNameError: If op or hardware is unknown; carries the nearest.
        TunerError: If too little is recorded to suggest something and to test it, or `slowdown` is within noise.
        KgError: If a file cannot be read, or written where it is to be.
    """
    op = Taxonomy("op", laws.ops).resolve(request.op)
    possible = EFFECTS["slowdown"].at_least
    if possible is not None and not possible.holds(request.slowdown):
        raise TunerError(f"slowdown: expected {possible} times the best (got {request.slowdown:g})")
    runs = [witness for witness in map(laws.witness, laws.run_ids) if witness is not None and _tells(witness, op)]
    if not runs:
        raise TunerError(f"nothing measured is recorded of op {op!r}; import records of it with kg import")
    suggesting = suggesting_runs(laws, runs, request)
    testing = [one for one in runs if one not in suggesting]
    groups = list(hardware_groups(laws, suggesting, testing))
    if not groups:
        raise TunerError(_too_little(op, runs))
    found: list[tuple[Candidate, _Witnesses]] = []
    kept: list[Law] = []
    for hw, mine, others in groups:
        families = group_families(laws, hw, (mine, others), request.slowdown)
        news = [family for family in families if not _is_said(family[0], kept, laws)]
        for candidate, law in judged_candidates(news, mine, others):
            found.append((candidate, mine))
            kept += [] if law is None else [law]
    first, *rest = [witness.run for witness in (*suggesting, *testing)]
    candidates, new = worth.weighed((candidate for candidate, _ in found), kept, laws, (first, *rest))
    done = LearnedRecords(op, _ids(suggesting), _ids(testing), candidates, new, ())
    if request.write:
        _note(laws, list(zip(candidates, (mine for _, mine in found), strict=True)))
        laws = load(laws.root)
    changes = writeback.changes(first, laws, new, rest)
    if request.write:
        writeback.apply(changes)
    return replace(done, changes=changes)


def _is_said(law: Law, kept: Sequence[Law], laws: Laws) -> bool:
    """Whether what was found here or stands in the root says it: then it is no suggestion."""
    return any(implies(wider, law, laws) for wider in kept) or any(covers(old, law, laws) for old in laws.laws.values())


def _ids(witnesses: _Witnesses) -> tuple[str, ...]:
    return tuple(witness.run.id for witness in witnesses)


def _tells(witness: RunWitness, op: str) -> bool:
    """Whether the run timed `op`; what was only compiled is confirmed by compiling, which searches do."""
    table = witness.table if witness.run.op == op and witness.run.tier == "measured" else None
    return table is not None and bool(table.observed.any())


def suggesting_runs(laws: Laws, runs: _Witnesses, request: LearnRequest) -> list[RunWitness]:
    """The runs that may suggest; those made to test something never do."""
    free = [one for one in runs if not {trial.origin for trial in one.run.trials} <= {CONFIRM}]
    tree = Taxonomy("hardware", laws.hardware)
    if request.suggest:
        named = {below for name in request.suggest for below in tree.descendants(tree.resolve(name))}
        found = [one for one in free if one.run.hw in named]
        if not found:
            raise TunerError(f"suggest: no run of op {request.op!r} on {', '.join(request.suggest)}")
        return found if _can_confirm(found, [one for one in runs if one not in found]) else _of_a_third(found, request)
    if len({one.problems for one in free}) >= MIN_SPLIT_SIZES:
        return _of_a_third(free, request)
    families = device_families(tree, {one.run.hw for one in free})
    chosen = {hw for place, family in enumerate(families) for hw in drawn_third(family, request.seed, place)}
    return [one for one in free if one.run.hw in chosen]


def _of_a_third(runs: _Witnesses, request: LearnRequest) -> list[RunWitness]:
    """Those at one in three of the problem sizes."""
    drawn = set(drawn_third(sorted({one.problems for one in runs}), request.seed, 0))
    return [one for one in runs if one.problems in drawn]


def device_families(tree: Taxonomy, devices: Iterable[str]) -> list[list[str]]:
    """`devices` by the widest kind of hardware that they are of."""
    families: dict[str, list[str]] = {}
    for hw in sorted(devices):
        families.setdefault(list(tree.ancestors(hw))[-1], []).append(hw)
    return list(families.values())


def drawn_third(of: Sequence[_Drawn], seed: int, again: int) -> list[_Drawn]:
    """One in `SUGGESTING_SHARE` of `of`, at least one; of four problem sizes or more two, which some laws need."""
    count = max(len(of) // SUGGESTING_SHARE, 2 if len(of) > SUGGESTING_SHARE else 1)
    order = stream(seed, Purpose.SUGGESTING, again).permutation(len(of))
    return [of[int(place)] for place in sorted(order[:count])]


def hardware_groups(
    laws: Laws, suggesting: _Witnesses, testing: _Witnesses
) -> Iterator[tuple[str, list[RunWitness], list[RunWitness]]]:
    """Hardware that laws may be stated for, widest first, with the runs on it that suggest and that test.

    Of nodes with the same runs the narrowest: what was seen on one card is said of its compute capability at most.
    """
    tree = Taxonomy("hardware", laws.hardware)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[list[RunWitness], list[RunWitness]]] = {}
    names: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for start in sorted({one.run.hw for one in suggesting}):
        for node in tree.ancestors(start):  # nearest first
            below = tree.descendants(node)
            mine, others = ([one for one in side if one.run.hw in below] for side in (suggesting, testing))
            key = _ids(mine), _ids(others)
            groups[key] = mine, others
            names.setdefault(key, []).append(node)
    able = [key for key, (mine, others) in groups.items() if _can_confirm(mine, others)]
    for key in sorted(able, key=lambda key: (-len(key[0]) - len(key[1]), names[key][0])):
        narrowest = names[key][0]
        capability = compute_capability(laws, narrowest)
        yield (capability if capability in names[key] else narrowest), *groups[key]


def _can_confirm(mine: _Witnesses, others: _Witnesses) -> bool:
    """Whether what the others are about is enough to confirm a law that the rest suggest."""

    def targets(side: _Witnesses) -> set[Target]:
        return {Target(size(text), one.run.hw) for one in side for text in one.problems}

    found, shown = targets(mine), targets(others)
    one_size = len({target.size for target in found | shown}) == 1
    return not unseen(found, shown).missing(one_size=one_size)


def _too_little(op: str, runs: _Witnesses) -> str:
    sizes, devices = {size for one in runs for size in one.problems}, {one.run.hw for one in runs}
    return (
        f"op {op!r} is recorded at {len(sizes)} problem sizes on {len(devices)} devices; a law needs {MIN_UNSEEN} more sizes or "
        f"devices of a family than those that suggest it, one more size among them unless all are of one size"
    )


def group_families(
    laws: Laws, hw: str, sides: tuple[_Witnesses, _Witnesses], slowdown: float = MIN_SLOWDOWN
) -> list[tuple[Law, ...]]:
    """What the first of `sides` suggest for `hw`, each law in the scopes that the others can test."""
    mine, others = sides
    tier = mine[0].run.tier
    objective = "time" if tier == "measured" else "predicted_time"
    table = from_runs([one.run for one in mine], objective=objective)
    tested = from_runs([one.run for one in others], objective=objective).problems
    topic = replace(_topic(laws, hw, mine, table, tested), slowdown=slowdown)
    return law_families(table, tier, tested, topic)


def _topic(laws: Laws, hw: str, mine: _Witnesses, table: TrialTable, tested: Sequence[object]) -> Topic:
    """What the laws are about; where there is one problem size, it is what they are limited to."""
    own = [subject_of(one.run, laws) for one in mine]
    toolchains = {one.toolchain for one in own}
    topic = replace(own[0], hw=hw, tiles=own[0].tiles or None)
    if len(toolchains) > 1:
        topic = replace(topic, toolchain="")
    if all(size == table.problems[0] for size in (*table.problems, *tested)):
        topic = replace(topic, kinds=tuple(table.problems[0]))
    return topic


def judged_candidates(
    families: Sequence[tuple[Law, ...]], mine: _Witnesses, others: _Witnesses
) -> Iterator[tuple[Candidate, Law | None]]:
    """Every candidate that was tried, and the law that it became: the widest of its scopes that is confirmed."""
    for family in families:
        for frozen in family:
            suggested = tuple(filter(None, (_entry(frozen, one) for one in mine)))
            if not suggested:
                continue
            tests = tuple(filter(None, (_test(frozen, one) for one in others)))
            law = msgspec.structs.replace(frozen, evidence=(*suggested, *tests))
            bare = msgspec.structs.replace(frozen, evidence=suggested)
            if standing(law).status == "confirmed":
                law = msgspec.structs.replace(law, status="confirmed")
                yield Candidate(law=bare, outcome="confirmed", reason=f"on {grade(law.evidence)}"), law
                break
            against = sorted({entry.run for entry in tests if entry.verdict == "refutes"})
            if against:
                yield Candidate(law=bare, outcome="refuted", reason=f"{', '.join(against)} against"), None
            else:
                yield Candidate(law=bare, outcome="inconclusive", reason=standing(law).reason), None


def _entry(law: Law, witness: RunWitness) -> Evidence | None:
    """What a run that suggested `law` says of it; None if nothing, as where the law is not about its problem size."""
    asked = Evidence(run=witness.run.id, verdict="supports", tier="measured", role="suggested")
    return witness.recomputed(law, asked)


def _test(law: Law, witness: RunWitness) -> Evidence | None:
    """What a run says of `law`; one that suggested the same claim before does not test it."""
    entry = witness.entry(law)
    if entry is None or not witness.suggestion(law):
        return entry
    return msgspec.structs.replace(entry, role="suggested")


def _note(laws: Laws, found: Sequence[tuple[Candidate, _Witnesses]]) -> None:
    """Write into each run what it suggested and what became of it."""
    by_run: dict[str, list[Candidate]] = {}
    for candidate, mine in found:
        for witness in mine:
            by_run.setdefault(witness.run.id, []).append(candidate)
    with locked(laws.root):
        files = {}
        for identifier, candidates in by_run.items():
            path = laws.path("run", identifier)
            run = read_run(path)
            known = {(one.law.id, one.law.scope) for one in run.suggested}
            new = [one for one in candidates if (one.law.id, one.law.scope) not in known]
            grown = msgspec.structs.replace(run, suggested=(*run.suggested, *new))
            if new:
                files[path] = run_content(grown, packed=path.name.endswith(".gz"))
        atomic.write_all(files, lambda: load(laws.root))
