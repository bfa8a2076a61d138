"""How far a search is and how long it will take, on stderr: one line that rewrites itself on a terminal, few lines elsewhere."""

from __future__ import annotations

from typing import TextIO

PIPE_STEPS = 4
"""Lines about trials in all where nothing can be rewritten."""

PIPE_S = 10.0
"""Seconds at least between lines there about what goes on while no trial finishes."""

PIPE_GROWTH = 1.5
"""How much later than the last one the next of them comes, so that hours have no hundreds."""


class Progress:
    """Shows trials done, and the time left as the trials so far suggest."""

    def __init__(self, stream: TextIO, trials: int | None, seconds: float | None) -> None:
        """Show nothing yet; a limit that is not set is None."""
        self._stream, self._trials, self._seconds = stream, trials, seconds
        self._live = stream.isatty()
        self._shown = False
        self._step = 0
        self._due_s = 0.0
        self._told: set[str] = set()

    def show(self, done: int, elapsed_s: float) -> None:
        """`done` trials are finished after `elapsed_s` seconds."""
        share = max(
            done / self._trials if self._trials else 0.0,
            elapsed_s / self._seconds if self._seconds else 0.0,
        )
        of = f" of {self._trials}" if self._trials else ""
        line = f"{done}{of} trial{'' if done == 1 and not of else 's'}, {elapsed_s:.0f} s"
        if 0 < share < 1:
            line += f", {elapsed_s * (1 - share) / share:.0f} s left"
        if self._live:
            self._rewrite(line)
        elif share * PIPE_STEPS >= self._step + 1:
            self._step = int(share * PIPE_STEPS)
            print(line, file=self._stream, flush=True)

    def doing(self, what: str, elapsed_s: float) -> None:
        """`what` goes on after `elapsed_s` seconds, and no trial finishes; what is new, up to a colon, is told at once."""
        line, kind = f"{what}, {elapsed_s:.0f} s", what.partition(":")[0]
        if self._live:
            self._rewrite(line)
        elif elapsed_s >= self._due_s or kind not in self._told:
            self._told.add(kind)
            self._due_s = max(elapsed_s + PIPE_S, elapsed_s * PIPE_GROWTH)
            print(line, file=self._stream, flush=True)

    def _rewrite(self, line: str) -> None:
        print(f"\r\x1b[K{line}", end="", file=self._stream, flush=True)
        self._shown = True

    def end(self) -> None:
        """Leave the line."""
        if self._live and self._shown:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._shown = False
