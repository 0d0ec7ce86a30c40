import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import nrjax
from nrjax import kernels
from nrjax.kernels.influence import silhouette_influence
from nrjax.scoring import confidence
from nrjax.scoring import influences as influence_estimates
from nrjax.scoring import scores as registry
from tests.oracles import blobs, one_line

ROUTES = [("cosine", "linear"), ("cosine", "blockwise"), ("sqeuclidean", "linear"), ("euclidean", "blockwise")]


@pytest.fixture
def own_score():
    """Registers scores for one test."""
    before = dict(registry._KINDS)
    yield nrjax.register_score
    registry._KINDS.clear()
    registry._KINDS.update(before)


@pytest.mark.parametrize("definition", ["rousseeuw", "centroid"])
@pytest.mark.parametrize(("distance", "method"), ROUTES)
def test_influences_are_derivatives(distance, method, definition):
    points, labels = blobs(40, 4, 4)
    points[3] = 0  # a zero vector
    labels[labels == 3], labels[7] = 0, 3  # a class of one sample
    options = {"n_classes": 4, "distance": distance, "method": method, "definition": definition, "block_size": 16}
    with jax.enable_x64(True):
        x, y = jnp.asarray(points, jnp.float64), jnp.asarray(labels)
        influences = silhouette_influence(x, y, **options).influences
        assert np.sum(influences) == pytest.approx(0, abs=1e-9)
        for i in (0, 3, 7, 20):
            step = 1e-6 * np.eye(len(y))[i]
            up, down = (kernels.silhouette_score(x, y, weights=jnp.asarray(1 + s), **options) for s in (step, -step))
            assert influences[i] == pytest.approx(float(up - down) / 2e-6 * len(y), abs=1e-5)


def test_influences_by_way_of_the_components_are_derivatives():
    """Of features with weights: another centre, other components, other silhouettes."""
    rng = np.random.default_rng(0)
    features, labels = blobs(2000, 6, 3, separation=0.5)
    features = (features * [9, 7, 5, 2, 1.5, 1]).astype(np.float64) + rng.normal(size=6)
    with jax.enable_x64(True):

        def images_of(weights):
            centred = features - weights @ features / weights.sum()
            vectors = np.linalg.eigh((centred * weights[:, None]).T @ centred)[1][:, ::-1]
            return jnp.asarray(centred @ vectors)

        def score_of(weights):
            return float(kernels.silhouette_score(
                images_of(weights)[:, :3], jnp.asarray(labels), n_classes=3, weights=jnp.asarray(weights)
            ))  # fmt: skip

        images = images_of(np.ones(len(labels)))
        sampling = silhouette_influence(images[:, :3], jnp.asarray(labels), n_classes=3, others=images[:, 3:])
        fixed = silhouette_influence(images[:, :3], jnp.asarray(labels), n_classes=3)
        some = range(0, len(labels), 50)
        steps = [1e-4 * np.eye(len(labels))[i] for i in some]
        expected = np.array([(score_of(1 + step) - score_of(1 - step)) / 2e-4 for step in steps]) * len(labels)
    off, of_fixed = (np.std(np.asarray(one.influences)[list(some)] - expected) for one in (sampling, fixed))
    assert off < 0.01 * np.std(expected)  # components that are nearly tied turn by less than a derivative says
    assert of_fixed > 0.1 * np.std(expected)


def test_weights_count_samples_as_often():
    points, labels = blobs(50, 4, 3)
    weights = np.random.default_rng(0).integers(0, 2, 50)
    weights[:3] = 1
    chosen = weights.astype(bool)
    whole = kernels.silhouette_score(
        jnp.asarray(points), jnp.asarray(labels), n_classes=3, weights=jnp.asarray(weights, jnp.float32)
    )  # fmt: skip
    assert float(whole) == pytest.approx(nrjax.silhouette_score(points[chosen], labels[chosen]), abs=1e-6)


def test_standard_errors_are_those_of_repeated_draws():
    """Of 200 targets: the mean of the standard errors, and the spread of the scores.

    Of 150 samples it is 16 % too large: which class is nearest then hangs on few samples, twice as much in half
    of them.
    """
    features, labels = blobs(40_000, 6, 4, separation=0.8)
    rng, drawn, widths = np.random.default_rng(0), [], []
    for _ in range(200):
        i = rng.choice(len(labels), 600, replace=False)
        (model,) = nrjax.rank_batch({"m": features[i]}, labels[i], confidence=True).models
        drawn.append(model.score)
        widths.append((model.interval[1] - model.interval[0]) / (2 * 1.645))
    assert np.mean(widths) == pytest.approx(np.std(drawn), rel=0.15)


def test_the_bias_of_few_samples_is_taken_out():
    """Ten classes that hardly differ: the nearest of nine noisy means is too near."""
    features, labels = blobs(20_000, 8, 10, separation=0.3)
    truth = nrjax.rank_batch({"m": features}, labels).scores["m"]
    rng, plain, centred = np.random.default_rng(0), [], []
    for _ in range(60):
        i = rng.choice(len(labels), 200, replace=False)
        (model,) = nrjax.rank_batch({"m": features[i]}, labels[i], confidence=True).models
        plain.append(model.score)
        centred.append((model.interval[0] + model.interval[1]) / 2)
    assert np.mean(plain) < truth - 0.02
    assert abs(np.mean(centred) - truth) < abs(np.mean(plain) - truth) / 3


def test_models_alike_cannot_be_told_apart():
    features, labels = blobs(300, 10, 3)
    worse = features + np.random.default_rng(1).normal(scale=3, size=features.shape).astype(np.float32)
    ranking = nrjax.rank_batch({"a": features, "b": features * 2, "c": worse}, labels, confidence=True)
    a, b, c = ranking.models
    assert a.p_first == pytest.approx(0.5)
    assert b.p_first == pytest.approx(0.5)
    assert c.p_first == 0
    assert (a.group, b.group, c.group) == (1, 1, 2)
    assert a.interval[0] < a.score < a.interval[1]


def test_pairing_tells_apart_what_intervals_do_not():
    """Two models that err on the same samples: their intervals overlap, their difference is sure."""
    features, labels = blobs(300, 10, 3, separation=0.6)
    noise = np.random.default_rng(1).normal(scale=0.25, size=features.shape).astype(np.float32)
    ranking = nrjax.rank_batch({"a": features, "b": features + noise}, labels, confidence=True)
    a, b = ranking.models
    assert a.interval[0] < b.interval[1]
    assert (a.group, b.group) == (1, 2)


@pytest.mark.parametrize("name", ["probe", "knn", "logme", "regularized_h_score", "transrate", "gbc"])
def test_every_score_can_say_how_sure_it_is(name):
    features, labels = blobs(120, 10, 3)
    noise = np.random.default_rng(1).normal(scale=4, size=features.shape).astype(np.float32)
    models = {"good": features, "bad": noise, "short": features[:-1]}
    ranking = nrjax.rank_batch(models, labels, scores=name, confidence=True)
    again = nrjax.rank_batch(models, labels, scores=name, confidence=True)
    assert ranking.to_dict() == again.to_dict()
    good, bad, short = ranking.models
    assert [good.name, bad.name] == ["good", "bad"]
    assert good.p_first > 0.95
    assert (good.group, bad.group) == (1, 2)
    assert good.interval[0] <= good.score <= good.interval[1]
    assert short.interval is None


def test_groups_left_out_give_the_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=1000)
    influences = influence_estimates.influences_of_parts(lambda left: values[left].mean(), np.arange(1000) % 4)
    error = np.sqrt((influences**2).sum() / (len(influences) * (len(influences) - 1)))
    assert error == pytest.approx(values.std() / np.sqrt(1000), rel=0.3)
    assert influences.sum() == pytest.approx(0, abs=1e-9)


def test_few_parts_are_as_wide_as_a_t_distribution():
    values, means = np.random.default_rng(0).normal(size=1000), []

    def without(left):
        means.append(np.delete(values, left).mean())
        return values[left].mean()

    influences = influence_estimates.influences_of_parts(without, np.arange(1000) % 4)
    error = np.sqrt((influences**2).sum() / (len(influences) * (len(influences) - 1)))
    wider = stats.t.ppf(0.95, len(means) - 1) / stats.norm.ppf(0.95)
    assert error == pytest.approx(wider * np.std(means, ddof=1) / np.sqrt(len(means)), rel=0.005)


@pytest.mark.parametrize("samples", [75, 1200])
@pytest.mark.parametrize("score", ["knn", "probe"])
def test_what_samples_teach_each_other_counts(samples, score):
    labels = np.arange(samples) % 5
    features = 2 * np.eye(24)[labels] + np.random.default_rng(0).normal(size=(samples, 24))
    (model,) = nrjax.rank_batch({"m": features}, labels, scores=score, confidence=True).models
    width = (model.interval[1] - model.interval[0]) / 2 / confidence.QUANTILE
    assert 0.3 < model.score < 0.95
    factor = 1.5 if score == "knn" else 1 + 17 * (1 - model.score) / 0.8 / samples ** (2 / 3)
    assert width**2 == pytest.approx(factor * model.score * (1 - model.score) / samples, rel=0.1)


def test_classes_cost_hits_degrees_of_freedom():
    labels = np.repeat(np.arange(10), 3)
    features = np.eye(10)[labels] + np.random.default_rng(0).normal(0, 0.01, (30, 10))
    (model,) = nrjax.rank_batch({"m": features}, labels, scores="probe", confidence=True).models
    assert model.score == 1
    assert model.interval == pytest.approx((confidence.interval_of_share(1.0, 20)[0], 1))


@pytest.mark.parametrize(("spread", "too_sure"), [(0.5, 0.1), (1.0, 0.05), (3.0, 0)])
def test_the_first_of_models_that_are_about_as_good_has_been_lucky(spread, too_sure):
    rng, said, plain, held = np.random.default_rng(0), [], [], []
    for _ in range(1500):
        truth = spread * rng.normal(size=8)
        scores, shifts = truth + rng.normal(size=8), rng.normal(size=(400, 8))
        first = scores.argmax()
        said.append(np.mean(confidence.shrunk(scores, shifts).argmax(axis=1) == first))
        plain.append(np.mean((scores + shifts).argmax(axis=1) == first))
        held.append(truth.argmax() == first)
    assert np.mean(said) == pytest.approx(np.mean(held), abs=0.05)
    assert np.mean(plain) >= np.mean(held) + too_sure  # without it


def test_halves_give_the_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=501)
    sizes = []

    def mean(half):
        sizes.append(len(half))
        return values[half].mean()

    influences = influence_estimates.influences_of_halves(mean, np.arange(501) % 4)
    error = np.sqrt((influences**2).sum() / (len(influences) * (len(influences) - 1)))
    assert error == pytest.approx(values.std() / np.sqrt(501), rel=0.3)
    assert set(sizes) == {250}  # one shape, one compilation


def test_accuracies_of_few_samples_are_as_sure_as_repeated_draws_say():
    """Of 40 targets, on features like a network's: more dims than samples, few that matter."""
    points, labels = blobs(20_000, 300, 10, separation=0.5)
    mixed = (points / np.arange(1, 301)) @ np.random.default_rng(5).normal(size=(300, 300))
    features = np.maximum(mixed, 0).astype(np.float32)
    rng, drawn, widths = np.random.default_rng(0), [], []
    for _ in range(40):
        i = rng.choice(len(labels), 200, replace=False)
        (model,) = nrjax.rank_batch({"m": features[i]}, labels[i], scores="probe", confidence=True).models
        drawn.append(model.score)
        widths.append((model.interval[1] - model.interval[0]) / (2 * 1.645))
    assert 0.9 * np.std(drawn) < np.mean(widths) < 1.5 * np.std(drawn)


def test_confidence_in_few_samples():
    features, labels = blobs(20, 5, 2)
    for name in ("silhouette", "knn", "probe", "logme"):
        (model,) = nrjax.rank_batch({"m": features}, labels, scores=name, confidence=True).models
        assert np.isfinite([*model.interval]).all(), name
    with pytest.raises(ValueError, match="confidence needs at least 20 samples; got 19"):
        nrjax.rank_batch({"m": features[1:]}, labels[1:], confidence=True)


def test_own_scores(own_score):
    own_score("spread", lambda features, labels, *, n_classes: jnp.std(features), higher_is_better=False)
    features, labels = blobs(60, 5, 3)
    models = {"wide": features * 9, "narrow": features, "middle": features * 3}
    ranking = nrjax.rank_batch(models, labels, scores=("silhouette", "spread"), by="spread", confidence=True)
    assert ranking.order == ["narrow", "middle", "wide"]
    assert [model.rank for model in ranking.models] == [1, 2, 3]
    assert ranking.models[0].p_first == 1
    assert ranking.scores["narrow"] == pytest.approx(float(features.std()), rel=1e-5)
    assert set(ranking.column("silhouette")) == set(models)
    assert "lower is better" in one_line(ranking)
    with pytest.raises(ValueError, match="'spread' is registered already"):
        own_score("spread", lambda features, labels, *, n_classes: 0)


def test_a_score_that_fails_never_costs_the_others(own_score):
    def breaks(features, labels, *, n_classes):
        raise RuntimeError("no such thing")

    own_score("breaks", breaks)
    own_score("nan", lambda features, labels, *, n_classes: jnp.where(features[0, 0] > 50, 1.0, jnp.nan))
    features, labels = blobs(60, 5, 3)
    models = {"a": features, "b": features + 100}
    ranking = nrjax.rank_batch(models, labels, scores=("silhouette", "breaks", "nan", "probe"))
    assert set(ranking.column("probe")) == {"a", "b"}
    assert ranking.column("nan") == {"b": 1.0}
    assert ranking.column("breaks") == {}
    assert "No model has breaks: RuntimeError: no such thing." in one_line(ranking)
    assert "a has no nan: its value is nan." in one_line(ranking)
    by_nan = nrjax.rank_batch(models, labels, scores="nan")
    assert by_nan.order == ["b"]
    assert by_nan.failed == {"a": "nan: its value is nan"}


def test_a_score_of_another_shape_is_refused(own_score):
    own_score("matrix", lambda features, labels, *, n_classes: features)
    features, labels = blobs(60, 6, 3)
    ranking = nrjax.rank_batch({"m": features}, labels, scores=("silhouette", "matrix"))
    assert ranking.models[0].missing == {
        "matrix": "ValueError: a score is a number, or one number per sample; got shape (60, 6)"
    }


def test_a_score_that_fails_on_parts_of_the_samples_is_a_reason(own_score):
    def whole_only(features, labels, *, n_classes):
        if len(features) < 60:
            raise RuntimeError("too few")
        return jnp.mean(features)

    own_score("whole", whole_only)
    features, labels = blobs(60, 5, 3)
    assert nrjax.rank_batch({"m": features}, labels, scores="whole").order == ["m"]
    with pytest.raises(ValueError, match="m: whole: RuntimeError: too few"):
        nrjax.rank_batch({"m": features}, labels, scores=("whole", "probe"), by="whole", confidence=True)


def test_what_means_nothing_is_said():
    features, labels = blobs(60, 5, 3)
    labels[labels == 2], labels[4] = 0, 2
    wide = np.random.default_rng(0).normal(size=(60, 90))
    ranking = nrjax.rank_batch(
        {"wide": wide, "narrow": features}, labels, scores=("silhouette", "h_score", "probe", "leep")
    )
    missing = {model.name: model.missing for model in ranking.models}
    assert "samples <= dims (60 <= 90)" in missing["wide"]["h_score"]
    assert "h_score" not in missing["narrow"]
    assert "1 of 3 classes have only 1" in ranking.settings["undefined"]["probe"]  # whatever the features are
    assert set(missing["narrow"]) == {"leep"}
    assert "there are none" in missing["narrow"]["leep"]
    few = nrjax.rank_batch({"m": features[:5]}, [0, 1, 0, 1, 0], scores=("silhouette", "knn"))
    assert "5 neighbours need more samples" in few.settings["undefined"]["knn"]
    with pytest.raises(ValueError, match=r"m: knn: 5 neighbours need more"):
        nrjax.rank_batch({"m": features[:5]}, [0, 1, 0, 1, 0], scores="knn")


def test_probabilities_are_checked_model_by_model():
    features, labels = blobs(60, 5, 3)
    theta = np.random.default_rng(0).dirichlet(np.ones(4), 60)

    class Breaks(dict):
        def __getitem__(self, name):
            return dict.__getitem__(self, name) if name != "breaks" else {}["its file"]

    given = Breaks(good=theta, logits=theta * 9 - 4, short=theta[:5], breaks=theta)
    ranking = nrjax.rank_batch(
        dict.fromkeys([*given, "without"], features), labels, scores=("silhouette", "leep"), probabilities=given
    )  # fmt: skip
    missing = {model.name: model.missing for model in ranking.models}
    assert set(ranking.column("leep")) == {"good"}
    assert "Apply a softmax" in missing["logits"]["leep"]
    assert "got 5 rows for 60 labels" in missing["short"]["leep"]
    assert missing["breaks"]["leep"] == "KeyError: 'its file'"
    assert nrjax.leep(theta, labels) == pytest.approx(ranking.column("leep")["good"], abs=1e-6)
    assert nrjax.nce(theta, labels) <= 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": "accuracy"}, "scores must be of silhouette, probe.*got 'accuracy'"),
        ({"scores": ()}, "at least one score"),
        ({"scores": ("probe", "probe")}, "none twice"),
        ({"by": "probe"}, "by must be one of the scores asked for, silhouette; got 'probe'"),
    ],
)
def test_bad_options(options, message):
    features, labels = blobs(60, 5, 3)
    with pytest.raises(ValueError, match=message):
        nrjax.rank_batch({"m": features}, labels, **options)


def test_a_ranking_knows_its_columns():
    features, labels = blobs(60, 5, 3)
    ranking = nrjax.rank_batch({"m": features}, labels, scores=("silhouette", "probe"))
    with pytest.raises(ValueError, match="has silhouette, probe; got 'knn'"):
        ranking.column("knn")
    assert dataclasses.asdict(ranking.models[0])["scores"]["probe"] == ranking.column("probe")["m"]


def test_intervals_hold_where_classes_are_far_apart_and_noise_has_one_size():
    """The score of 200 samples is too high there by more than its standard deviation: 0.69 of 0.9 held before."""
    from benchmarks.trust.calibration.pools import CASES
    from benchmarks.trust.calibration.statements import statements_of

    (case,) = (case for case in CASES if case.name == "far apart, noise of one size")
    statements = statements_of(case, "silhouette", pools=4, draws=8)
    assert 0.8 < np.mean([not (s.above or s.below) for s in statements]) < 0.99


def test_biases_are_drawn_together_as_far_as_they_are_noise():
    rng = np.random.default_rng(0)
    errors = np.full(50, 0.1)
    noise = confidence.BIAS_NOISE * errors * rng.normal(size=50)
    assert np.var(confidence.shared_biases(noise, errors)) < 0.05 * np.var(noise)
    apart = np.linspace(-1, 1, 50)
    np.testing.assert_allclose(confidence.shared_biases(apart, errors), apart, atol=0.02)
    assert confidence.shared_biases(np.array([0.3]), errors[:1]) == 0.3


def test_samples_that_tell_two_models_apart():
    assert confidence.samples_to_tell(100, confidence.QUANTILE) == 101
    assert confidence.samples_to_tell(100, confidence.QUANTILE / 2) == 400
    assert confidence.samples_to_tell(100, confidence.QUANTILE / 3.3) == 1100  # two digits, never too few
    assert confidence.samples_to_tell(100, 0.01) is None
    rng = np.random.default_rng(0)
    points, labels = blobs(60, 12, 4)
    models = {"a": points, "b": points + 0.3 * rng.normal(size=points.shape).astype(np.float32)}
    ranking = nrjax.rank_batch(models, labels, confidence=True)
    told = ranking.models[1].group == 2
    assert ("samples_to_tell" in ranking.settings) == (not told)
    equal = nrjax.rank_batch({"a": points, "b": points.copy()}, labels, confidence=True)
    assert "practically equal" in one_line(equal)
