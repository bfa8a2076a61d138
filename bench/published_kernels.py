"""Published kernels under `sim.launch(check=True)`: none may be accused, and planted bugs are to be found.

    python -m bench.published_kernels      # needs torch and NVIDIA's TileGym: pip install --no-deps tilegym==1.5.1

The kernels are called through their own PyTorch functions, forward and backward, on small CPU tensors; `cuda.tile.launch`
is the simulator's. A bug is a replacement in one published file. Outputs come from `torch.empty`, which PyTorch fills with
NaN as the simulator's `empty` does (`use_deterministic_algorithms`).
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import cuda.tile as ct
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from cuda.tile import tune

from spak.kernels import sim

LIGER, OPS = "tilegym.suites.liger.cutile", "tilegym.ops.cutile"
PROPERTIES = SimpleNamespace(multi_processor_count=4, name="simulator", major=9, minor=0, L2_cache_size=1 << 20)
DRAWS = torch.Generator().manual_seed(0)


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=DRAWS).to(dtype).requires_grad_()


def tokens(count: int, vocabulary: int) -> torch.Tensor:
    return torch.randint(0, vocabulary, (count,), generator=DRAWS)


def log_softmax(*shape: int) -> torch.Tensor:
    return F.log_softmax(normal(*shape), -1)


def back(result: Any) -> None:
    """Every gradient of the sum of all outputs."""
    parts = result if isinstance(result, (tuple, list)) else (result,)
    total = sum(part.float().pow(2).sum() for part in parts if isinstance(part, torch.Tensor))
    if isinstance(total, torch.Tensor) and total.requires_grad:
        total.backward()


@dataclass(frozen=True)
class Published:
    """A module of TileGym and what is called of it."""

    module: str
    call: Callable[[ModuleType], Any]


def bmm(m: ModuleType) -> Any:
    tiles = {"TILE_M": 16, "TILE_N": 16, "TILE_K": 16}
    return m.bmm(normal(2, 40, 24).detach(), normal(2, 24, 56).detach(), static_persistent=False, kernel_configs=tiles)


CALLS = {
    "softmax": Published(f"{LIGER}.softmax", lambda m: m.softmax(normal(6, 100))),
    "softmax fp16": Published(f"{LIGER}.softmax", lambda m: m.softmax(normal(6, 100, dtype=torch.float16))),
    "sparsemax": Published(f"{LIGER}.sparsemax", lambda m: m.sparsemax(normal(8, 100))),
    "rms_norm": Published(f"{LIGER}.rms_norm", lambda m: m.rms_norm(normal(8, 96), normal(96), 1e-6)),
    "layer_norm": Published(f"{LIGER}.layer_norm", lambda m: m.layer_norm(normal(7, 96), normal(96), normal(96), 1e-6)),
    "group_norm": Published(
        f"{LIGER}.group_norm", lambda m: m.group_norm(normal(2, 8, 16), 8, 4, normal(8), normal(8), 1e-5)
    ),
    "poly_norm": Published(f"{LIGER}.poly_norm", lambda m: m.poly_norm(normal(8, 96), normal(3), normal(1))),
    "fused_add_rms_norm": Published(
        f"{LIGER}.fused_add_rms_norm", lambda m: m.fused_add_rms_norm(normal(8, 96), normal(8, 96), normal(96), 1e-6)
    ),
    "modulated_rms_norm": Published(
        f"{LIGER}.modulated_rms_norm",
        lambda m: m.modulated_rms_norm(normal(2, 8, 96), normal(96), normal(2, 96), normal(2, 96)),
    ),
    "dyt": Published(f"{LIGER}.dyt", lambda m: m.dyt(normal(8, 96), normal(1), normal(96), normal(96))),
    "geglu": Published(f"{LIGER}.geglu", lambda m: m.geglu(normal(3, 5000), normal(3, 5000))),
    "swiglu": Published(f"{LIGER}.swiglu", lambda m: m.swiglu(normal(8, 96), normal(8, 96))),
    "relu_squared": Published(f"{LIGER}.relu_squared", lambda m: m.relu_squared(normal(8, 100))),
    "relu_squared aligned": Published(f"{LIGER}.relu_squared", lambda m: m.relu_squared(normal(8, 128))),
    "cross_entropy": Published(f"{LIGER}.cross_entropy", lambda m: m.cross_entropy(normal(8, 100), tokens(8, 100))),
    "fused_linear_cross_entropy": Published(
        f"{LIGER}.fused_linear_cross_entropy",
        lambda m: m.fused_linear_cross_entropy(normal(8, 32), normal(100, 32), tokens(8, 100)),
    ),
    "kl_div": Published(f"{LIGER}.kl_div", lambda m: m.kl_div(log_softmax(8, 100), log_softmax(8, 100).exp().detach())),
    "jsd": Published(f"{LIGER}.jsd", lambda m: m.jsd(log_softmax(8, 100), log_softmax(8, 100).detach())),
    "tvd": Published(f"{LIGER}.tvd", lambda m: m.tvd(log_softmax(8, 100).exp(), log_softmax(8, 100).exp().detach())),
    "rope": Published(
        f"{LIGER}.rope",
        lambda m: m.rope(normal(1, 4, 8, 32), normal(1, 2, 8, 32), torch.randn(1, 8, 32), torch.randn(1, 8, 32)),
    ),
    "llama4_rope": Published(
        f"{LIGER}.llama4_rope",
        lambda m: m.llama4_rope(normal(1, 8, 4, 32), normal(1, 8, 2, 32), torch.randn(8, 16, 2)),
    ),
    "qwen2vl_mrope": Published(
        f"{LIGER}.qwen2vl_mrope",
        lambda m: m.qwen2vl_mrope(
            normal(1, 4, 8, 32), normal(1, 2, 8, 32), torch.randn(3, 1, 8, 32), torch.randn(3, 1, 8, 32), [4, 6, 6]
        ),
    ),
    "multi_token_attention": Published(
        f"{LIGER}.multi_token_attention",
        lambda m: m.multi_token_attention(normal(1, 2, 32, 32), normal(2, 2, 3, 3), padding=1),
    ),
    "fused_neighborhood_attention": Published(
        f"{LIGER}.fused_neighborhood_attention",
        lambda m: m.fused_neighborhood_attention(*(normal(1, 2, 64, 32) for _ in range(3)), 7, 1),
    ),
    "bmm": Published(f"{OPS}.bmm", bmm),
    "transpose": Published(f"{OPS}.transpose", lambda m: m.transpose(normal(70, 200))),
}
"""What is run: name -> module and call."""

BUGS = {
    "rows of the output one further": (
        "layer_norm",
        "ct.scatter(y, (row_idx, col_idx)",
        "ct.scatter(y, (row_idx + 1, col_idx)",
    ),
    "the last row has no block": ("layer_norm", "grid = (n_rows, 1, 1)", "grid = (n_rows - 1, 1, 1)"),
    "every block writes the first mean": ("layer_norm", "ct.scatter(mean_out, row_idx,", "ct.scatter(mean_out, 0,"),
    "no bounds where the tile is wider": ("layer_norm", "check_bounds = not ALIGNED", "check_bounds = False"),
    "blocks share one partial sum": (
        "layer_norm",
        "dw_partial, (block_id, col_idx), dw",
        "dw_partial, (0, col_idx), dw",
    ),
    "a stride is forgotten": ("layer_norm", "block_id * rows_per_program + ri", "block_id + ri"),
    "one row too many": ("layer_norm", "if row_idx < n_rows:", "if row_idx <= n_rows:"),
    "a sum starts from memory": (
        "layer_norm",
        "(block_id, col_idx), dw_acc, check",
        "(block_id, col_idx), dw_acc + ct.gather(dw_partial, (block_id, col_idx), padding_value=0.0), check",
    ),
    "the last chunk is left out": ("geglu", "for ci in range(num_chunks):", "for ci in range(num_chunks - 1):"),
    "the chunk is not added to the column": ("geglu", "ci * BLOCK_SIZE)", "0 * BLOCK_SIZE)"),
    "no padding mode": ("softmax", ", padding_mode=ct.PaddingMode.NEG_INF", ""),
    "two rows into one": ("softmax", "ct.scatter(Y, (row_idx, ct.arange", "ct.scatter(Y, (row_idx // 2, ct.arange"),
    "tile indices swapped in the store": ("bmm", "index=(bidz, bidx, bidy), tile=", "index=(bidz, bidy, bidx), tile="),
    "the batch is forgotten in the store": ("bmm", "index=(bidz, bidx, bidy), tile=", "index=(0, bidx, bidy), tile="),
    "one block too few": ("bmm", "(ceil(M / TILE_M),", "(M // TILE_M,"),
    "one block too many": ("bmm", "(ceil(M / TILE_M),", "(1 + ceil(M / TILE_M),"),
    "the transposed tile stored in place": ("transpose", "index=(pid_n, pid_m)", "index=(pid_m, pid_n)"),
    "tile indices swapped in the load": ("transpose", "index=(pid_m, pid_n)", "index=(pid_n, pid_m)"),
}
"""Bug -> what is called, and what is replaced in its file by what."""


def searched(space: Any, *_: Any, **__: Any) -> Any:
    """`exhaustive_search` without a GPU: the first configuration."""
    config = next(iter(space))
    return SimpleNamespace(best=SimpleNamespace(config=config, mean_us=1.0), successes=[], failures=[])


class Launches:
    """`cuda.tile.launch` on the simulator; knows what ran."""

    def __init__(self, *, check: bool) -> None:
        self.check, self.count = check, 0
        self.kernels: set[str] = set()

    def __call__(self, stream: Any, grid: Any, kernel: Any, args: Any, **_: Any) -> None:
        """Launch."""
        function = getattr(kernel, "_pyfunc", kernel)
        self.count += 1
        self.kernels.add(f"{function.__module__}.{function.__name__}")
        given = tuple(arg.detach() if isinstance(arg, torch.Tensor) else arg for arg in args)
        sim.launch(stream, tuple(map(int, grid)), kernel, given, check=self.check)


@contextmanager
def on_the_cpu(launches: Launches) -> Iterator[None]:
    """What the published functions ask a GPU, answered here."""
    stream = mock.MagicMock(cuda_stream=0)
    answers = {
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "current_stream": lambda *_: stream,
        "get_device_properties": lambda *_: PROPERTIES,
        "get_device_capability": lambda *_: (9, 0),
        "Stream": mock.MagicMock(),
        "stream": mock.MagicMock(),
        "device": mock.MagicMock(),
    }
    with (
        mock.patch.multiple(torch.cuda, **answers),
        mock.patch.object(ct, "launch", launches),
        mock.patch.object(tune, "exhaustive_search", searched),
    ):
        yield


def with_bug(module: str, old: str, new: str, folder: Path) -> ModuleType:
    """The published module with one line changed, in its own package."""
    path = Path(str(importlib.import_module(module).__file__))
    text = path.read_text()
    if old not in text:
        raise SystemExit(f"{path.name}: does not have {old!r}; take the version that the docstring names")
    copy = folder / f"{path.stem}_{abs(hash((old, new)))}.py"
    copy.write_text(text.replace(old, new))
    spec = importlib.util.spec_from_file_location(f"{module.rpartition('.')[0]}.{copy.stem}", copy)
    changed = importlib.util.module_from_spec(spec)  # type: ignore[arg-type] # a file that was just written has one
    spec.loader.exec_module(changed)  # type: ignore[union-attr]
    return changed


def told(module: ModuleType, call: Callable[[ModuleType], Any]) -> str:
    """What the simulator says of a call: its error, else its warning; empty if nothing."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            back(call(module))
        except sim.SimulatorError as error:
            return str(error)
    spoken = [str(one.message) for one in warned if issubclass(one.category, sim.SimulatorWarning)]
    return f"warning: {spoken[0]}" if spoken else ""


def main() -> None:
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    right = Launches(check=True)
    with on_the_cpu(right):
        accused = {name: told(importlib.import_module(one.module), one.call) for name, one in CALLS.items()}
    accused = {name: words for name, words in accused.items() if words}
    print(f"{len(right.kernels)} published kernels, {right.count} launches: {len(accused)} accused {accused or ''}\n")
    print("| planted | without checks | with checks |\n| --- | --- | --- |")
    found = {False: 0, True: 0}
    with tempfile.TemporaryDirectory() as folder:
        for bug, (name, old, new) in BUGS.items():
            words = {}
            for check in (False, True):
                with on_the_cpu(Launches(check=check)):
                    changed = with_bug(CALLS[name].module, old, new, Path(folder))
                    words[check] = told(changed, CALLS[name].call)
                found[check] += bool(words[check])
            cells = [text.rpartition("/")[2].partition(": ")[2] or text or "-" for text in words.values()]
            print(f"| {name}: {bug} | {' | '.join(cells)} |", flush=True)
    print(f"\n{found[False]} of {len(BUGS)} found without checks, {found[True]} with them")


if __name__ == "__main__":
    main()
