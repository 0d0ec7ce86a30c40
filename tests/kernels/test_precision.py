"""Programs for devices that are not here: TF32 on GPUs and bfloat16 on TPUs would ruin a score, and no CPU shows it."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from jax import export

from nrjax import kernels
from nrjax.scoring.attempts import estimates
from nrjax.scoring.registry import available_scores

FEATURES = jax.ShapeDtypeStruct((400, 300), jnp.float32)
LABELS = jax.ShapeDtypeStruct((400,), jnp.int32)
PLATFORMS = ("cuda", "tpu")
KINDS = [name for name, kind in available_scores().items() if kind.estimate and kind.reads == "features"]


def products(run, platform):
    """Dot products and convolutions of the program for a platform, as text."""
    lowered = export.export(jax.jit(run), platforms=[platform])(FEATURES, LABELS).mlir_module()
    return re.findall(r"stablehlo\.(?:dot_general|convolution|dot)\b[^\n]*", lowered)


def test_an_omission_is_seen():
    found = products(lambda features, labels: (features @ features.T)[labels], "cuda")
    assert found
    assert "HIGHEST" not in found[0]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("solver", ["svd", "gram", "krylov"])
def test_products_of_the_score(solver, distance, platform):
    if (solver, platform) == ("svd", "tpu"):
        pytest.skip("TPUs get the Gram matrix")
    settings = kernels.ScoreSettings(solver=solver, distance=distance)
    found = products(functools.partial(kernels.score, n_classes=3, settings=settings, sampling=True), platform)
    assert found
    assert [line for line in found if "precision = [HIGHEST, HIGHEST]" not in line] == []


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", KINDS)
def test_products_of_the_other_scores(name, platform):
    run = functools.partial(estimates, n_classes=3, kinds=(available_scores()[name],))
    found = products(run, platform)
    assert found
    assert [line for line in found if "precision = [HIGHEST, HIGHEST]" not in line] == []
