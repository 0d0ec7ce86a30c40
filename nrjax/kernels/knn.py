"""What the nearest neighbours say of every sample, itself or its group left out."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nrjax.kernels.agreement import average_precisions, balanced, correlation, mean_of_used
from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.linalg import matmul
from nrjax.kernels.neighbours import NEIGHBOURS, Metric, Neighbours, of_every_sample
from nrjax.kernels.ridge import Groups
from nrjax.kernels.spectrum import Factorisation


def estimate_knn(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    groups: Groups | None = None,
    **_,
) -> Estimate:
    """`knn`, and the share of samples whose vote rounding could turn."""
    is_exact = features.dtype == jnp.float64  # what is tied there is tied in the features

    def judged(place: Int[Array, ""], near: Neighbours) -> tuple[Int[Array, ""], Float[Array, ""]]:
        nearer = _counts(near.nearer, labels[near.seen], n_classes)
        tied = _counts(near.tied, labels[near.seen], n_classes)
        is_missed = near.is_missed
        if solver == "svd":
            nearer = jnp.where(is_missed, _counts(near.all_nearer, labels, n_classes), nearer)
            tied = jnp.where(is_missed, _counts(near.all_tied, labels, n_classes), tied)
        free = NEIGHBOURS - jnp.sum(nearer)  # votes that those who are tied share
        named = jnp.argmax(nearer * jnp.sum(tied) + free * tied)
        if is_exact and solver == "svd":
            return named, (is_missed & near.is_blurred).astype(features.dtype)
        most = nearer + jnp.minimum(free, jnp.where(is_missed, free, tied))
        least = nearer + jnp.where(is_missed, 0, jnp.maximum(free - (jnp.sum(tied) - tied), 0))
        is_own = jnp.arange(n_classes) == labels[place]
        own_most, own_least = most[labels[place]], least[labels[place]]
        others_most, others_least = (jnp.max(jnp.where(is_own, -1, votes)) for votes in (most, least))
        is_sure = (own_least > others_most) | (others_least > own_most) | (jnp.sum(tied) == free) & ~is_missed
        return named, (~is_sure & (is_missed | (not is_exact))).astype(features.dtype)

    named, unsure = of_every_sample(features, judged, solver, groups)
    return Estimate((named == labels).astype(features.dtype), jnp.mean(unsure), named)


def _counts(chosen: Bool[Array, " some"], labels: Int[Array, " some"], n_classes: int) -> Int[Array, " classes"]:
    """How many of the chosen are of each class."""
    return jnp.sum(jax.nn.one_hot(labels, n_classes, dtype=jnp.int32) * chosen[:, None], axis=0)


def knn(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, " samples"]:
    """Right or wrong, 1 or 0, of every sample by the vote of its 5 nearest others; the mean is the accuracy.

    Cosine distance; a zero row is at distance 1 from every other. Samples that are as far as the fifth share the votes
    that are left to them, so their order does not matter. Equal votes go to the smaller class id.
    A sample is left out by its place, so a duplicate of it votes.

    Source: `KNeighborsClassifier(5, metric="cosine")` of scikit-learn, fitted without the sample.
    """
    return estimate_knn(features, labels, n_classes=n_classes).value


def estimate_balanced_knn(
    features: Float[Array, "samples dims"],
    labels: Int[Array, " samples"],
    *,
    n_classes: int,
    solver: Factorisation = "gram",
    groups: Groups | None = None,
    **_,
) -> Estimate:
    """Mean over the classes of the accuracy of `knn` on each, and its error."""
    return balanced(
        estimate_knn(features, labels, n_classes=n_classes, solver=solver, groups=groups), labels, n_classes
    )


def balanced_knn(
    features: Float[Array, "samples dims"], labels: Int[Array, " samples"], *, n_classes: int
) -> Float[Array, ""]:
    """Mean over the classes of the accuracy of `knn` on each, in [0, 1]; higher is better.

    Source: `sklearn.metrics.balanced_accuracy_score`.
    """
    return estimate_balanced_knn(features, labels, n_classes=n_classes).value


def neighbours_mean(
    features: Float[Array, "samples dims"],
    values: Float[Array, "samples outputs"],
    *,
    solver: Factorisation = "gram",
    groups: Groups | None = None,
    metric: Metric = "cosine",
    k: int = NEIGHBOURS,
) -> tuple[Float[Array, "samples outputs"], Float[Array, ""]]:
    """Mean of the values of every sample's k nearest others, and the share of samples of which it is not sure.

    Samples that are as far as the last share the places that are left to them.
    """
    is_exact = features.dtype == jnp.float64

    def judged(_: Int[Array, ""], near: Neighbours) -> tuple[Float[Array, " outputs"], Float[Array, ""]]:
        def mean(nearer, tied, values):
            free = k - jnp.sum(nearer)
            shared = matmul(tied.astype(values.dtype), values) * free / jnp.maximum(jnp.sum(tied), 1)
            return (matmul(nearer.astype(values.dtype), values) + shared) / k

        result = mean(near.nearer, near.tied, values[near.seen])
        if solver == "svd":
            result = jnp.where(near.is_missed, mean(near.all_nearer, near.all_tied, values), result)
            if is_exact:
                return result, (near.is_missed & near.is_blurred).astype(features.dtype)
        is_settled = jnp.sum(near.tied) == k - jnp.sum(near.nearer)
        return result, (near.is_missed | (~is_settled & (not is_exact))).astype(features.dtype)

    means, unsure = of_every_sample(features, judged, solver, groups, metric, k)
    return means, jnp.mean(unsure)


def estimate_knn_of_numbers(
    features: Float[Array, "samples dims"],
    numbers: Float[Array, "samples outputs"],
    *,
    solver: Factorisation = "gram",
    groups: Groups | None = None,
    metric: Metric = "cosine",
    k: int = NEIGHBOURS,
    **_,
) -> Estimate:
    """Pearson's correlation of the numbers with the mean of the k nearest others, mean over the outputs; in [-1, 1].

    Source: `numpy.corrcoef` with `KNeighborsRegressor(k, metric=metric)` of scikit-learn, fitted without the sample.
    """
    centred = numbers - jnp.mean(numbers, axis=0)
    means, unsure = neighbours_mean(features, centred, solver=solver, groups=groups, metric=metric, k=k)
    used = jnp.any(centred != 0, axis=0)
    values, influences = correlation(means, centred, used)
    return Estimate(
        mean_of_used(values, used), unsure, by_output=jnp.where(used, values, jnp.nan), influences=influences
    )


def estimate_knn_of_labels(
    features: Float[Array, "samples dims"],
    labels: Float[Array, "samples labels"],
    *,
    solver: Factorisation = "gram",
    groups: Groups | None = None,
    **_,
) -> Estimate:
    """Mean over the labels of the average precision of the neighbours' share that has the label; in [0, 1].

    A label that all samples or none have is left out of the mean.

    Source: `sklearn.metrics.average_precision_score` of `KNeighborsRegressor(5, metric="cosine")`, fitted without the
    sample.
    """
    shares, unsure = neighbours_mean(features, labels, solver=solver, groups=groups)
    used = jnp.any(labels > 0, axis=0) & jnp.any(labels == 0, axis=0)
    values = average_precisions(shares, labels)
    return Estimate(mean_of_used(values, used), unsure, by_output=jnp.where(used, values, jnp.nan))
