"""Which kernels a training step spends its time in, grouped by what they do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.nanogpt_cases import Batches
from bench.nanogpt_timing import PROFILED, Contestant, run_step

GROUPS: Sequence[tuple[str, str]] = (
    ("attention", r"flash|fmha|sdpa|attention|softmax_warp|dot_do_o|convert_dq|cat_transpose|delta|dq_|dkdv"),
    ("AdamW", r"adam"),
    ("clipping", r"lpnorm|foreach_norm|clip|multi_tensor|norm_of"),
    ("cross-entropy", r"cross_entropy|log_softmax|nll|_loss|cunn_SoftMax"),
    ("GELU", r"gelu|tanh"),
    ("norm and residual", r"layer_norm|layernorm|rms|add_norm|gamma|GammaBeta"),
    ("embedding", r"embedding|indexing|index_put"),
    ("matrix products", r"nvjet|gemm|cutlass|cublas|xmma|splitK|triton_tem|addmm|(^|_)mm(_|$)|matmul"),
    ("copies and casts", r"memcpy|memset|copy|_to_copy|cast|fill|zero"),
    ("sums", r"reduce|_sum|sum_"),
)
"""Group -> what the names of its kernels contain, case apart; the first that fits counts. What fits none is `other`."""


@dataclass(frozen=True)
class KernelTime:
    """A kernel of the step: launches of it and its microseconds, both a step."""

    name: str
    group: str
    launches: float
    us: float


def group_of(name: str) -> str:
    """The first of `GROUPS` that fits."""
    return next((group for group, pattern in GROUPS if re.search(pattern, name, re.IGNORECASE)), "other")


def by_group(kernels: Sequence[KernelTime]) -> dict[str, float]:
    """Microseconds a step of each group, the largest first."""
    found: dict[str, float] = {}
    for kernel in kernels:
        found[kernel.group] = found.get(kernel.group, 0.0) + kernel.us
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def profiled(contestant: Contestant, batches: Batches) -> list[KernelTime]:  # pragma: no cover  # needs a GPU
    """Every kernel of a step, the longest first; means over `PROFILED` steps."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        for number in range(PROFILED):
            run_step(contestant, batches, number)
        torch.cuda.synchronize()
    found = [
        KernelTime(event.key, group_of(event.key), event.count / PROFILED, event.self_device_time_total / PROFILED)
        for event in recorded.key_averages()
        if event.self_device_time_total > 0
    ]
    return sorted(found, key=lambda kernel: -kernel.us)


def told_profile(kernels: Sequence[KernelTime], most: int = 60) -> dict[str, Any]:
    """For a file of results: groups, the longest kernels, and their number."""
    groups: Mapping[str, float] = by_group(kernels)
    return {
        "us": sum(kernel.us for kernel in kernels),
        "launches": sum(kernel.launches for kernel in kernels),
        "groups": groups,
        "kernels": [asdict(kernel) for kernel in kernels[:most]],
    }
