"""The attention family: naive (S and P in memory), fused (one head, online softmax), fmha (heads, GQA, causal), backward."""
