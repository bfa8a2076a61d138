"""Attention with S and P in global memory."""
