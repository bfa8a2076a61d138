"""Gradients of fused multi-head attention: dQ, dK and dV, recomputed from the log-sum-exp of the forward pass."""
