"""A problem of attention, small and awkward, as the tables of cases of its kernels name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionProblem:
    """Attributes are the problem parameters of attention's ops, forward and backward."""

    name: str
    heads: int = 1
    kv_heads: int = 1
    seq_q: int = 64
    seq_kv: int = 64
    q_offset: int = 0
    head_dim: int = 32
    causal: bool = False
    dtype: str = "fp16"
    batch: int = 1
    inputs: str = "normal"

    def __str__(self) -> str:
        return self.name

    @property
    def problem(self) -> dict[str, bool | int | float | str]:
        """As `KernelSpec` takes it."""
        names = ("batch", "heads", "kv_heads", "seq_q", "seq_kv", "q_offset", "head_dim", "causal", "dtype", "inputs")
        return {name: getattr(self, name) for name in names}
