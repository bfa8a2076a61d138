"""Trials as columns: what they tried by parameter, and what they measured by quantity, each gathered once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter

from spak.kg.model.base import Configuration, Scalar
from spak.kg.model.run import Measurement, Trial

_NAME, _MEASURED = attrgetter("name"), attrgetter("measurements")


@dataclass(frozen=True)
class Alike:
    """Trials that measured the same quantities in the same order.

    Attributes:
        names: (Q,) the quantities; one may be there twice, as a file may say anything.
        places: (n,) where each of these trials is among those that were asked about.
        columns: (Q,) of each quantity (n,) measurements.
    """

    names: tuple[str, ...]
    places: list[int]
    columns: tuple[tuple[Measurement, ...], ...]


_last: list[tuple[Sequence[Trial], tuple[Alike, ...]]] = []


def measured(trials: Sequence[Trial]) -> tuple[Alike, ...]:
    """`trials` by what they measured, in the order in which each first did. What was given for a tuple last is remembered."""
    for known, found in _last:
        if known is trials:
            return found
    found = tuple(_measured(trials))
    if isinstance(trials, tuple):
        _last[:] = [(trials, found)]
    return found


def _measured(trials: Sequence[Trial]) -> Iterator[Alike]:
    found: dict[tuple[str, ...], list[int]] = {}
    for place, measurements in enumerate(map(_MEASURED, trials)):
        found.setdefault(tuple(map(_NAME, measurements)), []).append(place)
    for names, places in found.items():
        yield Alike(names, places, tuple(zip(*(trials[place].measurements for place in places), strict=True)))


def settings_of(configurations: Sequence[Configuration]) -> Mapping[str, tuple[Scalar, ...]] | None:
    """Parameter -> (n,) its value in each of `configurations`; None if they are not all of the same parameters."""
    names = tuple(configurations[0]) if configurations else ()
    if any(len(configuration) != len(names) for configuration in configurations):
        return None
    try:
        return dict(zip(names, columns_of(names, configurations), strict=True))
    except KeyError:
        return None


def columns_of(names: Sequence[str], configurations: Sequence[Configuration]) -> list[tuple[Scalar, ...]]:
    """(P,) for each of `names` (n,) its value in each of `configurations`.

    Raises:
        KeyError: If one of them lacks a name.
    """
    if not names or not configurations:
        return [()] * len(names)
    row = itemgetter(*names, names[0])  # of one name alone it would give no tuple
    return list(zip(*map(row, configurations), strict=True))[:-1]
