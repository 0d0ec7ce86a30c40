"""The scores by other routes than the kernels', for features on which arithmetic fails; in float64 and wider.

Features are taken as the numbers they are, exactly: sums and means are of `np.longdouble` (64 bits of mantissa on
x86), singular values of LAPACK's `gesvd` on what is centred already.

Three conventions are needed where features hold little but rounding; `eps` is that of float64 for eight-byte types and
of float32 for all others, `CUT` is 4:

- a column is constant where its standard deviation is at most CUT eps of the root of its mean square (`h_score`,
  `probe`),
- a direction v is null where rounding the features could have made it: |X v| <= CUT eps (1 + sqrt(dims / samples))
  sqrt(sum X_ij^2 v_j^2), X not centred (`h_score`, `logme`),
- a row of the silhouette's points is zero where it is no longer than CUT eps of the row of features.

Rounding itself was found below 1 (products of float32 included), so what a CUT of 1.25 or of 16 gives is as right.
Whether a value means anything there is another question: `moved` says how far it goes when features are rounded anew.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.spatial.distance import cdist

COMPONENTS, NEIGHBOURS = 10, 5
ALPHAS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)
TRANSRATE_EPSILON, GBC_COMPONENTS, GBC_FLOOR = 1e-4, 64, 1e-4
EPS = np.finfo(np.float64).eps
CUT, OTHER_CUTS = 4.0, (1.25, 16.0)
WITH_CUTS = ("silhouette", "probe", "logme", "h_score")


class Answer(NamedTuple):
    """What is right.

    Attributes:
      value: the score.
      undecided: share of the samples whose part in it hangs on a tie.
      also: other values that are as right, and so is what lies between: of settings that tie, of other cuts.
    """

    value: float
    undecided: float = 0.0
    also: tuple[float, ...] = ()


class Exact(NamedTuple):
    """Features as longdouble, eps of what they were, class ids without gaps, and the cut."""

    rows: np.ndarray
    eps: float
    labels: np.ndarray
    cut: float = CUT

    @property
    def members(self) -> np.ndarray:
        return (self.labels[:, None] == np.arange(self.labels.max() + 1)).astype(np.float64)


def exact(features, labels) -> Exact:
    """Features of any real type without a digit lost."""
    features = np.asarray(features)
    wide = features.dtype.kind in "iuf" and features.dtype.itemsize == 8
    if features.dtype.kind not in "iuf":  # bfloat16 and its like
        features = features.astype(np.float32)
    eps = float(np.finfo(np.float64 if wide else np.float32).eps)
    return Exact(features.astype(np.longdouble), eps, np.unique(labels, return_inverse=True)[1])


def _scaled(rows):
    """Divided by the power of two above the largest entry."""
    return np.ldexp(rows, -_exponent(rows))


def _exponent(rows) -> int:
    return int(np.frexp(np.max(np.abs(rows)))[1])


def _centred(rows):
    """Without the mean; what is constant becomes exactly 0."""
    rows = rows - rows[0]
    rows = rows - rows.mean(axis=0)
    return rows - rows.mean(axis=0)


def _svd(rows):
    rows = np.asarray(rows, np.float64)
    return linalg.svd(rows, full_matrices=False, lapack_driver="gesvd", check_finite=False)


def _basis(rows, raw, least: float):
    """U and s of the directions that rounding of `raw`, each entry by `least` of itself, does not explain."""
    samples, dims = rows.shape
    if not np.any(rows):
        return np.zeros((samples, 0)), np.zeros(0)
    left, s, right = _svd(rows)
    noise = np.sqrt(right**2 @ np.sum(raw.astype(np.float64) ** 2, axis=0))
    there = s > np.maximum(least * (1 + math.sqrt(dims / samples)) * noise, 64 * EPS * s[0])
    return left[:, there], s[there]


def _varying(x: Exact):
    """Columns that vary, centred and not, their mean square being 1 before they were centred."""
    raw = x.rows / np.where(np.any(x.rows, axis=0), np.max(np.abs(x.rows), axis=0), 1)
    rows = _centred(raw)
    size = np.sqrt(np.mean(raw * raw, axis=0))
    varies = np.sqrt(np.mean(rows * rows, axis=0)) > x.cut * x.eps * size
    return rows[:, varies] / size[varies], raw[:, varies] / size[varies]


def _silhouette(x: Exact) -> Answer:
    samples, dims = x.rows.shape
    scaled = _scaled(x.rows) if np.any(x.rows) else x.rows
    rows = _centred(scaled)
    if not np.any(rows):
        return Answer(0.0)
    rows64 = rows.astype(np.float64)
    points = rows64 @ _svd(rows)[2][: min(COMPONENTS, samples - 1, dims)].T
    before, lengths = np.linalg.norm(rows64, axis=1), np.linalg.norm(points, axis=1)
    nothing = lengths <= np.maximum(x.cut * x.eps * np.linalg.norm(scaled.astype(np.float64), axis=1), 1e-14 * before)
    units = np.where(nothing[:, None], 0, points / np.where(nothing, 1, lengths)[:, None])
    slack = 1e-15 * math.sqrt(dims) * before / np.where(nothing, 1, lengths)
    distances = cdist(units, units, "sqeuclidean") / 2
    distances[distances <= 4 * (slack[:, None] ** 2 + slack**2)] = 0  # parallel but for rounding of this function
    distances[nothing], distances[:, nothing] = 1, 1
    np.fill_diagonal(distances, 0)
    order = np.argsort(x.labels, kind="stable")
    counts = np.bincount(x.labels)
    sums = np.add.reduceat(distances[:, order], np.cumsum(counts) - counts, axis=1)
    everyone = np.arange(samples)
    own = counts[x.labels] - 1
    a = sums[everyone, x.labels] / np.maximum(own, 1)
    means = sums / counts
    means[everyone, x.labels] = np.inf
    b = means.min(axis=1)
    larger = np.maximum(a, b)
    return Answer(float(np.mean(np.where((own > 0) & (larger > 0), (b - a) / np.where(larger > 0, larger, 1), 0))))


def _knn(x: Exact) -> Answer:
    rows = x.rows / np.where(np.any(x.rows, axis=1), np.max(np.abs(x.rows), axis=1), 1)[:, None]
    norms = np.sqrt(np.sum(rows * rows, axis=1))
    zero = norms == 0
    units = rows / np.where(zero, 1, norms)[:, None]
    spread = (units - units.mean(axis=0)).astype(np.float64)
    hits, undecided = 0, 0
    for start in range(0, len(rows), 500):
        block = cdist(spread[start : start + 500], spread, "sqeuclidean") / 2
        block[block <= 1e-30] = 0
        block[zero[start : start + 500]], block[:, zero] = 1, 1
        for i, distances in enumerate(block, start):
            distances[i] = np.inf
            nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
            hits += np.argmax(np.bincount(x.labels[nearest])) == x.labels[i]
            last = distances[nearest[-1]]
            slack = 1e-12 * last + 1e-15 * math.sqrt(last)
            tied = np.flatnonzero(np.abs(distances - last) <= slack)
            sure = np.sum(distances < last - slack)
            undecided += sure + len(tied) > NEIGHBOURS and len(np.unique(x.labels[tied])) > 1
    return Answer(float(hits / len(rows)), float(undecided / len(rows)))


def _probe(x: Exact) -> Answer:
    samples = len(x.rows)
    rows, _ = _varying(x)
    signs = 2 * x.members - 1
    targets = signs - signs.mean(axis=0)
    left, s = np.zeros((samples, 0)), np.zeros(0)
    if rows.shape[1]:
        left, s, _ = _svd(rows / np.sqrt(np.mean(rows * rows, axis=0)))
    turned = left.T @ targets
    errors, values, close = [], [], []
    for alpha in ALPHAS:
        kept = s**2 / (s**2 + alpha)
        free = 1 - left**2 @ kept - 1 / samples
        residuals = (targets - left @ (kept[:, None] * turned)) / free[:, None]
        errors.append(np.mean(residuals**2))
        guesses = signs - residuals
        values.append(float(np.mean(np.argmax(guesses, axis=1) == x.labels)))
        own = guesses[np.arange(samples), x.labels]
        guesses[np.arange(samples), x.labels] = -np.inf
        close.append(float(np.mean(np.abs(own - guesses.max(axis=1)) < 1e-9)))
    best = int(np.argmin(errors))
    tied = [i for i, error in enumerate(errors) if i != best and error - errors[best] <= 1e-9 * errors[best]]
    return Answer(values[best], close[best], tuple(values[i] for i in tied))


def _logme(x: Exact) -> Answer:
    """The largest evidence over both precisions; +inf where features give the labels without error."""
    samples = len(x.rows)
    members = x.members
    scaled = _scaled(x.rows) if np.any(x.rows) else x.rows
    left, s = _basis(scaled, scaled, x.cut * x.eps)
    if len(s) == 0:
        norms = members.sum(axis=0)
        return Answer(float(np.mean(-np.log(2 * np.pi * math.e * norms / samples) / 2)))
    squares = (s / s[0]) ** 2
    turned = left.T @ members
    rest = members - left @ turned
    rest -= left @ (left.T @ rest)
    outside = np.sum(rest**2, axis=0)
    outside[(outside <= 1e-26 * members.sum(axis=0)) | (len(s) == samples)] = 0
    if len(s) < samples and np.any(outside == 0):
        return Answer(math.inf)
    logs = math.log(10) * np.linspace(-40, 40, 4001)
    coarse = _evidence(logs, squares, turned**2, outside, samples)
    found = []
    for c, best in enumerate(coarse.argmax(axis=0)):
        z, out, middle, width = turned[:, c : c + 1] ** 2, outside[c : c + 1], logs[best], logs[1] - logs[0]
        top = coarse[best, c]
        for _ in range(4):
            near = middle + width * np.linspace(-1, 1, 21)
            values = _evidence(near, squares, z, out, samples)[:, 0]
            middle, width, top = near[values.argmax()], width / 10, max(top, values.max())
        found.append(top)
    return Answer(float(np.mean(found)))


def _evidence(logs, squares, z, outside, samples):
    """Per sample, `[ratios, classes]`: of every ratio of the precisions r = exp(logs), with the best noise for it."""
    r = np.exp(logs)[:, None]
    misfit = (r / (r + squares)) @ z + outside
    spread = np.sum(np.log1p(squares / r), axis=1)[:, None]
    return -(np.log(2 * np.pi * misfit / samples) + 1 + spread / samples) / 2


def _h_score(x: Exact) -> Answer:
    left, _ = _basis(*_varying(x), x.cut * x.eps)
    return Answer(float(np.sum((left.T @ x.members) ** 2 / x.members.sum(axis=0))))


def _regularized_h_score(x: Exact) -> Answer:
    samples, dims = x.rows.shape
    rows = _centred(_scaled(x.rows) if np.any(x.rows) else x.rows)
    if not np.any(rows):
        return Answer(0.0)
    rows = _scaled(rows)
    left, s, _ = _svd(rows)
    spectrum = np.concatenate([s**2 / samples, np.zeros(max(dims - len(s), 0))])
    mean = np.sum(rows * rows) / samples / dims
    delta = np.sum((spectrum - mean) ** 2) / dims
    gram = rows.T @ rows if dims <= samples else rows @ rows.T
    fourth = np.sum(np.sum(rows * rows, axis=1) ** 2)
    beta = (fourth / samples - np.sum((gram / samples) ** 2)) / (dims * samples)
    shrinkage = 0.0 if dims == 1 or beta <= 0 else float(min(beta / delta, 1)) if delta > 0 else 1.0
    there = s > 64 * EPS * s[0]
    between = np.sum((left.T @ x.members) ** 2 / x.members.sum(axis=0), axis=1)[there] * s[there] ** 2 / (samples - 1)
    within = (1 - shrinkage) * s[there] ** 2 / samples + shrinkage * float(mean)
    return Answer(float((1 - shrinkage) * np.sum(between / within)))


def _transrate(x: Exact) -> Answer:
    rows = _centred(_scaled(x.rows) if np.any(x.rows) else x.rows)
    samples = len(rows)
    if not np.any(rows):
        return Answer(0.0)
    rows = rows * np.sqrt(samples / np.sum(rows * rows))

    def rate(part):
        s = linalg.svd(part.astype(np.float64), compute_uv=False, lapack_driver="gesvd")
        return np.sum(np.log1p(s**2 / (len(part) * TRANSRATE_EPSILON))) / 2

    parts = [rows[x.labels == c] for c in range(x.labels.max() + 1)]
    return Answer(float(rate(rows) - math.fsum(len(part) / samples * rate(part) for part in parts)))


def _gbc(x: Exact) -> Answer:
    classes = x.labels.max() + 1
    exponent = _exponent(x.rows) if np.any(x.rows) else 0
    rows = _centred(np.ldexp(x.rows, -exponent))
    points = rows.astype(np.float64)
    if np.any(rows):
        _, s, right = _svd(rows)
        there = s[:GBC_COMPONENTS] > 64 * EPS * s[0]  # of the others nothing is known but that they are 0
        points = points @ right[:GBC_COMPONENTS][there].T
    points = points.astype(np.longdouble)
    parts = [points[x.labels == c] for c in range(classes)]
    means = np.array([part.mean(axis=0) for part in parts])
    variances = np.array([part.var(axis=0) for part in parts])
    variances = np.maximum(variances, np.ldexp(np.longdouble(GBC_FLOOR), -2 * exponent))
    if classes > 100:  # in longdouble a thousand classes take a minute
        means, variances = means.astype(np.float64), variances.astype(np.float64)
    overlaps = []
    for i in range(classes):
        v = (variances[i] + variances) / 2
        far = np.sum((means[i] - means) ** 2 / v, axis=1) / 8
        far = far + np.sum(np.log1p((variances[i] - variances) ** 2 / (4 * variances[i] * variances)), axis=1) / 4
        overlaps.append(float(np.sum(np.delete(np.exp(-far), i))))
    return Answer(-math.fsum(overlaps))


def _leep(x: Exact) -> Answer:
    joint = np.array([x.rows[x.labels == c].sum(axis=0) for c in range(x.labels.max() + 1)])
    total = joint.sum(axis=0)
    given = joint / np.where(total > 0, total, 1)
    likelihood = np.sum(given[x.labels] * x.rows, axis=1) / np.sum(x.rows, axis=1)
    return Answer(float(np.mean(np.log(np.minimum(likelihood, 1)))))


def _nce(x: Exact) -> Answer:
    named = np.argmax(x.rows, axis=1)
    total = 0.0
    for z in np.unique(named):
        counts = np.bincount(x.labels[named == z])
        counts = counts[counts > 0]
        total += math.fsum(n * math.log(n / counts.sum()) for n in counts) / len(named)
    return Answer(min(total, 0.0))


_BY_NAME: dict[str, Callable[[Exact], Answer]] = {
    "silhouette": _silhouette,
    "probe": _probe,
    "knn": _knn,
    "logme": _logme,
    "h_score": _h_score,
    "regularized_h_score": _regularized_h_score,
    "transrate": _transrate,
    "gbc": _gbc,
    "leep": _leep,
    "nce": _nce,
}


def answer(name: str, features, labels) -> Answer:
    """The score `name`, and what is not decided about it; `features` are probabilities for `leep` and `nce`."""
    x = exact(features, labels)
    found = _BY_NAME[name](x)
    if name not in WITH_CUTS:
        return found
    others = [_BY_NAME[name](x._replace(cut=cut)) for cut in OTHER_CUTS]
    also = {*found.also, *(value for other in others for value in (other.value, *other.also))} - {found.value}
    return found._replace(also=tuple(sorted(also)))


def value(name: str, features, labels) -> float:
    """The score `name`."""
    return _BY_NAME[name](exact(features, labels)).value


def moved(name: str, features, labels, draws: int = 2) -> float:
    """How far the score goes when every entry is off by up to half an eps of itself: what rounding alone decides."""
    x = exact(features, labels)
    before = _BY_NAME[name](x).value
    after = []
    for seed in range(draws):
        noise = np.random.default_rng(seed).uniform(-0.5, 0.5, x.rows.shape)
        after.append(_BY_NAME[name](x._replace(rows=x.rows * (1 + x.eps * noise.astype(np.longdouble)))).value)
    return max(0.0 if other == before else abs(other - before) for other in after)


REFERENCES: dict[str, Callable[..., float]] = {
    name: (lambda features, labels, name=name: value(name, features, labels)) for name in _BY_NAME
}
