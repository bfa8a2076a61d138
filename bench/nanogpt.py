"""NanoGPT's full training step beside PyTorch's, eager and compiled, in one run: times, memory, MFU, kernels.

    python -m bench.nanogpt --data tinyshakespeare.txt --out bench/results/nanogpt-h200.json

A step is a fresh batch from data on the device, forward, backward, clipping and AdamW; nothing in it waits for the host.
All contestants begin with the same weights and see the same batches, and their first losses are held against each other
before anything is timed. Needs a GPU; torch.compile runs for all variants at once first, in processes of their own.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.nanogpt_cases import (
    BF16_RESIDUAL,
    CASES,
    EAGER,
    OURS,
    Batches,
    Case,
    Run,
    agreeing,
    characters,
    timing_batches,
)
from bench.nanogpt_gradients import drawn_weights, exact_gradients, gradient_errors, told_errors
from bench.nanogpt_profile import profiled, told_profile
from bench.nanogpt_timing import Blocks, Built, Contestant, block_ms, built, in_blocks
from spak.kernels.nanogpt.parameters import ParameterLayout, initial_gpt_parameters
from spak.tuner.backend.gpu.clocks import current_card, open_clock_log
from spak.tuner.backend.gpu.statistics import summarise

WEIGHTS_SEED = 1337
COMPILE_S = 240.0


def main() -> int:
    options = options_of()
    if options.compile_only:
        (name,), (variant,) = options.case, options.only
        compile_one(name, variant, options)
        return 0
    started = time.monotonic()
    result: dict[str, Any] = {"seed": options.seed, "cases": {}, "refused": {}}
    wanted = {name: contestants_of(options.only) for name in options.case}
    compile_ahead(wanted, options)
    print(f"compiled at {time.monotonic() - started:.0f} s", flush=True)
    for name, variants in wanted.items():
        comparison = StepComparison(name, options, result["refused"])
        result["cases"][name] = comparison.compared(variants)
        result["machine"] = machine(comparison)
        save(result, options.out)
        result["cases"][name]["gradients"] = comparison.gradient_errors(options.gradients)
        save(result, options.out)
        print(told(name, result["cases"][name]), f"at {time.monotonic() - started:.0f} s", sep="\n", flush=True)
    print(json.dumps(result["refused"]), json.dumps(result["machine"]), sep="\n")
    return 0


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="tinyshakespeare.txt")
    parser.add_argument("--out", type=Path, default=Path("nanogpt.json"))
    parser.add_argument("--case", action="append", choices=sorted(CASES), help="repeatable; all unless given")
    parser.add_argument("--only", action="append", default=[], help="contestant, repeatable; all unless given")
    parser.add_argument("--profile", action="append", default=[], help="contestant to profile, repeatable")
    parser.add_argument(
        "--gradients", action="append", default=[], help="contestant whose gradients are checked, repeatable"
    )
    parser.add_argument(
        "--laws-before", type=Path, help="folder of laws without the search at these sizes, for the ablation"
    )
    parser.add_argument("--compile-only", action="store_true", help="compile one variant of one case, and end")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = parser.parse_args(argv)
    options.case = options.case or sorted(CASES)
    return options


def contestants_of(only: Sequence[str]) -> list[str]:
    """Names of the contestants: every baseline and our step, unless told otherwise."""
    from bench.nanogpt_torch import VARIANTS

    return list(only or (*VARIANTS, OURS, OURS + BF16_RESIDUAL))


def compile_ahead(wanted: Mapping[str, Iterable[str]], options: argparse.Namespace) -> None:  # pragma: no cover  # GPU
    """Fill the caches of torch.compile and cuTile, each compiled graph once, all contestants at the same time.

    What torch.compile picks by timing is picked again by the run itself, which has the GPU to itself.
    """
    from bench.nanogpt_torch import VARIANTS

    os.environ["TORCHINDUCTOR_AUTOTUNE_LOCAL_CACHE"] = "0"
    jobs = {}
    for case, names in wanted.items():
        for name in names:
            variant = VARIANTS.get(name)
            if variant is None:
                jobs[case, name] = (case, name)
            elif variant.mode and not variant.mode.startswith("max-autotune"):
                jobs.setdefault((case, variant.attention, variant.mode), (case, name))
    command = [sys.executable, "-m", "bench.nanogpt", "--data", str(options.data), "--compile-only"]
    if options.laws_before:
        command += ["--laws-before", str(options.laws_before)]
    processes = [subprocess.Popen([*command, "--case", case, "--only", name]) for case, name in jobs.values()]
    for process in processes:
        process.wait(timeout=COMPILE_S)


def compile_one(case: str, name: str, options: argparse.Namespace) -> None:  # pragma: no cover  # needs a GPU
    """Two steps of a contestant, not captured."""
    chosen = CASES[case]
    run = Run(chosen.warming_rates(2), graph=False)
    batches = timing_batches(chosen, characters(options.data)[0], 0, "cuda", count=2)
    built(maker(chosen, name, initial_weights(chosen), run, options.laws_before), batches, 2)


def initial_weights(case: Case) -> Any:
    """The same for everyone: the flat buffer, float32, on the CPU."""
    return initial_gpt_parameters(case.config, WEIGHTS_SEED)


def maker(case: Case, name: str, flat: Any, run: Run, laws_before: Path | None) -> Callable[[], Contestant]:
    """What makes the contestant of that name; it begins with the flat buffer `flat`."""
    from bench.nanogpt_ours import OurTrainer, in_bf16_residual, operators_by_name
    from bench.nanogpt_torch import VARIANTS, TorchTrainer, settle

    settle()
    if name in VARIANTS:
        views = ParameterLayout.of(case.config).views(flat)
        variant = replace(VARIANTS[name], captured=VARIANTS[name].captured and run.graph)
        return lambda: TorchTrainer(case, variant, views, run)
    who, narrow = name.removesuffix(BF16_RESIDUAL), name.endswith(BF16_RESIDUAL)
    chosen = in_bf16_residual(case) if narrow else case
    return lambda: OurTrainer(chosen, operators_by_name(who, laws_before), flat, run)


class StepComparison:  # pragma: no cover  # needs a GPU
    """One case: its batches, its contestants, and what is measured of them."""

    def __init__(self, name: str, options: argparse.Namespace, refused: dict[str, str]) -> None:
        """What cannot run is noted in `refused`."""
        self.name, self.case, self.options, self.refused = name, CASES[name], options, refused
        self.batches: Batches = timing_batches(self.case, characters(options.data)[0], options.seed, "cuda")
        self.blocks, self.clocks = Blocks(), open_clock_log(current_card())

    def compared(self, variants: Sequence[str]) -> dict[str, Any]:
        """Everything about these contestants."""
        found = self.build(variants)
        self.clocks.observe()
        samples = in_blocks(
            list(found), lambda name, first: self._block(found[name].contestant, first), self.blocks, self.options.seed
        )
        self.clocks.observe()
        rows = {name: self.row(each, samples[name], found) for name, each in found.items()}
        profiles = {
            name: told_profile(profiled(found[name].contestant, self.batches))
            for name in self.options.profile
            if name in found
        }
        operators = self._operators() if OURS in found else {}
        found.clear()
        gc.collect()
        return {**about(self.case), "contestants": rows, "profiles": profiles, "operators": operators}

    def _operators(self) -> dict[str, Any]:
        from bench.nanogpt_operators import operator_times
        from bench.nanogpt_ours import operators_by_name

        try:
            return operator_times(self.case, operators_by_name(OURS), initial_weights(self.case), self.batches)
        except Exception as error:  # noqa: BLE001  # what cannot run is reported, whatever it raises
            self.refused[f"{self.name}: operators"] = f"{type(error).__name__}: {str(error)[:400]}"
            return {}

    def gradient_errors(self, names: Sequence[str]) -> dict[str, Any]:
        """Of these contestants and of the eager baseline, at the size that is timed; the loss in float64 too."""
        import torch

        flat, batch = drawn_weights(self.case, WEIGHTS_SEED), self.batches[0]
        loss, exact = exact_gradients(self.case, ParameterLayout.of(self.case.config).views(flat), batch)
        errors, losses = {}, {"float64": loss}
        for name in [EAGER, *(name for name in names if name != EAGER)]:
            torch.cuda.empty_cache()
            try:
                contestant = self.maker(name, flat)()
                contestant.feed(batch)
                errors[name] = gradient_errors(contestant.gradients(), exact)
                losses[name] = contestant.last_loss()
            except Exception as error:  # noqa: BLE001  # what cannot run is reported, whatever it raises
                self.refused[f"{self.name}: gradients of {name}"] = f"{type(error).__name__}: {str(error)[:400]}"
        return {"losses": losses, **told_errors(errors, EAGER)}

    def build(self, variants: Sequence[str]) -> dict[str, Built]:
        """Those that run, after their warm-up."""
        found: dict[str, Built] = {}
        weights = initial_weights(self.case)
        for name in variants:
            started = time.monotonic()
            try:
                found[name] = built(self.maker(name, weights), self.batches, self.blocks.warmups)
            except Exception as error:  # noqa: BLE001  # what cannot run is reported, whatever it raises
                self.refused[f"{self.name}: {name}"] = f"{type(error).__name__}: {str(error)[:400]}"
            print(f"{self.name}: {name}: {time.monotonic() - started:.0f} s", flush=True)
        return found

    def row(self, each: Built, samples: Sequence[float], found: Mapping[str, Built]) -> dict[str, Any]:
        """Of one contestant; losses are held against those of the first one."""
        interval = summarise(samples)
        return {
            "ms": asdict(interval),
            "samples_ms": [round(sample, 4) for sample in samples],
            "tokens_per_s": self.case.tokens / interval.median * 1e3,
            "mfu": self.case.mfu(interval.median),
            "memory_gb": each.memory_gb,
            "losses": list(each.losses),
            "loss_difference": agreeing(each.losses, next(iter(found.values())).losses),
        }

    def maker(self, name: str, flat: Any) -> Callable[[], Contestant]:
        """What makes the contestant of that name; it begins with the flat buffer `flat`."""
        run = Run(self.case.warming_rates(self.blocks.most_steps))
        return maker(self.case, name, flat, run, self.options.laws_before)

    def _block(self, contestant: Contestant, first: int) -> list[float]:
        return block_ms(contestant, self.batches, self.blocks, first)


def about(case: Case) -> dict[str, Any]:
    """The model and its step."""
    return {**asdict(case.config), "batch": case.batch, "tokens": case.tokens, "flops": case.flops}


def machine(comparison: StepComparison) -> dict[str, Any]:  # pragma: no cover  # needs a GPU
    """Device, versions, clocks seen, method."""
    import torch

    return {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "sm_clock_mhz": comparison.clocks.sm_mhz,
        "throttled": comparison.clocks.throttled,
        "blocks": asdict(comparison.blocks),
    }


def save(result: Mapping[str, Any], out: Path) -> None:
    """What there is so far."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


def told(name: str, case: Mapping[str, Any]) -> str:
    """For people."""
    lines = [
        f"{name}: {who:48s} {row['ms']['median']:8.3f} ms ({row['ms']['low']:.3f} to {row['ms']['high']:.3f}) "
        f"{row['mfu']:6.1%} {row['memory_gb']:6.1f} GB  loss {row['losses'][-1]:.4f}, off by {row['loss_difference']:.4f}"
        for who, row in case["contestants"].items()
    ]
    for who, profile in case["profiles"].items():
        groups = ", ".join(f"{group} {us:.0f}" for group, us in profile["groups"].items())
        lines.append(f"{name}: {who}: {profile['us']:.0f} us in {profile['launches']:.0f} kernels: {groups}")
    for who, errors in case.get("gradients", {}).items():
        if who != "losses":
            lines.append(
                f"{name}: {who}: gradients: worst {errors['worst']}, {errors['furthest_from_baseline']} of the baseline's"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
