"""The numbers printed in the paper, as read from `neuralrank.md`."""

from benchmarks.paper.zoos import FIVE_BEST

MODELS = ("M10", "M0-4", "M5-9", "F10", "F0-4", "F5-9", "C10", "C0-4", "C5-9")
LAYERS = ("L0", "L1", "L2", "L3", "L4", "L5")
SIX = (*FIVE_BEST, *(f"{name}-512" for name in FIVE_BEST))  # the columns of Table 6


def _row(names, *values: float) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


TABLE_2 = {
    "M10": _row(LAYERS, 0.346, 0.361, 0.396, 0.480, 0.548, 0.784),
    "M0-4": _row(LAYERS, 0.346, 0.369, 0.409, 0.477, 0.544, 0.821),
    "M5-9": _row(LAYERS, 0.346, 0.360, 0.393, 0.391, 0.455, 0.463),
    "F10": _row(LAYERS, 0.346, 0.306, 0.343, 0.275, 0.359, 0.248),
    "F0-4": _row(LAYERS, 0.346, 0.328, 0.366, 0.257, 0.356, 0.276),
    "F5-9": _row(LAYERS, 0.346, 0.276, 0.315, 0.272, 0.350, 0.210),
    "C10": _row(LAYERS, 0.346, 0.329, 0.367, 0.313, 0.368, 0.293),
    "C0-4": _row(LAYERS, 0.346, 0.351, 0.380, 0.337, 0.394, 0.315),
    "C5-9": _row(LAYERS, 0.346, 0.324, 0.361, 0.325, 0.389, 0.303),
}
TABLE_3 = _row(MODELS, 0.099, 0.081, 0.061, 0.499, 0.540, 0.082, 0.212, 0.182, 0.180)
TABLE_4 = _row(MODELS, 0.862, 0.871, 0.859, 0.942, 0.943, 0.875, 0.892, 0.886, 0.883)
TABLE_5 = {
    "mnist": {
        "score": _row(MODELS, 0.671, 0.723, 0.419, 0.226, 0.231, 0.189, 0.301, 0.305, 0.304),
        "accuracy": _row(MODELS, 0.998, 0.998, 0.992, 0.987, 0.975, 0.977, 0.986, 0.982, 0.986),
    },
    "fashion": {
        "score": _row(MODELS, 0.174, 0.134, 0.107, 0.418, 0.436, 0.170, 0.235, 0.195, 0.212),
        "accuracy": _row(MODELS, 0.881, 0.864, 0.868, 0.939, 0.939, 0.878, 0.883, 0.855, 0.876),
    },
}
TABLE_6 = {
    "score": _row(SIX, 0.499, 0.540, 0.212, 0.182, 0.180, 0.476, 0.561, 0.191, 0.185, 0.160),
    "accuracy": _row(SIX, 0.940, 0.940, 0.893, 0.881, 0.879, 0.946, 0.946, 0.851, 0.863, 0.868),
}
