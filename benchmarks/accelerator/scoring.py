"""Scores on the device: every solver, batches of models, silhouettes of many samples, the other scores, streams."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nrjax
from benchmarks.accelerator.clock import clock, on_cpu
from benchmarks.accelerator.data import features, to_score
from benchmarks.kernels import rivals
from nrjax import kernels
from nrjax.scoring.compute import compute_context
from nrjax.scoring.silhouettes import exact_scores, krylov_scores

OTHERS = ("probe", "knn", "logme", "h_score", "regularized_h_score", "transrate", "gbc")


def solvers() -> Iterator[dict[str, Any]]:
    """Whole scores of 10,000 x 1,024: stacked models by iteration, to three tolerances, of two spectra; one exactly."""
    one, few, several, many = (1, 4, 4, 4) if on_cpu() else (1, 8, 64, 256)
    cases = [
        *(("krylov", 1e-6, "trained", models) for models in dict.fromkeys((one, few, several, many))),
        ("krylov", 1e-5, "trained", several),
        ("krylov", 1e-4, "trained", several),
        ("krylov", 1e-6, "slow", several),
        ("gram, float64", 1e-6, "trained", one),
    ]
    for solver, tolerance, spectrum, models in cases:
        stack, labels = features(models, spectrum=spectrum)
        score, array = (krylov_scores, stack) if solver == "krylov" else (exact_scores, stack[0])
        run = functools.partial(score, *to_score(array, labels, tolerance))
        with compute_context():
            found = clock(run, rounds=3)
            scores = run() if "error" not in found else None
        yield {
            "solver": solver, "tolerance": tolerance, "spectrum": spectrum, "models": models, "bytes": stack.nbytes,
            "certified": scores and all(score and score.error <= tolerance for score in scores), **found,
        }  # fmt: skip
    features.cache_clear()


def silhouettes() -> Iterator[dict[str, Any]]:
    """The silhouette alone, to a million samples; cosine by class sums, Euclidean by all pairs."""
    cases: list[tuple[int, int, kernels.Distance]] = [
        (1_000, 10, "cosine"), (10_000, 10, "cosine"), (100_000, 10, "cosine"), (1_000_000, 10, "cosine"),
        (1_000_000, 1_000, "cosine"), (10_000, 10, "euclidean"), (50_000, 10, "euclidean"),
    ]  # fmt: skip
    for samples, classes, distance in cases:
        if on_cpu() and distance == "euclidean" and samples > 10_000:
            continue
        labels = jnp.asarray(np.random.default_rng(0).integers(0, classes, samples), jnp.int32)
        middles = jax.random.normal(jax.random.key(1), (classes, 10))
        points = middles[labels] + jax.random.normal(jax.random.key(0), (samples, 10))
        run = functools.partial(kernels.silhouette_score, labels=labels, n_classes=classes, distance=distance)
        yield {"samples": samples, "classes": classes, "distance": distance, **clock(run, points)}


def rankings() -> Iterator[dict[str, Any]]:
    """`rank_batch` from the host and from the device, and streams."""
    models = 4 if on_cpu() else 64
    stack, labels = features(models)
    given: dict[str, dict[str, Any]] = {"on the device": {str(i): stack[i] for i in range(models)}}
    given["on the host"] = {name: np.asarray(array) for name, array in given["on the device"].items()}
    for where, arrays in given.items():
        yield {
            "what": f"rank_batch, features {where}", "models": models, "bytes": stack.nbytes,
            **clock(lambda arrays=arrays: nrjax.rank_batch(arrays, labels), rounds=3),
        }  # fmt: skip
    one = given["on the host"]["0"]
    batches = [(one[i : i + 1_000], labels[i : i + 1_000]) for i in range(0, len(one), 1_000)] * 20
    found = clock(lambda: nrjax.score_stream(batches), rounds=1)
    yield {"what": "score_stream, 200,000 x 1,024 in batches", "models": 1, "bytes": 20 * one.nbytes, **found}
    features.cache_clear()


def others() -> Iterator[dict[str, Any]]:
    """Every other score of features, 2,000 x 512, on the device."""
    models = 2 if on_cpu() else 8
    stack, labels = features(models, 2_000, 512)
    arrays = {str(i): stack[i] for i in range(models)}
    for score in OTHERS:
        run = functools.partial(nrjax.rank_batch, arrays, labels, scores=score)
        yield {"score": score, "models": models, **clock(run, rounds=1)}


def agreement(folder: Path | None) -> Iterator[dict[str, Any]]:
    """How far scores are from float64 on features of trained networks: the bundled ones, and those of a folder."""
    demo = nrjax.load_demo()
    found: dict[str, tuple[Any, Any]] = {}
    for layer, names in (("penultimate", list(demo.zoo)), ("pool2", ["C10", "F10"])):
        for name in names:
            found[f"bundled {name}, {layer}"] = (
                nrjax.extract_features(demo.zoo[name], demo.images, layer), demo.labels
            )  # fmt: skip
    for path in sorted(folder.glob("*.npz")) if folder else ():
        kept = np.load(path)
        found[path.stem] = kept["features"], kept["labels"]
    for name, (array, labels) in found.items():
        yield {"features": name, "shape": list(array.shape), **_off(array, labels)}


def _off(array: Any, labels: Any) -> Mapping[str, Any]:
    exact = rivals.float64(np.asarray(array), labels)
    ranked = nrjax.rank_batch({"m": array}, labels)
    return {
        "solver": ranked.models[0].solver, "error": abs(ranked.scores["m"] - exact),
        **clock(lambda: nrjax.rank_batch({"m": jnp.asarray(array)}, labels), rounds=3),
    }  # fmt: skip
