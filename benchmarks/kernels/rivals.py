"""The same score as others compute it, one model at a time, and the oracle."""

import importlib
import importlib.util

import numpy as np
import scipy.linalg
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

N_COMPONENTS = 10


def scikit_learn(features: np.ndarray, labels: np.ndarray) -> float:
    """scikit-learn with its defaults."""
    return float(silhouette_score(PCA(N_COMPONENTS).fit_transform(features), labels, metric="cosine"))


def scib_metrics(features: np.ndarray, labels: np.ndarray) -> float:
    """scib-metrics, which is JAX too."""
    utils = importlib.import_module("scib_metrics.utils")  # not a dependency: types are not checked
    points = np.asarray(utils.pca(features, n_components=N_COMPONENTS).coordinates)
    return scib_silhouette(points, labels)


def scib_silhouette(points: np.ndarray, labels: np.ndarray) -> float:
    """Its silhouette alone."""
    utils = importlib.import_module("scib_metrics.utils")
    return float(np.mean(utils.silhouette_samples(points, labels, metric="cosine")))


def float64(features: np.ndarray, labels: np.ndarray) -> float:
    """Exact components, by LAPACK in float64, and scikit-learn's silhouette."""
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    samples, dims = centred.shape
    gram = centred.T @ centred if samples >= dims else centred @ centred.T
    size = len(gram)
    values, vectors = scipy.linalg.eigh(gram, subset_by_index=[size - N_COMPONENTS, size - 1])
    points = centred @ vectors if samples >= dims else vectors * np.sqrt(values)
    return float(silhouette_score(points, labels, metric="cosine"))


def installed() -> dict:
    """Who is there to race against, by name."""
    scib = {"scib-metrics": scib_metrics} if importlib.util.find_spec("scib_metrics") else {}
    return {"scikit-learn": scikit_learn} | scib
