"""What the compiler's output tells of a configuration, by name; laws may use these names beside parameters."""

from __future__ import annotations

COMPILED_FEATURES: dict[str, str] = {
    "spill_bytes": "stack of one thread in bytes, beyond what fits in registers",
    "registers": "32-bit registers of one thread",
    "smem_bytes": "static and dynamic shared memory of one CTA in bytes",
    "threads": "threads of one CTA",
    "ctas_per_sm": "CTAs resident on one SM at the same time",
}
"""Feature -> what it is. The one list: expressions, status and checks read it from here."""

FEATURE_PHRASES: dict[str, str] = {
    "spill_bytes": "{} spilled bytes",
    "registers": "{} registers a thread",
    "smem_bytes": "{} bytes of shared memory",
    "threads": "{} threads",
    "ctas_per_sm": "{} resident CTAs",
}
"""Feature -> how a title says that it has a value; `{}` is the value, such as "at least 168"."""
