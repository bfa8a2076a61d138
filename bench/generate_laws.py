"""A law root of any size: the shipped one, and beside it generated laws that rest on generated runs. Same count, same files.

    python -m bench.generate_laws TARGET [--laws 10000] [--source laws] [--fleets 1] [--spoil 0]

Trials of recorded sweeps, drawn, scaled and jittered, become runs of other hardware, problem sizes and days. Laws are
stated over them and judged by them as real ones are (`spak.kg.evidence`), so that `kg check` has everything to recompute
and finds nothing. No measurement stands behind a generated run, and each says so.
With `--fleets 10` a tenth of the laws is judged, and stands in all again for nine made-up pieces of each hardware: of ten laws
of one claim each has its own hardware, runs and machines.
With `--spoil 1000` every thousandth law is then made wrong, in turn in each way of `SLIPS`, and `kg check` has to say so.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bench.run_file import rounded, write_run
from spak.kg.evidence.witness import RunWitness
from spak.kg.expression import Expression
from spak.kg.files import fmt
from spak.kg.files.listing import EVIDENCE
from spak.kg.files.loader import Laws, load, read_run
from spak.kg.files.seal import run_content
from spak.kg.law.kinds import AnyLaw, meaning
from spak.kg.law.status import status
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Bound, Evidence, EvidenceRole, Law
from spak.kg.model.op import Op
from spak.kg.model.run import Device, Measurement, Run, Trial
from spak.tuner.learn.writeback import law_text

LAWS_PER_RUN = 10
RUNS_PER_SUBJECT = 20
"""A subject is an op on a piece of hardware, known by runs of one tier; its laws speak of its runs only."""

MIN_SWEEP, TRIALS = 300, (50, 300)
"""Trials of a recorded run that others are drawn from, and of those."""

KEPT_BEST = 12
"""The fastest trials are in every run drawn, so that its runs agree on what the best is."""

BITE = {"slowdown": (1.1, 1.25, 1.5, 2.0), "spill_bytes": (1, 64, 256, 1024), "registers": (128, 168, 255)}
"""Effect -> lower bounds that generated laws claim of it."""

SLIPS = (
    (r"^(    effect: {\w+: )", r"\g<1>9"),
    (r"^    verdict: supports$", "    verdict: refutes"),
    (r"^    role: independent$", "    role: suggested"),
    (r"^status: confirmed$", "status: proposed"),
    (r"^(    occasion: 2026-11-)\d\d", r"\g<1>30"),
    (r"^(claim:\n)(  avoid: .*)$", r"\g<1>\g<2> or 1 == 1"),
    (r"^(    problems: )\[.*\]$", r'\g<1>["batch=1"]'),
    (r"^(origin: .*)$", "examples:\n  admitted:\n    - {tile_m: 64}"),
)
"""Pattern in a law file, and what stands in its place once it is wrong: a slip that a person or a program might make."""

NOTE = "Generated for a benchmark from trials of {source}; no measurement stands behind it."


@dataclass
class Said:
    """What the laws about one op say already, so that no two of them contradict each other, whatever they are about."""

    preferred: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    removed: dict[str, Expression] = field(default_factory=dict)

    def takes(self, law: Law) -> bool:
        """Whether no law prefers what another removes; then `law` is one of them."""
        removal, prefer = meaning(law).removal, dict(meaning(law).preferred)
        against = self.removed.values() if prefer else ()
        if any(one.names <= prefer.keys() and one.partial(prefer) is True for one in against):
            return False
        if removal is not None and any(
            removal.partial(one) is True for one in self.preferred.values() if removal.names <= one.keys()
        ):
            return False
        self.preferred |= {repr(prefer): prefer} if prefer else {}
        self.removed |= {removal.text: removal} if removal is not None else {}
        return True


@dataclass(frozen=True)
class Subject:
    """An op on a piece of hardware, and the recorded run whose trials stand for its own."""

    hw: str
    op: Op
    source: Run

    @property
    def name(self) -> str:
        """Part of the ids of its runs and laws."""
        return f"{self.hw}-{self.op.id}-{self.source.tier}"


def generate(source: Path, target: Path, count: int, *, seed: int = 0, fleets: int = 1) -> None:
    """Copy the law root `source` to `target` and add `count` laws, and the runs behind them.

    Of `fleets` pieces of each hardware, all but one made up, each has its share of the laws.
    `source` needs at least one run of `MIN_SWEEP` trials, measured or compiled, of an op with named problem sizes.
    """
    shutil.copytree(source, target)
    laws = load(target)
    judged, subjects = -(-count // fleets), list(_subjects(laws))
    used = subjects[: max(2, -(-judged // (LAWS_PER_RUN * RUNS_PER_SUBJECT)))]
    said: defaultdict[str, Said] = defaultdict(Said)
    for place, subject in enumerate(used):
        share = judged // len(used) + (place < judged % len(used))
        _add(laws, (subject, said[subject.op.id]), share, random.Random(f"{seed} {subject.name}"))
    for fleet in range(1, fleets):
        for hw in {subject.hw: None for subject in used}:
            _copy(target, laws.hardware[hw], fleet)


def _copy(root: Path, node: Hardware, fleet: int) -> None:
    """A made-up piece of hardware like `node`, with laws and runs of its own that say what the generated ones of `node` do."""
    name = f"fleet-{fleet:02d}-{node.id}"
    made = replace(node, id=name, title=name, aliases=(), default=False)
    text = fmt.new_text(msgspec.to_builtins(made), "hardware", f"{name}.yaml")
    (root / "hardware" / f"{name}.yaml").write_text(text)
    old, new = f"generated-{node.id}-", f"generated-{name}-"
    mentioned = re.compile(rf"(?<=hw: ){node.id}$|(?<=\d\d ){node.id}(?=( [0-9a-f]{{12}})?$)", re.MULTILINE)
    for path in sorted(root.glob(f"{node.id}/*/{old}*.yaml")):
        folder = root / name / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        own = mentioned.sub(name, path.read_text().replace(old, new))
        (folder / path.name.replace(old, new)).write_text(own)
    for path in sorted((root / EVIDENCE).glob(f"{old}*")):
        run = _doubled(read_run(path), fleet)
        device = None if run.device is None else replace(run.device, name=name if node.aliases else run.device.name)
        copied = replace(run, id=run.id.replace(old, new), hw=name, device=device)
        (root / EVIDENCE / path.name.replace(old, new)).write_bytes(run_content(copied, packed=path.suffix == ".gz"))


def _doubled(run: Run, times: int) -> Run:
    """`run` on a machine that takes twice as long, `times` over: no time is another run's, and every ratio stays, to the bit."""
    factor = 2.0**times

    def slower(one: Measurement) -> Measurement:
        if one.name != "time":
            return one
        low, high = (None if value is None else value * factor for value in (one.low, one.high))
        return replace(one, value=one.value * factor, low=low, high=high)

    trials = (replace(trial, measurements=tuple(map(slower, trial.measurements))) for trial in run.trials)
    return replace(run, trials=tuple(trials))


def spoil(root: Path, every: int) -> int:
    """Make every so manieth generated law wrong, in turn in each way of `SLIPS`; how many are."""
    spoilt = 0
    for place, path in enumerate(sorted(root.glob("*/*/generated-*.yaml"))[::every]):
        old, new = SLIPS[place % len(SLIPS)]
        text = path.read_text()
        wrong = re.sub(old, new, text, count=1, flags=re.MULTILINE)
        path.write_text(wrong)
        spoilt += wrong != text
    return spoilt


def _subjects(laws: Laws) -> Iterator[Subject]:
    """Every subject that the recorded sweeps can stand for: of each tier in turn, so that few have something of all."""
    sweeps: dict[tuple[str, str], Run] = {}
    for run in map(laws.run, laws.run_ids):
        if run.tier in {"measured", "compiled"} and len(run.trials) >= MIN_SWEEP and len(laws.ops[run.op].problems) > 2:
            sweeps.setdefault((run.op, run.tier), run)
    kinds = {"measured": "device", "compiled": "compute-capability"}
    nodes = {tier: [hw for hw, node in laws.hardware.items() if node.kind == kind] for tier, kind in kinds.items()}
    for place in range(max(map(len, nodes.values()))):
        for (op, tier), run in sweeps.items():
            if place < len(nodes[tier]):
                yield Subject(nodes[tier][place], laws.ops[op], run)


def _add(laws: Laws, about: tuple[Subject, Said], count: int, rng: random.Random) -> None:
    """Write `count` laws about a subject, which agree with what is said, and as many runs as they need."""
    subject, said = about
    runs = [_run(laws, subject, number, rng) for number in range(max(4, -(-count // LAWS_PER_RUN)))]
    for run in runs:
        write_run(run, laws.root / EVIDENCE)
    folder = laws.root / subject.hw / subject.op.id
    folder.mkdir(parents=True, exist_ok=True)
    witnesses = [RunWitness(run, laws) for run in runs]
    for law in itertools.islice(filter(said.takes, _laws(subject, witnesses, rng)), count):
        (folder / f"{law.id}.yaml").write_text(law_text(law))


def _run(laws: Laws, subject: Subject, number: int, rng: random.Random) -> Run:
    """A run of its own day and machine: some trials of the sweep, its times times a factor and a little jitter."""
    source, problems = subject.source, sorted(subject.op.problems.values(), key=repr)
    ranked = sorted(source.trials, key=lambda trial: trial.value("time") or 0.0)
    drawn = [*ranked[:KEPT_BEST], *rng.sample(ranked[KEPT_BEST:], rng.randint(*TRIALS) - KEPT_BEST)]
    factor = rng.uniform(0.5, 4)
    trials = tuple(rounded(_jittered(trial, factor, rng)) for trial in drawn)
    machine = f"{rng.randrange(16**12):012x}"
    names = laws.hardware[subject.hw].aliases or (subject.hw,)
    device = None if source.device is None else Device(name=names[0], driver=source.device.driver, machine=machine)
    return replace(
        source,
        id=f"generated-{subject.name}-{number:03d}",
        hw=subject.hw,
        created=f"2026-11-{1 + number % 20:02d}T{rng.randrange(24):02d}:00:00Z",
        device=device,
        problem=problems[number % len(problems)],
        exhaustive_over={},
        reference_times={},
        strategy="random",
        reproduce="",
        note=NOTE.format(source=source.id),
        trials=trials,
    )


def _jittered(trial: Trial, factor: float, rng: random.Random) -> Trial:
    """`trial` on another machine: other times by `factor` and 0.2 %, a little more or less memory."""
    return replace(
        trial, measurements=tuple(_another(one, factor, rng) for one in trial.measurements), origin="strategy"
    )


def _another(one: Measurement, factor: float, rng: random.Random) -> Measurement:
    if one.name == "time":
        scale = factor * rng.uniform(0.998, 1.002)
        low, high = (None if value is None else value * scale for value in (one.low, one.high))
        return replace(one, value=one.value * scale, low=low, high=high)
    if one.name in {"spill_bytes", "smem_bytes"} and one.value:
        return replace(one, value=one.value + 8 * rng.randrange(4))
    return one


def _statements(subject: Subject, rng: random.Random) -> Iterator[dict[str, object]]:
    """Claims in random order, none twice, without end: regions to avoid, and of measured subjects settings to prefer."""
    tried = [trial.configuration for trial in subject.source.trials]
    values = {
        name: sorted({one[name] for one in tried}, key=repr) for name in subject.op.parameters if name in tried[0]
    }
    varied = {name: options for name, options in values.items() if len(options) > 1}
    measured = subject.source.tier == "measured"
    said: set[str] = set()
    while True:
        names = rng.sample(sorted(varied), rng.randint(2, min(4, len(varied))))
        claim: dict[str, object] = {"avoid": " and ".join(_condition(name, varied[name], rng) for name in names)}
        effect = "slowdown" if measured else rng.choice(("spill_bytes", "registers"))
        claim["effect"] = {effect: {"at_least": BITE[effect][0]}}
        if measured and rng.random() < 1 / 3:
            claim = {"prefer": {name: rng.choice(varied[name]) for name in names[:2]}}
            claim["effect"] = {"cost": {"at_most": 0.02}}
        if repr(claim) not in said:
            said.add(repr(claim))
            yield claim


def _condition(name: str, values: Sequence[Scalar], rng: random.Random) -> str:
    value = rng.choice(values)
    if isinstance(value, bool | str):
        return f"{name} == {value!r}"
    return f"{name} {rng.choice(('>=', '<=', '==', '!='))} {value}"


def _laws(subject: Subject, witnesses: Sequence[RunWitness], rng: random.Random) -> Iterator[Law]:
    """Statements that a run of the subject supports, with what that run and one or two others say of them; no end."""
    for number, claim in enumerate(_statements(subject, rng)):
        law = _stated(subject, f"generated-{subject.name}-{number:06d}", claim)
        first, *others = rng.sample(witnesses, rng.choice((2, 3)))
        found = _entry(first, law, "suggested")
        if found is None or found.verdict != "supports":
            continue
        law = _as_strong(law, found, rng)
        said = [_entry(first, law, "suggested"), *(_entry(one, law, "independent") for one in others)]
        speaking = tuple(entry for entry in said if entry is not None and entry.verdict != "refutes")
        if len(speaking) == len(said):
            judged = replace(law, evidence=speaking)
            yield replace(judged, status=status(judged))


def _stated(subject: Subject, identifier: str, claim: Mapping[str, object]) -> Law:
    """The law without evidence."""
    content = {
        "id": identifier,
        "title": f"Generated law {identifier}",
        "kind": "negative" if "avoid" in claim else "positive",
        "scope": {"hw": subject.hw, "op": subject.op.id, "toolchain": "tileiras >=13.4,<14"},
        "claim": claim,
        "status": "proposed",
        "origin": "drawn at random, and kept because a generated run supports it",
        "references": [{"title": "bench/generate_laws.py"}],
    }
    return msgspec.convert(content, AnyLaw)


def _entry(witness: RunWitness, law: Law, role: EvidenceRole) -> Evidence | None:
    """What a run says of the law; None if nothing."""
    unread = Evidence(run=witness.run.id, verdict="supports", tier=witness.run.tier, role=role)
    return witness.recomputed(law, unread)


def _as_strong(law: Law, found: Evidence, rng: random.Random) -> Law:
    """A law to avoid claims as much as the run that suggested it shows, or less."""
    name = next(iter(law.claim.effect))
    shown = found.interval.get(name, (found.effect[name],))[0]
    bounds = [bound for bound in BITE.get(name, ()) if bound <= shown]
    if not bounds:
        return law
    return replace(law, claim=replace(law.claim, effect={name: Bound(at_least=rng.choice(bounds))}))


def main() -> None:
    """Write the root that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument("--laws", type=int, default=10_000)
    parser.add_argument("--fleets", type=int, default=1)
    parser.add_argument("--spoil", type=int, default=0, metavar="EVERY", help="make every so manieth law wrong")
    parser.add_argument("--source", type=Path, default=Path("laws"))
    arguments = parser.parse_args()
    generate(arguments.source, arguments.target, arguments.laws, fleets=arguments.fleets)
    if arguments.spoil:
        print(f"{spoil(arguments.target, arguments.spoil)} laws made wrong")


if __name__ == "__main__":
    main()
