"""Kernels that lie outside this repository: what their file declares, where it is found, and how it is launched."""
