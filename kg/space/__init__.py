"""The feasible configurations of an op, as a product of factors, and predicates over all of them at once."""
