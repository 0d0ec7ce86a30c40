"""Independent answers: scikit-learn in float64, and the data it is asked about."""

import numpy as np
from sklearn import metrics
from sklearn.decomposition import PCA

F32_ATOL = 1e-5  # what nrjax promises in float32; measured errors are 1e-8 to 3e-7
X64_ATOL = 1e-9


def blobs(samples, dims, classes, *, separation=1.0, decay=False, offset=0.0, seed=0):
    """Gaussian classes of unequal size, float32; `decay` lets the columns' scales fall linearly to 1 %."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(1.5 / classes, samples) - 1, classes - 1)
    labels[:classes] = np.arange(classes)
    points = separation * rng.normal(size=(classes, dims))[labels] + rng.normal(size=(samples, dims))
    if decay:
        points *= np.linspace(1, 0.01, dims)
    return (points + offset).astype(np.float32), labels.astype(np.int32)


def neuralrank(features, labels, n_components=10):
    """The score as scikit-learn computes it."""
    features = np.asarray(features, np.float64)
    n_components = min(n_components, len(features) - 1, features.shape[1])
    points = PCA(n_components, svd_solver="full").fit_transform(features)
    return metrics.silhouette_score(points, labels, metric="cosine")


def silhouette_samples(points, labels, distance):
    return np.asarray(metrics.silhouette_samples(np.asarray(points, np.float64), labels, metric=distance))


def iris(*, uci=False):
    """Iris as scikit-learn ships it, or with the two wrong rows of the UCI file."""
    from sklearn.datasets import load_iris

    points, labels = load_iris(return_X_y=True)
    if uci:
        points[[34, 37]] = [4.9, 3.1, 1.5, 0.1]
    return points, labels


def one_line(ranking):
    """What a ranking prints, without its line breaks."""
    return " ".join(str(ranking).split())
