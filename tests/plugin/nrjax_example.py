"""A source, a score and an architecture for nrjax."""

import functools

import jax.numpy as jnp
import numpy as np
from flax import linen

import nrjax


def load_pixels(where):
    """`pixels:8` is a model whose features are images in 8 x 8 tiles, each its mean."""
    return nrjax.from_embedder(functools.partial(tiles, side=int(where)), "image")


def tiles(images, side):
    means = []
    for image in images:
        rows = np.array_split(image, side)
        cells = [cell for row in rows for cell in np.array_split(row, side, axis=1)]
        means.append([np.mean(cell) for cell in cells])
    return np.array(means, np.float32)


def separation(features, labels, *, n_classes):
    one_hot = jnp.eye(n_classes)[labels]
    means = one_hot.T @ features / one_hot.sum(0)[:, None]
    return jnp.var(means, axis=0).mean() / jnp.mean((features - means[labels]) ** 2)


MEANING = "variance of class means beside that within classes"
fisher = nrjax.ScoreKind("fisher", separation, MEANING)


class Wide(linen.Module):
    width: int
    classes: int

    @linen.compact
    def __call__(self, x):
        head = linen.Dense(self.classes)
        return head(linen.relu(linen.Dense(self.width)(x.reshape(len(x), -1))))
