"""`nrjax` on the command line: data on stdout, chatter on stderr; exit 1 when a model failed, 2 for usage."""

from nrjax.cli import rank, sweep, zoo
from nrjax.cli.main import main

__all__ = ["main", "rank", "sweep", "zoo"]
