"""What the device can do: reads, products of every precision, the small factorisations between them."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.accelerator.clock import clock, on_cpu
from benchmarks.accelerator.data import features

ALGORITHMS = {
    "float32": lax.Precision.HIGHEST,
    "TF32": lax.Precision.DEFAULT,
    "TF32 x 3": lax.DotAlgorithmPreset.TF32_TF32_F32_X3,
    "bfloat16 x 6": lax.DotAlgorithmPreset.BF16_BF16_F32_X6,
}
WIDTHS = (16, 32, 64)


def machine() -> Iterator[dict[str, Any]]:
    """Rows of bandwidth, of square products, of products as PCA needs them, and of factorisations."""
    models, size = (4, 2048) if on_cpu() else (64, 8192)
    stack, _ = features(models)
    for name, run, passes in (("read", jnp.sum, 1), ("copy", lambda x: x + 1, 2)):
        found = clock(jax.jit(run), stack)
        yield {"what": name, "bytes": passes * stack.nbytes, **found}
    square = jax.random.normal(jax.random.key(1), (size, size))
    for name in ALGORITHMS:
        found = clock(jax.jit(_product("ij,jk->ik", name)), square, square)
        yield {"what": "square product", "precision": name, "operations": 2 * size**3, **found}
    block = jax.random.normal(jax.random.key(2), (models, 32, stack.shape[2]))
    images = jax.random.normal(jax.random.key(3), (models, stack.shape[1], 32))
    for what, terms, arguments in (
        ("X Q'", "msd,mwd->msw", (stack, block)), ("Y' X", "msw,msd->mwd", (images, stack)),
        ("X' X", "msd,mse->mde", (stack, stack)),
    ):  # fmt: skip
        exact = None
        for name in ALGORITHMS:
            run = jax.jit(_product(terms, name))
            found = clock(run, *arguments, rounds=3)
            if "error" not in found:
                value = run(*arguments)
                exact = value if exact is None else exact  # of float32, the first
                found["apart"] = float(jnp.linalg.norm(value - exact) / jnp.linalg.norm(exact))
            yield {"what": what, "precision": name, "bytes": stack.nbytes, **found}
    for width in WIDTHS:
        gram = jax.random.normal(jax.random.key(4), (models, width, width))
        gram = gram @ gram.transpose(0, 2, 1) + width * jnp.eye(width)
        for name, run in (("eigh", jnp.linalg.eigh), ("cholesky", jnp.linalg.cholesky)):
            yield {"what": name, "width": width, "models": models, **clock(jax.jit(run), gram)}
    gram = _product("msd,mse->mde", "float32")(stack[:2], stack[:2])
    yield {"what": "eigh", "width": gram.shape[1], "models": 2, **clock(jax.jit(jnp.linalg.eigh), gram, rounds=1)}


def _product(terms: str, name: str) -> Callable[..., jax.Array]:
    return lambda a, b: jnp.einsum(terms, a, b, precision=ALGORITHMS[name])
