"""Linear layer with GELU, and the gradient of the one that follows it, up to the GELU."""
