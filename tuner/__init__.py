"""The tuner: searches an op's space under laws, records every trial, and writes back what it confirmed."""
