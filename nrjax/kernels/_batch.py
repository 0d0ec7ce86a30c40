"""Loops of a batch of models: they iterate together under `vmap`, and alone they are as if nothing were here."""

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, Float


@custom_vmap
def of_any(flag: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether it holds for any of the models of a batch: they go on together.

    Of loops that each end for itself `vmap` throws away what those that are done do while others go on.
    """
    return flag


@of_any.def_vmap
def _of_any_of_batch(_: int, batched: list[bool], flags: Bool[Array, " models"]) -> tuple[Bool[Array, ""], bool]:
    return (jnp.any(flags) if batched[0] else flags), False


@custom_vmap
def better(new, old, goal: Float[Array, ""] | float):
    """What a step has found, a tuple that ends with its error; of models that were done before, if that is smaller.

    Where residuals are nothing but rounding, a step with them can make the error larger as well.
    """
    return new


@better.def_vmap
def _better_of_batch(models: int, batched, new, old, goal):
    def chosen(new, old, goal):
        keep = (old[-1] <= goal) & ~(new[-1] < old[-1])
        return jax.tree.map(lambda ours, theirs: jnp.where(keep, theirs, ours), new, old)

    axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, batched)
    found = jax.vmap(chosen, in_axes=tuple(axes), axis_size=models)(new, old, goal)
    return found, jax.tree.map(lambda _: True, found)
