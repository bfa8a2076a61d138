"""Attention fused with online softmax, one head a CTA."""
