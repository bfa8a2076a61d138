"""A CUDA driver in ctypes, enough for cuTile to derive a signature and to ask for its code, on a machine without one.

It must be installed before `cuda.tile` first looks for the driver, so tests use it in a process of its own.
"""

from __future__ import annotations

import ctypes
import sys
import types

WORD = ctypes.c_uint64
ENTRY = ctypes.CFUNCTYPE(ctypes.c_int, *[WORD] * 6)
HANDLE = 0x1234
COMPUTE_CAPABILITY = {75: 9, 76: 0}  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
HANDLE_IN_FIRST = {"cuCtxGetCurrent", "cuLibraryLoadData", "cuLibraryGetKernel", "cuKernelGetFunction"}


class DeviceArray:
    """An array that cuTile takes for device memory."""

    def __init__(self, shape, typestr, address):
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": typestr,
            "data": (address, False),
            "version": 3,
            "strides": None,
        }


def install():
    """Make cuTile load this driver; returns the names of the calls it makes."""
    calls, entries = [], {}

    def entry(name):
        def call(a, b, c, d, e, f):
            calls.append(name)
            if name == "cuDriverGetVersion":
                ctypes.c_int.from_address(a).value = 13000
            elif name in {"cuDeviceGetCount", "cuDeviceGet", "cuCtxGetDevice"}:
                ctypes.c_int.from_address(a).value = int(name == "cuDeviceGetCount")
            elif name == "cuDeviceGetAttribute":
                ctypes.c_int.from_address(a).value = COMPUTE_CAPABILITY.get(b & 0xFFFFFFFF, 0xFFFF)
            elif name in HANDLE_IN_FIRST or name == "cuPointerGetAttribute":
                WORD.from_address(a).value = HANDLE
            elif name == "cuStreamGetCtx":
                WORD.from_address(b).value = HANDLE
            return 0

        return ENTRY(call)

    def get_proc_address(symbol, function, version, flags, status, _):
        name = ctypes.string_at(symbol).decode()
        entries.setdefault(name, entry(name))
        WORD.from_address(function).value = ctypes.cast(entries[name], ctypes.c_void_p).value
        if status:
            ctypes.c_int.from_address(status).value = 0
        return 0

    loader = ENTRY(get_proc_address)
    pointer = ctypes.c_void_p(ctypes.cast(loader, ctypes.c_void_p).value)
    module = types.ModuleType("cuda.tile._load_libcuda")
    module.cuGetProcAddress_v2_ptrptr = ctypes.addressof(pointer)
    module.keep = (loader, pointer, entries)
    sys.modules["cuda.tile._load_libcuda"] = module
    return calls
