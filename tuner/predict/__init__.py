"""Predicted times from compiled code and hardware facts: an explicit model with no fitted constant."""
