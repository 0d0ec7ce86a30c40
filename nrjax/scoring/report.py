"""A report on a ranking with pictures of the samples: projects them, and hands over to `results`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nrjax.results import Ranking
from nrjax.results.report import Projection, write_page
from nrjax.scoring.checks import encode_labels
from nrjax.scoring.metrics import pca


def write_report(
    ranking: Ranking,
    path: str | Path,
    features: Mapping[str, Any] | Callable[[str], Any] | None = None,
    labels: Any = None,
    *,
    command: str | None = None,
) -> None:
    """Writes a page about a ranking: table, intervals, layers, the best and the worst model's samples, settings.

    Args:
      ranking: as `rank_batch` and `rank` return it.
      path: of the page, one file that needs no other.
      features: from model name to features `[samples, dims]`, a mapping or a function, which is asked for
        the best and the worst model alone. None leaves their picture out.
      labels: of the samples.
      command: that made the ranking, to be shown.
    """
    projections = []
    if features is not None:
        ids, classes = encode_labels(labels)
        features = features.__getitem__ if isinstance(features, Mapping) else features
        for name in dict.fromkeys((ranking.order[0], ranking.order[-1])):
            projections.append(Projection(name, np.asarray(pca(features(name), 2).points), ids, classes.tolist()))
    write_page(ranking, path, projections, command=command)
