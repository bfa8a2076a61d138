"""The check `gpt-gradients`: loss and every parameter's gradient of a step by kernels, against float64 autograd.

The kernels run on the simulator, each in one small configuration: what a search tries of a kernel it checks itself, while
this holds what lies between kernels, and the pass back through all of them, to a model that shares no code with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spak.kernels import sim
from spak.kernels.checks import CheckResult
from spak.kernels.interface import Configuration, Problem

if TYPE_CHECKING:
    from spak.kernels.nanogpt.operators import Operators
    from spak.kernels.nanogpt.parameters import GptConfig
    from spak.kernels.nanogpt.training_step import StepSettings

GRADIENT_TOLERANCE = 2.0**-6
"""Of one parameter's gradient, in the Euclidean norm: a tenth of roundings to bf16, 2^-9 each, less than 0.009 in eight draws."""
LOSS_TOLERANCE = 2e-3
"""Relative; losses are summed in fp32, of logits that were rounded to bf16."""
PARAMETER_SCALE = 3.0
"""Matrices beside those that a run begins with, so that no gradient is small beside rounding."""
BIAS_SPREAD = 0.1
"""Deviation of what is added to biases and gains, which a run begins with zeros and ones."""

CONFIGURATIONS: Mapping[str, Configuration] = {
    "embedding": {"tile_m": 16, "tile_c": 16, "row_sums": "product"},
    "add-norm": {
        "tile_m": 16,
        "tile_c": 32,
        "strips": 128,
        "num_worker_warps": 0,
        "occupancy": 1,
        "use_tma": False,
        "latency": 0,
    },
    "column-sum": {"tile_m": 16, "tile_n": 32, "strips": 8, "occupancy": 1, "use_tma": False},
    "linear-gelu": {
        "tile_m": 64,
        "tile_n": 64,
        "tile_k": 32,
        "occupancy": 1,
        "num_worker_warps": 0,
        "num_ctas": 1,
        "latency": 1,
        "group": 0,
        "persistent": False,
        "epilogue_subtiles": 1,
        "tma_stores": False,
        "sigmoid": "exp2",
        "column_sums": "threads",
    },
    "fmha": {
        "tile_m": 32,
        "tile_n": 32,
        "occupancy": 1,
        "num_worker_warps": 0,
        "num_ctas": 1,
        "k_latency": 1,
        "v_latency": 1,
        "use_tma": False,
        "split_loop": False,
        "pipeline": "plain",
        "masked_tiles": "after",
        "running_max": True,
        "raise_by": 0,
        "catch_up": 0,
        "q_registers": False,
        "sum_lanes": 1,
        "heavy_first": False,
        "heads_fastest": False,
        "persistent": False,
    },
    "fmha-backward": {
        "dq_form": "fused",
        "tile_m": 64,
        "tile_n": 64,
        "num_worker_warps": 0,
        "scores": "keys-first",
        "accumulator_init": "zeros",
        "masked_tiles": "first",
        "q_loads": 1,
        "epilogue_subtiles": 1,
        "dq_sum": "rows",
        "stagger": False,
        "dq_tile_m": 64,
        "dq_tile_n": 64,
        "dq_worker_warps": 4,
        "dq_occupancy": 2,
        "dq_latency": 1,
        "occupancy": 1,
        "latency": 1,
        "use_tma": False,
        "heads_fastest": False,
    },
    "cross-entropy": {
        "row_form": "held",
        "tile_m": 16,
        "tile_v": 0,
        "backwards": False,
        "use_tma": False,
        "occupancy": 1,
        "num_worker_warps": 0,
        "num_ctas": 1,
    },
    "adam": {"tile_size": 256, "occupancy": 0, "num_worker_warps": 0, "sum_tile": 1024},
}
"""Op -> what is simulated of it; tiles are small, for time."""

TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16"}


class GptGradients:
    """See the module."""

    op = "gpt"

    @property
    def source_files(self) -> Sequence[str]:
        """What lies between kernels, the reference, and this file."""
        names = ("passes.py", "kernel_operators.py", "training_step.py", "reference.py", "equivalence.py")
        return tuple(str(Path(__file__).parent / name) for name in names)

    def sizes(self, seed: int) -> Sequence[Problem]:
        """One block with biases and one without, with either type of the residual stream; rows and tokens fill no tile."""
        rng = np.random.default_rng(seed)
        kinds = [("fp32", True), ("bf16", False)]
        return [
            {
                "vocab": 50 + int(rng.integers(40)),
                "context": 9 + int(rng.integers(12)),
                "width": 32,
                "heads": 2,
                "layers": 1,
                "batch": 2,
                "bias": bias,
                "residual_dtype": dtype,
            }
            for dtype, bias in kinds
        ]

    def operators(self, config: GptConfig, step: StepSettings) -> Operators:
        """What is checked: kernels wherever there is one."""
        from spak.kernels.advice import Advised
        from spak.kernels.launch_device import LaunchDevice
        from spak.kernels.nanogpt.kernel_operators import kernel_operators

        def advise(op: str, problem: Problem, where: str = "") -> Advised:
            del problem, where
            return Advised(CONFIGURATIONS[op], "simulated")

        return kernel_operators(advise, LaunchDevice("simulator", "", 1, sim.launch, lambda: None), config, step)

    def result(self, problem: Problem, configuration: Configuration, seed: int) -> CheckResult:
        """The largest error of a gradient; a failure names its parameter. A NaN is within no tolerance.

        Raises:
            ValueError: If torch is not installed.
        """
        del configuration
        if find_spec("torch") is None:
            raise ValueError("needs torch: pip install 'spak[gpu,sim]'")
        from spak.kernels.nanogpt.parameters import GptConfig

        sizes = {name: int(problem[name]) for name in ("vocab", "width", "layers", "heads", "context")}
        config = GptConfig(
            **sizes, bias=bool(problem["bias"]), residual_dtype=TORCH_NAMES[str(problem["residual_dtype"])]
        )
        errors = self._errors(config, int(problem["batch"]), seed)
        loss = errors.pop("loss")
        name, worst = max(errors.items(), key=lambda item: (item[1] != item[1], item[1]))
        found = {"loss_error": loss, "gradient_error": worst}
        if not loss <= LOSS_TOLERANCE:
            return CheckResult(found, ("Different", f"the loss is off by {loss:.2g} of it, above {LOSS_TOLERANCE:g}"))
        if not worst <= GRADIENT_TOLERANCE:
            message = f"the gradient of {name} is off by {worst:.2g} of it, above {GRADIENT_TOLERANCE:g}"
            return CheckResult(found, ("Different", message))
        return CheckResult(found)

    def _errors(self, config: GptConfig, batch: int, seed: int) -> dict[str, float]:
        """Relative error of `loss`, and of each parameter's gradient by its name."""
        import torch

        from spak.kernels.nanogpt.parameters import ParameterLayout
        from spak.kernels.nanogpt.training_step import StepSettings, TrainingStep

        layout, generator = ParameterLayout.of(config), torch.Generator().manual_seed(seed)
        parameters = _large_parameters(config, seed, generator)
        shape = (2, batch, config.context)
        tokens = torch.randint(config.vocab, shape, generator=generator, dtype=torch.int32)
        loss, expected = _exact(config, parameters, tokens)
        settings = StepSettings(batch=batch, length=config.context, dtype=torch.bfloat16)
        step = TrainingStep(config, self.operators(config, settings), parameters, torch.ones(1, 3), settings)
        step.gradients.fill_(torch.nan)
        step.run([tokens])
        pairs = zip(layout.views(step.gradients).items(), layout.views(expected).values(), strict=True)
        errors = {name: float((got.double() - want).norm() / want.norm()) for (name, got), want in pairs}
        return {**errors, "loss": abs(float(step.history()[0, 0]) - loss) / loss}


def _large_parameters(config: GptConfig, seed: int, generator: Any) -> Any:
    import torch

    from spak.kernels.nanogpt.parameters import ParameterLayout, initial_gpt_parameters

    flat = initial_gpt_parameters(config, seed)
    for view in ParameterLayout.of(config).views(flat).values():
        if view.ndim == 1:
            view.add_(BIAS_SPREAD * torch.randn(view.shape, generator=generator))
        else:
            view.mul_(PARAMETER_SCALE)  # padding rows stay 0
    return flat


def _exact(config: GptConfig, parameters: Any, tokens: Any) -> tuple[float, Any]:
    """Loss and gradient in float64 of the reference."""
    import torch

    from spak.kernels.nanogpt.parameters import ParameterLayout
    from spak.kernels.nanogpt.reference import gpt_loss

    leaf = parameters.double().requires_grad_()
    loss = gpt_loss(config, ParameterLayout.of(config).views(leaf), *tokens)
    return float(loss.detach()), torch.autograd.grad(loss, leaf)[0]
