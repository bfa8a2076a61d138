"""Fused multi-head attention: grouped heads, causal or full, any length, optional log-sum-exp."""
