"""The training commands end to end at smoke size: structure and determinism, not accuracy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

import nrjax
from benchmarks.paper import train
from benchmarks.paper.convolution import blocked_convolution, matmul_convolution
from benchmarks.paper.training import Recipe
from benchmarks.paper.training import train as train_models
from benchmarks.paper.zoos import Spec, specs
from nrjax.datasets import Dataset
from nrjax.models import PaperCNN, same_convolution


@pytest.fixture
def noise(monkeypatch):
    """In place of TFDS: noise with ten classes, so that the test needs no data."""

    def load_dataset(name, split, **options):
        rng = np.random.default_rng([len(name), len(split)])
        labels = np.arange(200) % 10
        return Dataset(rng.integers(0, 255, (200, 28, 28, 1)).astype(np.uint8), labels, tuple("0123456789"))

    monkeypatch.setattr(train, "load_dataset", load_dataset)


def run(*arguments):
    return CliRunner().invoke(train.main, [str(a) for a in arguments])


def test_the_nine_models_of_table_1():
    assert [spec.name for spec in specs("full")] == [
        "M10",
        "M0-4",
        "M5-9",
        "F10",
        "F0-4",
        "F5-9",
        "C10",
        "C0-4",
        "C5-9",
    ]
    assert specs("512")[1] == Spec("F0-4", "fashion_mnist", "0-4", "512")
    assert specs("512")[1].config == {"classes": 5, "conv_features": (32, 64), "dense_features": 512}


def test_trains_a_zoo_that_can_be_ranked_resumes_and_is_deterministic(tmp_path, noise):
    done = run(tmp_path / "one", "--variant", "demo", "--epochs", 1)
    assert done.exit_code == 0, done.output
    zoo = nrjax.load_zoo(tmp_path / "one")
    assert sorted(zoo) == sorted(spec.name for spec in specs("demo"))
    assert zoo.info("C0-4").tags["recipe"] == {
        "steps": None,
        "epochs": 1,
        "batch_size": 100,
        "learning_rate": 1e-3,
        "seed": 0,
    }
    kept = (tmp_path / "one" / "M10" / "weights.safetensors").stat().st_mtime_ns
    lost = (tmp_path / "one" / "C5-9" / "weights.safetensors").read_bytes()
    for file in (tmp_path / "one" / "C5-9").iterdir():
        file.unlink()
    (tmp_path / "one" / "C5-9").rmdir()
    assert run(tmp_path / "one", "--variant", "demo", "--epochs", 1).exit_code == 0
    assert (tmp_path / "one" / "M10" / "weights.safetensors").stat().st_mtime_ns == kept
    assert (tmp_path / "one" / "C5-9" / "weights.safetensors").read_bytes() == lost
    other = run(tmp_path / "one", "--variant", "demo", "--epochs", 2)
    assert other.exit_code == 1
    assert "trained with another configuration or recipe" in other.output


def test_dataset_that_is_not_prepared(tmp_path):
    done = run(tmp_path / "zoo", "--data-dir", tmp_path)
    assert done.exit_code == 1
    assert "tfds build cifar10" in done.output


@pytest.mark.parametrize("convolution", [blocked_convolution, matmul_convolution])
@pytest.mark.parametrize(("samples", "channels"), [(10, 1), (7, 16), (30, 20)])
def test_training_convolutions_are_the_convolution(samples, channels, convolution):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(samples, 8, 6, channels)), rng.normal(size=(5, 5, channels, 4))
    weights = rng.normal(size=(samples, 8, 6, 4))
    x, kernel, weights = (jnp.asarray(a, jnp.float32) for a in (x, kernel, weights))

    def loss(convolve):
        return lambda x, kernel: jnp.sum(weights * convolve(x, kernel))

    ours, theirs = (jax.jit(jax.value_and_grad(loss(f), (0, 1)))(x, kernel) for f in (convolution, same_convolution))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), ours, theirs)


def test_seeds_trained_together_are_those_trained_alone():
    """What accelerators do; in float32, so Adam's first steps agree to a few digits."""
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, 255, (60, 8, 8, 1)).astype(np.uint8), np.arange(60) % 3, ("a", "b", "c"))
    module = PaperCNN(3, (2, 3), 8, dropout=0.4, convolve=matmul_convolution)
    recipes = [Recipe(steps=6, batch_size=20, seed=seed) for seed in (0, 1)]
    alone, together = (train_models(module, data, recipes, together=which) for which in (False, True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), alone, together)
    first, second = (np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(v)]) for v in together)
    assert np.abs(first - second).max() > 0.1
