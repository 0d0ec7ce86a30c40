"""The trust benchmark's parts, on small numbers whose answers are known."""

import json

import numpy as np
import pytest

from benchmarks.command import invocation
from benchmarks.paper.__main__ import arguments as paper_arguments
from benchmarks.trust import document, measure, plots
from benchmarks.trust.__main__ import arguments, main
from benchmarks.trust.calibration import calibration
from benchmarks.trust.candidates import Candidates
from benchmarks.trust.judge import by_step, judge, judgement, mean_over_targets, measures, places
from benchmarks.trust.timing import timing
from tests.oracles import blobs

MODELS = {f"full/m{i}": 0.5 + 0.05 * i for i in range(8)}  # accuracies
FACTS = {name: {"parameters": 10 - i, "own_accuracy": 0.9} for i, name in enumerate(MODELS)}


def found():
    """One score that is right, one that is the wrong way round, one that only the best model has not."""
    return {
        target: {
            name: {
                "accuracy": accuracy,
                "C": 0.1,
                "halves": [accuracy, accuracy + 0.001],
                "scores": {"silhouette": accuracy, "probe": -accuracy} | ({"leep": accuracy} if i < 7 else {}),
                "by_samples": {"100": {"silhouette": accuracy, "probe": accuracy}},
                "by_components": {"2": -accuracy, "none": accuracy},
            }
            for i, (name, accuracy) in enumerate(MODELS.items())
        }
        for target in ("M10", "F10")
    }


def test_measures():
    assert measures({"a": 1, "b": 2, "c": 3}, {"a": 0.1, "b": 0.2, "c": 0.3}) == {
        "tau_b": 1, "weighted_tau": 1, "weighted_tau_accuracy_first": 1, "regret": 0,
    }  # fmt: skip
    assert measures({"a": 3, "b": 3, "c": 1}, {"a": 0.1, "b": 0.2, "c": 0.3})["regret"] == pytest.approx(15)


def test_judgement_of_known_orders():
    judged = judge(found(), FACTS)
    means = mean_over_targets(judged)
    assert means["silhouette"]["weighted_tau"] == 1
    assert means["silhouette"]["regret"] == 0
    assert means["probe"]["tau_b"] == -1
    assert means["probe"]["regret"] == pytest.approx(35)
    assert means["leep"]["regret"] == 0  # of the models that have it
    assert means["ceiling"]["tau_b"] == 1
    assert means["largest model"]["tau_b"] == -1
    assert means["best on its own data"]["regret"] == pytest.approx(17.5)  # all tie
    assert abs(means["random order"]["tau_b"]) < 0.1
    assert places(found()) == {"accuracy": {"full": 4.5}, "silhouette": {"full": 4.5}, "probe": {"full": 4.5}}
    assert by_step(found(), "by_components") == {"silhouette": {"2": -1, "none": 1}}
    assert by_step(found(), "by_samples") == {"silhouette": {"100": 1}, "probe": {"100": 1}}


def test_parts_of_networks_are_judged_apart():
    """The part is the best candidate and comes last by score: of the whole networks alone, the score is right."""
    models = {
        name: {"accuracy": a, "halves": [a, a], "scores": {"probe": s}, "by_samples": {}, "by_components": {}}
        for name, a, s in (("full/a", 0.7, 3), ("lite/a", 0.6, 2), ("pixels", 0.5, 1), ("narrow/a", 0.9, 0))
    }
    scores = {"models": {"t": models}, "facts": {name: {"parameters": 1, "own_accuracy": 0.5} for name in models}}
    judged = judgement(scores, 9)
    assert judged["means"]["probe"]["tau_b"] == 1
    assert judged["means"]["probe"]["regret"] == 0
    assert judged["places"]["t"]["accuracy"] == {"full": 1, "lite": 2, "pixels": 3}
    assert judged["with_parts"]["means"]["probe"]["regret"] == pytest.approx(20)
    assert judged["with_parts"]["places"] == {
        "accuracy": {"narrow": 1, "full": 2, "lite": 3, "pixels": 4},
        "probe": {"full": 1, "lite": 2, "pixels": 3, "narrow": 4},
    }


def test_candidates_and_their_truth(paper_smoke, monkeypatch, tmp_path):
    """Every kind of candidate, on images that differ in brightness: a head learns them, from images it has not seen."""
    assert paper_smoke("--tables", 5, 6)[0] == 0
    monkeypatch.setattr(measure, "DATASETS", {"F": "fashion_mnist"})
    monkeypatch.setattr(measure, "CLASSES", {"0-4": "0-4"})
    monkeypatch.setattr(measure, "FEWER_SAMPLES", (40,))
    monkeypatch.setattr(measure, "COMPONENTS", (2, 5))
    candidates = Candidates(tmp_path / "cache")
    assert len(candidates.names) == 37
    kinds = ["full/F10", "narrow/F10", "conv/F10", "pixels", "untrained"]
    candidates.names = kinds
    news = []
    measured = measure.measure(candidates, None, 60, news.append)
    assert list(measured) == ["F0-4"]
    assert news[0] == "full/F10 on F0-4"
    models = measured["F0-4"]
    assert list(models) == kinds
    assert [name for name, one in models.items() if "leep" in one["scores"]] == ["full/F10"]
    assert set(models["pixels"]["by_components"]) == {"2", "5", "none"}
    assert set(models["pixels"]["by_samples"]) == {"40"}
    assert all(np.mean(one["halves"]) == pytest.approx(one["accuracy"], abs=1e-4) for one in models.values())
    assert models["pixels"]["accuracy"] > 0.4  # by chance 0.2
    with pytest.raises(ValueError, match="leave some of the 120 images of classes 0-4 to judge; got 120"):
        measure.measure(candidates, None, 120, news.append)
    size = {name: candidates.facts(name)["parameters"] for name in kinds}
    assert size["pixels"] == 0 < size["conv/F10"] < size["full/F10"] < size["untrained"]
    assert candidates.facts("narrow/F10")["own_accuracy"] == candidates.facts("full/F10")["own_accuracy"] > 0


def test_the_penalty_of_the_head_is_chosen():
    """A hundred outputs of 300 say the same, all of them are noisy, and there are 120 samples: a strong one is best."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1000)
    features = rng.normal(size=(1000, 300)).astype(np.float32) * 2
    features[:, :100] += (2 * labels - 1 + rng.normal(size=1000))[:, None]
    labelled, judges = np.split(np.arange(1000), [120])
    C, hits = measure._truth(features, labels, labelled, judges)
    assert C < 1
    by_C = measure.transfer_hits(features[labelled], labels[labelled], features[judges], labels[judges], measure.GRID)
    assert len(hits) == len(judges)
    assert np.array_equal(hits, by_C[C])
    assert hits.mean() > by_C[1.0].mean()


def test_the_whole_document(tmp_path):
    features, labels = blobs(1500, 12, 3)
    targets = {"blobs": ({"a": features, "b": features[:, :3]}, labels)}
    outputs = {"a": np.full((1500, 2), 0.5), "b": np.full((1500, 2), 0.5)}
    news = []
    timed = timing(
        {"a": features[:300], "b": features[:300]}, {n: o[:300] for n, o in outputs.items()}, labels[:300], news.append
    )
    rows = calibration(targets, 3, news.append)
    other = {"full/m0": "pixels", "full/m1": "untrained"}
    scores = {t: {other.get(n, n): one for n, one in models.items()} for t, models in found().items()}
    facts = {other.get(n, n): fact for n, fact in FACTS.items()}
    made = {"command": "c", "commit": "x", "seconds": 1, "samples": 9, "draws": 3, "jax": "0", "device": "cpu"}
    doc = {
        "scores": (whole := {"models": scores, "facts": facts}) | judgement(whole, 9),
        "calibration": rows, "timing": timed, "made_with": dict.fromkeys(("scores", "calibration", "timing"), made),
    }  # fmt: skip
    text = document.readme(json.loads(json.dumps(doc)))
    for words in (
        "| ceiling | 1.00 |",
        "| 0.1 | 8 | 8 |",
        "| pixels by accuracy | 8 | 8 |",
        "| untrained by probe | 2 | 2 |",
        "Intervals held in",
        "| blobs | probe | 1,000 |",
        "silhouette with confidence",
    ):
        assert words in text
    for score, one in timed.items():
        if "reference" in one:
            assert one["value"] == pytest.approx(one["reference"], rel=1e-3, abs=1e-5), score
    assert all(0 <= row["intervals_hold"] <= 1 for row in rows)
    plots.score_against_accuracy(scores, "silhouette", tmp_path / "a.png")
    plots.tau_by_score(doc["scores"]["judged"], doc["scores"]["means"], tmp_path / "b.png")
    plots.tau_against(doc["scores"]["curves"]["by_components"], "components", tmp_path / "c.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in "abc")


def test_results_say_the_command_they_came_from():
    words = ["--parts", "scores", "timing", "--samples", "500", "--out", "somewhere"]
    asked = invocation("benchmarks.trust", arguments(words), arguments([]))
    assert asked == "python -m benchmarks.trust --parts scores timing --samples 500"
    paper = paper_arguments(["--figures", "--max-samples", "9", "--no-resume", "--data-dir", "x"])
    assert invocation("benchmarks.paper", paper, paper_arguments([])) == (
        "python -m benchmarks.paper --figures --max-samples 9"
    )
    assert invocation("benchmarks.paper", paper_arguments([]), paper_arguments([])) == "python -m benchmarks.paper"


def test_without_trained_models_it_names_the_command(tmp_path, capsys):
    assert main(["--cache", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "run python -m benchmarks.paper" in capsys.readouterr().err
