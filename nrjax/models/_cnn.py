"""The paper's network (Figure 1) and its variants, in Flax linen.

Layers, by the paper's indices: L0 input; L1 `conv1` 5×5 + ReLU; L2 `pool1` 2×2; L3 `conv2` 5×5 + ReLU;
L4 `pool2`; L5 `dense` + ReLU, taken before dropout; `logits`. One module is one layer, activation
included, so that a layer's index here is its index in the paper. `lite` has no conv2 and pool2 (§4.5).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

_INIT = nn.initializers.glorot_uniform()
MOST_LAYERS, MOST_FEATURES = 64, 1 << 20  # of a configuration from a file


def same_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[samples, height, width, channels]` with a kernel `[height, width, channels, features]`; stride 1, same size."""
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


class ConvReLU(nn.Module):
    """Convolution (stride 1, same size), bias, ReLU."""

    features: int
    kernel_size: int = 5
    convolve: Callable[[jax.Array, jax.Array], jax.Array] = same_convolution

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[samples, height, width, channels]` to the same with `features` channels."""
        size = self.kernel_size
        kernel = self.param("kernel", _INIT, (size, size, x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return nn.relu(self.convolve(x, kernel) + bias)


class MaxPool(nn.Module):
    """2×2 maximum. Reshape and max: its gradient costs a quarter of `reduce_window`'s on CPU."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Halves height and width; an odd last row or column is dropped."""
        samples, height, width, channels = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        return x.reshape(samples, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


class DenseReLU(nn.Module):
    """Dense layer on flattened input, bias, ReLU."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[samples, ...]` to `[samples, features]`."""
        x = x.reshape(x.shape[0], -1)
        kernel = self.param("kernel", _INIT, (x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return nn.relu(x @ kernel + bias)


class PaperCNN(nn.Module):
    """The CNN of the paper's Figure 1.

    Attributes:
      classes: outputs of the logits layer.
      conv_features: channels of each convolution; the paper's has (32, 64), `lite` (32,).
      dense_features: neurons of the last dense layer; 1,024 in the paper, 512 in its Table 6.
      dropout: rate on the last dense layer while training.
      convolve: what computes the convolutions; a training loop may bring one with a faster gradient.
    """

    classes: int = 10
    conv_features: Sequence[int] = (32, 64)
    dense_features: int = 1024
    dropout: float = 0.4
    convolve: Callable[[jax.Array, jax.Array], jax.Array] = same_convolution

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Logits `[samples, classes]` of images `[samples, height, width, channels]`."""
        x = images
        for i, features in enumerate(self.conv_features, start=1):
            x = ConvReLU(features, convolve=self.convolve, name=f"conv{i}")(x)
            x = MaxPool(name=f"pool{i}")(x)
        x = DenseReLU(self.dense_features, name="dense")(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.classes, kernel_init=_INIT, name="logits")(x)


def paper_cnn(**config) -> PaperCNN:
    """`PaperCNN` from a JSON configuration (lists become the tuples that a hashable module needs).

    Raises:
      ValueError: sizes that are no positive integers, or too many to be meant.
    """
    layers = config.get("conv_features", ())
    if not isinstance(layers, (list, tuple)) or len(layers) > MOST_LAYERS:
        raise ValueError(f"conv_features must be a list of at most {MOST_LAYERS} numbers")
    for size in (*layers, config.get("classes", 1), config.get("dense_features", 1)):
        if type(size) is not int or not 1 <= size <= MOST_FEATURES:
            raise ValueError(f"sizes must be integers from 1 to {MOST_FEATURES:,}; got {str(size)[:40]}")
    if "conv_features" in config:
        config["conv_features"] = tuple(layers)
    return PaperCNN(**config)
