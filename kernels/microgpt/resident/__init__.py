"""The plan `resident`: one CTA holds weights, gradients and Adam's moments, and trains for many steps in a launch."""
