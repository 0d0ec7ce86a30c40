"""Accuracy after transfer: all layers frozen, the logits layer retrained for the target's classes (§4.3).

With the layers before it frozen, retraining the logits layer is multinomial logistic regression on their
outputs: convex, so it is solved to convergence (L-BFGS) instead of by a number of SGD steps that would be
one more thing to choose. The objective is scikit-learn's `LogisticRegression(C)` on standardised features,

    sum of cross-entropies + |W|^2 / (2 C),    C = 1 for the paper's tables

Written in the principal directions of the features, each scaled to unit curvature: the outputs of a layer
are so correlated that L-BFGS on the features themselves has not converged after minutes.

The paper does not say how long it trained. `trained_by_recipe` is the other reading: the same few hundred
steps that the models themselves were trained with.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from scipy import optimize

from benchmarks.paper.training import Recipe, accuracy, train
from nrjax.datasets import Dataset
from nrjax.models import PaperCNN

TOLERANCE = 1e-6  # relative decrease of the objective at which it has converged; float32 resolves 1e-7
MAX_ITERATIONS = 2000
RANK_TOLERANCE = 1e-10  # of the largest variance


def transfer_accuracy(
    train_features: np.ndarray, train_labels: np.ndarray, test_features: np.ndarray, test_labels: np.ndarray
) -> float:
    """Share of test samples that the retrained logits layer gets right; see `transfer_hits`."""
    (hits,) = transfer_hits(train_features, train_labels, test_features, test_labels).values()
    return float(hits.mean())


def transfer_hits(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    grid: Sequence[float] = (1.0,),
) -> dict[float, np.ndarray]:
    """Whether the retrained logits layer gets each test sample right, for every C of a grid.

    Raises:
      ValueError: the solver stopped before it had converged.
    """
    classes, targets = np.unique(train_labels, return_inverse=True)
    mean, scale = train_features.mean(0), train_features.std(0)
    scale[scale == 0] = 1  # neurons that never fire
    heads = fit_logits((train_features - mean) / scale, targets, len(classes), grid)
    tested = (test_features - mean) / scale
    return {
        C: classes[(tested @ weights + biases).argmax(1)] == test_labels
        for C, (weights, biases) in zip(grid, heads, strict=True)
    }


def trained_by_recipe(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    recipe: Recipe,
) -> float:
    """Share of test samples that a logits layer gets right which was trained as a whole model is."""
    names = tuple(map(str, np.unique(train_labels)))
    head = Logits(len(names))
    (variables,) = train(head, Dataset(train_features, train_labels, names), [recipe])
    return accuracy(head, variables, Dataset(test_features, test_labels, names))


class Logits(nn.Module):
    """What `PaperCNN` has after its last dense layer: dropout and the logits layer."""

    classes: int

    @nn.compact
    def __call__(self, features: jax.Array, train: bool = False) -> jax.Array:
        """`[samples, dims]` to logits `[samples, classes]`."""
        kept = nn.Dropout(PaperCNN.dropout, deterministic=not train)(features)
        return nn.Dense(self.classes, kernel_init=nn.initializers.glorot_uniform(), name="logits")(kept)


def fit_logits(
    features: np.ndarray, targets: np.ndarray, n_classes: int, grid: Sequence[float] = (1.0,)
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights `[dims, classes]` and biases `[classes]` of the ridge-penalised logits layer, for every C of a grid.

    Args:
      features: `[samples, dims]`, centred.
      targets: `[samples]`, 0 to `n_classes` - 1.
      n_classes: outputs of the layer.
      grid: inverse strengths of the penalty.

    Source: the optimum of `sklearn.linear_model.LogisticRegression(C)`.
    """
    variances, directions = _principal(features)
    rotated, indices = features @ directions.astype(np.float32), jnp.asarray(targets)
    heads, start = [], (np.zeros((len(variances), n_classes)), np.zeros(n_classes))
    for C in grid:  # each from the last one's optimum
        start = weights, biases = _fit_rotated(rotated, variances, indices, start, C)
        heads.append((directions @ weights, biases))
    return heads


def _principal(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances `[rank]` and directions `[dims, rank]`, from the smaller of covariance and Gram matrix."""
    samples, dims = features.shape
    if dims <= samples:
        variances, directions = np.linalg.eigh(np.cov(features.T, bias=True))
        return np.maximum(variances, 0), directions
    wide = features.astype(np.float64)
    variances, sides = np.linalg.eigh(wide @ wide.T / samples)
    kept = variances > RANK_TOLERANCE * variances[-1]  # no sample reaches what is left: its weights are 0
    return variances[kept], wide.T @ (sides[:, kept] / np.sqrt(samples * variances[kept]))


def _fit_rotated(
    rotated: np.ndarray, variances: np.ndarray, targets: jax.Array, start: tuple[np.ndarray, np.ndarray], C: float
) -> tuple[np.ndarray, np.ndarray]:
    (samples, rank), n_classes = rotated.shape, len(start[1])
    # W = V / sqrt(curvature): the Hessian in V is near the identity. |W|^2 / C = sum of V^2 / (C curvature).
    curvature = variances * samples / 4 + 1 / C
    scales = (1 / np.sqrt(curvature)).astype(np.float32)
    arguments = jnp.asarray(rotated * scales), targets, jnp.asarray(scales**2 / C, jnp.float32)

    def value_and_gradient(flat: np.ndarray):
        value, gradient = _objective(jnp.asarray(flat, jnp.float32).reshape(n_classes, rank + 1), *arguments)
        return float(value), np.asarray(gradient, np.float64).ravel()

    first = np.concatenate([start[0].T / scales, np.sqrt(samples) * start[1][:, None]], axis=1)
    found = optimize.minimize(
        value_and_gradient, first.ravel(), jac=True, method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "ftol": TOLERANCE, "gtol": 0.0},
    )  # fmt: skip
    if found.nit >= MAX_ITERATIONS or not np.isfinite(found.fun):
        raise ValueError(f"Retraining the logits layer did not converge in {found.nit} iterations: {found.message}.")
    solution = found.x.reshape(n_classes, rank + 1)
    return (scales * solution[:, :-1]).T, solution[:, -1] / np.sqrt(samples)


@functools.partial(jax.jit)
@jax.value_and_grad
def _objective(parameters: jax.Array, rotated: jax.Array, targets: jax.Array, penalty: jax.Array) -> jax.Array:
    # Classes are rows, so that the gradient is a product in the layout that is fast on CPU (four times).
    weights, biases = parameters[:, :-1], parameters[:, -1] / jnp.sqrt(len(rotated))
    logits = jnp.matmul(rotated, weights.T, precision="highest") + biases
    entropies = jax.nn.logsumexp(logits, axis=1) - jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
    return jnp.sum(entropies) + jnp.sum(penalty * weights * weights) / 2
