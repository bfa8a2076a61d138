"""A branch added to the residual stream, and the norm of the sum."""
