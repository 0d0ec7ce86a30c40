"""Values that are hard for floating point, beside what is right: by another route in float64 or longdouble."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nrjax
from nrjax import kernels
from tests.oracles import blobs


def model_of(features, labels, score, **options):
    return nrjax.rank_batch({"m": features}, labels, scores=score, **options).models[0]


def score_of(features, labels, score):
    """A score that is not flagged."""
    model = model_of(features, labels, score)
    assert all("have a twin" in doubt for doubt in model.uncertain.values())
    return model.scores[score]


# -- ties ----------------------------------------------------------------------------------------------------------
def neighbours(features, labels):
    """Share of samples whose class has most votes; those as far as the fifth share what is left of five votes."""
    rows = features.astype(np.longdouble)
    lengths = np.sqrt((rows * rows).sum(axis=1))
    rows, hits = rows / np.where(lengths > 0, lengths, 1)[:, None], []
    for i, row in enumerate(rows):
        far = ((rows - row) ** 2).sum(axis=1)
        far[(lengths == 0) | (lengths[i] == 0)] = 2
        far[i] = np.inf
        fifth = np.sort(far)[4]
        nearer, tied = far < fifth - 1e-13, np.abs(far - fifth) <= 1e-13
        votes = [np.bincount(labels[some], minlength=labels.max() + 1) for some in (nearer, tied)]
        hits.append(np.argmax(votes[0] * tied.sum() + (5 - nearer.sum()) * votes[1]) == labels[i])
    return np.mean(hits)


def dead(rng, labels):
    features = np.zeros((len(labels), 8), np.float32)
    features[0] = 1
    return features


def constant_rows(rng, labels):
    features = rng.normal(size=(len(labels), 5))
    features[rng.random(len(labels)) < 0.7] = [1, 2, 3, 0.1, 0.7]
    return features.astype(np.float32)


TIES = {
    "dead": dead, "constant rows": constant_rows,
    "one-hot": lambda rng, labels: 0.37 * np.eye(12)[rng.integers(0, 12, len(labels))],
    "binary": lambda rng, labels: (rng.random((len(labels), 6)) < 0.3 + 0.1 * labels[:, None]).astype(np.float32),
    "sparse": lambda rng, labels: np.maximum(rng.normal(size=(len(labels), 20)) - 2, 0).astype(np.float32),
}  # fmt: skip


@pytest.mark.parametrize("kind", TIES)
def test_neighbours_that_are_tied_share_their_votes(kind):
    rng = np.random.default_rng(0)
    labels = np.sort(rng.choice(4, 200, p=[0.1, 0.2, 0.3, 0.4]))
    features = TIES[kind](rng, labels)
    right = neighbours(features, labels)
    for order in (slice(None), slice(None, None, -1), rng.permutation(200)):
        assert score_of(features[order], labels[order], "knn") == pytest.approx(right, abs=1e-6)


def gbc(features, labels):
    rows = features.astype(np.longdouble) - features.mean(axis=0, dtype=np.longdouble)
    left, values, _ = np.linalg.svd(rows.astype(float), full_matrices=False)
    points = (left * np.where(values > 1e-12 * values[0], values, 0))[:, :64]
    classes = range(labels.max() + 1)
    means = np.array([points[labels == c].mean(axis=0) for c in classes])
    variances = np.maximum([points[labels == c].var(axis=0) for c in classes], 1e-4)
    middle = (variances[:, None] + variances) / 2
    distances = ((means[:, None] - means) ** 2 / middle).sum(axis=-1) / 8
    distances += np.log(middle / np.sqrt(variances[:, None] * variances)).sum(axis=-1) / 2
    return -np.exp(-distances)[~np.eye(len(means), dtype=bool)].sum()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e25])
@pytest.mark.parametrize(("samples", "dims"), [(40, 100), (30, 500), (60, 30)])
def test_gbc_at_every_scale(samples, dims, scale):
    rng, labels = np.random.default_rng(samples), np.arange(samples) % 3
    spread = np.geomspace(1, 0.01, dims)
    features = scale * spread * (rng.normal(size=(samples, dims)) + 0.5 * rng.normal(size=(3, dims))[labels])
    for dtype in (np.float32, np.float64):
        given = features.astype(dtype)
        assert score_of(given, labels, "gbc") == pytest.approx(gbc(given, labels), rel=1e-3)


def test_gbc_of_components_that_are_tied():
    """All of 19 are kept, and a rotation changes nothing; of 99 it is not determined which 64 are."""
    few, many = np.arange(100) % 20, np.arange(500) % 100
    features = 0.09 * np.eye(20)[few]
    assert score_of(features, few, "gbc") == pytest.approx(gbc(features, few), rel=1e-6)
    assert "gbc" in model_of(0.09 * np.eye(100)[many], many, "gbc").uncertain


# -- far out -------------------------------------------------------------------------------------------------------
def evidence(features, labels):
    """LogME on a fine grid of its one free number."""
    samples, logs = len(labels), []
    left, values, _ = np.linalg.svd(features, full_matrices=False)
    for c in np.unique(labels):
        target = (labels == c).astype(float)
        turned = left.T @ target
        r = np.exp(np.linspace(np.log(values[-1] ** 2) - 12, np.log(values[0] ** 2) + 14, 20001))[:, None]
        fit = np.sum(turned**2 * r / (values**2 + r), axis=1) + np.sum((target - left @ turned) ** 2)
        volume = np.sum(np.log1p(values**2 / r), axis=1) / 2
        logs.append(np.max(-samples / 2 * (np.log(2 * np.pi * fit / samples) + 1) - volume) / samples)
    return np.mean(logs)


@pytest.mark.parametrize("seed", [802, 0, 1, 2])
@pytest.mark.parametrize("size", [1e4, 1e8])
def test_logme_finds_the_higher_of_two_maxima(seed, size):
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 4
    features = rng.normal(size=(60, 30)) + 0.7 * rng.normal(size=(4, 30))[labels] / 3**0.5
    features[rng.integers(60), rng.integers(30)] = size
    features = features.astype(np.float32)
    assert score_of(features, labels, "logme") == pytest.approx(evidence(features.astype(float), labels), abs=1e-4)


@pytest.mark.parametrize("kind", ["sample", "entry", "column"])
def test_a_stream_with_something_far_out(kind):
    features, labels = blobs(300, 40, 5, separation=1.5)
    where = {"sample": np.s_[250], "entry": np.s_[250, 3], "column": np.s_[:, 3]}[kind]
    features[where] *= 1e8
    right = score_of(features, labels, "silhouette")
    for size in (300, 60):
        batches = [(features[i : i + size], labels[i : i + size]) for i in range(0, 300, size)]
        assert nrjax.score_stream(batches) == pytest.approx(right, abs=1e-6)


def test_a_stream_says_that_components_are_tied():
    labels = np.arange(80) % 20
    with pytest.warns(RuntimeWarning, match="score_stream: which components lead is not determined"):
        nrjax.score_stream([(np.eye(20)[labels], np.arange(80) % 3)])


def regularized(features, labels):
    rows = features.astype(np.longdouble)
    rows = rows - rows.mean(axis=0)
    (samples, dims), rows = rows.shape, rows / np.abs(rows).max()
    gram = rows.T @ rows / samples
    variance, squared = np.trace(gram) / dims, (gram * gram).sum()
    beta = (((rows * rows).sum(axis=1) ** 2).sum() / samples - squared) / (dims * samples)
    shrinkage = np.clip(beta / ((squared - dims * variance**2) / dims), 0, 1)
    covariance = (1 - shrinkage) * gram + shrinkage * variance * np.eye(dims)
    means = np.array([rows[labels == c].mean(axis=0) * np.sqrt(np.sum(labels == c)) for c in np.unique(labels)])
    between = (means.T @ means / (samples - 1)).astype(float)
    return float((1 - shrinkage) * np.trace(np.linalg.solve(covariance.astype(float), between)))


@pytest.mark.parametrize("kind", ["entry", "sample", "column", "offset"])
def test_regularized_h_score_with_something_far_out(kind):
    features, labels = blobs(80, 30, 4)
    features = features + 1e4 if kind == "offset" else features
    where = {"entry": np.s_[50, 3], "sample": np.s_[50], "column": np.s_[:, 3], "offset": np.s_[:0]}[kind]
    features[where] *= 1e5
    features = features.astype(np.float32)
    assert score_of(features, labels, "regularized_h_score") == pytest.approx(regularized(features, labels), abs=1e-3)


# -- exact, tiny and constant numbers ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.int32, 2**24), (np.int64, 2**40), (np.uint32, 2**20), (np.float64, 2**22)]
)
def test_h_score_of_whole_numbers(dtype, largest):
    rng = np.random.default_rng(0)
    labels, numbers = rng.integers(0, 2, 400), rng.integers(0, largest - 2, 400)
    assert score_of(np.stack([numbers, numbers + labels], axis=1).astype(dtype), labels, "h_score") == pytest.approx(1)
    rounded = np.stack([numbers / 3, numbers / 3 + labels * numbers * 1e-9], axis=1).astype(np.float32)
    assert model_of(rounded.astype(np.float64), labels, "h_score").scores["h_score"] < 0.1


SCALE_FREE = ("silhouette", "probe", "knn", "logme", "h_score", "regularized_h_score", "transrate", "clusters")


@pytest.mark.parametrize(("dtype", "power"), [(np.float64, -1060), (np.float64, -1030), (np.float32, -140)])
def test_numbers_that_xla_takes_for_zero(dtype, power):
    features, labels = blobs(60, 30, 4)
    tiny = np.ldexp(features.astype(dtype), power)
    again = np.ldexp(tiny, -power).astype(np.float64)  # what is left of their digits
    right = nrjax.rank_batch({"m": again}, labels, scores=SCALE_FREE).models[0].scores
    model = nrjax.rank_batch({"m": tiny}, labels, scores=(*SCALE_FREE, "gbc")).models[0]
    for name in SCALE_FREE:
        assert model.scores[name] == pytest.approx(right[name], rel=1e-3), name
    assert model.scores["gbc"] == -12  # all is below the floor
    assert nrjax.silhouette_score(tiny, labels) == pytest.approx(nrjax.silhouette_score(again, labels), abs=1e-5)


@pytest.mark.parametrize("constant", [3.3e3, 1e9 / 3, 1e12 / 3])
def test_a_constant_column_hides_nothing(constant):
    for samples, dims in ((60, 8), (40, 60)):
        features, labels = blobs(samples, dims, 4, separation=1.2)
        without, beside = (np.pad(features, ((0, 0), (0, 1)), constant_values=value) for value in (0, constant))
        names = ("silhouette", "probe", "regularized_h_score", "transrate", "gbc")
        right = nrjax.rank_batch({"m": without}, labels, scores=names).models[0].scores
        model = nrjax.rank_batch({"m": beside}, labels, scores=(*names, "knn")).models[0]
        assert model.uncertain == {}
        assert {name: model.scores[name] for name in names} == pytest.approx(right, rel=1e-3)


def test_clusters_of_samples_in_another_order():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 8)).astype(np.float32)
    models = {"given": features, "permuted": features[rng.permutation(100)], "reversed": features[::-1].copy()}
    ranking = nrjax.rank_batch(models, None)
    for name in ("clusters", "stability"):
        assert np.ptp(list(ranking.column(name).values())) == 0


# -- intervals and derivatives -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("per_class", "least"), [(2, 0.85), (3, 0.8)])
def test_intervals_of_classes_of_few(per_class, least):
    """Of silhouettes, whose halves have classes of one."""
    held = []
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        centres = 1.5 * rng.normal(size=(10, 12)) * rng.choice([0.4, 0.7, 1.0])
        many, few = rng.integers(0, 10, 3000), np.repeat(np.arange(10), per_class)
        truth, drawn = (
            model_of((rng.normal(size=(len(y), 12)) + centres[y]).astype(np.float32), y, "silhouette", confidence=True)
            for y in (many, few)
        )
        low, high = drawn.interval
        assert -1 <= low <= high <= 1
        held.append(low <= truth.score <= high)
    assert np.mean(held) >= least


def test_no_interval_of_classes_of_one():
    features, _ = blobs(40, 6, 4)
    model = model_of(features, np.minimum(np.arange(40), 30), "silhouette", confidence=True)
    assert model.interval is None
    assert "has no interval, for too many classes have one sample" in model.uncertain["silhouette"]


@pytest.mark.parametrize("samples", [40, 600, 1200])
@pytest.mark.parametrize("score", ["probe", "knn"])
def test_a_perfect_accuracy_may_be_luck(score, samples):
    rng, labels = np.random.default_rng(3), np.arange(samples) % 4
    features = (rng.normal(size=(samples, 8)) + 9 * np.eye(4, 8)[labels]).astype(np.float32)
    model = model_of(features, labels, score, confidence=True)
    assert model.score == 1
    assert model.interval[1] == 1
    assert model.interval[0] <= samples / (samples + 1.6448**2)  # Wilson's


@pytest.mark.parametrize("score", ["balanced_probe", "balanced_knn", "average_precision"])
def test_a_perfect_mean_over_classes_may_be_luck(score):
    rng, samples = np.random.default_rng(3), 40
    labels = np.arange(samples) % (2 if score == "average_precision" else 4)
    features = (rng.normal(size=(samples, 8)) + 12 * np.eye(4, 8)[labels]).astype(np.float32)
    model = model_of(features, labels, score, confidence=True)
    assert model.score == pytest.approx(1)
    assert model.interval[1] == 1
    assert model.interval[0] <= samples / (samples + 1.6448**2)


def test_a_perfect_precision_of_labels_may_be_luck():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, (40, 3))
    features = np.hstack([9.0 * labels, rng.normal(size=(40, 3))]).astype(np.float32)
    model = nrjax.rank_batch({"m": features}, labels, scores="probe", confidence=True).models[0]
    assert model.score == pytest.approx(1)
    assert model.interval[0] <= 40 / (40 + 1.6448**2)


@pytest.mark.parametrize(("samples", "dims"), [(24, 6), (20, 40), (700, 5)])
@pytest.mark.parametrize("name", ["transrate", "logme"])
def test_derivatives(name, samples, dims):
    with jax.enable_x64(True), warnings.catch_warnings():
        rng, labels = np.random.default_rng(0), jnp.arange(samples) % 3
        features, step = (jnp.asarray(rng.normal(size=(samples, dims))) for _ in range(2))
        kernel = jax.jit(lambda x: getattr(kernels, name)(x, labels, n_classes=3))
        slope = float(kernel(features + 1e-6 * step) - kernel(features - 1e-6 * step)) / 2e-6
        assert float(jnp.sum(jax.jit(jax.grad(kernel))(features) * step)) == pytest.approx(slope, abs=1e-7)


def test_neighbours_on_a_line_in_float32_are_not_certain():
    """Rows of rank one differ in direction by their rounding alone, which another order of samples rounds otherwise."""
    rng = np.random.default_rng(0)
    features = np.outer(rng.normal(size=80), rng.normal(size=12)).astype(np.float32)
    model = nrjax.rank_batch({"m": features}, np.arange(80) % 4, scores="knn").models[0]
    assert "it may be off by" in model.uncertain["knn"]
    certain = nrjax.rank_batch({"m": np.sign(features)}, np.arange(80) % 4, scores="knn").models[0]
    assert "off by" not in certain.uncertain.get("knn", "")  # directions that are equal are no rounding
