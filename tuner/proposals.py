"""Laws a compiled run suggests: what spills or does not compile. They are proposed; confirming them is another run's."""

from __future__ import annotations

from kg.match import compute_capability
from kg.model.law import Law
from kg.model.run import Run
from kg.store import Store
from tuner.mining.candidates import Subject, mine_compiled
from tuner.mining.table import from_runs


def propose(run: Run, store: Store) -> tuple[Law, ...]:
    """Candidate laws about compiled facts that `run` suggests, for the compute capability it compiled for."""
    tried = [trial for trial in run.trials if trial.invalidity != "constraints"]
    if not tried:
        return ()
    op = store.ops[run.op]
    subject = Subject(
        hw=compute_capability(store, run.hw) or run.hw,
        op=run.op,
        op_title=op.title,
        kinds=tuple(name for name, parameter in op.problem.items() if parameter.specialises),
        toolchain=_release(run),
        run=run.id,
        tier="compiled",
        toolchain_seen=f"tileiras {run.toolchain['tileiras']}" if "tileiras" in run.toolchain else "",
    )
    return mine_compiled(from_runs([run], objective="predicted_time"), subject)


def _release(run: Run) -> str:
    """Specifier of the compiler's release: this minor version up to the next major one."""
    version = run.toolchain.get("tileiras", "")
    major, _, minor = version.partition(".")
    return f"tileiras >={major}.{minor.partition('.')[0]},<{int(major) + 1}" if major.isdigit() else ""
