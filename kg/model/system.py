"""System nodes: what is built from which kernels, derived from what, with which delta (FMHAv1 ... NanoGPT)."""

from __future__ import annotations

from spak.kg.model.base import Model, Reference, Scalar
from spak.kg.model.law import CheckName, Id


class TuningSpace(Model, frozen=True, kw_only=True):
    """The part of an op's space that a system searches.

    Attributes:
        problem: The size at which the system has it: a name of the op's list, or `name=value,...`; empty: the op's defaults.
        parameters: What is searched; the others stay at the system's `configurations`. Empty: all of them.
        time_us: Microseconds that it takes of whatever the system repeats, such as a training step; what takes longest is
            searched first.
        source: Where that time was measured.
    """

    op: Id
    problem: str = ""
    parameters: tuple[str, ...] = ()
    time_us: float | None = None
    source: str = ""


class Saving(Model, frozen=True, kw_only=True):
    """What laws saved of searches, replayed from recorded sweeps of one op: medians over sizes and seeds.

    Attributes:
        laws: Those that the other searches lacked. One: they knew all others. Several: they knew nothing, and were random.
        sizes: Sweeps that were searched; a law counted only as far as other sizes' runs bear it out.
        seeds: Searches of each.
        evaluations: Until within 2 % of the sweep's best, without and with them.
        seconds: Of compiling until then, likewise, of the sweeps that compiled their own code.
        records: Whether the searches with them knew what was recorded at other sizes as well.
        source: File with every search.
    """

    op: Id
    hw: Id
    laws: tuple[Id, ...]
    sizes: int
    seeds: int
    evaluations: tuple[float, float]
    seconds: tuple[float, float]
    records: bool = False
    source: str = ""


class System(Model, frozen=True, kw_only=True):
    """One node of the documents' line from atom to organism.

    Attributes:
        level: atom (one kernel), molecule (a block and its training loop), organism (a real model).
        built_from: Op ids of its kernels.
        derived_from: Systems it came from.
        delta: What it adds to them, in words ("delta knowledge").
        inherits: Laws it takes over.
        saved: What laws saved of the searches for it.
        design_space: Axis -> the choices made, in words.
        tuning_space: What is left to search; `tune <system>` searches it.
        gate: Named checks that hold before anything of it is searched.
        configurations: Named settings by op id (the version's own).
        verification: The checks that say it works.
        state: `built` (runs in this repository) or `planned`.
    """

    id: Id
    title: str
    level: str
    state: str
    aliases: tuple[str, ...] = ()
    built_from: tuple[Id, ...] = ()
    derived_from: tuple[Id, ...] = ()
    delta: tuple[str, ...] = ()
    inherits: tuple[Id, ...] = ()
    saved: tuple[Saving, ...] = ()
    design_space: dict[str, str] = {}
    tuning_space: tuple[TuningSpace, ...] = ()
    gate: tuple[CheckName, ...] = ()
    configurations: dict[str, dict[str, Scalar]] = {}
    verification: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
