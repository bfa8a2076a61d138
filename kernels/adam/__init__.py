"""Adam's update."""
