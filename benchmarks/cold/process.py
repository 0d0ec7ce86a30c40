"""One fresh process of `benchmarks.cold`: `python -m benchmarks.cold.process WHO WIDTHS SCORES`; prints JSON.

Seconds are those of the imports, of the first ranking and of the second. The features are made before the clock starts.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np

SAMPLES, CLASSES = 3_000, 10
USUAL = (192, 384, 512, 576, 640, 768, 960, 1024, 1280, 1536, 2048, 2560)
WIDTHS = {1: (1280,), 12: USUAL, 40: tuple(range(160, 160 + 40 * 32, 32))}


def zoo(widths: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features of networks, rectified, with a spectrum that decays, and the labels that they share."""
    labels = np.random.default_rng(0).integers(0, CLASSES, SAMPLES)
    models = {}
    for seed, dims in enumerate(WIDTHS[widths]):
        rng = np.random.default_rng(seed)
        rank = min(dims, 400)
        latent = rng.normal(size=(SAMPLES, rank)) + 0.7 * rng.normal(size=(CLASSES, rank))[labels]
        directions = np.linalg.qr(rng.normal(size=(dims, rank)))[0].T
        features = (latent * (1.0 + np.arange(rank)) ** -0.7) @ directions
        features += 0.02 * rng.normal(size=features.shape) / dims**0.5
        models[f"{dims} wide"] = np.maximum(features, 0).astype(np.float32)
    return models, labels


def by_scikit_learn(models: dict[str, np.ndarray], labels: np.ndarray, scores: list[str]) -> None:
    """PCA and silhouette, and a ridge classifier that chooses its penalty, one model after another."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    for features in models.values():
        if "silhouette" in scores:
            silhouette_score(PCA(10).fit_transform(features), labels, metric="cosine")
        if "probe" in scores:
            penalties = [0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]
            RidgeClassifierCV(penalties).fit(StandardScaler().fit_transform(features), labels)


def by_nrjax(models: dict[str, np.ndarray], labels: np.ndarray, scores: list[str]) -> None:
    """One call."""
    import nrjax

    ranking = nrjax.rank_batch(models, labels, scores=scores)
    if ranking.failed:
        raise RuntimeError(f"models failed: {ranking.failed}")


def main(who: str, widths: str, scores: str) -> None:
    """Measures and prints."""
    models, labels = zoo(int(widths))
    start = time.perf_counter()
    if who == "nrjax":
        import nrjax  # noqa: F401
    else:
        import sklearn.decomposition
        import sklearn.linear_model
        import sklearn.metrics  # noqa: F401
    imports = time.perf_counter() - start
    run: Callable[..., None] = by_nrjax if who == "nrjax" else by_scikit_learn
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        run(models, labels, scores.split(","))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"imports": imports, "first": seconds[0], "second": seconds[1]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
