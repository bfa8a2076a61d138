"""Causal attention whose keys fit a tile, in fp32."""
