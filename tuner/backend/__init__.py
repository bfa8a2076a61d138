"""Where trials are evaluated: `compile` (any machine), `gpu`, `replay` (recorded trials)."""
