"""A report on a ranking with pictures of the samples: projects them, and hands over to `results`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nrjax.results import Ranking
from nrjax.results.report import Projection, write_page
from nrjax.scoring.metrics import pca
from nrjax.targets import Target


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
      labels: of the samples; the picture is coloured by their class, by the sum of their numbers, or by how many
        labels they have.
      command: that made the ranking, to be shown.
    """
    projections = []
    if features is not None:
        target = Target.of(labels, task=ranking.settings.get("task", "classification"))
        colours, classes = (
            (target.values, target.classes) if target.values.ndim == 1 else (target.values.sum(axis=1), ())
        )
        features = features.__getitem__ if isinstance(features, Mapping) else features
        for name in dict.fromkeys((ranking.order[0], ranking.order[-1])):
            projections.append(Projection(name, np.asarray(pca(features(name), 2).points), colours, classes))
    write_page(ranking, path, projections, command=command)
