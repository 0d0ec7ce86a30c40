"""The models that every process of the mesh tests scores: more than divides evenly, and one that Krylov cannot do."""

import numpy as np

from tests.oracles import blobs

SAMPLES, DIMS, CLASSES = 1003, 400, 5


def labels() -> np.ndarray:
    return blobs(SAMPLES, DIMS, CLASSES)[1]


def stack() -> np.ndarray:
    scales = 1 / np.arange(1, DIMS + 1)
    easy = [blobs(SAMPLES, DIMS, CLASSES, separation=s, seed=i)[0] * scales for i, s in enumerate((0.2, 0.5, 1, 2, 4))]
    return np.stack([*easy, blobs(SAMPLES, DIMS, CLASSES, separation=0.1)[0]]).astype(np.float32)
