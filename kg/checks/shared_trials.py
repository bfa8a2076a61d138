"""Two runs that share what they measured are one experiment: it counts once, under one id."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from operator import attrgetter

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.evidence.columns import measured
from spak.kg.files.loader import Laws
from spak.kg.model.run import Run

MIN_SHARED = 3
"""Times that two runs must share, unless one has fewer."""

MIN_SHARE = 0.1
"""Share of the smaller run's times from which on two runs are one, if they share `MIN_SHARED`.

Source: the runs under laws/evidence. Of 13,979 times of 66 runs, eight in all are in two runs with their interval to
the last digit, two of them in one pair, of 620; timers tick, so that short kernels meet. tests/laws/test_runs.py counts.
"""

_KEY_BYTES = 12

_SPAN = attrgetter("value", "low", "high")


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for the later of each two runs that share more than chance gives."""
    runs = laws.run_ids
    packed = [of_run(laws, identifier) for identifier in runs]
    keys = {identifier: len(own) // _KEY_BYTES for identifier, own in zip(runs, packed, strict=True)}
    pairs = Counter((runs[one], runs[other]) for one, other in _meeting(packed))
    copies = (pair for pair, shared in pairs.items() if _is_copy(shared, min(keys[one] for one in pair)))
    told: set[str] = set()
    for first, later in sorted(_in_time(laws, pair) for pair in copies):
        shared = pairs[first[1], later[1]] or pairs[later[1], first[1]]
        if later[1] not in told:
            told.add(later[1])
            message = (
                f"{shared} of {keys[later[1]]} times are those of {first[1]}, to the last digit: one of the two is a "
                "copy, and one experiment counts once; delete it and the entries that cite it"
            )
            yield Problem(str(laws.path("run", later[1])), 0, 0, "trials", message, "finding", "shared-trials")


def _is_copy(shared: int, smaller: int) -> bool:
    """Whether two runs, the smaller of so many times, share more of them than chance gives."""
    return shared >= max(min(MIN_SHARED, smaller), MIN_SHARE * smaller)


def _meeting(packed: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Places of each two runs that have a key in common, once for each; most keys are of one run, and are sorted away."""
    import numpy as np  # noqa: PLC0415 - as in the evidence that this is of

    whole = b"".join(packed)
    if not whole:
        return
    owners = np.repeat(np.arange(len(packed)), [len(own) // _KEY_BYTES for own in packed])
    keys = np.frombuffer(whole, dtype=f"S{_KEY_BYTES}")
    order = np.argsort(keys, kind="stable")
    starts = np.append(0, np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1)
    ends = np.append(starts[1:], len(keys))
    several = ends - starts > 1
    for start, end in zip(starts[several], ends[several], strict=True):
        yield from combinations(owners[order[start:end]].tolist(), 2)


def _in_time(laws: Laws, pair: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """When each of two runs says it was made, and its id; the earlier first."""
    return tuple(sorted((laws.run(name).created, name) for name in pair))


def of_run(laws: Laws, identifier: str) -> bytes:
    """What the run measured, a digest for each time, ascending; nothing of one that cannot be read, or was not measured."""
    try:
        inputs = (b"times", laws.run_digest(identifier))
        return laws.ledger.remembered(inputs, lambda: b"".join(sorted(timed_keys(laws.run(identifier)))), bytes)
    except InvalidFilesError:
        return b""


def timed_keys(run: Run) -> set[bytes]:
    """A digest of each time of a measured run with its interval, whatever configuration and problem size it is said of.

    Without an interval a time alone has too few digits: then of the configuration too.
    """
    if run.tier != "measured":
        return set()
    texts = (
        f"{value!r} {low!r} {high!r}"
        if low is not None
        else f"{value!r} {low!r} {high!r} {sorted(run.trials[place].configuration.items())}"
        for alike in measured(run.trials)
        for name, column in zip(alike.names, alike.columns, strict=True)
        if name == "time"
        for place, (value, low, high) in zip(alike.places, map(_SPAN, column), strict=True)
    )
    return {hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest() for text in texts}
