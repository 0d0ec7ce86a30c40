import os
from pathlib import Path

import jax
import numpy as np
import pytest

import nrjax
from nrjax.models import PaperCNN

TFDS_DIR = Path(os.environ.get("TFDS_DATA_DIR", Path.home() / "tensorflow_datasets"))
TINY = {"classes": 3, "conv_features": [2, 3], "dense_features": 8}


@pytest.fixture(scope="session")
def mnist_dir():
    """Where TFDS keeps MNIST; tests on real data skip where it is not prepared."""
    return _prepared("mnist")


@pytest.fixture(scope="session")
def fashion_dir():
    return _prepared("fashion_mnist")


def _prepared(name):
    if not any(TFDS_DIR.glob(f"{name}/*/*.array_record*")):
        pytest.skip(f"{name} is not prepared in {TFDS_DIR}: real-data tests need ../shared/data or a TFDS download")
    return TFDS_DIR


def tiny_variables(seed=0, **changes):
    config = TINY | changes
    module = PaperCNN(config["classes"], tuple(config["conv_features"]), config["dense_features"])
    return module, module.init(jax.random.key(seed), np.zeros((1, 8, 8, 1), np.float32))


@pytest.fixture
def save_tiny():
    """Saves a small model of the paper's family into a zoo."""

    def save(zoo, name, seed=0, **options):
        _, variables = tiny_variables(seed)
        arguments = {"architecture": "paper_cnn", "config": TINY, "input_shape": (8, 8, 1)} | options
        return nrjax.save_model(zoo, name, variables, **arguments)

    return save


@pytest.fixture
def tiny_images():
    """uint8 images of three classes that differ in brightness, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    return (rng.integers(0, 90, (40, 8, 8, 1)) + 80 * labels[:, None, None, None]).astype(np.uint8), labels
