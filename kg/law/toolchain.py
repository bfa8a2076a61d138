"""Toolchain specifiers (`tileiras >=13.4,<14`) and whether a law's evidence is stale for a toolchain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from spak.kg.errors import KgError
from spak.kg.model.law import Law

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


COMPILERS = ("tileiras", "triton")
"""The components of a run's toolchain that laws are about: one of them makes the code of a kernel."""


class ToolchainError(KgError):
    """A specifier or version that cannot be read."""


@lru_cache(maxsize=1024)
def parse_requirement(text: str) -> tuple[str, SpecifierSet]:
    """Component and versions (PEP 440) that `NAME >=LOW,<HIGH` states; none means any.

    Raises:
        ToolchainError: If it has no name, or its versions are not specifiers.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - 30 ms that few questions need

    name, _, versions = text.strip().partition(" ")
    try:
        specifiers = SpecifierSet(versions)
    except InvalidSpecifier:
        specifiers = None
    if not name or not name[0].isalpha() or specifiers is None or set(name) & set("<>=!~,"):
        raise ToolchainError(f"a toolchain is NAME >=LOW,<HIGH (got {text!r}); write it as tileiras >=13.4,<14")
    return name, specifiers


@lru_cache(maxsize=1024)
def parse_toolchain(text: str) -> tuple[str, Version]:
    """Name and version of `name version`.

    Raises:
        ToolchainError: If it is not such a pair.
    """
    name, _, version = text.strip().partition(" ")
    try:
        return name, Version(version.strip())
    except InvalidVersion:
        raise ToolchainError(f"a toolchain is `name version` (got {text!r}); write it as `tileiras 13.4.92`") from None


def compiler_of(components: Mapping[str, str]) -> str:
    """`name version` of the compiler among the components of a run (name -> version); empty if there is none."""
    return next((f"{name} {components[name]}" for name in COMPILERS if components.get(name)), "")


def holds_for(law: Law, toolchain: str) -> bool:
    """Whether `toolchain` is inside the law's scope; a law without one, or one of another component, holds for any.

    Raises:
        ToolchainError: If either cannot be read.
    """
    return not law.scope.toolchain or _admits(law.scope.toolchain, toolchain)


@lru_cache(maxsize=1024)
def _admits(requirement: str, toolchain: str) -> bool:
    (wanted, versions), (name, version) = parse_requirement(requirement), parse_toolchain(toolchain)
    return name != wanted or versions.contains(version, prereleases=True)


def newest_seen(laws: Iterable[Law]) -> str:
    """The newest `name version` that any evidence is from; empty if none says."""
    return newest_toolchain({entry.toolchain for law in laws for entry in law.evidence if entry.toolchain})


def newest_toolchain(toolchains: Iterable[str]) -> str:
    """The newest of some `name version`; empty if there is none."""
    return max(sorted(toolchains), key=lambda toolchain: parse_toolchain(toolchain)[1], default="")


def is_stale(law: Law, toolchain: str) -> bool:
    """Whether none of the law's evidence is from `toolchain`, the same release (major.minor) of the same component.

    Evidence that no toolchain takes part in (reported, or computed on a CPU) does not age: a law with nothing but
    such evidence is not stale. An empty `toolchain` asks nothing, so nothing is stale for it; nor is a law that is about
    another component.

    Raises:
        ToolchainError: If a toolchain cannot be read.
    """
    return are_stale(law.scope.toolchain, tuple([one.toolchain for one in law.evidence]), toolchain)


def are_stale(scope: str, seen: tuple[str, ...], toolchain: str) -> bool:
    """`is_stale` of every law for the toolchains `scope` whose evidence is from those that were `seen`.

    Raises:
        ToolchainError: If a toolchain cannot be read.
    """
    return bool(toolchain) and _is_old(scope, seen, toolchain)


@lru_cache(maxsize=1024)
def _is_old(scope: str, seen: tuple[str, ...], toolchain: str) -> bool:
    """`is_stale` of laws with that scope whose evidence is from those toolchains, if any: thousands have them in common."""
    known = [one for one in seen if one]
    if not known or (
        scope and scope.strip().partition(" ")[0] != parse_toolchain(toolchain)[0]
    ):  # versions do not matter
        return False
    return all(_release(one) != _release(toolchain) for one in known)


@lru_cache(maxsize=1024)
def _release(toolchain: str) -> tuple[str, int, int]:
    name, version = parse_toolchain(toolchain)
    return name, version.major, version.minor
