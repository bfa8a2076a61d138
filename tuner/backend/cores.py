"""How many processor cores this process may use: what a batch system or a container grants, which the machine's count ignores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cores(root: Path = Path("/")) -> int:
    """The cores that this process may run on, at most those that its control groups grant, whole ones; at least one.

    Args:
        root: Folder that has `proc` and `sys`.

    Source: kernel documentation, admin-guide/cgroup-v2, `cpu.max`, and scheduler/sched-bwc, `cpu.cfs_quota_us`.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([float(affinity), *_granted(root)])))


def _granted(root: Path) -> Iterator[float]:
    """Cores that each control group above this process grants, where one sets a limit."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for _, controllers, path in (group.split(":", 2) for group in groups if group.count(":") >= 2):  # noqa: PLR2004
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controllers
        for part in (own := PurePosixPath(path), *own.parents):
            folder = mount / part.relative_to("/") if part.is_absolute() else mount
            with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
                yield _quota(folder, version=1 if controllers else 2)


def _quota(folder: Path, version: int) -> float:
    """Cores that one control group grants.

    Raises:
        ValueError: If it sets no limit.
        OSError: If there is no such group.
    """
    if version == 1:
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period"))
    else:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    if int(quota) < 0:  # cgroup v1 has -1 where v2 has the word max
        raise ValueError(quota)
    return int(quota) / int(period)
