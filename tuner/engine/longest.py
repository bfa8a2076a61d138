"""What is likely to compile for long, learned from the trials so far, so that the end of a search begins with it.

Members of a fleet that have nothing left to do wait for the last compilation. Which configurations are tried is the
strategy's; once all that is left will be tried in any case, only the order is open, and the classic rule is near the
optimum: the longest first (Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17, 1969).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from spak.kg.model.base import Scalar
from spak.kg.model.run import Trial
from spak.tuner.backend.base import Request


class CompileSeconds:
    """How long configurations take to compile: the log of it as a sum of what each parameter's value adds.

    Attributes:
        longest_s: Of those noted.
    """

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        """Learn from trials; one whose code had been compiled before says nothing. All are expected to take the same before."""
        self._count, self._sum_s, self._sum_log, self.longest_s = 0, 0.0, 0.0, 0.0
        self._values: dict[tuple[str, Scalar], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for trial in trials:
            if trial.times.compilation > 0:
                self._note(trial, trial.times.compilation / 1e3)

    def keeps_busy_s(self, count: int, compilers: int) -> float:
        """How long so many configurations keep so many compilers busy, were each as long as the mean."""
        return count * self._sum_s / max(1, self._count) / compilers

    def expected_log(self, asked: Request) -> float:
        """What its values add to the mean log of seconds; a value seen n times counts n / (n + 1) of what it showed."""
        mean = self._sum_log / max(1, self._count)
        known = (self._values[value] for value in _values(asked) if value in self._values)
        return sum((total - count * mean) / (count + 1) for count, total in known)

    def _note(self, trial: Trial, seconds: float) -> None:
        self._count += 1
        self._sum_s += seconds
        self._sum_log += math.log(seconds)
        self.longest_s = max(self.longest_s, seconds)
        for value in _values(trial):
            known = self._values[value]
            known[0] += 1
            known[1] += math.log(seconds)


def _values(one: Request | Trial) -> Iterator[tuple[str, Scalar]]:
    yield from one.configuration.items()
    yield from one.problem.items()
