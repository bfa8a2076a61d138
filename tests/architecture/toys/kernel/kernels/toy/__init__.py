"""A toy kernel: twice a vector."""
