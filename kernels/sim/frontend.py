"""From a launch's Python arguments to cuTile IR, through cuTile's own front end.

What a GPU launch would reject (tile shapes, types, control flow) is rejected here, with the same message, because the
same code does it. The simulator interprets the IR that would go to the assembler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from spak.kernels.sim.dtypes import NATIVE
from spak.kernels.sim.errors import SimulatorError
from spak.kernels.sim.memory import HostArray, Memory

MAX_INT32 = 2**31
_COMPILED: WeakKeyDictionary[FunctionType, dict[str, Program]] = WeakKeyDictionary()
"""By kernel and what is known of its arguments, as cuTile's own cache; a global that changes later is not seen by either."""


@dataclass(frozen=True)
class Program:
    """A kernel specialised to the types and constants of its arguments."""

    body: Any
    annotations: Sequence[Any]
    names: Sequence[str]


def host_array(value: Any) -> HostArray | None:
    """An array argument (NumPy, or torch on the CPU), or None if it is something else.

    Raises:
        SimulatorError: For an array whose type or strides cuTile has not, or that is not in host memory.
    """
    if isinstance(value, np.ndarray):
        return numpy_array(value)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "data_ptr"):
        if value.device.type != "cpu":
            raise SimulatorError(f"array on {value.device}; the simulator takes arrays in host memory")
        dtype, strides = cutile_dtype(str(value.dtype).removeprefix("torch.")), tuple(value.stride())
        size = value.element_size()
        return HostArray(dtype, tuple(value.shape), strides, value.data_ptr(), size, writeable=True, owner=value)
    return None


def numpy_array(value: np.ndarray[Any, Any]) -> HostArray:
    """A NumPy array argument."""
    if any(stride % value.itemsize or stride < 0 for stride in value.strides):
        raise SimulatorError(f"strides {value.strides} bytes of an array of {value.dtype}: not whole positive elements")
    strides = tuple(stride // value.itemsize for stride in value.strides)
    address = value.__array_interface__["data"][0]
    writeable = bool(value.flags.writeable)
    return HostArray(cutile_dtype(value.dtype.name), value.shape, strides, address, value.itemsize, writeable, value)


def cutile_dtype(name: str) -> Any:
    """CuTile's data type by its name in NumPy or torch."""
    import cuda.tile as ct

    name = "bool_" if name == "bool" else name
    found = getattr(ct, name, None)
    if found is None or name not in (*NATIVE, "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"):
        raise SimulatorError(f"no cuTile array has elements of type {name}")
    return found


def array_constraint(array: HostArray, annotation: Any) -> Any:
    """What cuTile may assume of an array: its sizes and strides only where an annotation asks for them."""
    import cuda.tile as ct
    from cuda.tile.compilation import ArrayConstraint

    def chosen(values: Sequence[int], axes: Sequence[int]) -> list[int | None]:
        kept = {axis % len(values) for axis in axes if -len(values) <= axis < len(values)}
        return [value if axis in kept else None for axis, value in enumerate(values)]

    static_shape = annotation.static_shape_dims if annotation is not None else ()
    static_strides = annotation.static_stride_dims if annotation is not None else ()
    return ArrayConstraint(
        array.dtype,
        len(array.shape),
        index_dtype=(annotation.index_dtype if annotation is not None else None) or ct.int32,
        stride_lower_bound_incl=0,
        alias_groups=(),
        may_alias_internally=False,
        stride_constant=chosen(array.strides, static_strides),
        shape_constant=chosen(array.shape, static_shape),
    )


def nodes(value: tuple[Any, ...], annotation: Any) -> Sequence[Any]:
    """The annotation of each item of a tuple."""
    return getattr(annotation, "items", None) or [getattr(annotation, "each", annotation)] * len(value)


def constraint(value: Any, annotation: Any) -> Any:
    """CuTile's constraint for one argument."""
    import cuda.tile as ct
    from cuda.tile.compilation import ConstantConstraint, ListConstraint, ScalarConstraint, TupleConstraint

    if isinstance(value, tuple):
        return TupleConstraint(tuple(constraint(v, n) for v, n in zip(value, nodes(value, annotation), strict=True)))
    if is_dataclass(value) and not isinstance(value, type):
        from cuda.tile.compilation._signature import DataclassConstraint

        parts = tuple(constraint(getattr(value, f.name), annotation) for f in fields(value))
        return DataclassConstraint(type(value), parts)
    if getattr(annotation, "constant", False):
        return ConstantConstraint(value)
    if isinstance(value, list):
        arrays = [a for a in map(host_array, value) if a is not None]
        if not arrays or len(arrays) != len(value):
            raise SimulatorError("a list argument must hold arrays, at least one")
        element = array_constraint(arrays[0], annotation.list.element if annotation.list else None)
        return ListConstraint(element, alias_groups=(), elements_may_alias=True)
    array = host_array(value)
    if array is not None:
        return array_constraint(array, getattr(annotation, "array", None))
    if isinstance(value, (bool, np.bool_)):
        return ScalarConstraint(ct.bool_)
    if isinstance(value, (int, np.integer)):
        wide = ct.int32 if -MAX_INT32 <= value < MAX_INT32 else ct.int64
        return ScalarConstraint(annotation.scalar.dtype if annotation.scalar else wide)
    if isinstance(value, (float, np.floating)):
        return ScalarConstraint(ct.float32)
    raise SimulatorError(
        f"argument of type {type(value).__name__}; a kernel takes arrays, numbers, tuples, lists of arrays"
    )


def compile_kernel(kernel: Any, args: Sequence[Any]) -> Program:
    """The IR of `kernel` for arguments like `args`.

    Raises:
        SimulatorError: If an argument is nothing a kernel takes.
        cuda.tile.TileError: What cuTile says of the kernel's source, with its file and line.
    """
    from cuda.tile._annotated_function import get_annotated_function
    from cuda.tile._bytecode.version import BytecodeVersion
    from cuda.tile._compile import compile_tile
    from cuda.tile.compilation import CallingConvention, KernelSignature

    function = kernel if isinstance(kernel, FunctionType) else kernel._pyfunc  # noqa: SLF001
    annotated = get_annotated_function(function)
    names = tuple(annotated.pysig.parameters)
    if len(args) != len(names):
        raise SimulatorError(f"{function.__name__} takes {len(names)} arguments ({', '.join(names)}), got {len(args)}")
    constraints = []
    for name, value, annotation in zip(names, args, annotated.parameter_annotations, strict=True):
        try:
            constraints.append(constraint(value, annotation))
        except SimulatorError as error:
            raise SimulatorError(f"{function.__name__}: argument {name}: {error}") from None
    known = _COMPILED.setdefault(function, {})
    key = repr([(c, getattr(c, "value", None)) for c in constraints])
    if key in known:
        return known[key]
    result = compile_tile(
        annotated,
        [KernelSignature(constraints, CallingConvention.cutile_python_v2())],
        bytecode_version=BytecodeVersion.V_13_4,
        return_final_ir=True,
        return_cubin=False,
    )
    assert result.final_ir is not None  # noqa: S101 -- asked for above
    known[key] = Program(result.final_ir[0], annotated.parameter_annotations, names)
    return known[key]


def flat_values(program: Program, args: Sequence[Any], memory: Memory) -> list[Any]:
    """The values of the IR's parameters, in order; constants have none."""
    told = zip(program.names, args, program.annotations, strict=True)
    return [part for name, value, annotation in told for part in flat(name, value, annotation, memory)]


def flat(name: str, value: Any, annotation: Any, memory: Memory) -> Iterator[Any]:
    """What one argument becomes."""
    if isinstance(value, tuple):
        for i, (item, node) in enumerate(zip(value, nodes(value, annotation), strict=True)):
            yield from flat(f"{name}[{i}]", item, node, memory)
    elif is_dataclass(value):
        for f in fields(value):
            yield from flat(f"{name}.{f.name}", getattr(value, f.name), annotation, memory)
    elif getattr(annotation, "constant", False):
        return
    elif isinstance(value, list):
        arrays = [a for a in map(host_array, value) if a is not None]
        yield from (memory.add_list(name, arrays), len(value))
    elif (array := host_array(value)) is not None:
        yield from (memory.add(name, array), *array.shape, *array.strides)
    else:
        yield value
