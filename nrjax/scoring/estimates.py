"""The other scores: first as cheaply as may be right, then more exactly, until the error is small enough."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from nrjax._utils.arrays import Array
from nrjax.kernels.error_bounds import Estimate
from nrjax.kernels.ridge import Groups
from nrjax.kernels.spectrum import Factorisation
from nrjax.scoring.compute import THREADS_FROM, compile_context, compute_context, map_models
from nrjax.scoring.rounding import rounding_of, without_subnormals, working_dtype
from nrjax.scoring.scores import ScoreKind
from nrjax.targets import Target


class Method(NamedTuple):
    """A factorisation, and the type it is computed in."""

    solver: Factorisation
    dtype: DTypeLike


def methods_of(kind: ScoreKind, dtype: np.dtype, grouped: bool = False) -> list[Method]:
    """What to try for a score of features of this type, one after another; TPUs have no float64.

    Groups are left out in float64: what a group decides alone has no digits in float32.
    """
    working = working_dtype(dtype)
    if jax.default_backend() == "tpu":
        return [Method("gram", working)]
    if kind.estimate is None:  # numbers of float64 need not fit float32, nor differences of them be left in it
        return [Method("gram", working if kind.labelled else dtype)]
    in_float32 = kind.begins_in_float32 and working == dtype == np.float32 and not (grouped and kind.leaves_out)
    begin = [Method("gram", np.float32)] if in_float32 else []
    return begin + [Method(solver, np.float64) for solver in kind.solvers]


Estimates = dict[tuple[int, ScoreKind], Estimate]


def estimate_scores(arrays: Sequence[Array], target: Target, kinds: Sequence[ScoreKind]) -> Estimates:
    """`Estimate` by model and score of the target's task, of features of one shape and type."""
    normal = list(map(without_subnormals, arrays))
    if all(new is old for new, old in zip(normal, arrays, strict=True)):
        return _first_certain(arrays, target, kinds)
    scale_free, others = ([kind for kind in kinds if kind.scale_free == is_free] for is_free in (True, False))
    return _first_certain(normal, target, scale_free) | _first_certain(arrays, target, others)


def _first_certain(arrays: Sequence[Array], target: Target, kinds: Sequence[ScoreKind]) -> Estimates:
    """`estimate_scores` of features of which XLA takes no number for 0.

    Every score takes the first of its methods that is certain, else the last. Scores that share a method share a
    program, and XLA computes once what they have in common, such as a spectrum.
    """
    rounding = max(map(rounding_of, arrays))
    methods = {kind: methods_of(kind, arrays[0].dtype, target.groups is not None) for kind in kinds}
    estimates: Estimates = {}
    for method in dict.fromkeys(method for of_kind in methods.values() for method in of_kind):
        missing = [
            (model, kind) for model in range(len(arrays)) for kind in kinds
            if (model, kind) not in estimates and method in methods[kind]
        ]  # fmt: skip
        models = list(dict.fromkeys(model for model, _ in missing))
        together = tuple(kind for kind in kinds if any(kind == other for _, other in missing))
        if not missing:
            continue
        with compute_context(method.dtype, threads=min(arrays[0].shape) >= THREADS_FROM):
            options = {"n_classes": target.n_classes, "kinds": together, "solver": method.solver, "rounding": rounding}
            labels, groups = jnp.asarray(target.values), groups_of(target)
            of_one, of_many = (
                functools.partial(function, labels=labels, groups=groups, **options)
                for function in (estimates_of_model, estimates_of_models)
            )
            results = map_models([arrays[model] for model in models], method.dtype, of_one, of_many)
        for model, kind in missing:
            estimate = results[models.index(model)][together.index(kind)]
            if kind.certain(estimate) or method == methods[kind][-1]:
                estimates[model, kind] = estimate
    return estimates


def groups_of(target: Target) -> Groups | None:
    """As kernels take them."""
    if target.groups is None:
        return None
    return jax.tree.map(jnp.asarray, Groups(target.groups, target.members, target.positions))  # pyright: ignore


def compile_estimates(
    shape: tuple[int, ...], labels: jax.ShapeDtypeStruct, groups: Groups | None, n_classes: int,
    kinds: tuple[ScoreKind, ...], method: Method,
) -> None:  # fmt: skip
    """Compiles what `estimate_scores` calls first for features of this shape, as float32 rounds them."""
    with compile_context(method.dtype):
        estimates_of_model.lower(
            jax.ShapeDtypeStruct(shape, method.dtype), labels=labels, groups=groups,
            n_classes=n_classes, kinds=kinds, solver=method.solver, rounding=float(np.finfo(np.float32).eps),
        ).compile()  # fmt: skip


@functools.partial(jax.jit, static_argnames=("n_classes", "kinds", "solver", "rounding"))
def estimates_of_model(
    array: jax.Array, labels: jax.Array, *, n_classes: int, kinds: tuple[ScoreKind, ...],
    solver: Factorisation = "gram", rounding: float = float(np.finfo(np.float32).eps), groups: Groups | None = None,
) -> tuple[Estimate, ...]:  # fmt: skip
    """Scores of one model in one program; labels are ids `[samples]`, or numbers `[samples, outputs]`."""

    def of(kind: ScoreKind) -> Estimate:
        if kind.estimate is None:
            value = jnp.asarray(kind.kernel(array, labels, n_classes=n_classes))
            if value.shape not in ((), (len(array),)):
                raise ValueError(f"a score is a number, or one number per sample; got shape {value.shape}")
            return Estimate(value, jnp.zeros((), array.dtype))
        options = {} if groups is None or not kind.leaves_out else {"groups": groups}
        return kind.estimate(array, labels, n_classes=n_classes, solver=solver, rounding=rounding, **options)

    return tuple(map(of, kinds))


@functools.partial(jax.jit, static_argnames=("n_classes", "kinds", "solver", "rounding"))
def estimates_of_models(arrays: jax.Array, labels: jax.Array, **options: Any) -> tuple[Estimate, ...]:
    """The same of several models."""
    return jax.vmap(functools.partial(estimates_of_model, labels=labels, **options))(arrays)
