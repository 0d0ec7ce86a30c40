import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

import nrjax
from nrjax.scoring import sharding
from tests.oracles import F32_ATOL, blobs, neuralrank
from tests.scoring.mesh_data import labels, stack


@pytest.fixture(scope="module")
def expected():
    return [neuralrank(model, labels()) for model in stack()]


@pytest.fixture(scope="module", params=[(1, 4), (2, 2)], ids=["1 process", "2 processes"])
def found(request):
    """What worker processes found on a mesh of four devices."""
    processes, devices = request.param
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.scoring.mesh_worker", str(processes), str(i), str(port)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in range(processes)
    ]  # fmt: skip
    outputs = [worker.communicate() for worker in workers]
    for worker, (_, errors) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, errors
    return json.loads(outputs[0][0].splitlines()[-1])  # gloo says hello on stdout


def test_scores_are_those_of_one_device(found, expected):
    assert found["devices"] == 4
    assert len(found["scores"]) >= 4
    for how, scores in found["scores"].items():
        if "placed" not in how:
            np.testing.assert_allclose(scores, expected, atol=F32_ATOL, err_msg=how)


def test_arrays_that_already_lie_on_the_mesh(found):
    even = nrjax.score_batch(stack()[:4, :1000], labels()[:1000])
    placed = [how for how in found["scores"] if "placed" in how]
    assert len(placed) >= 2
    for how in placed:
        np.testing.assert_allclose(found["scores"][how], even, atol=1e-6, err_msg=how)


@pytest.mark.parametrize("found", [(1, 4)], ids=["1 process"], indirect=True)
def test_features_are_never_gathered(found):
    assert len(found["programs"]) == 12
    for how, counts in found["programs"].items():
        assert counts.pop("all-reduce") >= (how != "models project"), how
        assert set(counts.values()) == {0}, (how, counts)


def one_device(*names):
    return Mesh(np.array(jax.devices()[:1]).reshape((1,) * len(names)), names)


def test_a_mesh_of_one_device():
    features, classes = np.stack([blobs(60, 40, 3, seed=s)[0] for s in range(3)]), blobs(60, 40, 3)[1]
    alone = nrjax.score_batch(features, classes)
    for names in (("models",), ("samples",), ("models", "samples")):
        on_mesh = nrjax.score_batch(features, classes, mesh=one_device(*names))
        np.testing.assert_allclose(on_mesh, alone, atol=1e-6)


def test_x64_on_a_mesh():
    features, classes = blobs(60, 40, 3)[0].astype(np.float64)[None], blobs(60, 40, 3)[1]
    with jax.enable_x64(True):
        scores = nrjax.score_batch(features, classes, mesh=one_device("samples"))
    assert scores.dtype == np.float64
    assert float(scores[0]) == pytest.approx(neuralrank(features[0], classes), abs=1e-9)


BAD = {
    "axes": ({"mesh": one_device("batch")}, ValueError, "mesh must have axes named models or samples, or both"),
    "no mesh": ({"mesh": 4}, TypeError, "mesh must be a jax.sharding.Mesh; got int"),
    "svd": ({"mesh": one_device("samples"), "solver": "svd"}, ValueError, "samples cannot be split"),
    "blockwise": ({"mesh": one_device("samples"), "method": "blockwise"}, ValueError, "samples cannot be split"),
    "euclidean": ({"mesh": one_device("samples"), "distance": "euclidean"}, ValueError, "for distance cosine and"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    options, error, words = BAD[case]
    with pytest.raises(error, match=words):
        nrjax.score_batch(np.ones((2, 60, 40)), np.arange(60) % 3, **options)


@pytest.mark.parametrize("guard", ["by their size", "by the device's refusal"])
def test_models_that_do_not_fit_go_one_part_after_another(monkeypatch, guard):
    features, classes = np.stack([blobs(60, 40, 3, seed=s)[0] for s in range(5)]), blobs(60, 40, 3)[1]
    alone, parts = nrjax.score_batch(features, classes), []
    score = sharding._score_together

    def counted(part, *rest):
        if guard == "by the device's refusal" and len(part) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        parts.append(len(part))
        return score(part, *rest)

    monkeypatch.setattr(sharding, "_score_together", counted)
    if guard == "by their size":
        monkeypatch.setattr(sharding, "models_that_fit", lambda size: 2 if size == features[0].nbytes else 99)
        on_mesh = nrjax.score_batch(features, classes, mesh=one_device("models"))
    else:
        with pytest.warns(RuntimeWarning, match="5 models at once do not fit"):
            on_mesh = nrjax.score_batch(features, classes, mesh=one_device("models"))
    assert parts == [2, 2, 1]
    np.testing.assert_allclose(on_mesh, alone, atol=1e-6)


def test_features_that_are_not_finite_name_the_model():
    features = np.random.default_rng(0).normal(size=(3, 60, 40))
    features[1, 7, 7] = np.nan
    with pytest.raises(ValueError, match=r"Model 1: features must be finite \(1 of 3"):
        nrjax.score_batch(features, np.arange(60) % 3, mesh=one_device("samples"))
    features[1, 7, 7], features[2, 3, 3] = 0, np.inf
    with pytest.raises(ValueError, match=r"Model 2: features must be finite"):
        nrjax.score_batch(features, np.arange(60) % 3, mesh=one_device("models"))
    with pytest.raises(ValueError, match=r"one row for each of the 50 labels; got \(3, 60, 40\)"):
        nrjax.score_batch(features, np.arange(50) % 3, mesh=one_device("samples"))
