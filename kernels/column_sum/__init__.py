"""Sums over the columns of a matrix, such as the gradient of a bias."""
