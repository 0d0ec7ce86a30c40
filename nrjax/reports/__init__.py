"""Pages about rankings, each one file that needs no other."""

from nrjax.reports._report import write_report
from nrjax.reports._sortable_table import sortable_table

__all__ = ["sortable_table", "write_report"]
