"""One problem size on one kind of inputs: ours, chosen before, checked and timed beside the libraries; and all of them together.

A choice is made on other inputs, in other rounds, than those it is judged on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.gpu_comparison import CHOICE, FINAL, Comparison
from spak.kernels.interface import Configuration, Problem
from spak.tuner.backend.gpu.program import tensors
from spak.tuner.backend.gpu.timing import Plan

OURS = "ours"
ON_NORMAL = f"{OURS}-on-normal"
"""The configuration judged, on standard normal inputs, in the same rounds: what it keeps of its own speed."""
DETERMINISTIC = f"{OURS}-deterministic"
NORMAL = "normal"
"""Kind of inputs; see spak.kernels.attention.inputs."""
BOTH_PASSES = "normal, both passes"
"""Kind of a row whose times are of the forward pass, with its log-sum-exp, and the backward pass."""


@dataclass(frozen=True)
class Timed:
    """One contestant: microseconds with a 95 % interval, and the relative error of each of its outputs."""

    time_us: float
    low_us: float | None
    high_us: float | None
    errors: tuple[float, ...] = ()
    configuration: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Contestant:
    """What is timed: `launch` returns its outputs in the reference's layout; `configuration` is that of one of ours."""

    launch: Callable[[], Any]
    configuration: Configuration | None = None


@dataclass(frozen=True)
class Judged:
    """One size on one kind of inputs.

    Attributes:
        contestants: Ours, called `OURS` or `OURS-…`, and libraries, by name.
        ratio: Time of the fastest library over that of `OURS`, above 1: ours is faster; none if there is no library.
        refused: Why a contestant was not timed.
        policy: That of `OURS`; see bench.attention_candidates.
        scores: What the inputs do to an online softmax; see bench.attention_scores.
        rounds: Samples behind each time.
    """

    size: str
    inputs: str
    problem: Mapping[str, Any]
    flops: float
    contestants: Mapping[str, Timed]
    fastest: str | None
    ratio: float | None
    refused: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Any] | None = None
    policy: str | None = None
    rounds: int = FINAL.rounds

    def line(self) -> str:
        """For people."""
        ours = self.contestants[OURS]
        best = f"{self.fastest} {self.contestants[self.fastest].time_us:.1f}" if self.fastest else "no library"
        others = " ".join(f"{n} {c.time_us:.1f}" for n, c in self.contestants.items() if n not in {OURS, self.fastest})
        ratio = f"{self.ratio:.3f}" if self.ratio else "-"
        return (
            f"{self.size:27s} {self.inputs:18s} {ours.time_us:8.1f} us  {best}  ratio {ratio}  "
            f"error {max(ours.errors):.1e}  {others}{'  refused ' + ', '.join(self.refused) if self.refused else ''}"
        )


def relative_errors(outputs: Any, reference: Any) -> tuple[float, ...]:
    """||out - ref|| / ||ref|| of each tensor."""
    import torch

    norm = torch.linalg.vector_norm
    pairs = zip(tensors(outputs), tensors(reference), strict=True)
    return tuple(float(norm(out.double() - want) / norm(want)) for out, want in pairs)


def fastest_of(comparison: Comparison, candidates: Sequence[Contestant]) -> tuple[Contestant, dict[str, str]]:
    """The fastest of our candidates, and why others were not timed.

    Raises:
        RuntimeError: If none could be timed.
    """
    ready, refused = comparison.prepared({str(i): c.launch for i, c in enumerate(candidates)})
    if not ready:
        raise RuntimeError(f"none of {len(candidates)} candidates runs: {next(iter(refused.values()), 'none given')}")
    times = comparison.times(ready, CHOICE)
    return candidates[int(min(times, key=lambda name: times[name].median))], refused


@dataclass(frozen=True)
class Case:
    """What is judged: a size, a kind of inputs, and what float64 says of them.

    Attributes:
        outputs: What ours write; made NaN before each is checked.
        tolerance: Largest relative error of one of ours.
        plan: How often each contestant is timed.
    """

    size: str
    inputs: str
    problem: Problem
    flops: float
    outputs: Any
    reference: Callable[[], Any]
    tolerance: float
    plan: Plan = FINAL


def judge(
    comparison: Comparison,
    case: Case,
    contestants: Mapping[str, Contestant],
    *,
    apart: Mapping[str, Contestant] | None = None,
) -> Judged:
    """Check every contestant against float64, then time them all in the same rounds; those `apart` unchecked, they run on other inputs.

    Raises:
        RuntimeError: If `OURS` does not run or is wrong.
    """
    errors, refused = checked(case, contestants)
    if OURS in refused:
        raise RuntimeError(f"{case.size} on {case.inputs}: {refused[OURS]}")
    every = {name: c for name, c in contestants.items() if name in errors} | dict(apart or {})
    ready, failed = comparison.prepared({name: c.launch for name, c in every.items()})
    if OURS in failed:
        raise RuntimeError(f"{case.size} on {case.inputs}: {failed[OURS]}")
    timed = {
        name: Timed(t.median, t.low, t.high, errors.get(name, ()), every[name].configuration)
        for name, t in comparison.times(ready, case.plan).items()
    }
    libraries = {name: t.time_us for name, t in timed.items() if not name.startswith(OURS)}
    fastest = min(libraries, key=libraries.__getitem__) if libraries else None
    ratio = libraries[fastest] / timed[OURS].time_us if fastest else None
    return Judged(
        size=case.size,
        inputs=case.inputs,
        problem=dict(case.problem),
        flops=case.flops,
        contestants=timed,
        fastest=fastest,
        ratio=ratio,
        refused={**refused, **failed},
        rounds=case.plan.rounds,
    )


def checked(case: Case, contestants: Mapping[str, Contestant]) -> tuple[dict[str, tuple[float, ...]], dict[str, str]]:
    """Relative errors by contestant, and why the others count for nothing: ours that are wrong, and what does not run."""
    import torch

    reference = case.reference()
    errors: dict[str, tuple[float, ...]] = {}
    refused: dict[str, str] = {}
    for name, contestant in contestants.items():
        for out in tensors(case.outputs):
            out.fill_(float("nan"))
        try:
            found = relative_errors(contestant.launch(), reference)
        except Exception as error:  # noqa: BLE001  # what cannot run is reported, whatever it raises
            refused[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"
            continue
        if name.startswith(OURS) and not all(error <= case.tolerance for error in found):
            refused[name] = f"relative errors {found} above {case.tolerance:g}: {contestant.configuration}"
        else:
            errors[name] = found
    del reference
    torch.cuda.empty_cache()
    return errors, refused


def geometric_mean(ratios: Sequence[float]) -> float | None:
    """None of no ratios."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def told(ratios: Sequence[float]) -> dict[str, float | int | None]:
    """Geometric mean, worst, and how many."""
    return {"geometric_mean": geometric_mean(ratios), "worst": min(ratios, default=None), "rows": len(ratios)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What rows (`Judged`, as JSON) say together: over all of them, by kind of inputs, against each library, by policy."""
    judged = [row for row in rows if row["ratio"]]
    kinds = list(dict.fromkeys(row["inputs"] for row in judged))
    normal = [row for row in judged if row["inputs"] == "normal"]
    names = sorted({n for row in normal for n in row["contestants"] if not n.startswith(OURS)})
    return {
        "all": told([row["ratio"] for row in judged]),
        "inputs": {kind: told([row["ratio"] for row in judged if row["inputs"] == kind]) for kind in kinds},
        "libraries": {name: told(_against(normal, name)) for name in names},
        "policies": {name: told(_of_policy(judged, name)) for name in policies(judged)},
    }


def policies(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of ours, those that were judged or timed beside."""
    judged = {row["policy"] for row in rows if row.get("policy")}
    beside = {
        n.removeprefix(f"{OURS}-")
        for row in rows
        for n, c in row["contestants"].items()
        if c["errors"] and n.startswith(f"{OURS}-")
    }
    return sorted(judged | beside)


def under(row: Mapping[str, Any], policy: str) -> Mapping[str, Any] | None:
    """What was timed of ours under `policy`."""
    found: Mapping[str, Any] | None = row["contestants"].get(
        OURS if row.get("policy") == policy else f"{OURS}-{policy}"
    )
    return found


def _of_policy(rows: Sequence[Mapping[str, Any]], policy: str) -> list[float]:
    """Ratios to the fastest library, were `policy` the one judged everywhere."""
    found = [(row["contestants"][row["fastest"]], under(row, policy)) for row in rows]
    return [library["time_us"] / ours["time_us"] for library, ours in found if ours]


def _against(rows: Sequence[Mapping[str, Any]], library: str) -> list[float]:
    found = [row["contestants"] for row in rows if library in row["contestants"]]
    return [each[library]["time_us"] / each[OURS]["time_us"] for each in found]


class Results:
    """A result file that grows: written after every row; started again, it goes on after the sizes it has."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Go on with `path` if it exists; `about` is whatever else the file says."""
        self._path, self._about = path, dict(about)
        self._kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.rows: list[Mapping[str, Any]] = list(self._kept.get("rows", []))

    @property
    def sizes(self) -> set[str]:
        """Those with a row."""
        return {row["size"] for row in self.rows}

    def list_of(self, name: str) -> list[Any]:
        """What the file had under `name`."""
        return list(self._kept.get(name, []))

    def add(self, judged: Judged) -> None:
        """Print, keep and save."""
        print(judged.line(), flush=True)
        self.rows.append(asdict(judged))
        self.save()

    def save(self, **more: Any) -> None:
        """Write the file, with whatever `more` says from now on."""
        self._about.update(more)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        whole = {**self._kept, **self._about, "summary": summary(self.rows), "rows": self.rows}
        self._path.write_text(json.dumps(whole, indent=1) + "\n")
