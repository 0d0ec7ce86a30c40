"""nrjax: which pre-trained model should I start from, for my data?

    ranking = nrjax.rank_batch({"vit": features_a, "resnet": features_b}, labels)

What needs Flax or TFDS is imported when it is first used.
"""

import logging
from typing import TYPE_CHECKING

from nrjax._utils.compilation import cache_compilations
from nrjax._version import __version__
from nrjax.errors import NrjaxError
from nrjax.results import Ranking, ScoredModel
from nrjax.scoring.api import rank_batch, score_batch
from nrjax.scoring.metrics import leep, nce, pca, silhouette_samples, silhouette_score
from nrjax.scoring.scores import ScoreKind, available_scores, register_score
from nrjax.scoring.streaming import score_stream

logging.getLogger("nrjax").addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from nrjax import datasets as datasets
    from nrjax import demo as demo
    from nrjax import models as models
    from nrjax.datasets import Dataset, Recordings, load_dataset
    from nrjax.demo import load_demo
    from nrjax.heads import Head, fit_head, load_head
    from nrjax.models import (
        FeatureBatches,
        Model,
        Preprocessing,
        Zoo,
        extract_features,
        from_embedder,
        from_function,
        from_keras,
        from_linen,
        from_nnx,
        from_torch,
        layers,
        load_candidates,
        load_model,
        load_zoo,
        register_architecture,
        save_model,
    )
    from nrjax.ranking import rank
    from nrjax.reports import write_report
    from nrjax.sweeps import Sweep, sweep


_LAZY = {
    "Dataset": "datasets",
    "Recordings": "datasets",
    "load_dataset": "datasets",
    "load_demo": "demo",
    "FeatureBatches": "models",
    "extract_features": "models",
    "Model": "models",
    "Preprocessing": "models",
    "from_embedder": "models",
    "from_function": "models",
    "from_keras": "models",
    "from_linen": "models",
    "from_nnx": "models",
    "from_torch": "models",
    "layers": "models",
    "register_architecture": "models",
    "Head": "heads",
    "fit_head": "heads",
    "load_head": "heads",
    "rank": "ranking",
    "Sweep": "sweeps",
    "sweep": "sweeps",
    "Zoo": "models",
    "load_candidates": "models",
    "load_model": "models",
    "load_zoo": "models",
    "save_model": "models",
    "write_report": "reports",
}
_MODULES = ("datasets", "demo", "models")  # public, and imported when they are first used

__all__ = [
    "Dataset",
    "FeatureBatches",
    "Head",
    "Model",
    "NrjaxError",
    "Preprocessing",
    "Ranking",
    "Recordings",
    "ScoreKind",
    "ScoredModel",
    "Sweep",
    "Zoo",
    "__version__",
    "available_scores",
    "cache_compilations",
    "extract_features",
    "fit_head",
    "from_embedder",
    "from_function",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_torch",
    "layers",
    "leep",
    "load_candidates",
    "load_dataset",
    "load_demo",
    "load_head",
    "load_model",
    "load_zoo",
    "nce",
    "pca",
    "rank",
    "rank_batch",
    "register_architecture",
    "register_score",
    "save_model",
    "score_batch",
    "score_stream",
    "silhouette_samples",
    "silhouette_score",
    "sweep",
    "write_report",
]


if not TYPE_CHECKING:  # type checkers know the names from above, and tell of others

    def __getattr__(name: str):
        import importlib

        if name in _MODULES:
            return importlib.import_module(f"nrjax.{name}")
        if name not in _LAZY:
            raise AttributeError(f"module 'nrjax' has no attribute {name!r}")
        return getattr(importlib.import_module(f"nrjax.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
