"""The datasheet of an evidence set: what it is of, how it was made, how noisy it is. Every number is computed from the set.

Form: T. Gebru et al., "Datasheets for Datasets", Communications of the ACM 64(12), 2021, shortened to what times of
kernels have: no person is in the data.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from spak.kg.formats.sitting import Repeated, Sitting
from spak.kg.model.figures import counted


def datasheet(sittings: Sequence[Sitting], repeated: Sequence[Repeated], *, licence: str) -> str:
    """The datasheet as Markdown with a final newline."""
    ops, devices = sorted({one.op for one in sittings}), sorted({one.hw for one in sittings})
    parts = (
        [f"# Recorded kernel timings: {', '.join(ops)} on {', '.join(devices)}", ""],
        _motivation(sittings),
        _composition(sittings),
        _collection(sittings),
        _noise(sittings, repeated),
        _gate(sittings),
        _gaps(sittings),
        _use(licence),
    )
    return "\n".join(line for part in parts for line in part).rstrip("\n") + "\n"


def _motivation(sittings: Sequence[Sitting]) -> Iterator[str]:
    trials = sum(one.trials for one in sittings)
    yield from ("## Motivation", "")
    yield (
        f"{trials:,} trials of {counted(len(sittings), 'sitting')}, for whoever compares ways to tune kernels: a search can be "
        "replayed on them without a GPU, and what one GPU teaches can be tried on another."
    )
    yield from ("Nothing was left out for what came of it: every run timed of these ops on these devices is here.", "")


def _composition(sittings: Sequence[Sitting]) -> Iterator[str]:
    yield from ("## Composition", "", "One T4 file a sitting; `index.json` says of each what it is about.", "")
    kinds = sorted({kind for one in sittings for kind in one.outcomes if kind != "correct"})
    head = ["op", "device", "problem size", "sittings", "exhaustive", "trials", "correct", *kinds]
    groups: defaultdict[tuple[str, str, str], list[Sitting]] = defaultdict(list)
    for one in sittings:
        groups[one.op, one.hw, one.size or "several"].append(one)
    yield from _row_block(head, (_counts(key, found, kinds) for key, found in sorted(groups.items())))
    yield from _row_block(None, [_counts(("all", "", ""), sittings, kinds)])
    yield ""
    yield "An exhaustive one has every feasible configuration of the values in `exhaustive_over`; the other sittings are searches and comparisons, samples that somebody chose."
    yield ""


def _counts(key: tuple[str, str, str], found: Sequence[Sitting], kinds: Sequence[str]) -> list[str]:
    outcomes: Counter[str] = Counter()
    for one in found:
        outcomes.update(one.outcomes)
    numbers = [len(found), sum(one.exhaustive for one in found), sum(one.trials for one in found)]
    return [*key, *(f"{n:,}" for n in (*numbers, outcomes["correct"], *(outcomes[kind] for kind in kinds)))]


def _collection(sittings: Sequence[Sitting]) -> Iterator[str]:
    yield from ("## Collection", "", "What differs is counted in sittings.", "")
    said: tuple[tuple[str, Callable[[Sitting], str]], ...] = (
        ("timer", lambda one: one.timer or "not said"),
        ("L2", lambda one: one.l2 or "not said"),
        ("rounds", lambda one: f"{one.rounds}, {'interleaved' if one.interleaved else 'not interleaved'}"),
        ("toolchain", lambda one: ", ".join(f"{name} {version}" for name, version in sorted(one.toolchain.items()))),
        ("driver", lambda one: one.driver or "not said"),
        ("SM clock in MHz, least to most", _clocks),
        ("clock throttled", lambda one: {True: "yes", False: "no", None: "not said"}[one.throttled]),
        ("GPU", lambda one: f"{one.hw} {one.machine or 'unknown which'}"),
        ("day", lambda one: one.created[:10]),
        ("kernel source, SHA-256", lambda one: f"{one.op} {one.source_sha256[:12] or 'not said'}"),
    )
    for name, of in said:
        counts = Counter(map(of, sittings)).most_common()
        yield f"- {name}: " + "; ".join(
            f"{text} ({count})" for text, count in sorted(counts, key=lambda c: (-c[1], c[0]))
        )
    yield ""


def _clocks(one: Sitting) -> str:
    low, high = one.sm_clock_mhz
    return "not said" if low is None or high is None else f"{low:.0f} to {high:.0f}"


def _noise(sittings: Sequence[Sitting], repeated: Sequence[Repeated]) -> Iterator[str]:
    yield from ("## Noise", "")
    yield "Inside a sitting: how far the 95 % interval of a time reaches to each side, as a fraction of it, over the configurations of each; then the middle sitting and the worst."
    yield ""
    groups: defaultdict[tuple[str, str], list[Sitting]] = defaultdict(list)
    for one in sittings:
        if one.half_width:
            groups[one.op, one.hw].append(one)
    rows = []
    for (op, hw), found in sorted(groups.items()):
        medians, tails = (sorted(one.half_width[place] for one in found) for place in (0, 1))
        middle = len(found) // 2
        cells = (medians[middle], medians[-1], tails[middle], tails[-1])
        rows.append([op, hw, str(len(found)), *map(_percent, cells)])
    head = ["op", "device", "sittings", "median", "worst median", "95th percentile", "worst 95th percentile"]
    yield from _row_block(head, rows)
    yield from (
        "",
        "Between two sittings that timed the same configurations at one problem size: how far the median time moved, and how far single times moved besides.",
        "",
    )
    head = [
        "op",
        "device",
        "the two have",
        "pairs",
        "times",
        "median moved (95th percentile)",
        "single times moved (95th percentile)",
    ]
    between = [
        [
            one.op,
            one.hw,
            one.kind,
            str(one.sittings),
            f"{one.configurations:,}",
            *(f"{_percent(two[0])} ({_percent(two[1])})" if two else "too few" for two in (one.shift, one.deviation)),
        ]
        for one in repeated
    ]
    yield from _row_block(head, between) if between else ["No configuration was timed twice."]
    yield ""


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def _gate(sittings: Sequence[Sitting]) -> Iterator[str]:
    wrong = sum(one.outcomes.get("correctness", 0) for one in sittings)
    yield from ("## Correctness", "")
    yield f"A configuration is held against a reference in higher precision before it is timed; what fails has `invalidity: correctness` and no time. {counted(wrong, 'trial')} here did."
    yield ""


def _gaps(sittings: Sequence[Sitting]) -> Iterator[str]:
    yield from ("## Known gaps", "")
    whole = [one for one in sittings if one.exhaustive]
    sizes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for one in whole:
        sizes[one.op, one.size].add(one.hw)
    devices = {one.hw for one in sittings}
    alone = sum(len(hw) < len(devices) for hw in sizes.values())
    yield f"- {alone} of {counted(len(sizes), 'problem size')} with an exhaustive sitting were not swept on every device."
    failed = sum(one.trials - one.outcomes.get("correct", 0) for one in sittings)
    yield f"- {counted(failed, 'trial')} failed; of a failure the stage and its type are kept, not its message."
    yield f"- {sum(not one.samples for one in sittings)} of {len(sittings)} sittings kept no single samples, only the median and its interval, which T4 has no place for: run files have it."
    yield f"- {sum(one.unsteady for one in sittings)} trials were taken while their device had drifted, and have no time."
    yield f"- Which GPU of its name it was is unknown of {sum(not one.machine for one in sittings)} sittings."
    yield f"- Clocks were not locked; {sum(bool(one.throttled) for one in sittings)} sittings saw the SM clock throttled."
    yield ""


def _use(licence: str) -> Iterator[str]:
    yield from ("## Use, licence, citation", "")
    yield "`results[].times` and times in `measurements` are in milliseconds; any reader of T4 takes the files, and `kg import FILE --hw DEVICE --op OP --problem ...` with what `index.json` says."
    yield from ("", f"Licence: {licence}", "")
    yield "Cite by the name above and the SHA-256 of `SHA256SUMS`, which fixes every byte; `sha256sum -c SHA256SUMS` checks them."


def _row_block(head: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table; without a head, more rows of the one before."""
    if head is not None:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
