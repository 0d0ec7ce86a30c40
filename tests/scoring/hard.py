"""Features on which arithmetic fails, by kinds that people have met: `HARD[kind](samples, dims, classes, seed)`."""

from collections.abc import Callable

import ml_dtypes
import numpy as np

Kind = Callable[[int, int, int, int], tuple[np.ndarray, np.ndarray]]

SHAPES = [(150, 40, 5), (60, 200, 4), (300, 50, 5), (600, 48, 5), (100, 100, 4)]
OWN_SHAPES = {
    "1,000 classes": [(5000, 40, 1000)],
    "1,000 classes far apart": [(5000, 40, 1000)],
    "three samples": [(3, 40, 2), (3, 2, 2), (3, 1, 2)],
}
# The largest error, and the size from which on it is relative (None: never). Of accuracies see `allowed`.
TOLERANCE: dict[str, tuple[float, float | None]] = {
    "silhouette": (1e-5, None),
    "probe": (1.5, None),
    "knn": (1.5, None),
    "logme": (1e-4, None),
    "h_score": (1e-3, None),
    "regularized_h_score": (1e-3, None),
    "transrate": (1e-3, 1e-3),
    "gbc": (1e-5, 1e-4),
    "leep": (1e-5, None),
    "nce": (1e-5, None),
}
ACCURACIES = ("probe", "knn")


def shapes_of(kind: str) -> list[tuple[int, int, int]]:
    """Samples, dims and classes in which to try a kind."""
    return OWN_SHAPES.get(kind, SHAPES)


def allowed(name: str, samples: int, undecided: float = 0.0) -> float:
    """The largest `error`; of an accuracy one sample and a half, or those that hang on a tie."""
    return max(TOLERANCE[name][0] / samples, undecided + 1e-6) if name in ACCURACIES else TOLERANCE[name][0]


def error(name: str, got: float, right: float, also: tuple[float, ...] = ()) -> float:
    """How far from `right`, or from what lies between it and `also`; of |right| or the least size where relative."""
    floor = TOLERANCE[name][1]
    low, high = min((right, *also)), max((right, *also))
    off = 0.0 if low <= got <= high else min(abs(got - low), abs(got - high))
    return off if floor is None else off / max(abs(right), floor)


def _base(samples: int, dims: int, classes: int, seed: int, by: float = 0.5):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(samples) % classes).astype(np.int32)
    return rng, rng.normal(size=(samples, dims)) + by * rng.normal(size=(classes, dims))[labels], labels


HARD: dict[str, Kind] = {}


def _kind(name: str, dtype=np.float32):
    """Registers `make(rng, x, y)` -> features, from Gaussian classes x and their labels y."""

    def register(make):
        def features_and_labels(samples, dims, classes, seed=0):
            rng, x, y = _base(samples, dims, classes, seed)
            made = make(rng, x, y)
            features, labels = made if isinstance(made, tuple) else (made, y)
            return np.asarray(features).astype(dtype), labels

        HARD[name] = features_and_labels
        return make

    return register


@_kind("tame")
def _tame(rng, x, y):
    return x


@_kind("zero columns")
def _zero_columns(rng, x, y):
    return np.concatenate([x, np.zeros((len(x), 2 * x.shape[1]))], axis=1)[:, rng.permutation(3 * x.shape[1])]


@_kind("constant columns")
def _constant_columns(rng, x, y):
    constant = np.tile(rng.normal(size=x.shape[1]) * 10, (len(x), 1))
    return np.concatenate([x, constant], axis=1)[:, rng.permutation(2 * x.shape[1])]


@_kind("copied columns")
def _copied_columns(rng, x, y):
    return np.concatenate([x, x[:, : x.shape[1] // 2], 2 * x[:, : x.shape[1] // 4]], axis=1)


@_kind("columns that are sums of others")
def _sums(rng, x, y):
    x = x.astype(np.float32)
    return np.concatenate([x, x[:, :-1] + x[:, 1:]], axis=1)


for _rank in (3, 12):

    @_kind(f"bottleneck of {_rank}")
    def _bottleneck(rng, x, y, rank=_rank):
        return x[:, :rank].astype(np.float32) @ rng.normal(size=(rank, x.shape[1])).astype(np.float32)


@_kind("isometry into more dims")
def _isometry(rng, x, y):
    width = x.shape[1]
    return x.astype(np.float32) @ np.linalg.qr(rng.normal(size=(3 * width, width)))[0].T.astype(np.float32)


@_kind("wide")
def _wide(rng, x, y):
    return np.concatenate([x, rng.normal(size=(len(x), 2 * len(x)))], axis=1)


for _offset in ("100", "1e4", "1e6"):

    @_kind(f"offset {_offset}")
    def _offsets(rng, x, y, offset=_offset):
        return x + float(offset)


@_kind("offset 1e8, float64", np.float64)
def _offset_in_float64(rng, x, y):
    return x + 1e8


@_kind("column with an offset of 1e6")
def _one_offset(rng, x, y):
    return x + 1e6 * (np.arange(x.shape[1]) == 1)


@_kind("one direction dominates, x1e3")
def _one_direction(rng, x, y):
    return x[:, :1] + 1e-3 * x


for _factor in ("30", "100", "1000", "1e5"):

    @_kind(f"one column x{_factor}")
    def _one_column(rng, x, y, factor=_factor):
        x[:, 0] *= float(factor)
        return x


for _far in ("1e4", "1e5", "1e6", "1e7"):

    @_kind(f"one entry {_far}")
    def _one_entry(rng, x, y, far=_far):
        x[7 % len(x), 3 % x.shape[1]] = float(far)
        return x


@_kind("one sample x1e6")
def _one_sample(rng, x, y):
    x[0] *= 1e6
    return x


@_kind("one class at 1e4")
def _one_class(rng, x, y):
    x[y == 0] += 1e4 * rng.normal(size=x.shape[1])
    return x


@_kind("collapsed")
def _collapsed(rng, x, y):
    return np.tile(x[:1], (len(x), 1)) + 3


@_kind("all zero")
def _all_zero(rng, x, y):
    return 0 * x


@_kind("collapsed but for rounding")
def _collapsed_but_for_rounding(rng, x, y):
    mean = np.float32(1 + np.abs(x[:1]))
    return mean * (1 + np.finfo(np.float32).eps * rng.integers(-1, 2, x.shape))


@_kind("near collapsed, 4 eps")
def _near_collapsed(rng, x, y):
    return np.abs(x[:1]) + 1 + 4 * np.finfo(np.float32).eps * x


@_kind("near collapsed, 1e-4")
def _less_near_collapsed(rng, x, y):
    return np.abs(x[:1]) + 1 + 1e-4 * x


@_kind("rows are class means")
def _class_means(rng, x, y):
    return rng.normal(size=(y.max() + 1, x.shape[1])).astype(np.float32)[y]


@_kind("class means and 1e-5")
def _nearly_class_means(rng, x, y):
    return rng.normal(size=(y.max() + 1, x.shape[1]))[y] + 1e-5 * x


@_kind("one-hot rows")
def _one_hot(rng, x, y):
    near = x[:, : min(12, x.shape[1])].argmax(axis=1)
    return np.eye(x.shape[1])[near]


@_kind("sparse ReLU")
def _sparse(rng, x, y):
    return np.maximum(x - 1.5, 0)


@_kind("1,000 classes")
def _thousand(rng, x, y):
    return x


@_kind("1,000 classes far apart")
def _thousand_far(rng, x, y):
    return x + 2 * rng.normal(size=(y.max() + 1, x.shape[1]))[y]


@_kind("a class of one")
def _class_of_one(rng, x, y):
    first = np.flatnonzero(y == 0)
    y = y.copy()
    y[first[1:]] = 1
    return x, y


@_kind("two classes")
def _two_classes(rng, x, y):
    return x, (y > 0).astype(np.int32)


@_kind("two classes of equal size and direction")
def _two_lines(rng, x, y):
    y = (np.arange(len(x)) % 2).astype(np.int32)
    return np.outer(2 * y - 1, x[0]) + 1e-3 * x, y


@_kind("three samples")
def _three(rng, x, y):
    return x


for _power in (60, 110, 120, -60, -110, -120):

    @_kind(f"x2^{_power}")
    def _power_of_two(rng, x, y, power=_power):
        return np.ldexp(x.astype(np.float32), power)


@_kind("columns 1 to 1e-4, rotated")
def _rotated(rng, x, y):
    return (x * np.geomspace(1, 1e-4, x.shape[1])) @ np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0]


@_kind("columns 1e3 to 1e-3")
def _mixed(rng, x, y):
    return x * np.geomspace(1e3, 1e-3, x.shape[1])


@_kind("rows of very different lengths")
def _lengths(rng, x, y):
    return x * np.geomspace(1e-4, 1e4, len(x))[rng.permutation(len(x)), None]


@_kind("whitened")
def _whitened(rng, x, y):
    left = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[0]
    return left[:, : min(len(x) - 1, x.shape[1])] * np.sqrt(len(x))


@_kind("white noise")
def _noise(rng, x, y):
    return rng.normal(size=x.shape)


@_kind("slow decay")
def _slow_decay(rng, x, y):
    return (x * np.linspace(1, 0.01, x.shape[1])) @ np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0]


@_kind("int64, large", np.int64)
def _int64(rng, x, y):
    return np.round(1e6 * x).astype(np.int64) + 2**55


@_kind("uint8", np.uint8)
def _uint8(rng, x, y):
    return np.clip(np.round(40 * x + 128), 0, 255)


@_kind("bfloat16", ml_dtypes.bfloat16)
def _bfloat16(rng, x, y):
    return x


@_kind("float16", np.float16)
def _float16(rng, x, y):
    return x + 10


@_kind("parallel rows, one column")
def _one_positive_column(rng, x, y):
    return np.abs(x[:, :1]) + 1


@_kind("parallel rows")
def _parallel(rng, x, y):
    return np.outer(np.exp2(rng.integers(-3, 4, len(x))), x[0])


@_kind("rows parallel but for 1e-4")
def _nearly_parallel(rng, x, y):
    return np.outer(np.abs(x[:, 0]) + 1, rng.normal(size=x.shape[1])) * (1 + 1e-4 * x)


@_kind("rows twice")
def _twice(rng, x, y):
    half = (len(x) + 1) // 2
    return np.concatenate([x[:half], x[:half]])[: len(x)], np.concatenate([y[:half], y[:half]])[: len(x)]


@_kind("rows six times, in six places")
def _six_times(rng, x, y):
    return x[np.arange(len(x)) // 6]
