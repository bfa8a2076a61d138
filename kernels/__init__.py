"""cuTile kernels: for each a spec, the kernel, a float64 reference. Imports neither kg nor tuner."""
