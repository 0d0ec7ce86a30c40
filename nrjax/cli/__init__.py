"""`nrjax` on the command line: data on stdout, chatter on stderr; exit 1 when a model failed, 2 for usage."""

from nrjax.cli import doctor, head, rank, sweep, zoo
from nrjax.cli.main import main

__all__ = ["doctor", "head", "main", "rank", "sweep", "zoo"]
