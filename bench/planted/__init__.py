"""Laws of every kind that are false, and true ones beside them, planted on every recorded sweep: is each found out?

`sweeps` has the recorded sweeps, `statements` writes laws, `plants` says what is planted, `cells` searches under it, and
`table` prints what came of it. `python -m bench.laws planted` runs them.
"""
