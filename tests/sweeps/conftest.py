import numpy as np
import pytest

from tests.sweeps.faulty import Linear


@pytest.fixture
def samples():
    """Arrays of three classes, and their labels."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    return rng.normal(size=(60, 6)).astype(np.float32) + labels[:, None], labels


@pytest.fixture
def models():
    return {f"m{seed}": Linear(seed) for seed in range(4)}
