"""A sentence encoder at every layer, the same without training, and TF-IDF, on news."""

# pyright: reportMissingImports=false

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nrjax
from benchmarks.sources.networks import encoder, news, untrained

COMPONENTS = 300
SCORES = ("silhouette", "probe", "knn", "logme", "regularized_h_score")


def texts(wheel: Path | None, on_done: Callable[[str], None]) -> dict[str, Any]:
    """Scores of every layer of every candidate beside the accuracy of a head, by cross-validation."""
    from sentence_transformers import SentenceTransformer

    corpus, topics = news(wheel)
    tf_idf = make_pipeline(TfidfVectorizer(sublinear_tf=True), TruncatedSVD(COMPONENTS, random_state=0)).fit(corpus)
    apart = float("nan")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of truncation, which the README says
        candidates = {
            "MiniLM": f"hf:{encoder()}", "MiniLM untrained": f"hf:{untrained(Path(folder) / 'untrained')}",
            f"TF-IDF {COMPONENTS}": nrjax.from_embedder(tf_idf.transform),
        }  # fmt: skip
        ranking = nrjax.rank(candidates, corpus, topics, layers="all", scores=SCORES[:2])
        on_done("ranking")
        rows = []
        for name, candidate in candidates.items():
            model = nrjax.load_model(candidate) if isinstance(candidate, str) else candidate
            names = [layer.name for layer in model.layers()] + (["mean"] if isinstance(candidate, str) else [])
            features = nrjax.extract_features(model, corpus, names)
            scored = nrjax.rank_batch({layer: features[layer] for layer in names}, topics, scores=SCORES)
            for one in scored.models:
                head = _accuracy(features[one.name], topics)
                rows.append({"model": name, "layer": one.name, **one.scores, "head": head})
            if name == "MiniLM":
                own = SentenceTransformer(str(encoder())).encode(corpus, batch_size=64)
                apart = float(np.abs(features["pooled"] - own).max())
            on_done(name)
    return {"text": str(ranking), "rows": rows, "apart": apart, "samples": len(corpus)}


def _accuracy(features: np.ndarray, labels: list[str]) -> float:
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    return float(cross_val_score(head, features, labels, cv=StratifiedKFold(5, shuffle=True, random_state=0)).mean())
