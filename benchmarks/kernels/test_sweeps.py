"""How time and memory grow with samples, classes, dims and models."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

import nrjax
from benchmarks.kernels import data
from nrjax import kernels

ROUNDS = 5


def note(benchmark, sweep: str, size: int, temporary_bytes: int | None = None) -> None:
    """What the plots need to know."""
    benchmark.extra_info["group"] = sweep
    benchmark.extra_info |= {"sweep": sweep, "size": size, "temporary_bytes": temporary_bytes}


def temporary_bytes(lowered) -> int:
    """What a compiled program needs beside its arguments and results."""
    analysis = lowered.compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


def silhouette(benchmark, sweep: str, size: int, samples: int, classes: int) -> int:
    """Times one silhouette of `samples` x 10 and returns the bytes it needs beyond the points."""
    points, labels = (jnp.asarray(x) for x in data.blobs(samples, 10, classes))

    def run():
        return kernels.silhouette_samples(points, labels, n_classes=classes).block_until_ready()

    temporary = temporary_bytes(kernels.silhouette_samples.lower(points, labels, n_classes=classes))
    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    note(benchmark, sweep, size, temporary)
    return temporary


@pytest.mark.parametrize("samples", [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000])
def test_samples(benchmark, samples):
    """Silhouette: linear in the samples, with bounded memory."""
    temporary = silhouette(benchmark, "silhouette by samples (x 10, 100 classes)", samples, samples, 100)
    assert temporary < 1 << 30


@pytest.mark.parametrize("samples", [1_000, 3_000, 10_000])
def test_samples_of_scikit_learn(benchmark, samples):
    """Beside it: quadratic."""
    points, labels = data.blobs(samples, 10, 100)
    benchmark.pedantic(metrics.silhouette_score, (points, labels), {"metric": "cosine"}, rounds=3, warmup_rounds=1)
    note(benchmark, "silhouette by samples (x 10, 100 classes), scikit-learn", samples)


@pytest.mark.parametrize("classes", [2, 10, 30, 100, 300, 1_000])
def test_classes(benchmark, classes):
    """Silhouette of 100,000 x 10."""
    silhouette(benchmark, "silhouette by classes (100,000 x 10)", classes, 100_000, classes)


@pytest.mark.parametrize("dims", [64, 256, 512, 1_024, 4_096, 16_384])
def test_dims(benchmark, dims):
    """Whole score of 5,000 samples; bends where `auto` goes over to Krylov."""
    features, labels = data.blobs(5_000, dims)
    settings = kernels.ScoreSettings()
    shape = jax.ShapeDtypeStruct(features.shape, np.float32), jax.ShapeDtypeStruct(labels.shape, np.int32)
    temporary = temporary_bytes(kernels.score.lower(*shape, n_classes=data.CLASSES, settings=settings))
    stack = jnp.asarray(features)[None]
    benchmark.pedantic(nrjax.score_batch, (stack, labels), rounds=ROUNDS, warmup_rounds=1)
    note(benchmark, "score by dims (5,000 samples)", dims, temporary)


@pytest.mark.parametrize("models", [1, 4, 16, 64, 256])
def test_models(benchmark, models):
    """Whole scores of a stack."""
    features, labels = data.blobs(2_000, 512)
    stack = np.stack([features] * models)
    benchmark.pedantic(nrjax.score_batch, (stack, labels), rounds=ROUNDS, warmup_rounds=1)
    note(benchmark, "score by models (2,000 x 512)", models)


def in_its_own_process(module: str, *arguments: str, **environment: str) -> dict:
    """What a module prints as JSON."""
    command = [sys.executable, "-m", f"benchmarks.kernels.{module}", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    return json.loads(done.stdout)


def test_stream(benchmark):
    """1.28 million x 256 from a file, in a process of its own; the same score as from memory."""
    streamed = benchmark.pedantic(in_its_own_process, ("stream",), rounds=1)
    whole = in_its_own_process("stream", "--whole")
    assert streamed["peak_mib"] < 2048
    assert streamed["score"] == pytest.approx(whole["score"], abs=1e-5)
    benchmark.extra_info["group"] = "stream"
    benchmark.extra_info |= {"case": "1,280,000 x 256", "streamed": streamed, "whole": whole}
