"""Sweeps of large zoos."""
