"""Silhouettes on the host, beside the compiled kernel in float64: values, rounding, and how far scores move."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nrjax
from nrjax.kernels import ScoreSettings
from nrjax.kernels.silhouette import silhouettes_and_rounding
from nrjax.scoring import host_silhouettes, silhouette_programs
from nrjax.scoring.silhouette_programs import Task, evaluate, on_host, sensitivity

EPS = float(np.finfo(np.float32).eps)


def points_and_ids(kind):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 5, 300).astype(np.int32)
    points = (rng.normal(size=(300, 6)) + rng.normal(size=(7, 6))[ids]).astype(np.float32)
    if kind == "zero rows":
        points[:9] = 0
    if kind == "classes of one and of none":
        ids[ids == 4], ids[0] = 3, 6
    if kind == "far from the origin":
        points += 100
    if kind == "equal rows":
        points = points[ids]
    if kind == "large":
        points *= np.float32(2.0**120)
    return points, ids


KINDS = ["plain", "zero rows", "classes of one and of none", "far from the origin", "equal rows", "large"]


@pytest.mark.parametrize("distance", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_host_agrees_with_the_kernel(kind, distance):
    points, ids = points_and_ids(kind)
    wide, members = points.astype(np.float64), host_silhouettes._members(ids, 7)
    values, rounding = host_silhouettes.silhouettes_of_points(wide, members, ids, distance, EPS)
    with jax.enable_x64(True):
        expected, expected_rounding = silhouettes_and_rounding(
            jnp.asarray(wide), jnp.asarray(ids), n_classes=7, distance=distance, definition="rousseeuw",
            method="linear", block_size=None, point_rounding=EPS,
        )  # fmt: skip
    np.testing.assert_allclose(values, expected, atol=1e-11)  # float64, and squares of an offset of 100
    np.testing.assert_allclose(rounding, expected_rounding, rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("n_components", [1, 4])
@pytest.mark.parametrize("distance", ["cosine", "sqeuclidean"])
def test_scores_and_how_far_they_move_are_those_of_the_programs(distance, n_components, monkeypatch):
    rng, ids = np.random.default_rng(0), (np.arange(1500) % 3).astype(np.int32)
    images = (rng.normal(size=(1500, 9)) + rng.normal(size=(3, 9))[ids]).astype(np.float32)
    task = Task(ids, 3, ScoreSettings(n_components=n_components, distance=distance))
    tangents, noise = rng.uniform(0, 1e-3, (n_components, 9 - n_components)), np.asarray(1e-5)
    assert on_host(task, task.settings, images)
    mine = evaluate(task, images), sensitivity(task, images, tangents, noise)
    monkeypatch.setattr(silhouette_programs, "HOST_ENTRIES", 0)
    theirs = evaluate(task, images), sensitivity(task, images, tangents, noise)
    for name, value in mine[0]._asdict().items():
        np.testing.assert_allclose(value, getattr(theirs[0], name), rtol=1e-6, atol=1e-12, err_msg=name)
    assert mine[1] > 1e-6
    assert mine[1] == pytest.approx(theirs[1], rel=1e-4)


def test_what_is_not_on_the_host():
    task = Task(np.zeros(100, np.int32), 3, ScoreSettings())
    images = np.zeros((100, 32), np.float32)
    assert on_host(task, task.settings, images)
    for changed in ({"distance": "euclidean"}, {"definition": "centroid"}, {"method": "blockwise"}):
        assert not on_host(task, dataclasses.replace(task.settings, **changed), images)
    assert not on_host(task, task.settings, np.zeros((2, 100, 32), np.float32))
    assert not on_host(task, task.settings, np.zeros((100_000, 32), np.float32))
    assert not on_host(dataclasses.replace(task, weights=jnp.ones((1, 100))), task.settings, images)


def test_rankings_are_the_same_with_and_without_the_host(monkeypatch):
    rng, labels = np.random.default_rng(0), np.arange(400) % 4
    features = {str(i): (rng.normal(size=(400, 200)) + rng.normal(size=(4, 200))[labels]).astype(np.float32) / (
        1 + np.arange(200, dtype=np.float32)) ** (i / 2) for i in range(3)}  # fmt: skip
    mine = nrjax.rank_batch(features, labels)
    monkeypatch.setattr(silhouette_programs, "HOST_ENTRIES", 0)
    theirs = nrjax.rank_batch(features, labels)
    assert mine.order == theirs.order
    for name, score in mine.scores.items():
        assert score == pytest.approx(theirs.scores[name], abs=1e-9)


@pytest.mark.parametrize("samples", [20_000, 50_000])  # on the host, and by the kernel
def test_classes_on_one_side_of_a_line(samples):
    """A cosine is a sign there, so silhouettes follow from counts. Sums of equal terms must not hide that."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 10, samples).astype(np.int32)
    positive = np.asarray([1, 0, 1, 1, 1, 0.05, 0.01, 1, 0, 0])[ids] > rng.uniform(size=samples)
    points = np.where(positive, 1.0, -1.0) * rng.uniform(5, 20, samples)
    counts = np.bincount(ids)
    on_other_side = np.stack([np.bincount(ids, ~positive), np.bincount(ids, positive)])[positive.astype(int) ^ 1]
    own = np.arange(10) == ids[:, None]
    a = on_other_side[own] / (counts[ids] - 1)
    b = np.where(own, np.inf, on_other_side / counts).min(axis=1)
    expected = np.where(np.maximum(a, b) > 0, (b - a) / np.where(np.maximum(a, b) > 0, np.maximum(a, b), 1), 0)
    task = Task(ids, 10, ScoreSettings(n_components=1, method="linear"))
    assert on_host(task, task.settings, points[:, None]) == (samples == 20_000)
    silhouettes = evaluate(task, points[:, None])
    np.testing.assert_allclose(silhouettes.value, expected.mean(), atol=1e-12)
    assert silhouettes.rounding < 1e-9
