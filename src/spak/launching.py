"""A kernel with one configuration, launched: what the last line of `tune` does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spak.kernels.interface import KernelSpec
from spak.kernels.launched import Launched, launch_once
from spak.kernels.own.declared import WrongDeclarationError
from spak.kernels.registry import SPECS, resolve_spec
from spak.kernels.registry import spec as spec_of
from spak.kg.errors import InfeasibleError, KgError
from spak.kg.expression import parse
from spak.kg.expression.assignment import check_names
from spak.kg.model.base import Configuration
from spak.kg.model.op import Op
from spak.kg.space.completion import check_configuration, complete, completed, stated
from spak.library import Library, load
from spak.own import OwnKernel
from spak.tuner.engine.own import place_outside

if TYPE_CHECKING:
    from spak.tunable import Size


def launch(
    kernel: str | OwnKernel,
    configuration: Configuration,
    problem: Size = "",
    arrays: Mapping[str, Any] | None = None,
    *,
    laws: Library | str | Path | None = None,
    seed: int = 0,
) -> Launched:
    """Launch a kernel with `configuration`, on torch's current stream; without a GPU on the simulator, if it is cuTile's.

    Args:
        kernel: An op of which there is a kernel here, a file that declares one, the name that an installed package gives
            one, or what `spak.kernel` gave.
        configuration: What it has not is the op's default.
        problem: Name of one of the op's sizes, `name=value,...` or a mapping; what it has not is the op's default.
        arrays: Torch tensors by name, each contiguous: every input. None: they are drawn as a search draws them.
        laws: Of a kernel here: a library, or the folder of its laws, whose op it is; None as for `load`.
        seed: Draws the inputs.

    Raises:
        KgError: If a name is unknown, a value is none of the op's, or the configuration cannot run at this size.
        ValueError: If an input lacks, is none, or has another shape or type; names it.
        TunerError: If several installed packages give a kernel this name.
    """
    spec, node = _kernel(kernel, laws)
    size = complete(node, stated([node], problem, what="problem") if isinstance(problem, str) else problem)
    check_names(configuration, node.parameters, kind="parameter")
    check_configuration([node], configuration)
    whole = completed(node, configuration)
    _check_feasible(node, {**size, **whole})
    return launch_once(spec, size, whole, arrays or {}, seed=seed)


def _kernel(kernel: str | OwnKernel, laws: Library | str | Path | None) -> tuple[KernelSpec, Op]:
    if isinstance(kernel, OwnKernel):
        return cast("KernelSpec", kernel), kernel.node
    place = place_outside(kernel)
    if place:
        try:
            found = resolve_spec(place)
        except WrongDeclarationError as error:
            raise KgError(f"kernel: {error}") from None
        if not isinstance(found, OwnKernel):
            raise KgError(f"kernel: {place} is no kernel made by spak.kernel (got {type(found).__name__})")
        return cast("KernelSpec", found), found.node
    node = laws.op(kernel) if isinstance(laws, Library) else _op(kernel, laws, Path.cwd())
    if node.id not in SPECS:
        raise KgError(f"kernel: there is no kernel of {node.id} here; there are those of {', '.join(SPECS)}")
    return spec_of(node.id), node


@lru_cache(maxsize=32)
def _op(name: str, laws: str | Path | None, here: Path) -> Op:
    """The op of the laws that lie at `here` or above, read once."""
    del here  # tells apart what the nearest laws are
    return load(laws).op(name)


def _check_feasible(node: Op, values: Mapping[str, Any]) -> None:
    """Every condition of the op that needs no fact of the hardware.

    Raises:
        InfeasibleError: At the first that is broken.
    """
    for condition in node.conditions:
        if parse(condition.require).partial(values) is False:
            raise InfeasibleError(f"configuration: {condition.require}: {condition.because}")
