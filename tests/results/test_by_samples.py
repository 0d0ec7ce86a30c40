"""What fewer samples say of the first models, as a picture: the scores of those samples alone."""

import numpy as np
import pytest

import nrjax
from nrjax.models import load_candidates
from nrjax.results.samples_plot import MOST
from tests.oracles import blobs

FEATURES, LABELS = blobs(240, 6, 3)


def models(count):
    def embedder(seed):
        weights = np.random.default_rng(seed).normal(size=(6, 8)).astype(np.float32)
        return nrjax.from_embedder(lambda arrays: np.tanh(np.asarray(arrays, np.float32) @ weights), version=str(seed))

    return {f"m{seed}": embedder(seed) for seed in range(count)}


@pytest.mark.parametrize(("by", "groups"), [("silhouette", None), ("probe", np.arange(240) // 4)])
def test_parts_have_the_scores_of_their_samples(by, groups):
    given = models(7)
    ranking = nrjax.rank(given, FEATURES, LABELS, groups=groups, scores=by, confidence=True, progress=False)
    axes = ranking.plot("samples")
    labels_and_lines = ((str(line.get_label()), np.asarray(line.get_ydata())) for line in axes.get_lines())
    lines = {label: scores for label, scores in labels_and_lines if not label.startswith("_")}
    assert list(lines) == ranking.order[:MOST]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["60", "120", "240"]  # an eighth is too few
    parts = ranking._models.by_samples(ranking.order[:2])
    for size, scored in parts.items():
        assert {model.name for model in scored} == set(ranking.order[:2])
        rows = np.sort(ranking._models.target.order[:size])
        features = {name: nrjax.extract_features(given[name], FEATURES)[rows] for name in ranking.order[:2]}
        alone = nrjax.rank_batch(
            features, LABELS[rows], scores=by, confidence=True, groups=None if groups is None else groups[rows]
        )
        for model in scored:
            assert model.score == pytest.approx(alone[model.name].score, abs=1e-5)
            assert model.interval == pytest.approx(alone[model.name].interval, abs=1e-4)
            assert np.abs(lines[model.name] - model.score).min() < 1e-9
    assert all(lines[name][-1] == ranking[name].score for name in lines)
    axes.figure.canvas.draw()


def test_what_has_no_such_picture_says_so():
    given = models(2)
    words = "needs a ranking that nrjax.rank or sweep made with confidence=True"
    features = {name: nrjax.extract_features(model, FEATURES) for name, model in given.items()}
    for ranking in (
        nrjax.rank(given, FEATURES, LABELS, progress=False), nrjax.rank_batch(features, LABELS, confidence=True),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            ranking.plot("samples")
    few = nrjax.rank(load_candidates(given), FEATURES[:90], LABELS[:90], confidence=True, progress=False)
    with pytest.raises(ValueError, match="need at least 100 samples; there are 90"):
        few.plot("samples")
