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
    means = [[np.mean(tile) for row in np.array_split(image, side) for tile in np.array_split(row, side, axis=1)]
             for image in images]  # fmt: skip
    return np.array(means, np.float32)


def separation(features, labels, *, n_classes):
    one_hot = jnp.eye(n_classes)[labels]
    means = one_hot.T @ features / one_hot.sum(0)[:, None]
    return jnp.var(means, axis=0).mean() / jnp.mean((features - means[labels]) ** 2)


fisher = nrjax.ScoreKind("fisher", separation, "variance of class means beside that within classes")


class Wide(linen.Module):
    width: int
    classes: int

    @linen.compact
    def __call__(self, x):
        return linen.Dense(self.classes)(linen.relu(linen.Dense(self.width)(x.reshape(len(x), -1))))
