"""What of the device program needs no GPU: finding the tensors of whatever a spec returns."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from spak.tuner.backend.gpu.ahead import CubinTarget
from spak.tuner.backend.gpu.program import CudaDevice, tensors


class Tensor:
    def element_size(self):
        return 2


Q, K, V = Tensor(), Tensor(), Tensor()


@dataclass
class Inputs:
    q: Tensor
    rest: tuple
    scale: float = 1.0


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (Q, [Q]),
        ((Q, [K, None], 3), [Q, K]),
        ({"out": Q, "lse": K}, [Q, K]),
        (Inputs(Q, (K, V)), [Q, K, V]),
        ("text", []),
        (Inputs, []),
    ],
)
def test_every_tensor_is_found_in_order(value, found):
    assert list(tensors(value)) == found


def test_what_opens_the_device_travels_to_another_process():
    import pickle

    opener = partial(
        CudaDevice, CubinTarget("spak.kernels.attention.fmha.spec:SPEC", "sm_90", Path("cubins"), "source")
    )
    again = pickle.loads(pickle.dumps(opener))  # noqa: S301
    assert (again.func, again.args) == (opener.func, opener.args)
