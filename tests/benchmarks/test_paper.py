"""`python -m benchmarks.paper` end to end at smoke size: structure and determinism, not the ranking."""

import json

import numpy as np
import pytest

from benchmarks.paper import __main__ as paper
from benchmarks.paper import published
from benchmarks.paper.agreement import agreement
from benchmarks.paper.document import agreements, beside, over_seeds
from benchmarks.paper.transfer import fit_logits, transfer_accuracy


def without_times(doc):
    times = ("wall_time_s", "peak_memory_mib", "commit")
    return doc | {"made_with": {k: v for k, v in doc["made_with"].items() if k not in times}}


def test_every_table_and_figure_twice_the_same(paper_smoke):
    code, out = paper_smoke("--seeds", 2)
    assert code == 0
    doc = json.loads((out / "tables.json").read_text())
    assert set(doc) == {f"table{n}" for n in range(1, 7)} | {"table4_by_recipe", "figure2", "agreement", "made_with"}
    assert set(doc["table2"]) == set(doc["table3"]) == set(doc["table4"]) == set(published.MODELS)
    assert doc["table2"]["M10"]["L0"]["paper"] == 0.346
    assert len({doc["table2"][name]["L0"]["ours"] for name in published.MODELS}) == 1  # the input, whatever the model
    assert set(doc["table5"]) == {"mnist", "fashion"}
    assert set(doc["table5"]["mnist"]["C5-9"]) == {"score", "accuracy"}
    assert doc["table5"]["fashion"]["F0-4"]["accuracy"]["paper"] == 0.939
    assert list(doc["table6"])[:2] == ["F10", "F0-4"]
    assert len(doc["table6"]) == 10
    cell = doc["table3"]["F10"]
    assert cell["ours"] == pytest.approx(np.mean(cell["seeds"]), abs=1e-4)
    assert cell["std"] == pytest.approx(np.std(cell["seeds"], ddof=1), abs=2e-4)
    assert doc["agreement"]["score_against_accuracy"]["table3_table4"]["tau_b"]["paper"] == 0.8889
    files = {path.name for path in out.iterdir()}
    assert files == {f"table{n}.md" for n in range(1, 7)} | {
        "table4_by_recipe.md", "tables.json", "agreement.md", "README.md", "figure2.png", "figure3.png",
    }  # fmt: skip
    text = (out / "README.md").read_text()
    assert all(f"## Q{n}" in text for n in range(1, 7))
    assert "of single seeds with the paper" in text
    assert f"with each other {doc['agreement']['table3_between_seeds']['tau_b']['ours']:.2f}." in text

    code, again = paper_smoke("--seeds", 2, out="again")
    assert code == 0
    assert without_times(json.loads((again / "tables.json").read_text())) == without_times(doc)


def test_some_tables_train_only_what_they_need(paper_smoke, capsys, tmp_path):
    assert paper_smoke("--tables", 3, 4)[0] == 0
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["full"]
    assert "Table 3" in capsys.readouterr().out
    doc = json.loads((tmp_path / "out" / "tables.json").read_text())
    assert set(doc) == {"table3", "table4", "table4_by_recipe", "agreement", "made_with"}
    assert doc["made_with"]["command"].startswith("python -m benchmarks.paper --tables 3 4 --steps ")

    assert paper_smoke("--tables", 3, "--steps", 5)[0] == 1  # a cache of another recipe
    assert "trained with another configuration or recipe" in capsys.readouterr().err
    assert paper_smoke("--tables", 3, "--no-resume")[0] == 1
    assert "already holds models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tables", "7"], "invalid choice: 7"),
        (["--tables", "two"], "invalid int value"),
        (["--seeds", "0"], "must be at least 1, got 0"),
        (["--steps", "0"], "must be at least 1, got 0"),
    ],
)
def test_usage(words, message, capsys):
    with pytest.raises(SystemExit) as raised:
        paper.main(words)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_data_that_is_not_prepared(tmp_path, capsys):
    assert paper.main(["--data-dir", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 1
    assert "tfds build cifar10" in capsys.readouterr().err
    assert paper.main(["--figures"]) == 1
    assert "--out DIR" in capsys.readouterr().err


def test_the_papers_own_agreement():
    """As `shared/design/paper.md` has it: what the printed numbers say about the score."""
    taus = agreements({
        "table3": published.TABLE_3, "table4": published.TABLE_4, "table5": published.TABLE_5,
        "table6": published.TABLE_6,
    })["score_against_accuracy"]  # fmt: skip
    rounded = {name: round(measures["tau_b"], 2) for name, measures in taus.items()}
    assert rounded == {
        "table3_table4": 0.89, "table5_mnist": 0.57, "table5_fashion": 0.59, "table6": 0.57, "tables3_4_5": 0.69,
    }  # fmt: skip
    assert round(taus["table3_table4"]["weighted_tau"], 2) == 0.95


def test_agreement_of_orders():
    same = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert agreement(same, {name: value**2 for name, value in same.items()}) == {
        "tau_b": 1.0, "weighted_tau": 1.0, "weighted_tau_accuracy_first": 1.0,
    }  # fmt: skip
    assert agreement(same, {name: -value for name, value in same.items()})["tau_b"] == -1.0


def test_seeds_become_mean_and_deviation():
    assert beside([{"x": 1.0}, {"x": 3.0}], {"x": 5.0}) == {
        "x": {"ours": 2.0, "std": 1.4142, "seeds": [1.0, 3.0], "paper": 5.0}
    }
    assert beside([{"x": 1.0}]) == {"x": {"ours": 1.0}}


def test_the_mean_over_seeds_and_seeds_among_themselves():
    paper = published.TABLE_3
    seeds = [paper, {name: score + 0.003 * (name == "C5-9") for name, score in paper.items()}]  # above C0-4
    found = over_seeds(seeds)
    assert found["table3_mean_against_paper"]["tau_b"]["ours"] == pytest.approx(1.0)
    assert found["table3_between_seeds"]["tau_b"]["ours"] == pytest.approx(1 - 2 / 36, abs=1e-4)


@pytest.mark.parametrize(("samples", "C"), [(400, 1.0), (400, 0.01), (5, 1.0)])  # five samples of seven dims
def test_retrained_logits_are_scikit_learns(samples, C):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features = rng.normal(size=(samples, 6)) @ rng.normal(size=(6, 6))
    targets = (features[:, :3] + rng.normal(size=(samples, 3))).argmax(1)
    targets[:3] = range(3)
    features = np.hstack([(features - features.mean(0)) / features.std(0), np.zeros((samples, 1))]).astype(np.float32)
    theirs = LogisticRegression(C=C, tol=1e-8, max_iter=10_000).fit(features, targets)
    weights, biases = fit_logits(features, targets, 3, (7.0, C))[1]
    ours = features @ weights + biases
    expected = theirs.decision_function(features)
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-2
    )


def test_transfer_accuracy_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))
    targets = (features[:, :3] + rng.normal(size=(400, 3))).argmax(1)
    features = np.hstack([(features - features.mean(0)) / features.std(0), np.zeros((400, 1))]).astype(np.float32)
    accuracy = transfer_accuracy(features[:300], targets[:300] + 7, features[300:], targets[300:] + 7)
    theirs = LogisticRegression(C=1).fit(features[:300], targets[:300]).score(features[300:], targets[300:])
    assert accuracy == pytest.approx(theirs, abs=0.011)  # one of 100 samples
