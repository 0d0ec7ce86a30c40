"""Sweeps: many candidates on one target, with a memory, a race, and processes that may die. Joins the two wings."""

from nrjax.sweeps._store import Store
from nrjax.sweeps._sweep import SCORES, Sweep, sweep

__all__ = ["SCORES", "Store", "Sweep", "sweep"]
