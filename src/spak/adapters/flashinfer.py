"""FlashInfer: laws as the tactics blocklist that its AutoTuner reads, and what it found to fail as evidence.

    blocked = tactics_blocklist([RunnerTactics("flashinfer::mm::Runner", kernel, runner.get_valid_tactics(...), named)])
    Path("blocked.json").write_text(json.dumps(blocked))  # FLASHINFER_TACTICS_BLOCKLIST=blocked.json

What a safety law forbids is blocked although it is only reported: a launch that takes the CUDA context with it cannot be
tried and caught. Tuners that FlashInfer keeps for itself, as its cuTile products do, read no blocklist; `obeying` wraps
the function that lists their candidates.

Source: FlashInfer 0.7.2, `tactics_blocklist.py` (`TacticsBlocklist.load`, `filter`), `autotuner/autotuner.py`
(`_collect_metadata`, `AutoTunerStatistics.failed_tactics`), `gemm/kernels/cutile/mm_bf16_cutile.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import spak
from spak.adapters.advice import LOG, MeasuredBy, T, TunedKernel, Unneeded, Value

ENVIRONMENT = (
    "flashinfer_version",
    "cuda_version",
    "cublas_version",
    "cudnn_version",
    "cudnn_frontend_version",
    "cutlass_dsl_version",
    "gpu",
)
"""What the reader compares with the machine it runs on; a file that lacks one is skipped, `*` fits any."""


@dataclass(frozen=True)
class RunnerTactics(Generic[T]):
    """The tactics of one FlashInfer runner, in the terms of an op.

    Attributes:
        key: `custom_op::RunnerClass`, as in `AutoTuner.get().stats.failed_tactics`.
        kernel: What the runner runs.
        tactics: What its `get_valid_tactics` gives: whole numbers, or tuples of them.
        parameters: What a tactic sets, in the names that `kernel` knows.
    """

    key: str
    kernel: TunedKernel
    tactics: Sequence[T]
    parameters: Callable[[T], Mapping[str, Value]]


def tactics_blocklist(runners: Iterable[RunnerTactics[Any]], environment: Mapping[str, str] = {}) -> dict[str, Any]:
    """A blocklist file's content: the tactics that laws forbid, with laws and reasons, which FlashInfer passes over.

    Args:
        runners: Of each at least one tactic stays.
        environment: Of `ENVIRONMENT` what the file is for, as `gpu`; the rest is any. A tactic that is a number means
            something else in another version: name the versions there.

    Raises:
        ValueError: If `environment` names something else.
    """
    if odd := sorted(environment.keys() - set(ENVIRONMENT)):
        raise ValueError(f"environment: {', '.join(odd)}; FlashInfer compares {', '.join(ENVIRONMENT)}")
    blocked = {runner.key: _forbidden(runner.kernel, runner.tactics, runner.parameters)[1] for runner in runners}
    return {
        "_metadata": dict.fromkeys(ENVIRONMENT, "*") | dict(environment),
        "invalid_tactics": {key: [_json(one.item) for one in found] for key, found in blocked.items() if found},
        "reasons": {
            key: [{"tactic": _json(one.item), "laws": one.laws, "reasons": one.reasons} for one in found]
            for key, found in blocked.items()
            if found
        },
    }


def obeying(
    candidates: Callable[..., Iterable[T]], kernel: TunedKernel, parameters: Callable[[T], Mapping[str, Value]] = vars
) -> Callable[..., list[T]]:
    """A function that lists configurations, without those that laws forbid and best first; at least one is left."""

    def listed(*args: Any, **options: Any) -> list[T]:
        return _forbidden(kernel, list(candidates(*args, **options)), parameters)[0]

    return listed


def failures(runner: RunnerTactics[Any], failed: Iterable[Any] | Path, by: MeasuredBy) -> spak.ToolRun:
    """What failed under FlashInfer's AutoTuner, for `spak.record`.

    Args:
        runner: Only its key, kernel and parameters count.
        failed: `AutoTuner.get().stats.failed_tactics[key]`, or the file of `flashinfer generate-tactics-blocklist`.
        by: Who found it out.

    Raises:
        spak.KgError: If nothing of it can be said in the op's terms.
    """
    found: Iterable[Any] = _written(failed, runner.key) if isinstance(failed, Path) else failed
    tried = [spak.Tried(runner.parameters(_tactic(one)), failure=f"{runner.key} {one}") for one in found]
    return runner.kernel.results(tried, by)


def _written(file: Path, key: str) -> list[Any]:
    found: list[Any] = json.loads(file.read_text()).get("invalid_tactics", {}).get(key, [])
    return found


def _forbidden(
    kernel: TunedKernel, items: Sequence[T], parameters: Callable[[T], Mapping[str, Value]]
) -> tuple[list[T], list[Unneeded[T]]]:
    """What is left of `items`, best first, and what laws forbid: those that may remove, and those about safety."""
    if not items:
        return [], []
    sifted = kernel.sift(items, parameters)
    unsaid = [item for item, _ in sifted.unsaid]
    unsafe = [one for item in sifted.kept if item not in unsaid and (one := _unsafe(kernel, item, parameters(item)))]
    if len(unsafe) == len(sifted.kept):
        LOG.warning("laws forbid all that is left; this one is kept: %s", sifted.kept[0])
        unsafe = [one for one in unsafe if one.item != sifted.kept[0]]
    for one in unsafe:
        LOG.info("left out: %s: %s [%s]", one.item, "; ".join(one.reasons), ", ".join(one.laws))
    out = [one.item for one in unsafe]
    return [item for item in sifted.kept if item not in out], [*sifted.left_out, *unsafe]


def _unsafe(kernel: TunedKernel, item: T, parameters: Mapping[str, Value]) -> Unneeded[T] | None:
    """Why safety laws of this hardware, confirmed or not, are against `item`; None if none is, or it is not known."""
    hw = kernel.hw if isinstance(kernel.hw, str) else kernel.hw.hw
    try:
        account = kernel.laws.why(kernel.known_op.id, hw=hw, config=kernel.said(parameters), problem=kernel.problem)
    except spak.UnknownNameError as error:
        LOG.warning("no law about safety was asked: %s", error)
        return None
    found = [
        one
        for one in account.opinions
        if one.is_safety and one.verdict.stance == "against" and one.match.hw != "transferred"
        if one.match.is_about_op and not one.match.condition
    ]
    return Unneeded(item, tuple(o.law.id for o in found), tuple(o.law.title for o in found)) if found else None


def _json(tactic: Any) -> Any:
    """A tactic as FlashInfer writes it: sequences as lists."""
    return [_json(one) for one in tactic] if isinstance(tactic, list | tuple) else tactic


def _tactic(found: Any) -> Any:
    """A tactic as FlashInfer has it: lists as tuples."""
    return tuple(_tactic(one) for one in found) if isinstance(found, list | tuple) else found
