"""System nodes: what is built from which kernels, derived from what, with which delta (FMHAv1 ... NanoGPT)."""

from __future__ import annotations

from spak.kg.model.base import Model, Reference, Scalar
from spak.kg.model.law import Id


class TuningSpace(Model, frozen=True, kw_only=True):
    """The part of an op's space that a system searches."""

    op: Id
    parameters: tuple[str, ...] = ()


class System(Model, frozen=True, kw_only=True):
    """One node of the documents' line from atom to organism.

    Attributes:
        level: atom (one kernel), molecule (a block and its training loop), organism (a real model).
        built_from: Op ids of its kernels.
        derived_from: Systems it came from.
        delta: What it adds to them, in words ("delta knowledge").
        inherits: Laws it takes over.
        design_space: Axis -> the choices made, in words.
        tuning_space: What is left to search.
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
    design_space: dict[str, str] = {}
    tuning_space: tuple[TuningSpace, ...] = ()
    configurations: dict[str, dict[str, Scalar]] = {}
    verification: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
