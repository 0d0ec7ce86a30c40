"""Programs for devices that are not here: TF32 on GPUs and bfloat16 on TPUs would ruin a score, and no CPU shows it."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from jax import export

from nrjax import kernels
from nrjax.kernels.influence import silhouette_influence
from nrjax.kernels.krylov import (
    block_width,
    extend,
    multiply,
    multiply_samples,
    no_rows,
    residuals,
    ritz_pairs,
)
from nrjax.scoring import operators, silhouette_programs
from nrjax.scoring.estimates import estimates_of_model
from nrjax.scoring.scores import available_scores

FEATURES = jax.ShapeDtypeStruct((400, 300), jnp.float32)
LABELS = jax.ShapeDtypeStruct((400,), jnp.int32)
PLATFORMS = ("cuda", "tpu")
KINDS = [
    name for name, kind in available_scores().items()
    if kind.estimate and kind.reads == "features" and kind.task == "classification"
]  # fmt: skip


def products(run, platform):
    """Dot products and convolutions of the program for a platform, as text."""
    lowered = export.export(jax.jit(run), platforms=[platform])(FEATURES, LABELS).mlir_module()
    return re.findall(r"stablehlo\.(?:dot_general|convolution|dot)\b[^\n]*", lowered)


def test_an_omission_is_seen():
    found = products(lambda features, labels: (features @ features.T)[labels], "cuda")
    assert found
    assert "HIGHEST" not in found[0]


def one_step(features, labels):
    """All that one step of the iteration runs on a device, silhouettes and their influence included."""
    width = block_width(10)
    block = features[:width]
    images, multiplied = multiply(features, block)
    with jax.default_matmul_precision("highest"):  # as `iteration.wide` runs it
        basis, following = extend(jnp, no_rows((), 2 * width, features.shape[1]), block, multiplied)
        pairs = ritz_pairs(jnp, basis, 2 * width)
        judged = residuals(jnp, pairs, 10, width)
    images = operators._rotate([jnp.zeros((len(features), 2 * width)), images], pairs.rotation)
    settings = kernels.ScoreSettings()
    scored = silhouette_programs.silhouettes_of_model(images, labels, None, n_classes=3, settings=settings, wide=False)
    influence = silhouette_influence(images[:, :10], labels, n_classes=3, others=images[:, 10:])
    return following, judged, scored, influence, multiply_samples(features, features.T[:width])


def exact(features, labels):
    """What the decomposition runs on a device: one Gram matrix and the images."""
    matrix, exponent, _ = operators._gram(features, None, wide=False)
    return operators._project(features, matrix[:, :10], exponent, None)


PURE = {
    f"score, {solver}, {distance}": functools.partial(
        kernels.score, n_classes=3, settings=kernels.ScoreSettings(solver=solver, distance=distance)
    )
    for solver in ("gram", "svd") for distance in ("cosine", "euclidean")
}  # fmt: skip


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", [*PURE, "one step", "exact"])
def test_products_of_the_score(name, platform):
    if ("svd" in name, platform) == (True, "tpu"):
        pytest.skip("TPUs get the Gram matrix")
    found = products({"one step": one_step, "exact": exact, **PURE}[name], platform)
    assert found
    assert [line for line in found if "precision = [HIGHEST, HIGHEST]" not in line] == []


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", KINDS)
def test_products_of_the_other_scores(name, platform):
    run = functools.partial(estimates_of_model, n_classes=3, kinds=(available_scores()[name],))
    found = products(run, platform)
    assert found
    assert [line for line in found if "precision = [HIGHEST, HIGHEST]" not in line] == []
