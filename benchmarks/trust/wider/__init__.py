"""Targets and candidates from outside the paper: what no score was tuned on."""
