"""The scores again, from their definitions in NumPy, SciPy and scikit-learn, in float64: oracles and rivals."""

from typing import Any

import numpy as np
from scipy import optimize, special
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from nrjax.kernels.ridge import ALPHAS

REFIT_AT_MOST = 500  # samples


def probe(features, labels):
    """Leave-one-out accuracy of scikit-learn's ridge classifier, and the alpha it chose."""
    rows = StandardScaler().fit_transform(np.asarray(features, np.float64))
    alpha: Any = RidgeClassifierCV(ALPHAS).fit(rows, labels).alpha_
    if len(rows) <= REFIT_AT_MOST:  # also because RidgeClassifierCV(scoring="accuracy") is wrong for two classes
        named = cross_val_predict(RidgeClassifier(alpha), rows, labels, cv=LeaveOneOut())
        return np.mean(named == labels), alpha
    return RidgeClassifierCV([alpha], scoring="accuracy").fit(rows, labels).best_score_, alpha


def knn(features, labels):
    """Vote of the 5 nearest others."""
    rows = np.asarray(features, np.float64)
    model = KNeighborsClassifier(5, metric="cosine", algorithm="brute").fit(rows, labels)
    near = model.kneighbors(rows, 6, return_distance=False)
    others = np.array([[j for j in row if j != i][:5] for i, row in enumerate(near)])
    votes = np.array([np.bincount(row, minlength=labels.max() + 1) for row in labels[others]])
    return np.mean(votes.argmax(axis=1) == labels)


def logme(features, labels):
    """The largest evidence, by an SVD and a scan over the ratio of the precisions; the scale has a closed form."""
    rows = np.asarray(features, np.float64)
    samples = len(rows)
    left, s, _ = np.linalg.svd(rows, full_matrices=False)
    keep = s > 1e-12 * s[0]
    left, sigma, evidences = left[:, keep], s[keep] ** 2, []
    for c in np.unique(labels):
        t = (labels == c).astype(float)
        z = (left.T @ t) ** 2
        outside = 0.0 if len(sigma) == samples else np.sum((t - left @ (left.T @ t)) ** 2)

        def loss(log_r, z=z, outside=outside):
            r = np.exp(log_r)
            fit = np.sum(z * r / (sigma + r)) + outside
            return samples / 2 * (np.log(2 * np.pi * fit / samples) + 1) + np.sum(np.log1p(sigma / r)) / 2

        scanned = np.linspace(np.log(sigma.min()) - 30, np.log(sigma.max()) + 30, 3000)
        best = scanned[np.argmin([loss(log_r) for log_r in scanned])]
        found: Any = optimize.minimize_scalar(loss, bounds=(best - 0.1, best + 0.1), options={"xatol": 1e-10})
        evidences.append(-found.fun / samples)
    return np.mean(evidences)


def logme_dense(features, labels):
    """The evidence of t ~ N(0, I/beta + X X'/alpha) by a Cholesky factor, maximised by Nelder-Mead."""
    rows = np.asarray(features, np.float64)
    outer, evidences = rows @ rows.T, []
    for c in np.unique(labels):
        t = (labels == c).astype(float)

        def loss(logs, t=t):
            alpha, beta = np.exp(np.clip(logs, -30, 30))
            factor = np.linalg.cholesky(np.eye(len(t)) / beta + outer / alpha)
            solved = np.linalg.solve(factor, t)
            return solved @ solved / 2 + np.log(np.diag(factor)).sum() + len(t) / 2 * np.log(2 * np.pi)

        starts = [np.log([a, b]) for a in (1, 100, 1e4) for b in (1, 10)]
        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
        found = min(optimize.minimize(loss, s, method="Nelder-Mead", options=options).fun for s in starts)
        evidences.append(-found / len(t))
    return np.mean(evidences)


def _means(rows, labels):
    means = np.zeros_like(rows)
    for c in np.unique(labels):
        means[labels == c] = rows[labels == c].mean(axis=0)
    return means


def h_score(features, labels):
    """tr(pinv(cov X) cov E[X|y])."""
    rows = np.asarray(features, np.float64)
    return np.trace(np.linalg.pinv(np.cov(rows.T), rcond=1e-12) @ np.cov(_means(rows, labels).T))


def regularized_h_score(features, labels):
    """The same with scikit-learn's shrunk covariance."""
    rows = np.asarray(features, np.float64)
    found = LedoitWolf().fit(rows)
    return np.trace(np.linalg.solve(found.covariance_, (1 - found.shrinkage_) * np.cov(_means(rows, labels).T)))


def transrate(features, labels, epsilon=1e-4):
    """Coding rates by determinants, features scaled to a total variance of 1."""
    rows = np.asarray(features, np.float64)
    rows = rows - rows.mean(axis=0)
    rows = rows / np.sqrt((rows**2).sum() / len(rows))

    def rate(z):
        z = z if z.shape[1] <= len(z) else z.T
        return np.linalg.slogdet(np.eye(z.shape[1]) + z.T @ z)[1] / 2

    whole = rate(rows / np.sqrt(len(rows) * epsilon))
    parts = [rows[labels == c] for c in np.unique(labels)]
    return whole - sum(len(z) / len(rows) * rate(z / np.sqrt(len(z) * epsilon)) for z in parts)


def gbc(features, labels, components=64, floor=1e-4):
    """Bhattacharyya overlaps of all pairs of classes."""
    rows = np.asarray(features, np.float64)
    rows = rows - rows.mean(axis=0)
    left, s, _ = np.linalg.svd(rows, full_matrices=False)
    points = (left * s)[:, :components]
    parts = [points[labels == c] for c in np.unique(labels)]
    means = [part.mean(axis=0) for part in parts]
    variances = [np.maximum(part.var(axis=0), floor) for part in parts]
    total = 0.0
    for i in range(len(parts)):
        for j in range(len(parts)):
            if i != j:
                v = (variances[i] + variances[j]) / 2
                distance = np.sum((means[i] - means[j]) ** 2 / v) / 8
                distance += np.sum(np.log(v / np.sqrt(variances[i] * variances[j]))) / 2
                total -= np.exp(-distance)
    return total


def leep(probabilities, labels):
    """Log of the expected empirical prediction, sample by sample."""
    theta = np.asarray(probabilities, np.float64)
    joint = np.array([theta[labels == c].sum(axis=0) for c in range(labels.max() + 1)]) / len(theta)
    marginal = joint.sum(axis=0)
    logs = []
    for row, label in zip(theta, labels, strict=True):
        logs.append(np.log(sum(joint[label, z] / marginal[z] * row[z] for z in range(len(row)) if marginal[z] > 0)))
    return np.mean(logs)


def nce(probabilities, labels):
    """-H(Y|Z), Z the most probable class."""
    named = np.argmax(probabilities, axis=1)
    total = 0.0
    for z in np.unique(named):
        share = np.bincount(labels[named == z]) / np.sum(named == z)
        total -= np.mean(named == z) * special.entr(share).sum()
    return total


def silhouette(features, labels):
    """PCA(10), then scikit-learn's silhouette."""
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    rows = np.asarray(features, np.float64)
    components = min(10, len(rows) - 1, rows.shape[1])
    return silhouette_score(PCA(components, svd_solver="full").fit_transform(rows), labels, metric="cosine")
