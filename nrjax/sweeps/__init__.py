"""Sweeps: many candidates on one target, with a memory, a race, and processes that may die. Joins the two wings."""

from nrjax.sweeps._outcome import Sweep, remarks_of
from nrjax.sweeps._runs import beside, dropped_of_run, listed, page_of, ranking_of_run
from nrjax.sweeps._store import Store
from nrjax.sweeps._sweep import sweep

__all__ = [
    "Store",
    "Sweep",
    "beside",
    "dropped_of_run",
    "listed",
    "page_of",
    "ranking_of_run",
    "remarks_of",
    "sweep",
]
