"""The trust benchmark's parts, on small numbers whose answers are known."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import nrjax
from benchmarks.command import invocation
from benchmarks.paper import zoos
from benchmarks.paper.__main__ import arguments as paper_arguments
from benchmarks.paper.train import train_missing
from benchmarks.paper.training import Recipe
from benchmarks.trust import agreement, document, measure, plots, pools, scores, stacking
from benchmarks.trust.__main__ import RESULTS, arguments, main
from benchmarks.trust.calibration import calibration
from benchmarks.trust.candidates import Candidates
from benchmarks.trust.judge import by_step, by_step_of_draws, judge, judgement, mean_over_targets, measures, places
from benchmarks.trust.timing import timing
from nrjax.scoring.near_best import FITTED
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
                "draws": {"100/0": {"accuracy": accuracy, "scores": {"silhouette": accuracy, "probe": accuracy}}},
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


def judge_means(models):
    return mean_over_targets(judge(models, FACTS))


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


def test_smaller_targets_are_judged_by_their_own_heads():
    """The second draw of 100 samples orders the models the wrong way round; of 300 one has no score."""
    draws = {
        f"m{i}": {"draws": {
            "100/0": {"accuracy": i / 10, "scores": {"probe": i}}, "100/1": {"accuracy": -i, "scores": {"probe": i}},
            "300/0": {"accuracy": i, "scores": {"probe": i} if i else {}},
        }} for i in range(4)
    }  # fmt: skip
    steps = {name: by_step_of_draws(one) for name, one in draws.items()} | {"not tried": {}}
    assert by_step({"t": steps}) == {"probe": {"100": 0}}


def test_the_papers_candidates_are_judged_apart():
    """A wider candidate is the best and comes last by score: among the paper's own the score is right."""
    models = {
        name: {"accuracy": a, "halves": [a, a], "scores": {"probe": s}, "draws": {}, "by_components": {"none": s}}
        for name, a, s in (("full/a", 0.7, 3), ("lite/a", 0.6, 2), ("pixels", 0.5, 1), ("imagenet/a", 0.9, 0))
    }
    of_paper = {name: one for name, one in models.items() if name != "imagenet/a"}
    facts = {name: {"parameters": 1, "own_accuracy": 0.5} for name in of_paper}
    judged = judgement({"models": {"all": models, "half": of_paper}, "facts": facts})
    assert set(judged["paper"]["judged"]) == {"all", "half"}
    assert judged["paper"]["means"]["probe"]["tau_b"] == 1
    assert judged["paper"]["means"]["largest model"]["regret"] == pytest.approx(10)
    assert judged["paper"]["places"]["accuracy"] == {"full": 1, "lite": 2, "pixels": 3}
    assert set(judged["wider"]["judged"]) == {"all"}
    assert judged["wider"]["means"]["probe"]["regret"] == pytest.approx(20)
    assert "largest model" not in judged["wider"]["means"]
    assert judged["wider"]["places_by_target"]["all"]["probe"] == {"full": 1, "lite": 2, "pixels": 3, "imagenet": 4}
    assert judged["curves"]["by_components"]["the paper's"] == {"none": 1}


@pytest.mark.usefixtures("paper_tiny")
def test_candidates_and_their_truth(monkeypatch, tmp_path):
    """Candidates of each kind, on images that differ in brightness: a head learns them, from images it has not seen."""
    for module in (zoos, pools):
        monkeypatch.setattr(module, "DATASETS", {"F": "fashion_mnist"})
    monkeypatch.setattr("benchmarks.trust.candidates.CONV", ("F10",))
    jobs = [
        (tmp_path / "cache" / v / "seed-0", spec, Recipe(steps=2)) for v in zoos.VARIANTS for spec in zoos.specs(v)
    ]  # fmt: skip
    train_missing(jobs)
    shutil.copytree(tmp_path / "cache" / "full", tmp_path / "cache" / "early")
    monkeypatch.setattr(pools, "CLASSES", {"0-4": "0-4"})
    monkeypatch.setattr(scores, "DRAWS", {20: 2})
    monkeypatch.setattr(measure, "COMPONENTS", (2, 5))
    monkeypatch.setattr(measure, "SCORES", ("silhouette", "probe", "leep"))  # a program takes seconds
    candidates = Candidates(tmp_path / "cache")
    assert (len(candidates.whole), len(candidates.parts)) == (10, 4)
    kana = tmp_path / "wider" / "kana"
    kana.mkdir(parents=True)
    np.save(kana / "labels.npy", labels := np.arange(120) % 5)
    np.save(
        kana / "images.npy", np.broadcast_to((40 * labels + 20)[:, None, None, None], (120, 64, 64, 3)).astype(np.uint8)
    )
    for name in pools.WIDER_IMAGES:  # as wide as our networks, and of as many classes as F0-4: programs are of a shape
        np.save(kana / f"{name.replace('/', '-')}.npy", blobs(120, 40, 5)[0])
    monkeypatch.setattr(pools, "OTHERS", {"K": "kana"})
    of_tfds, of_files = pools.pools(candidates, tmp_path / "wider", None, 60)
    kinds = ["full/F10", "lite/F10", "early/F10", "pixels"]
    of_tfds = dataclasses.replace(of_tfds, candidates=dict.fromkeys(kinds, ("F0-4",)))
    of_files = dataclasses.replace(of_files, candidates=dict.fromkeys(("pixels", "imagenet/lite0"), ("K",)))
    news, keep = [], tmp_path / "measured"
    found = scores.measured([of_tfds, of_files], candidates, keep, False, news.append)
    assert news[0] == "full/F10 on F0-4"
    models = found["F0-4"]
    assert list(models) == kinds
    assert [name for name, one in models.items() if "leep" in one["scores"]] == [*kinds[:2], "early/F10"]
    assert set(models["pixels"]["by_components"]) == {"2", "5", "none"}
    assert (set(models["pixels"]["draws"]), models["lite/F10"]["draws"]) == ({"20/0", "20/1"}, {})
    assert all(np.mean(one["halves"]) == pytest.approx(one["accuracy"], abs=1e-4) for one in models.values())
    assert models["pixels"]["accuracy"] > 0.4  # by chance 0.2
    assert found["K"]["pixels"]["accuracy"] == 1  # five brightnesses
    assert scores.measured([of_tfds, of_files], candidates, keep, True, pytest.fail) == found  # nothing anew
    with pytest.raises(ValueError, match="leave some of the 120 of a target to judge; got 120"):
        pools.pools(candidates, tmp_path / "wider", None, 120)
    size = {name: candidates.facts(name)["parameters"] for name in [*kinds, "conv/F10", "untrained"]}
    assert size["pixels"] == 0 < size["conv/F10"] < size["full/F10"] < size["untrained"]
    assert candidates.facts("narrow/F10")["own_accuracy"] == candidates.facts("full/F10")["own_accuracy"] > 0


def worlds(seed, slope=0.7, scale=0.06):
    """Cases as the formula has them: heads that follow what the probe would say of very many samples."""
    rng = np.random.default_rng(seed)
    for data in "ABCDEF":
        for samples in (300, 1000):
            true, names = rng.uniform(0.6, 0.95, 10), [f"m{i}" for i in range(10)]
            hits = (rng.random((10, samples)) < true[:, None]).astype(float)
            heads = 0.2 + slope * true + scale * np.sqrt(true * (1 - true)) * rng.normal(size=10)
            scores = [
                dict.fromkeys(stacking.SETS["all"], float(rng.normal())) | {"probe": p, "silhouette": p}
                for p in hits.mean(axis=1).tolist()
            ]
            influences = hits - hits.mean(axis=1, keepdims=True)
            yield agreement.Case(data, samples, names, heads, influences, scores)


@pytest.fixture(scope="module")
def judged():
    return agreement.judged(list(worlds(0)))


def test_agreement_finds_the_constants_and_its_statements_hold(judged):
    slope, scale = agreement.fitted([case for seed in range(4) for case in worlds(seed)])
    assert slope == pytest.approx(0.7, abs=0.05)
    assert scale == pytest.approx(0.06, abs=0.01)
    assert set(judged["constants"]) == {f"{data}/{half}" for data in "ABCDEF" for half in (0, 1)}
    for by in ("silhouette", "probe"):
        table = judged["tables"][by].values()
        assert sum(row["statements"] for row in table) == 2 * 12 * agreement.CHOICES  # both halves
        said, held = (np.average([row[of] for row in table], weights=[row["statements"] for row in table])
                      for of in ("said", "held"))  # fmt: skip
        assert said == pytest.approx(held, abs=0.1)


def test_the_constants_are_those_that_the_committed_results_found():
    found = json.loads((RESULTS / "trust.json").read_text(encoding="utf-8"))["agreement"]["judged"]["on everything"]
    assert list(FITTED) == pytest.approx(found, rel=0.02)


def test_stacking_finds_the_score_that_says_something_and_ranks_drown_it():
    found = stacking.stacked(list(worlds(1)))
    probe = found["probe"]["weighted_tau"]
    assert probe > 0.7
    assert found["stacked: all"]["weighted_tau"] == pytest.approx(probe, abs=0.1)
    assert found["average of ranks: probe + logme"]["weighted_tau"] < probe - 0.1
    assert abs(found["logme"]["weighted_tau"]) < 0.3


def test_the_penalty_of_the_head_is_chosen():
    """A hundred outputs of 300 say the same, all of them are noisy, and there are 120 samples: a strong one is best."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1000)
    features = rng.normal(size=(1000, 300)).astype(np.float32) * 2
    features[:, :100] += (2 * labels - 1 + rng.normal(size=1000))[:, None]
    labelled, judges = np.split(np.arange(1000), [120])
    C, hits = measure.truth(features, labels, labelled, judges)
    assert C < 1
    by_C = measure.transfer_hits(features[labelled], labels[labelled], features[judges], labels[judges], measure.GRID)
    assert len(hits) == len(judges)
    assert np.array_equal(hits, by_C[C])
    assert hits.mean() > by_C[1.0].mean()


def test_the_whole_document(judged, monkeypatch, tmp_path):
    some = {name: nrjax.available_scores()[name] for name in ("silhouette", "probe", "leep")}
    monkeypatch.setattr(nrjax, "available_scores", lambda: some)
    monkeypatch.setattr("benchmarks.trust.calibration.subsamples.SIZES", (1000,))
    features, labels = blobs(1500, 12, 3)
    targets = {"blobs": ({"a": features, "b": features * (np.arange(12) < 3)}, labels)}
    models, outputs = dict.fromkeys("ab", features[:1000]), dict.fromkeys("ab", np.full((1000, 2), 0.5))
    news = []
    timed = timing(models, outputs, labels[:1000], news.append)
    assert set(some) < set(timed)
    rows = calibration(targets, 3, news.append)
    other = {"full/m0": "pixels", "full/m1": "untrained", "full/m7": "imagenet/m7"}
    models = {t: {other.get(n, n): one for n, one in of_target.items()} for t, of_target in found().items()}
    facts = {other.get(n, n): fact for n, fact in FACTS.items() if n != "full/m7"}
    made = {"command": "c", "commit": "x", "seconds": 1, "samples": 9, "draws": 3, "jax": "0", "device": "cpu"}
    doc = {
        "scores": (whole := {"models": models, "facts": facts}) | judgement(whole),
        "agreement": {"judged": judged, "stacked": stacking.stacked(list(worlds(0)))},
        "calibration": rows, "timing": timed, "beside": {"commit": "abc", "means": judge_means(found())},
        "made_with": dict.fromkeys(("scores", "agreement", "calibration", "timing"), made),
    }  # fmt: skip
    text = document.readme(json.loads(json.dumps(doc)))
    for words in (
        "| ceiling | 1.00 |",
        "| 0.1 | 8 | 8 |",
        "| pixels by accuracy | 8 | 8 |",
        "| untrained by probe | 2 | 2 |",
        "Intervals held in",
        "|  | weighted tau | weighted tau, at abc |",
        "| probe on A |",
        "| stacked: all |",
        "| blobs | probe | 1,000 |",
        "silhouette with confidence",
    ):
        assert words in text
    for score, one in timed.items():
        if "reference" in one:
            assert one["value"] == pytest.approx(one["reference"], rel=1e-3, abs=1e-5), score
    assert all(0 <= row["intervals_hold"] <= 1 for row in rows)
    plots.score_against_accuracy(models, "silhouette", tmp_path / "a.png")
    plots.tau_by_score(doc["scores"]["wider"]["judged"], doc["scores"]["wider"]["means"], tmp_path / "b.png")
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
    assert "benchmarks/trust/README.md says how" in capsys.readouterr().err
