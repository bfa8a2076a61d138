"""Attention as an operator of PyTorch: checked, planned once for each shape, with gradients, traceable, never wrong."""
