"""A process that must not outlive the one that started it: a killed search leaves no compiler and no CUDA context behind."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """End this process, at once and whatever it is doing, when the process that started it has ended.

    To be called in a process that `multiprocessing` started; in any other it does nothing.
    A spawned pool worker holds both ends of its queue, so that it would wait for ever; and a worker in a kernel that hangs
    is ended by a time limit that its parent keeps.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), name="end-with-parent", daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
