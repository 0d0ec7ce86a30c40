"""The score of features that never fit in memory: a few passes over batches, the same score as from an array.

Up to `GRAM_DIMS` wide: one pass sums the Gram matrix, one projects. Wider: every pass multiplies the Gram
matrix, which is never formed, with one block of a Krylov space, until the residuals certify the result, and a
last pass projects. What is held is O(dims^2) or O(dims * n_components), and O(samples * n_components).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from nrjax import kernels
from nrjax.kernels import points_error
from nrjax.scoring.checks import check_settings, components_of, encode_labels
from nrjax.scoring.passes import Passes, eigh_descending
from nrjax.scoring.walk import conditions

RANDOM = 4  # directions beside those of the first batch
GRAM_DIMS = 4096  # a Gram matrix of 128 MiB in float64
EXTRA = 14  # vectors beyond n_components
MOST_BLOCKS = 8


def score_stream(
    batches: Iterable[tuple[Any, Any]],
    *,
    n_components: int = 10,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    method: kernels.Method = "auto",
    block_size: int | None = None,
) -> float:
    """neuralRank score of one model from batches of its features, in [-1, 1]; higher is better.

    Args:
      batches: pairs (features `[batch, dims]`, labels `[batch]`) of any sizes. After a look at the first batch
        iterated over two times (three to nine times above 4,096 dims), so it must start anew, with the same
        samples in the same order, whenever it is iterated: a list, a data loader, a `FeatureBatches`, but not
        a generator.
      n_components: principal components kept, or `min(samples - 1, dims)` where there are fewer.
      distance: as for `rank_batch`, and so are the rest. `euclidean` takes time O(samples^2).
      definition: `rousseeuw` or `centroid`.
      method: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.

    Raises:
      ValueError: batches that do not fit together, are not the same in every pass, or cannot be scored.
      TypeError: an iterator that can be used only once.

    Source: as for `rank_batch`; agrees with it to 1e-6.
    """
    settings = check_settings(n_components, distance, definition, "auto", method, block_size)
    if iter(batches) is batches:
        raise TypeError(
            f"batches must be iterable more than once; got the one-shot iterator {type(batches).__name__}. "
            "Pass a list, a data loader, or an object whose __iter__ starts anew."
        )
    found, error = _score(Passes(batches), settings)
    if error > kernels.MAX_ERROR:  # components as good as tied, or samples that rounding hides
        found, _ = _score(Passes(batches, np.float64), settings)
    return found


def _score(passes: Passes, settings: kernels.ScoreSettings) -> tuple[float, float]:
    """The score, computed in the type of the passes, and its error; see `kernels.Score`."""
    with conditions(passes.dtype):
        leading = _leading(passes, settings.n_components)
        images = passes.project(leading.basis)
        ids, classes = encode_labels(np.concatenate(passes.labels))
        components = components_of(settings, (len(ids), passes.dims))
        points = jnp.asarray(images[:, :components])
        spread = float(np.linalg.norm(images.astype(np.float64))) / len(images) ** 0.5
        if spread <= kernels.NOISE * passes.rounding * passes.size:
            points = jnp.zeros_like(points)
        squares, residuals, vectors = (jnp.asarray(x, points.dtype) for x in leading.scaled())
        ones = jnp.ones(len(points), points.dtype)
        error = kernels.error_of_points(points, squares, residuals, vectors, components, ones, None)
        options = {
            "n_classes": len(classes), "distance": settings.distance, "definition": settings.definition,
            "method": settings.method, "block_size": settings.block_size,
        }  # fmt: skip
        labels = jnp.asarray(ids)
        found = kernels.silhouette_estimate(points, labels, **options)
        doubt = kernels.doubt(jnp.asarray(images), squares, residuals, vectors, components)
        moved = kernels.as_share(kernels.felt(points, labels, doubt, weights=ones, **options))
        value = float(np.asarray(found.value).mean(dtype=np.float64))
        return value, float(kernels.joint_error(error, moved, found.error))


class _Leading(NamedTuple):
    """Orthonormal rows that hold the leading principal directions and some more; and see `points_error`."""

    basis: np.ndarray
    squares: np.ndarray
    residuals: np.ndarray
    vectors: np.ndarray

    def scaled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """In units of the largest square, for float32 does not hold all that float64 does."""
        largest = max(self.squares[0], np.finfo(np.float64).tiny)
        return self.squares / largest, self.residuals / largest, self.vectors

    def error(self, n_components: int) -> float:
        """`points_error`."""
        squares, residuals, vectors = map(jnp.asarray, self.scaled())
        return float(points_error(squares, residuals, vectors, n_components))


def _leading(passes: Passes, n_components: int) -> _Leading:
    if passes.dims > GRAM_DIMS:
        return _krylov(passes.multiply, _start(passes.sample, n_components + EXTRA), n_components)
    squares, vectors = eigh_descending(passes.gram())
    found = min(n_components + EXTRA, passes.dims)
    to_nearest = np.finfo(passes.dtype).eps / 2  # what products are rounded by, all towards the next pair
    rounding = jnp.full(min(n_components + 1, passes.dims), to_nearest * squares[0])
    residuals = np.asarray(kernels.of_rounding(rounding, len(rounding)))
    return _Leading(vectors[:found], squares[: len(rounding)], residuals, np.eye(len(rounding)))


def _start(rows: np.ndarray, width: int) -> np.ndarray:
    """Directions of most variance in a few rows, and a few random ones."""
    rows = rows - rows.mean(axis=0)
    seen = eigh_descending(rows @ rows.T)[1][: width - RANDOM] @ rows
    random = np.random.default_rng(0).normal(size=(width - len(seen), rows.shape[1]))
    return np.concatenate([seen, random])


def _krylov(multiply: Callable[[np.ndarray], np.ndarray], start: np.ndarray, n_components: int) -> _Leading:
    """A basis of the block Krylov space in which the leading pairs are certified, one block more; see `_leading`."""
    width, dims = start.shape
    basis = np.linalg.qr(start.T.astype(np.float64))[0].T
    images = multiply(basis)
    while True:
        squares, rotation = eigh_descending(basis @ images.T)
        vectors, multiplied = rotation @ basis, rotation[:width] @ images
        residuals = multiplied - squares[:width, None] * vectors[:width]
        found = _Leading(vectors, squares, residuals, vectors)
        error = found.error(n_components)
        block = residuals - residuals @ basis.T @ basis
        block = np.linalg.qr((block - block @ basis.T @ basis).T)[0].T
        if error <= kernels.MAX_ERROR:
            return found._replace(basis=np.concatenate([vectors[:width], block]))
        if len(basis) >= MOST_BLOCKS * width:
            raise ValueError(
                f"The spectrum of these {dims} dims decays too slowly: after {MOST_BLOCKS} passes the components may "
                f"be off by {error:.1e} (at most {kernels.MAX_ERROR} is scored). Pool or project the features first."
            )
        basis, images = np.concatenate([basis, block]), np.concatenate([images, multiply(block)])
