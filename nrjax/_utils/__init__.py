"""Paths, messages, memory and the configuration of JAX: what every room may use."""
