"""Workers that really measure, on GPUs with which something really is wrong when a file in their cache says so.

`poison.json` holds a configuration whose check writes to an address that nobody has; `sick-DEVICE` has every check there
do so, in whichever process; `busy-DEVICE` has another stream of the process multiply matrices beside whatever is timed.
Nothing is set on the card. `opened-DEVICE` has a line for each process that opened it.
"""

from __future__ import annotations

import ctypes
import json
from functools import partial

from spak.tuner.backend.gpu.program import CudaDevice
from spak.tuner.fleet.workbench import WORKS as TRUE_WORKS
from spak.tuner.fleet.works import MeasureWork

WORKS = {**TRUE_WORKS, "measure": f"{__name__}:measure"}
POISON, SICK, BUSY, OPENED = "poison.json", "sick", "busy", "opened"
BUSY_SIZE, BUSY_PRODUCTS = 8192, 4

WILD_STORE = b"""
.version 7.0
.target sm_70
.address_size 64
.visible .entry wild()
{
    .reg .u64 %place;
    .reg .u32 %value;
    mov.u64 %place, 64;
    mov.u32 %value, 1;
    st.global.u32 [%place], %value;
    ret;
}
"""


def poison_context(torch):
    """Launch a store to an address that is nobody's: the error stays until the process ends.

    A driver without its compiler of PTX takes no kernel of ours; then PyTorch's own fills that address.
    """
    driver = ctypes.CDLL("libcuda.so.1")
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    if not driver.cuModuleLoadData(ctypes.byref(module), ctypes.c_char_p(WILD_STORE)):
        found = driver.cuModuleGetFunction(ctypes.byref(function), module, ctypes.c_char_p(b"wild"))
        launched = driver.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, None, None)
        assert (found, launched) == (0, 0), "the driver refused the wild store itself: nothing was poisoned"
    else:
        storage = torch._C._construct_storage_from_data_pointer(64, torch.device("cuda:0"), 4)
        torch.empty(0, device="cuda").set_(storage, 0, (1,)).fill_(1.0)
    torch.cuda.synchronize()


class FaultyDevice(CudaDevice):
    """A real device, and what the files in `folder` say is wrong with it."""

    def __init__(self, target, folder, device):
        super().__init__(target)
        self._folder, self._named = folder, device
        with (folder / f"{OPENED}-{device}").open("a") as log:
            log.write("opened\n")
        self._side, self._timed = self._torch.cuda.Stream(), self._timer.sample
        self._timer.sample = self._sample_beside
        self._factor = None

    def check(self, contestant):
        poison = self._folder / POISON
        is_poison = poison.exists() and json.loads(poison.read_text()) == contestant.configuration
        if is_poison or (self._folder / f"{SICK}-{self._named}").exists():
            poison_context(self._torch)
        return super().check(contestant)

    def _sample_beside(self, launch):
        """One sample while another stream works; never while a graph is captured, which nothing samples in."""
        if (self._folder / f"{BUSY}-{self._named}").exists():
            self._side.synchronize()
            if self._factor is None:
                self._factor = self._torch.ones(BUSY_SIZE, BUSY_SIZE, dtype=self._torch.bfloat16, device="cuda")
                self._product = self._torch.empty_like(self._factor)
                self._torch.cuda.synchronize()
            with self._torch.cuda.stream(self._side):
                for _ in range(BUSY_PRODUCTS):
                    self._torch.mm(self._factor, self._factor, out=self._product)
        return self._timed(launch)


def measure(place):
    """The measuring work of a worker with such a device."""
    return MeasureWork(place, lambda target: partial(FaultyDevice, target, folder=place.cache, device=place.device))
