"""Compiles for any architecture, with no GPU: features, failures and predicted times."""
